//! Corrections to a mechanistic estimate: queueing theory gives the estimate, and a small network learns the
//! rest.
//!
//! The estimate models the pace (a link, or a token bucket) and keeps every class in order. Three quantities
//! are learned, each from what a causal observer of the port can know at that instant:
//!
//! - how much later than the estimate the port sends, as quantiles (timers, interrupts, pauses);
//! - which class is served next, if packets of several classes wait;
//! - whether an arriving packet is dropped.
//!
//! A recurrent state is carried from packet to packet. See `docs/neural.md`.

mod card;
mod port;
mod ranges;

pub use port::{CHOICE_FEATURES, DROP_FEATURES, LATENESS_FEATURES, Port, SENT_FEATURES};

pub use card::{ClassShare, Context, Limits, Pace, ResidualCard};
pub use ranges::Ranges;

use std::sync::Arc;

use super::card::Card;
use super::math::{Linear, exp, relu, sigmoid, tanh};
use super::{Classing, ModelError, NeuralSpec, Output, Tensors};
use crate::config::listed;
use crate::flow::Flows;
use crate::link::Link;
use crate::packet::{DropReason, Tau};
use crate::ptm::classes::check_classes;
use crate::ptm::{Backlog, Discipline, Loss, Next, Place, PtmError};
use crate::random::{Stream, stream, unit};
use crate::units::{Bandwidth, Span, Time};

/// The levels of the quantiles of lateness.
pub const LEVELS: [f32; 16] =
    [0.005, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.995, 0.999];

/// Three linear layers with `max(x, 0)` between them.
#[derive(Debug, Clone, PartialEq)]
struct Perceptron([Linear; 3]);

impl Perceptron {
    fn take(
        tensors: &mut Tensors,
        name: &str,
        [inputs, hidden, outputs]: [usize; 3],
    ) -> Result<Self, ModelError> {
        let mut layer = |number: usize, inputs, outputs| {
            Linear::take(tensors, &format!("{name}.{number}"), inputs, outputs)
        };
        Ok(Perceptron([layer(1, inputs, hidden)?, layer(2, hidden, hidden)?, layer(3, hidden, outputs)?]))
    }

    fn forward(&self, x: &[f32], hidden: &mut [Vec<f32>; 2], y: &mut [f32]) {
        let [first, second, third] = &self.0;
        let [a, b] = hidden;
        first.forward(x, a);
        relu(a);
        second.forward(a, b);
        relu(b);
        third.forward(b, y);
    }
}

/// A gated recurrent unit.
///
/// # Source
/// K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014, with the reset gate
/// after the product, as in cuDNN.
#[derive(Debug, Clone, PartialEq)]
struct Gru {
    input: Linear,
    state: Linear,
}

impl Gru {
    /// The next state `h` `[recurrent]` after `x`. Gates `[3 recurrent]`: reset, update, new.
    fn step(&self, x: &[f32], h: &mut [f32], gates: &mut [Vec<f32>; 2]) {
        let [a, b] = gates;
        self.input.forward(x, a);
        self.state.forward(h, b);
        let size = h.len();
        let (reset, rest) = a.split_at_mut(size);
        let (update, new) = rest.split_at_mut(size);
        let (reset_h, rest) = b.split_at(size);
        let (update_h, new_h) = rest.split_at(size);
        for (x, &h) in reset.iter_mut().zip(reset_h) {
            *x = sigmoid(*x + h);
        }
        for (x, &h) in update.iter_mut().zip(update_h) {
            *x = sigmoid(*x + h);
        }
        for ((x, &h), &gate) in new.iter_mut().zip(new_h).zip(&*reset) {
            *x = tanh(*x + gate * h);
        }
        for ((h, &update), &new) in h.iter_mut().zip(&*update).zip(&*new) {
            *h = (1.0 - update) * new + update * *h;
        }
    }
}

/// The trained network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    card: ResidualCard,
    gru: Option<Gru>,
    lateness: Perceptron,
    choice: Option<Perceptron>,
    drop: Option<Perceptron>,
    ranges: Ranges,
}

/// Working memory for intermediate results.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    x: Vec<f32>,
    hidden: [Vec<f32>; 2],
    gates: [Vec<f32>; 2],
}

