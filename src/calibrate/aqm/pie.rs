//! Fits PIE to its drops, by their likelihood given the recorded waiting times.

use super::{AqmEstimate, AqmKind, Parameter, Scoring, Setting, descend, limit, span, time, width};
use crate::calibrate::queue::Queue;
use crate::calibrate::sample::{quantile, roundest};
use crate::link::Link;
use crate::ptm::{Buffer, PieLaw, PieSpec, PieState, Place, PtmSpec};
use crate::units::{Bandwidth, Span, Time, Timestamp};

/// The fraction of packets that something else may decide.
const ELSE: f64 = 0.001;

/// A packet that was taken out: when it joined, when it was taken, and what remained.
struct Taken {
    joined: Time,
    at: Time,
    stayed: u64,
}

fn taken(queue: &Queue) -> Vec<Taken> {
    let admitted: Vec<(f64, f64, f64)> =
        queue.joined.iter().filter_map(|joined| Some((joined.at, joined.length, joined.taken?))).collect();
    let (mut next, mut stayed) = (0, 0.0);
    admitted
        .iter()
        .map(|&(joined, length, at)| {
            while let Some((_, length, _)) = admitted.get(next).filter(|(joined, ..)| *joined <= at) {
                stayed += length;
                next += 1;
            }
            stayed -= length;
            Taken { joined: time(joined), at: time(at), stayed: f64::max(stayed, 0.0) as u64 }
        })
        .collect()
}

/// The inputs of a trial.
struct Try<'q> {
    queue: &'q Queue,
    taken: Vec<Taken>,
    start: Timestamp,
}

impl<'q> Try<'q> {
    fn new(queue: &'q Queue, setting: &Setting) -> Self {
        Try { queue, taken: taken(queue), start: setting.start }
    }

    /// The probability of a hit, packet by packet, with updates every `period` [us], starting at the fraction
    /// `phase` of it.
    fn predict(&self, target: f64, period: f64, phase: f64) -> Vec<f64> {
        let link = Link::with_delay(Bandwidth::Unlimited, Span::ZERO);
        let place = Place { link, seed: 0, port: "", start: self.start };
        let spec = PieSpec { target: span(target), ..PieSpec::default() };
        let law = PieLaw::new(&spec, span(period), &place);
        let mut state = PieState::new(&law, span(phase * period));
        let mut next = 0;
        self.queue
            .joined
            .iter()
            .map(|joined| {
                let now = time(joined.at);
                while let Some(Taken { joined, at, stayed }) =
                    self.taken.get(next).filter(|taken| taken.at <= now)
                {
                    let before = if next == 0 { 0 } else { self.taken[next - 1].stayed };
                    state.update_until(&law, *at, before);
                    state.depart(&law, *joined, *at, *stayed);
                    next += 1;
                }
                let bytes = joined.bytes as u64;
                state.update_until(&law, now, bytes);
                let odds = state.odds(&law, bytes);
                if joined.is_hit() {
                    state.dropped();
                }
                odds.probability()
            })
            .collect()
    }
}

impl Try<'_> {
    /// Log loss in nats of a target and a period [us], with the best phase.
    fn cost(&self, [target, period]: &[f64; 2]) -> f64 {
        let of = |phase: &f64| {
            let predicted = self.predict(*target, *period, *phase);
            self.queue.log_loss(&self.queue.softened(predicted, ELSE), &self.queue.fit)
        };
        PHASES.iter().map(of).fold(f64::INFINITY, f64::min)
    }
}

/// Time that the kernel adds to the period, at the assumed timer frequency [us].
const JIFFY: f64 = 1e3;

/// Phases of the update that are tried, because the start of its timer is unknown.
const PHASES: [f64; 6] = [0.0, 1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0, 4.0 / 6.0, 5.0 / 6.0];

