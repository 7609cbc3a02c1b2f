//! CoDel from its drops: the kernel's own control law on the waiting times that were recorded.

use super::{AqmEstimate, AqmKind, Parameter, Scoring, Setting, descend, span, width};
use crate::calibrate::queue::Queue;
use crate::calibrate::sample::roundest;
use crate::link::Link;
use crate::packet::{CE, Packet, Tau};
use crate::ptm::{CodelLaw, CodelSource, CodelSpec, CodelState, Place, PtmSpec};
use crate::units::{Bandwidth, Span, Time};

/// Packets that wait, in order, at an instant.
struct Waiting<'q> {
    taus: &'q [Tau],
    /// Bytes before each packet.
    before: &'q [u64],
    next: usize,
    end: usize,
}

impl CodelSource for Waiting<'_> {
    fn take(&mut self) -> Option<Tau> {
        let tau = (self.next < self.end).then(|| self.taus[self.next])?;
        self.next += 1;
        Some(tau)
    }

    fn bytes(&self) -> u64 {
        self.before[self.end] - self.before[self.next]
    }
}

/// One turn: the packets lost since the one before, and the one that left.
struct Turn {
    at: Time,
    /// The first packet of it, and the one that left.
    first: usize,
    left: usize,
    /// The first packet that had not joined.
    end: usize,
}

/// A queue as CoDel saw it.
struct Turns<'q> {
    queue: &'q Queue,
    taus: Vec<Tau>,
    before: Vec<u64>,
    turns: Vec<Turn>,
}

/// What CoDel would have done in the turns.
struct Predicted {
    /// Per turn: packets it would have dropped or marked.
    hits: Vec<u32>,
    /// Per turn: packets that were.
    were: Vec<u32>,
}

fn time(us: f64) -> Time {
    Time::from_ps((us.max(0.0) * 1e6).round() as u64)
}

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

    /// The control law at work on the recorded waiting times, with its own decisions.
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

    /// How far a prediction is off: by the drops so far, and turn by turn; over all drops.
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

    /// The probability of a hit, packet by packet: by what is predicted for it, and by how many more than happened were
    /// predicted of late.
    fn probabilities(&self, spec: &CodelSpec, setting: &Setting) -> Vec<f64> {
        let Predicted { hits, were } = self.predict(spec, setting);
        let mut signal = vec![0; self.queue.joined.len()];
        let mut owed = 0i64;
        for (place, turn) in self.turns.iter().enumerate() {
            if place >= LATE {
                owed -= i64::from(hits[place - LATE]) - i64::from(were[place - LATE]);
            }
            let mut left = i64::from(hits[place]);
            let mut due = owed;
            for packet in turn.first..=turn.left {
                let predicted = left > 0;
                signal[packet] = (due.clamp(-2, 2) + 2) as usize * 2 + usize::from(predicted);
                left -= i64::from(predicted);
                due += i64::from(predicted) - i64::from(self.queue.joined[packet].is_hit());
            }
            owed += i64::from(hits[place]) - i64::from(were[place]);
        }
        self.queue.by_counts(&signal)
    }
}

/// Turns after which a drop that was predicted and did not happen is not expected any more.
const LATE: usize = 50;

/// Fits `target` and `interval`; none where nothing was taken out.
pub(super) fn fit(score: &Scoring<'_>, setting: &Setting) -> Option<AqmEstimate> {
    let queue = score.queue;
    let turns = Turns::new(score.seen);
    if turns.turns.is_empty() || queue.fit.is_empty() {
        return None;
    }
    let ecn = queue.joined.iter().any(|joined| joined.marked);
    let longest = queue.joined.iter().map(|joined| joined.length).fold(0.0, f64::max);
    let spec = |[target, interval]: &[f64; 2]| CodelSpec {
        target: span(*target),
        interval: span(interval.max(1.0)),
        mtu: crate::units::ByteCount::new((longest as u64).max(1_514)),
        ecn,
        ..CodelSpec::default()
    };
    let cost = |at: &[f64; 2]| turns.cost(&spec(at), setting);
    let mut starts: Vec<(f64, [f64; 2])> = Vec::new();
    for target in [1e3, 2e3, 3e3, 5e3, 7e3, 10e3, 15e3, 20e3, 30e3, 50e3] {
        for interval in [10e3, 20e3, 30e3, 50e3, 75e3, 100e3, 150e3, 200e3, 300e3, 500e3] {
            if interval >= 2.0 * target {
                let at = [target, interval];
                starts.push((cost(&at), at));
            }
        }
    }
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (at, least) = starts
        .iter()
        .take(3)
        .map(|(_, at)| descend(*at, &[1.2, 1.08, 1.03, 1.01, 1.003], cost))
        .min_by(|a, b| a.1.total_cmp(&b.1))?;
    let most = 1.1 * least + 0.01;
    let target = width(at[0], most, |target| cost(&[target, at[1]]));
    let interval = width(at[1], most, |interval| cost(&[at[0], interval]));
    // People configure round figures; the rounder one is taken where it does no worse.
    let round = [roundest(at[0], target.max(0.03 * at[0])), roundest(at[1], interval.max(0.03 * at[1]))];
    let taken = if cost(&round) <= most { round } else { at };
    let parameters = vec![
        Parameter { name: "target", value: taken[0] / 1e3, uncertainty: target / 1e3, unit: "ms" },
        Parameter { name: "interval", value: taken[1] / 1e3, uncertainty: interval / 1e3, unit: "ms" },
    ];
    let spec = spec(&taken);
    let predicted = Turns::new(queue).probabilities(&spec, setting);
    Some(score.estimate(AqmKind::Codel, parameters, &predicted, Some(PtmSpec::Codel(spec))))
}
