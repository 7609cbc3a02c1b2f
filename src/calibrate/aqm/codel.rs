//! Fits CoDel to its drops, by running the kernel's control law on the recorded waiting times.

use std::collections::VecDeque;

use super::{AqmEstimate, AqmKind, Parameter, Scoring, Setting, descend, span, time, width};
use crate::calibrate::queue::Queue;
use crate::calibrate::sample::roundest;
use crate::link::Link;
use crate::packet::{CE, Packet, Tau};
use crate::ptm::{Buffer, CodelDequeue, CodelLaw, CodelSpec, CodelState, Place, PtmSpec};
use crate::units::{Bandwidth, ByteCount, Span, Time};

/// The packets waiting at an instant, in order.
struct Waiting<'q> {
    taus: &'q [Tau],
    /// Bytes before each packet.
    before: &'q [u64],
    next: usize,
    end: usize,
}

impl CodelDequeue for Waiting<'_> {
    fn take(&mut self) -> Option<Tau> {
        let tau = (self.next < self.end).then(|| self.taus[self.next])?;
        self.next += 1;
        Some(tau)
    }

    fn bytes(&self) -> u64 {
        self.before[self.end] - self.before[self.next]
    }
}

/// One dequeue: the packets lost since the one before, and the packet that left.
struct Turn {
    at: Time,
    /// Index of its first packet, and of the one that left.
    first: usize,
    left: usize,
    /// Index of the first packet that had not joined.
    end: usize,
}

/// A queue as seen by CoDel.
struct Turns<'q> {
    queue: &'q Queue,
    taus: Vec<Tau>,
    before: Vec<u64>,
    turns: Vec<Turn>,
}

/// The prediction for a dequeue, and what happened.
struct Outcome {
    /// Packets that the law would have dropped or marked.
    hits: u32,
    /// Packets that were dropped or marked.
    were: u32,
    /// Dequeues for which it has predicted a drop that did not happen.
    early: u32,
    /// How much later it would have dropped a packet that was dropped.
    late: Option<Span>,
}

/// The predicted actions of CoDel.
struct Predicted {
    /// Per dequeue: packets it would have dropped or marked.
    hits: Vec<u32>,
    /// Per dequeue: packets that were dropped or marked.
    were: Vec<u32>,
}

/// A limit on waiting packets, and the packets rejected by it, which CoDel never saw.
struct Limit {
    /// Maximum number of waiting packets.
    packets: f64,
    /// Whether each packet was rejected.
    refused: Vec<bool>,
    /// Whether the queue was full when each packet arrived.
    full: Vec<bool>,
}

impl Limit {
    /// Finds the limit from the losses that the law does not predict, if they occur when the number of
    /// waiting packets is maximal; otherwise `None`.
    fn find(turns: &Turns<'_>, spec: &CodelSpec, setting: &Setting) -> Option<Self> {
        let queue = turns.queue;
        // When each packet was gone. A loss that is not predicted never joined.
        let mut gone: Vec<Option<f64>> = queue.joined.iter().map(|joined| joined.taken).collect();
        for (turn, hits) in turns.turns.iter().zip(turns.predict(spec, setting).hits) {
            for lost in (turn.first..turn.left).take(hits as usize) {
                gone[lost] = queue.joined[turn.left].taken;
            }
        }
        // Packets leave in the order of their arrival.
        let mut inside = VecDeque::new();
        let mut waited = Vec::with_capacity(gone.len());
        for (joined, gone) in queue.joined.iter().zip(&gone) {
            while inside.front().is_some_and(|gone| *gone <= joined.at) {
                inside.pop_front();
            }
            waited.push(inside.len() as f64);
            inside.extend(*gone);
        }
        let admitted = waited.iter().zip(&gone).filter(|(_, gone)| gone.is_some());
        let most = admitted.map(|(waited, _)| *waited).fold(0.0, f64::max);
        let full: Vec<bool> = waited.iter().map(|waited| *waited >= NEARLY * most).collect();
        let unpredicted = gone.iter().filter(|gone| gone.is_none()).count();
        let refused: Vec<bool> = gone.iter().zip(&full).map(|(gone, full)| gone.is_none() && *full).collect();
        let at_full = refused.iter().filter(|refused| **refused).count();
        (at_full >= LEAST_REFUSED && 2 * at_full >= unpredicted).then_some(Limit {
            packets: most + 1.0,
            refused,
            full,
        })
    }

