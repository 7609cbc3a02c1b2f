//! The published network of DeepQueueNet, as a reference.
//!
//! For every packet the network gets [the features](features) of the packet and of the 41 packets before it,
//! and predicts the waiting time: two LSTM layers, an attention, two LSTM layers, one number. [A training
//! error](correction), drawn at random, is subtracted from the prediction. `docs/deepqueuenet.md` describes
//! how this differs from the publication.
//!
//! # Source
//! Q. Yang et al., "DeepQueueNet: Towards Scalable and Generalized Network Performance Estimation with
//! Packet-level Visibility", SIGCOMM 2022.

pub mod correction;
pub mod features;
pub mod network;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::card::Card;
use super::{Classing, ModelError, NeuralClass, NeuralSpec, Output, Tensors};
use crate::flow::Flows;
use crate::link::Link;
use crate::packet::{Packet, Tau};
use crate::ptm::classes::check_classes;
use crate::ptm::{Backlog, Discipline, Loss, Next, Place, PtmError};
use crate::random::{Stream, stream};
use crate::units::{Bandwidth, PS_PER_S, Rate, Span, Time};
use correction::Correction;
use features::Features;
use network::{GATES, Scratch, WINDOW, Weights};

/// The minimum number of ingress ports that a model distinguishes: that of the published device.
pub const PORTS: usize = 4;

/// The maximum number of ingress ports that a model distinguishes.
pub const PORTS_AT_MOST: usize = 1_024;

/// The parameters of inference besides the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeepQueueNetCard {
    /// The number of ingress ports that the model distinguishes. Packets from further ports count as from the
    /// last one.
    pub ports: usize,
    /// The service rate of the port, if it is not the bandwidth of its link: that of a shaper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// The scaling of the features `[features]` and the waiting time at the input and output of the network.
    pub scale: Scale,
}

/// The ranges in the training data: the network gets 0 for the minimum and 1 for the maximum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The minimum of each feature `[features]`.
    pub least: Vec<f32>,
    /// The maximum of each feature `[features]`.
    pub greatest: Vec<f32>,
    /// The minimum waiting time, in seconds.
    pub least_waiting_s: f32,
    /// The maximum waiting time, in seconds.
    pub greatest_waiting_s: f32,
}

impl Scale {
    /// Scales the features of a packet in place. A feature that was constant in training becomes 0.
    pub fn apply(&self, features: &mut [f32]) {
        for ((feature, least), greatest) in features.iter_mut().zip(&self.least).zip(&self.greatest) {
            let range = greatest - least;
            *feature = if range > 0.0 { (*feature - least) / range } else { 0.0 };
        }
    }

    /// The waiting time, in seconds, for an output of the network.
    pub fn waiting_s(&self, output: f32) -> f32 {
        self.least_waiting_s + output * (self.greatest_waiting_s - self.least_waiting_s)
    }

    /// The output for a waiting time, in seconds.
    pub fn output(&self, waiting_s: f32) -> f32 {
        let range = self.greatest_waiting_s - self.least_waiting_s;
        if range > 0.0 { (waiting_s - self.least_waiting_s) / range } else { 0.0 }
    }

    fn check(&self, features: usize) -> Result<(), String> {
        for (name, values) in [("least", &self.least), ("greatest", &self.greatest)] {
            if values.len() != features {
                return Err(format!("`{name}` has {} values for {features} features", values.len()));
            }
        }
        let waiting = (&self.least_waiting_s, &self.greatest_waiting_s);
        let mut pairs = self.least.iter().zip(&self.greatest).chain([waiting]);
        match pairs
            .find(|(least, greatest)| !(greatest.is_finite() && least.is_finite() && least <= greatest))
        {
            Some((least, greatest)) => Err(format!("its values go from {least} to {greatest}")),
            None => Ok(()),
        }
    }
}

/// The trained network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    trained: Arc<Trained>,
}

#[derive(Debug, PartialEq)]
struct Trained {
    card: DeepQueueNetCard,
    classes: usize,
    weights: Weights,
    correction: Correction,
}