impl Network {
    /// Creates the network from its weights; `classes` is the number of classes on the card.
    ///
    /// # Errors
    /// The weights do not match the card.
    pub fn from_tensors(
        card: &ResidualCard,
        classes: usize,
        mut tensors: Tensors,
    ) -> Result<Self, ModelError> {
        card.check(classes)?;
        let (classes, hidden, recurrent) = (classes.max(1), card.hidden, card.recurrent);
        let carried = recurrent + card.contexts();
        let tensors = &mut tensors;
        let gru = match recurrent {
            0 => None,
            _ => Some(Gru {
                input: Linear::take(tensors, "gru.input", SENT_FEATURES + classes, 3 * recurrent)?,
                state: Linear::take(tensors, "gru.state", recurrent, 3 * recurrent)?,
            }),
        };
        let lateness = [LATENESS_FEATURES + classes + carried, hidden, LEVELS.len()];
        let lateness = Perceptron::take(tensors, "lateness", lateness)?;
        let choice = match classes {
            1 => None,
            _ => {
                let sizes = [CHOICE_FEATURES * classes + carried, hidden, classes];
                Some(Perceptron::take(tensors, "choice", sizes)?)
            }
        };
        let drop = match &card.limits {
            None => None,
            Some(_) => Some(Perceptron::take(tensors, "drop", [DROP_FEATURES + classes, hidden, 1])?),
        };
        let ranges = Ranges::take(classes, tensors)?;
        std::mem::take(tensors).finish()?;
        Ok(Network { card: card.clone(), gru, lateness, choice, drop, ranges })
    }

    /// Its card.
    pub fn card(&self) -> &ResidualCard {
        &self.card
    }

    /// Allocates working memory for intermediate results.
    pub fn scratch(&self) -> Scratch {
        let (hidden, gates) = (vec![0.0; self.card.hidden], vec![0.0; 3 * self.card.recurrent]);
        Scratch { x: Vec::new(), hidden: [hidden.clone(), hidden], gates: [gates.clone(), gates] }
    }

    /// The quantiles of lateness `[LEVELS]` for `x` `[features + classes]`, the state `h` `[recurrent]` and
    /// the device `context` `[contexts]`, before they are sorted.
    pub fn lateness(&self, x: &[f32], h: &[f32], context: &[f32], scratch: &mut Scratch, y: &mut [f32]) {
        let Scratch { x: all, hidden, .. } = scratch;
        all.clear();
        all.extend(x);
        self.ranges.lateness.hold(all);
        all.extend(h.iter().chain(context));
        self.lateness.forward(all, hidden, y);
    }

    /// A score per class `[classes]`, for `x` `[features x classes]`; zeros if there is one class.
    pub fn choice(&self, x: &[f32], h: &[f32], context: &[f32], scratch: &mut Scratch, y: &mut [f32]) {
        let Scratch { x: all, hidden, .. } = scratch;
        all.clear();
        all.extend(x);
        self.ranges.choice.hold(all);
        all.extend(h.iter().chain(context));
        match &self.choice {
            Some(choice) => choice.forward(all, hidden, y),
            None => y.fill(0.0),
        }
    }

    /// The log-odds of a drop, for `x` `[features + classes]`; minus infinity for a model without drops.
    pub fn loss(&self, x: &[f32], scratch: &mut Scratch) -> f32 {
        let mut y = [f32::NEG_INFINITY];
        if let Some(drop) = &self.drop {
            let Scratch { x: all, hidden, .. } = scratch;
            all.clear();
            all.extend(x);
            self.ranges.drop.hold(all);
            drop.forward(all, hidden, &mut y);
        }
        y[0]
    }

    /// Updates the state `h` `[recurrent]` with the sent packet described by `x` `[features + classes]`.
    pub fn carry(&self, x: &[f32], h: &mut [f32], scratch: &mut Scratch) {
        if let Some(gru) = &self.gru {
            let Scratch { x: all, gates, .. } = scratch;
            all.clear();
            all.extend(x);
            self.ranges.sent.hold(all);
            gru.step(all, h, gates);
        }
    }

    pub(in crate::ptm) fn shaped_bps(&self, spec: &NeuralSpec) -> Option<u64> {
        Some(self.card.pace.with_rate(spec.rate).rate()?.as_bps())
    }

    fn context(&self, spec: &NeuralSpec) -> Result<usize, PtmError> {
        let names = || self.card.context.iter().map(|context| context.name.as_str());
        match &spec.context {
            None if self.card.context.len() == 1 => Ok(0),
            None => Err(PtmError::Model(format!(
                "the model was trained on several devices: write `context`, one of {}",
                listed(names())
            ))),
            Some(name) => {
                self.card.context.iter().position(|context| context.name == *name).ok_or_else(|| {
                    PtmError::Model(format!(
                        "the model has no context \"{name}\": it has {}",
                        listed(names())
                    ))
                })
            }
        }
    }