    /// The queue without the rejected packets.
    fn admitted(&self, queue: &Queue) -> Queue {
        let kept = |range: &std::ops::Range<usize>| {
            let count = |until: usize| self.refused[..until].iter().filter(|refused| !**refused).count();
            count(range.start)..count(range.end)
        };
        let admitted = queue.joined.iter().zip(&self.refused).filter(|(_, refused)| !**refused);
        Queue {
            joined: admitted.map(|(joined, _)| *joined).collect(),
            fit: kept(&queue.fit),
            score: kept(&queue.score),
        }
    }
}

/// The queue counts as full from this fraction of the maximum number of waiting packets.
const NEARLY: f64 = 0.98;

/// Minimum number of rejected packets for a limit.
const LEAST_REFUSED: usize = 10;

impl<'q> Turns<'q> {
    fn new(queue: &'q Queue) -> Self {
        let taus: Vec<Tau> = queue
            .joined
            .iter()
            .map(|joined| Tau {
                timestamp: time(joined.at),
                packet: Packet {
                    length: joined.length as u32,
                    ecn: u8::from(joined.capable),
                    ..Packet::default()
                },
            })
            .collect();
        let mut before = vec![0];
        before.extend(taus.iter().scan(0, |sum, tau| {
            *sum += u64::from(tau.packet.length);
            Some(*sum)
        }));
        let (mut turns, mut first, mut end) = (Vec::new(), 0, 0);
        for (left, joined) in queue.joined.iter().enumerate() {
            let Some(taken) = joined.taken else { continue };
            let at = time(taken);
            while end < taus.len() && taus[end].timestamp <= at {
                end += 1;
            }
            turns.push(Turn { at, first, left, end: end.max(left + 1) });
            first = left + 1;
        }
        Turns { queue, taus, before, turns }
    }

    /// Runs the control law on the recorded waiting times, with its own decisions.
    fn predict(&self, spec: &CodelSpec, setting: &Setting) -> Predicted {
        let link = Link::with_delay(Bandwidth::Unlimited, Span::ZERO);
        let law = CodelLaw::new(spec, &Place { link, seed: 0, port: "", start: setting.start });
        let mut state = CodelState::default();
        let mut losses = Vec::new();
        let mut predicted = Predicted { hits: Vec::new(), were: Vec::new() };
        for turn in &self.turns {
            let mut waiting =
                Waiting { taus: &self.taus, before: &self.before, next: turn.first, end: turn.end };
            losses.clear();
            let head = state.dequeue(&law, turn.at, &mut waiting, &mut losses);
            let marked = head.is_some_and(|tau| tau.packet.ecn == CE);
            let were = (turn.left - turn.first) as u32 + u32::from(self.queue.joined[turn.left].marked);
            predicted.hits.push(losses.len() as u32 + u32::from(marked));
            predicted.were.push(were);
        }
        predicted
    }

    /// Runs the law dequeue by dequeue. After each prediction its state follows what happened. `see` gets the
    /// dequeue and the [`Outcome`].
    fn follow(&self, spec: &CodelSpec, setting: &Setting, mut see: impl FnMut(&Turn, Outcome)) {
        let link = Link::with_delay(Bandwidth::Unlimited, Span::ZERO);
        let law = CodelLaw::new(spec, &Place { link, seed: 0, port: "", start: setting.start });
        let mut state = CodelState::default();
        let mut losses = Vec::new();
        let mut early = 0;
        for turn in &self.turns {
            let waiting =
                || Waiting { taus: &self.taus, before: &self.before, next: turn.first, end: turn.end };
            let were = (turn.left - turn.first) as u32 + u32::from(self.queue.joined[turn.left].marked);
            let before = state.clone();
            losses.clear();
            let head = state.dequeue(&law, turn.at, &mut waiting(), &mut losses);
            let hits = losses.len() as u32 + u32::from(head.is_some_and(|tau| tau.packet.ecn == CE));
            let mut late = None;
            if hits != were || (early > 0 && were > 0) {
                state = before;
                late = state.follow(&law, turn.at, &mut waiting(), were);
            }
            see(turn, Outcome { hits, were, early, late });
            early = if were > 0 { 0 } else { early + u32::from(hits > 0) };
        }
    }

    /// Error of the law drop by drop: number of dequeues that it is early or late, per drop.
    fn cost_of_each(&self, spec: &CodelSpec, setting: &Setting) -> f64 {
        let lasts = match (self.turns.first(), self.turns.last()) {
            (Some(first), Some(last)) => last.at.since(first.at).as_ps() as f64,
            _ => return f64::INFINITY,
        };
        let turn_ps = lasts / self.turns.len() as f64;
        let (mut off, mut all) = (0.0, 0.0);
        self.follow(spec, setting, |_, outcome| {
            all += f64::from(outcome.were);
            if outcome.hits > outcome.were && outcome.early < FAR {
                // It is early by one dequeue more.
                off += 1.0;
            } else if outcome.hits < outcome.were {
                let late = outcome.late.map_or(f64::INFINITY, |late| late.as_ps() as f64 / turn_ps);
                off += late.min(FAR.into());
            }
        });
        off / f64::max(all, 1.0)
    }