impl Network {
    /// Creates the network from its weights, for `classes` classes.
    ///
    /// # Errors
    /// The weights do not match the card.
    pub fn from_tensors(
        card: &DeepQueueNetCard,
        classes: usize,
        mut tensors: Tensors,
    ) -> Result<Self, ModelError> {
        if !(1..=PORTS_AT_MOST).contains(&card.ports) {
            return Err(ModelError::Contradiction(format!(
                "{} ingress ports, but 1 to {PORTS_AT_MOST} are possible",
                card.ports
            )));
        }
        let features = features::count(card.ports, classes);
        card.scale
            .check(features)
            .map_err(|what| ModelError::Contradiction(format!("in `scale`, {what}")))?;
        let weights = Weights::take(&mut tensors, features)?;
        let correction = Correction::take(&mut tensors, classes)?;
        tensors.finish()?;
        Ok(Network { trained: Arc::new(Trained { card: card.clone(), classes, weights, correction }) })
    }

    pub(in crate::ptm) fn check(&self, spec: &NeuralSpec, card: &Card, link: &Link) -> Result<(), PtmError> {
        const PLACE: &str = "for a model of the architecture `deepqueuenet`";
        let idle = |key, help| Err(PtmError::IdleKey { key, place: PLACE.to_owned(), help });
        if spec.context.is_some() {
            return idle("context", "leave it out: such a model is of one device");
        }
        let given = &spec.class;
        if given.iter().any(|class| class.share.is_some()) {
            return idle("share", "leave it out: the network has learned how classes share the port");
        }
        if given.iter().any(|class| class.turn_bytes.is_some()) {
            return idle("turn_bytes", "leave it out: the network has learned how classes take turns");
        }
        if given.iter().any(|class| class.turn_packets.is_some()) {
            return idle("turn_packets", "leave it out: the network has learned how classes take turns");
        }
        let classes = classes(spec, card);
        let learned = self.trained.classes;
        if !(classes.is_empty() && learned == 1) {
            if classes.len() != learned {
                return Err(PtmError::Model(format!(
                    "the model distinguishes {learned} classes, but there are {} here",
                    classes.len()
                )));
            }
            check_classes("neural", classes)?;
        }
        match self.rate(spec, link) {
            Some(_) => Ok(()),
            None => Err(PtmError::Model(
                "a model of the architecture `deepqueuenet` counts what arrives in the time of a transmission: the \
                 link needs a `bandwidth`, or the model the `rate` of its shaper"
                    .to_owned(),
            )),
        }
    }

    pub(in crate::ptm) fn discipline(
        &self,
        spec: &NeuralSpec,
        card: &Card,
        place: &Place<'_>,
    ) -> Box<dyn Discipline> {
        let rate = self.rate(spec, &place.link).expect("the spec was checked");
        Box::new(DeepQueueNet {
            classing: Classing::new(classes(spec, card)),
            predictor: self.predictor(rate),
            output: spec.output,
            random: stream(place.seed, "ptm", place.port),
            released: vec![Time::ZERO; self.trained.classes],
            queue: BTreeMap::new(),
            arrivals: 0,
            backlog: Backlog::default(),
        })
    }

    /// The rate of its shaper in bits per second, if it has one.
    pub(in crate::ptm) fn shaped_bps(&self, spec: &NeuralSpec) -> Option<u64> {
        spec.rate.or(self.trained.card.rate).map(Rate::as_bps)
    }

    /// The service rate of the port; `None` if it is not known.
    fn rate(&self, spec: &NeuralSpec, link: &Link) -> Option<Rate> {
        spec.rate.or(self.trained.card.rate).or(match link.bandwidth {
            Bandwidth::Limited(rate) => Some(rate),
            Bandwidth::Unlimited => None,
        })
    }

    /// The network before the first packet of a port with the service rate `rate`.
    pub fn predictor(&self, rate: Rate) -> Predictor {
        let Trained { card, classes, weights, .. } = &*self.trained;
        Predictor {
            features: Features::new(card.ports, *classes, rate),
            values: vec![0.0; weights.features()],
            window: vec![0.0; WINDOW * GATES],
            oldest: None,
            scratch: Scratch::default(),
            trained: Arc::clone(&self.trained),
        }
    }
}