    pub(in crate::ptm) fn check(&self, spec: &NeuralSpec, card: &Card, link: &Link) -> Result<(), PtmError> {
        self.context(spec)?;
        let classes = card.class.len();
        if !spec.class.is_empty() && spec.class.len() != classes {
            return Err(PtmError::Model(format!(
                "the port has {} classes, but the model was trained on {classes}",
                spec.class.len()
            )));
        }
        if spec
            .class
            .iter()
            .flat_map(|class| [class.share, class.turn_bytes, class.turn_packets])
            .flatten()
            .any(|value| !value.is_finite() || value <= 0.0)
        {
            return Err(PtmError::Model(
                "`share`, `turn_bytes` and `turn_packets` must be positive numbers".to_owned(),
            ));
        }
        if !spec.class.is_empty() {
            check_classes("neural", &spec.class)?;
        }
        match (self.card.pace, link.bandwidth, spec.rate) {
            (Pace::Link, Bandwidth::Unlimited, _) => Err(PtmError::UnlimitedLink { kind: "neural" }),
            (Pace::Link, _, Some(_)) => Err(PtmError::IdleKey {
                key: "rate",
                place: "for a model of a plain link".to_owned(),
                help: "give the link its `bandwidth`",
            }),
            _ => Ok(()),
        }
    }

    /// The classes of a port: those of the card, with the values that the port gives.
    fn shares(&self, spec: &NeuralSpec, context: usize) -> Vec<ClassShare> {
        let mut shares = self.card.context[context].class.clone();
        for (share, class) in shares.iter_mut().zip(&spec.class) {
            share.share = class.share.unwrap_or(share.share);
            share.turn_bytes = class.turn_bytes.unwrap_or(share.turn_bytes);
            share.kept_turn_bytes = class.turn_bytes.unwrap_or(share.kept_turn_bytes);
            share.turn_packets = class.turn_packets.unwrap_or(share.turn_packets);
        }
        let sum: f64 = shares.iter().map(|share| share.share).sum();
        shares.iter_mut().for_each(|share| share.share /= sum);
        shares
    }

    pub(in crate::ptm) fn discipline(
        self: &Arc<Self>,
        spec: &NeuralSpec,
        card: &Card,
        place: &Place<'_>,
    ) -> Box<dyn Discipline> {
        let context = self.context(spec).expect("the spec was checked");
        let shares = self.shares(spec, context);
        let pace = self.card.pace.with_rate(spec.rate);
        let classes = if spec.class.is_empty() { &card.class } else { &spec.class };
        let mut one_hot = vec![0.0; self.card.contexts()];
        if let Some(hot) = one_hot.get_mut(context) {
            *hot = 1.0;
        }
        Box::new(Residual {
            port: Port::new(&pace, &place.link, self.card.mean_length, &shares),
            classing: Classing::new(classes),
            output: spec.output,
            lateness_range: self
                .card
                .lateness_range
                .map(|late| libm::asinh(late / self.card.lateness_unit) as f32),
            random: stream(place.seed, "ptm", place.port),
            context: one_hot,
            state: vec![0.0; self.card.recurrent],
            release: None,
            chosen: None,
            x: vec![0.0; (CHOICE_FEATURES * shares.len()).max(LATENESS_FEATURES + shares.len())],
            scores: vec![0.0; shares.len()],
            scratch: self.scratch(),
            network: Arc::clone(self),
        })
    }
}

/// The network in use on a port.
struct Residual {
    network: Arc<Network>,
    port: Port,
    classing: Classing,
    output: Output,
    /// In the network's representation.
    lateness_range: [f32; 2],
    random: Stream,
    context: Vec<f32>,
    state: Vec<f32>,
    /// When the port sends next, and the lateness that the network is given for it.
    release: Option<(Time, f32)>,
    /// The class that is then served.
    chosen: Option<usize>,
    x: Vec<f32>,
    scores: Vec<f32>,
    scratch: Scratch,
}

impl Residual {
    /// Whether the packet is dropped.
    fn drops(&mut self, class: usize, tau: &Tau) -> bool {
        let Some(limits) = &self.network.card.limits else { return false };
        let x = &mut self.x[..DROP_FEATURES + self.scores.len()];
        let (features, one_hot) = x.split_at_mut(DROP_FEATURES);
        self.port.drop_features(class, tau.packet.length, [limits.port, limits.class[class]], features);
        one_hot.fill(0.0);
        one_hot[class] = 1.0;
        let probability = sigmoid(self.network.loss(x, &mut self.scratch));
        let threshold = match self.output {
            Output::Sample => unit(&mut self.random) as f32,
            Output::Median | Output::Mean => 0.5,
        };
        probability > threshold
    }