    /// Error of a prediction: difference in the number of drops so far, and per dequeue, divided by the
    /// number of drops.
    fn cost(&self, spec: &CodelSpec, setting: &Setting) -> f64 {
        let Predicted { hits, were } = self.predict(spec, setting);
        let (mut so_far, mut off, mut wrong) = (0i64, 0.0, 0.0);
        for (hits, were) in hits.iter().zip(&were) {
            let difference = i64::from(*hits) - i64::from(*were);
            so_far += difference;
            off += so_far.abs() as f64;
            wrong += difference.abs() as f64;
        }
        let all = were.iter().sum::<u32>().max(1) as f64;
        off / (were.len().max(1) as f64 * all) + 0.1 * wrong / all
    }

    /// The probability of a hit, packet by packet, depending on whether the law predicts it from the past,
    /// and for how many dequeues it has done so.
    fn probabilities(&self, spec: &CodelSpec, setting: &Setting) -> Vec<f64> {
        let mut signal = vec![0; self.queue.joined.len()];
        self.follow(spec, setting, |turn, outcome| {
            for (place, packet) in (turn.first..=turn.left).enumerate() {
                signal[packet] = match place < outcome.hits as usize {
                    true => 1 + outcome.early.min(3) as usize,
                    false => 0,
                };
            }
        });
        self.queue.by_counts(&signal)
    }
}

/// Maximum number of dequeues by which a drop is counted as early or late.
const FAR: u32 = 20;

/// Target and interval [us], their uncertainties, and whether packets are marked.
struct Fit {
    at: [f64; 2],
    off: [f64; 2],
    ecn: bool,
    /// The longest packet [B].
    longest: u64,
}

impl Fit {
    fn spec(&self, [target, interval]: [f64; 2]) -> CodelSpec {
        CodelSpec {
            target: span(target),
            interval: span(interval.max(1.0)),
            mtu: ByteCount::new(self.longest.max(1_514)),
            ecn: self.ecn,
            ..CodelSpec::default()
        }
    }

    /// The parameters with the best predictions of the dequeues.
    fn of(turns: &Turns<'_>, setting: &Setting) -> Option<Self> {
        let joined = &turns.queue.joined;
        let mut fit = Fit {
            at: [0.0; 2],
            off: [0.0; 2],
            ecn: joined.iter().any(|joined| joined.marked),
            longest: joined.iter().map(|joined| joined.length).fold(0.0, f64::max) as u64,
        };
        let cost = |at: &[f64; 2]| turns.cost(&fit.spec(*at), setting);
        let mut starts: Vec<(f64, [f64; 2])> = Vec::new();
        for target in [1e3, 2e3, 3e3, 5e3, 7e3, 10e3, 15e3, 20e3, 30e3, 50e3] {
            for interval in [10e3, 20e3, 30e3, 50e3, 75e3, 100e3, 150e3, 200e3, 300e3, 500e3] {
                if interval >= 2.0 * target {
                    let at = [target, interval];
                    starts.push((cost(&at), at));
                }
            }
        }
        let each = |at: &[f64; 2]| turns.cost_of_each(&fit.spec(*at), setting);
        let least =
            |tried: &mut dyn Iterator<Item = ([f64; 2], f64)>| tried.min_by(|a, b| a.1.total_cmp(&b.1));
        let mut by_each: Vec<(f64, [f64; 2])> = starts.iter().map(|(_, at)| (each(at), *at)).collect();
        by_each.sort_by(|a, b| a.0.total_cmp(&b.0));
        starts.sort_by(|a, b| a.0.total_cmp(&b.0));
        // The error per drop leads close to the optimum; the error over all drops is precise there, but says
        // little elsewhere.
        let factors = [1.2, 1.08, 1.03, 1.01, 1.003];
        let near = least(&mut by_each.iter().take(3).map(|(_, at)| descend(*at, &factors, each)))?;
        let exact = least(&mut starts.iter().take(2).map(|(_, at)| descend(*at, &factors, cost)))?;
        let round = least(&mut round_figures(near.0).map(|at| (at, cost(&at))))?;
        let exact = if round.1 <= exact.1 { round } else { exact };
        let exact = descend(exact.0, &[1.05, 1.02, 1.01, 1.003], cost);
        let (at, off) = if exact.1 < EXACT {
            let ([target, interval], least) = exact;
            let most = 1.1 * least + 0.01;
            let off = [
                width(target, most, |target| cost(&[target, interval])),
                width(interval, most, |interval| cost(&[target, interval])),
            ];
            // Of all values that are as good, the middle one, or the roundest ones near it that are as good,
            // too.
            let as_well = 1.02 * least + 1e-9;
            let (low, high) = super::interval(target, as_well, |target| cost(&[target, interval]));
            let middle = [(low + high) / 2.0, interval];
            let round = [
                roundest(middle[0], f64::max((high - low) / 2.0, 0.03 * middle[0])),
                roundest(interval, off[1].max(0.03 * interval)),
            ];
            let does = |at: &[f64; 2]| cost(at) <= as_well;
            ([round, middle].into_iter().find(does).unwrap_or(exact.0), off)
        } else {
            let most = 1.05 * near.1;
            let target = width(near.0[0], most, |target| each(&[target, near.0[1]]));
            let interval = width(near.0[1], most, |interval| each(&[near.0[0], interval]));
            ([roundest(near.0[0], target), roundest(near.0[1], interval)], [target, interval])
        };
        (fit.at, fit.off) = (at, off);
        Some(fit)
    }
}