/// Fits `target` and `t_update`; `None` if no packet was taken out.
pub(super) fn fit(score: &Scoring<'_>, setting: &Setting) -> Option<AqmEstimate> {
    let queue = score.queue;
    let seen = score.seen;
    let tried = Try::new(seen, setting);
    if tried.taken.is_empty() {
        return None;
    }
    let cost = |at: &[f64; 2]| tried.cost(at);
    // Updates occur at kernel ticks. A slightly wrong period soon misses them all, so every one is tried.
    let ticks = || (2..=64).map(|ms| f64::from(ms) * 1e3);
    // The controller integrates the difference of the waiting times from the target. With a slightly wrong
    // target it diverges for any period. In the recording it keeps the waiting times near the right one.
    let mut waited: Vec<f64> =
        seen.joined[seen.fit.clone()].iter().filter_map(|joined| Some(joined.taken? - joined.at)).collect();
    let middle = quantile(&mut waited, 0.5).unwrap_or(0.0).max(1e3);
    let around = (-12..=12).map(|step| middle * libm::pow(1.05, f64::from(step)));
    let usual = [2e3, 5e3, 7.5e3, 10e3, 12.5e3, 15e3, 17.5e3, 20e3, 25e3, 30e3, 40e3, 50e3, 75e3, 100e3];
    let mut targets: Vec<(f64, f64)> = around
        .chain(usual)
        .map(|target| {
            let periods = [6e3, 11e3, 16e3, 20e3, 31e3];
            (periods.iter().map(|period| cost(&[target, *period])).fold(f64::INFINITY, f64::min), target)
        })
        .collect();
    targets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let starts = targets.iter().take(6).flat_map(|(_, target)| ticks().map(move |period| [*target, period]));
    let mut starts: Vec<(f64, [f64; 2])> = starts.map(|at| (cost(&at), at)).collect();
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let target_at = |[from, period]: [f64; 2]| {
        let ([target], least) =
            descend([from], &[1.05, 1.02, 1.01, 1.003], |[target]| cost(&[*target, period]));
        (least, [target, period])
    };
    let least = |tried: &mut dyn Iterator<Item = (f64, [f64; 2])>| tried.min_by(|a, b| a.0.total_cmp(&b.0));
    let (_, [target, _]) = least(&mut starts.iter().take(5).map(|(_, at)| target_at(*at)))?;
    let (_, at) = least(&mut ticks().map(|period| (cost(&[target, period]), [target, period])))?;
    let (least, at) = target_at(at);
    let target = width(at[0], least + 2.0, |target| cost(&[target, at[1]]));
    let period =
        width(
            at[1],
            least + 2.0,
            |period| if period < 500.0 { f64::INFINITY } else { cost(&[at[0], period]) },
        );
    let taken_target = roundest(at[0], target);
    let taken_period = roundest(at[1], period);
    let ecn = queue.joined.iter().any(|joined| joined.marked);
    let whole = Try::new(queue, setting);
    let phase = PHASES.into_iter().map(|phase| {
        let predicted = queue.softened(whole.predict(at[0], at[1], phase), ELSE);
        (queue.log_loss(&predicted, &queue.fit), predicted)
    });
    let (_, mut predicted) = phase.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let limit = limit(queue, &mut predicted);
    let mut parameters = vec![
        Parameter { name: "target", value: at[0] / 1e3, uncertainty: target / 1e3, unit: "ms" },
        Parameter { name: "t_update", value: (at[1] - JIFFY) / 1e3, uncertainty: period / 1e3, unit: "ms" },
    ];
    parameters.extend(limit.map(Parameter::limit));
    let spec = PieSpec {
        target: span(taken_target),
        t_update: span((taken_period - JIFFY).max(JIFFY)),
        ecn,
        buffer: limit.map(Buffer::Packets),
        hz: std::num::NonZeroU32::new(1_000)?,
        ..PieSpec::default()
    };
    let mut found = score.estimate(AqmKind::Pie, parameters, &predicted, Some(PtmSpec::Pie(spec)));
    found
        .not_shown
        .push("the kernel's timer frequency: `t_update` is the period less a timer tick of 1 ms".to_owned());
    Some(found)
}