    /// When the port sends, asked at `now`.
    fn decide(&mut self, now: Time) -> Time {
        let eligible = self.port.eligible(now);
        let x = &mut self.x[..LATENESS_FEATURES + self.scores.len()];
        self.port.lateness_features(now, eligible, x);
        let mut quantiles = [0.0; LEVELS.len()];
        self.network.lateness(x, &self.state, &self.context, &mut self.scratch, &mut quantiles);
        let [least, most] = self.lateness_range;
        quantiles.iter_mut().for_each(|quantile| *quantile = quantile.clamp(least, most));
        let (lateness, told) = match self.output {
            Output::Sample => {
                let drawn = at_level(&mut quantiles, unit(&mut self.random) as f32);
                (drawn, drawn)
            }
            Output::Median => {
                let median = at_level(&mut quantiles, 0.5);
                (median, median)
            }
            // No device is late by the mean for packet after packet, so the network has not learned that
            // case.
            Output::Mean => (mean(&mut quantiles), at_level(&mut quantiles, 0.5)),
        };
        let unit_ps = f64::from(self.port.unit_ps()) * self.network.card.lateness_unit;
        let late_ps = f64::from(sinh(lateness)) * unit_ps;
        let release = eligible + Span::from_ps(late_ps.max(0.0).round() as u64);
        self.release = Some((release, told));
        release
    }

    /// The class that is served at `now`.
    fn choose(&mut self, now: Time) -> usize {
        let classes = self.scores.len();
        let waits = |class: &usize| self.port.packets_in(*class) > 0;
        let first = (0..classes).find(waits).expect("something waits");
        if self.port.backlogged() == 1 {
            return first;
        }
        let x = &mut self.x[..CHOICE_FEATURES * classes];
        self.port.choice_features(now, x);
        self.network.choice(x, &self.state, &self.context, &mut self.scratch, &mut self.scores);
        let most = (0..classes)
            .filter(waits)
            .max_by(|&a, &b| self.scores[a].total_cmp(&self.scores[b]))
            .expect("something waits");
        if self.output != Output::Sample {
            return most;
        }
        let best = self.scores[most];
        let weight = |class: usize| exp(self.scores[class] - best);
        let sum: f32 = (0..classes).filter(waits).map(weight).sum();
        let mut left = unit(&mut self.random) as f32 * sum;
        for class in (0..classes).filter(waits) {
            left -= weight(class);
            if left < 0.0 {
                return class;
            }
        }
        most
    }
}

impl Discipline for Residual {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        let class = self.classing.class(&tau.packet, flows);
        if self.drops(class, &tau) {
            losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::BufferFull });
            return;
        }
        self.port.arrive(class, tau);
    }

    fn next(&mut self, now: Time, _losses: &mut Vec<Loss>) -> Next {
        if self.port.backlog().packets() == 0 {
            return Next::Nothing;
        }
        let release = match self.release {
            Some((release, _)) => release,
            None => self.decide(now),
        };
        if now < release {
            return Next::Throttled(release);
        }
        let class = match self.chosen {
            Some(class) => class,
            None => self.choose(now),
        };
        self.chosen = Some(class);
        Next::Ready(self.port.head(class).map_or(0, |head| head.packet.length))
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        let Next::Ready(_) = self.next(now, losses) else { return None };
        let (class, (_, lateness)) = self.chosen.take().zip(self.release.take())?;
        let x = &mut self.x[..SENT_FEATURES + self.scores.len()];
        let tau = self.port.send(class, now, lateness, x);
        self.network.carry(x, &mut self.state, &mut self.scratch);
        Some(tau)
    }

    fn backlog(&self) -> Backlog {
        self.port.backlog()
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(self.port.waiting());
    }
}

/// (e^x - e^-x) / 2.
#[inline]
fn sinh(x: f32) -> f32 {
    0.5 * (exp(x) - exp(-x))
}

/// Sorts predicted quantiles: none is below the one before.
#[inline]
fn in_order(quantiles: &mut [f32; LEVELS.len()]) {
    let mut most = f32::NEG_INFINITY;
    for quantile in quantiles {
        most = most.max(*quantile);
        *quantile = most;
    }
}

/// The value at a level from 0 to 1, interpolated linearly between quantiles; constant beyond the outermost.
fn at_level(quantiles: &mut [f32; LEVELS.len()], level: f32) -> f32 {
    in_order(quantiles);
    let above = LEVELS.partition_point(|&known| known <= level);
    let Some(below) = above.checked_sub(1) else { return quantiles[0] };
    if above == LEVELS.len() {
        return quantiles[below];
    }
    let part = (level - LEVELS[below]) / (LEVELS[above] - LEVELS[below]);
    quantiles[below] + part * (quantiles[above] - quantiles[below])
}

/// The network's value for the mean lateness: the mean over the levels, where each level has the value of the
/// nearest quantile.
fn mean(quantiles: &mut [f32; LEVELS.len()]) -> f32 {
    in_order(quantiles);
    let mut from = 0.0;
    let mut sum = 0.0;
    for (index, &quantile) in quantiles.iter().enumerate() {
        let to = LEVELS.get(index + 1).map_or(1.0, |next| 0.5 * (LEVELS[index] + next));
        sum += (to - from) * sinh(quantile).max(0.0);
        from = to;
    }
    libm::asinh(sum.into()) as f32
}

#[cfg(test)]
mod tests;