/// The classes of a port: its own if it has any, else those of the model.
fn classes<'a>(spec: &'a NeuralSpec, card: &'a Card) -> &'a [NeuralClass] {
    if spec.class.is_empty() { &card.class } else { &spec.class }
}

/// The predictions of the network for successive packets of a port.
#[derive(Debug, Clone)]
pub struct Predictor {
    trained: Arc<Trained>,
    features: Features,
    /// The features of a packet.
    values: Vec<f32>,
    /// The contributions of the last packets to the first layer `[WINDOW, GATES]`, computed once per packet;
    /// a ring buffer.
    window: Vec<f32>,
    /// The index of the oldest packet; `None` before the first packet.
    oldest: Option<usize>,
    scratch: Scratch,
}

impl Predictor {
    /// The predicted waiting time of a packet of `class` that arrives now, in seconds, without correction.
    /// Until there are 42 packets, the first one replaces the missing ones.
    pub fn waiting_s(&mut self, arrival: Time, packet: &Packet, class: usize) -> f32 {
        let Trained { card, weights, .. } = &*self.trained;
        self.features.next(arrival, packet, class, &mut self.values);
        card.scale.apply(&mut self.values);
        let place = self.oldest.unwrap_or(0);
        let newest = &mut self.window[place * GATES..(place + 1) * GATES];
        weights.project(&self.values, newest);
        if self.oldest.is_none() {
            let (first, others) = self.window.split_at_mut(GATES);
            others.chunks_exact_mut(GATES).for_each(|other| other.copy_from_slice(first));
        }
        let oldest = (place + 1) % WINDOW;
        self.oldest = Some(oldest);
        let (newer, older) = self.window.split_at(oldest * GATES);
        let (first, rest) = self.scratch.gates.split_at_mut(older.len());
        first.copy_from_slice(older);
        rest.copy_from_slice(newer);
        card.scale.waiting_s(weights.forward(&mut self.scratch))
    }
}

/// The running model: a packet is released when it has waited for the predicted time, but not before earlier
/// packets of its class. It drops no packets.
struct DeepQueueNet {
    predictor: Predictor,
    classing: Classing,
    output: Output,
    random: Stream,
    /// When the newest packet of each class is released.
    released: Vec<Time>,
    /// By release time and arrival number.
    queue: BTreeMap<(Time, u64), Tau>,
    arrivals: u64,
    backlog: Backlog,
}

impl Discipline for DeepQueueNet {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, _losses: &mut Vec<Loss>) {
        let class = self.classing.class(&tau.packet, flows);
        let predicted = self.predictor.waiting_s(tau.timestamp, &tau.packet, class);
        let correction = &self.predictor.trained.correction;
        let waiting_s = correction.correct(class, predicted, self.output, &mut self.random);
        let waiting = (f64::from(waiting_s) * PS_PER_S as f64).round();
        // A negative or undefined prediction means no waiting time.
        let release = tau.timestamp + Span::from_ps(waiting as u64);
        let release = release.max(self.released[class]);
        self.released[class] = release;
        self.queue.insert((release, self.arrivals), tau);
        self.arrivals += 1;
        self.backlog.add(tau.packet.length);
    }

    fn next(&mut self, now: Time, _losses: &mut Vec<Loss>) -> Next {
        match self.queue.first_key_value() {
            None => Next::Nothing,
            Some(((release, _), tau)) if *release <= now => Next::Ready(tau.packet.length),
            Some(((release, _), _)) => Next::Throttled(*release),
        }
    }

    fn dequeue(&mut self, now: Time, _losses: &mut Vec<Loss>) -> Option<Tau> {
        let first = self.queue.first_entry().filter(|entry| entry.key().0 <= now)?;
        let tau = first.remove();
        self.backlog.remove(tau.packet.length);
        Some(tau)
    }

    fn backlog(&self) -> Backlog {
        self.backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(self.queue.values());
    }
}