/// Whole milliseconds nearby: targets within a third, intervals within a twelfth.
fn round_figures([target, interval]: [f64; 2]) -> impl Iterator<Item = [f64; 2]> {
    let whole = |us: f64, part: f64| {
        let (low, high) = ((us * (1.0 - part) / 1e3).floor() as u32, (us * (1.0 + part) / 1e3).ceil() as u32);
        (low.max(1)..=high).step_by(((high - low) / 24).max(1) as usize).map(|ms| f64::from(ms) * 1e3)
    };
    whole(target, 0.34).flat_map(move |target| whole(interval, 0.08).map(move |interval| [target, interval]))
}

/// Below this error the law predicts the drops; a coincidence is excluded.
const EXACT: f64 = 0.1;

/// Fits `target` and `interval`, and the limit if packets were rejected; `None` if no packet was taken out.
pub(super) fn fit(score: &Scoring<'_>, setting: &Setting) -> Option<AqmEstimate> {
    let queue = score.queue;
    let turns = Turns::new(score.seen);
    if turns.turns.is_empty() || queue.fit.is_empty() {
        return None;
    }
    let mut fit = Fit::of(&turns, setting)?;
    let limit = Limit::find(&turns, &fit.spec(fit.at), setting);
    if let Some(limit) = &limit {
        let admitted = limit.admitted(score.seen);
        fit = Fit::of(&Turns::new(&admitted), setting)?;
    }
    let mut spec = fit.spec(fit.at);
    let mut parameters = vec![
        Parameter { name: "target", value: fit.at[0] / 1e3, uncertainty: fit.off[0] / 1e3, unit: "ms" },
        Parameter { name: "interval", value: fit.at[1] / 1e3, uncertainty: fit.off[1] / 1e3, unit: "ms" },
    ];
    let predicted = match limit {
        None => Turns::new(queue).probabilities(&spec, setting),
        Some(limit) => {
            spec.buffer = Some(Buffer::Packets(limit.packets as u64));
            parameters.push(Parameter {
                name: "buffer",
                value: limit.packets,
                uncertainty: (1.0 - NEARLY) * limit.packets,
                unit: "packets",
            });
            within_limit(queue, &spec, setting)?
        }
    };
    Some(score.estimate(AqmKind::Codel, parameters, &predicted, Some(PtmSpec::Codel(spec))))
}

/// The probability of a hit, packet by packet, for a queue with a limit.
fn within_limit(queue: &Queue, spec: &CodelSpec, setting: &Setting) -> Option<Vec<f64>> {
    let limit = Limit::find(&Turns::new(queue), spec, setting)?;
    let admitted = limit.admitted(queue);
    let mut of_law = Turns::new(&admitted).probabilities(spec, setting).into_iter();
    let full: Vec<usize> = limit.full.iter().map(|full| usize::from(*full)).collect();
    let of_limit = queue.by_counts(&full);
    let predicted = (0..queue.joined.len()).map(|packet| {
        let law = if limit.refused[packet] { 0.0 } else { of_law.next().unwrap_or(0.0) };
        if limit.full[packet] { of_limit[packet].max(law) } else { law }
    });
    Some(predicted.collect())
}
