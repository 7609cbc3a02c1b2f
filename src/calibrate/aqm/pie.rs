//! PIE from its drops: how likely each was, by the waiting times that were recorded.

use super::{AqmEstimate, AqmKind, Parameter, Scoring, Setting, descend, span, width};
use crate::calibrate::queue::Queue;
use crate::calibrate::sample::roundest;
use crate::ptm::{PieSpec, PtmSpec};

/// Weights and bounds of Linux, in seconds and per second.
///
/// # Source
/// Linux 6.1 `net/sched/sch_pie.c` (`pie_drop_early`, `pie_process_dequeue`, `pie_calculate_probability`) and
/// `include/net/pie.h`.
const ALPHA: f64 = 0.125;
const BETA: f64 = 1.25;
const MAX_BURST: f64 = 0.15;
const LONG_DELAY: f64 = 0.25;
const MTU: f64 = 1_514.0;

/// What the controller holds.
struct Controller {
    target: f64,
    prob: f64,
    accumulated: f64,
    delay: f64,
    delay_before: f64,
    burst: f64,
    left: Option<f64>,
}

impl Controller {
    fn is_low(&self, delay: f64) -> bool {
        delay < self.target / 2.0
    }

    fn update(&mut self, waits: bool) {
        let mut part = 1.0;
        if self.prob < 0.1 {
            part /= 2.0;
            let mut below = 0.01;
            while self.prob < below && below >= 1e-6 {
                part /= 4.0;
                below /= 10.0;
            }
        }
        let mut change =
            part * (ALPHA * (self.delay - self.target) + BETA * (self.delay - self.delay_before));
        if self.prob >= 0.1 {
            change = change.min(0.02);
        }
        if self.delay > LONG_DELAY {
            change += 0.02;
        }
        self.prob = (self.prob + change).clamp(0.0, 1.0);
        if self.delay == 0.0 && self.delay_before == 0.0 && !waits {
            self.prob *= 63.0 / 64.0;
        }
        if self.prob == 0.0 && self.is_low(self.delay) && self.is_low(self.delay_before) {
            self.burst = MAX_BURST;
            self.accumulated = 0.0;
            self.left = None;
        }
        self.delay_before = self.delay;
    }

    /// The probability that a newcomer is hit while `bytes` wait.
    fn hit(&mut self, bytes: f64) -> f64 {
        if self.burst > 0.0 || (self.is_low(self.delay) && self.prob < 0.2) || bytes < 2.0 * MTU {
            return 0.0;
        }
        self.accumulated = if self.prob == 0.0 { 0.0 } else { self.accumulated + self.prob };
        match self.accumulated {
            sum if sum < 0.85 => 0.0,
            sum if sum >= 8.5 => 1.0,
            _ => self.prob,
        }
    }
}

/// What the queue gave away: when a packet was taken out, how long it had waited, and whether others stayed [s].
struct Taken {
    at: f64,
    waited: f64,
    others: bool,
}

fn taken(queue: &Queue) -> Vec<Taken> {
    let all: Vec<(f64, f64)> =
        queue.joined.iter().filter_map(|joined| Some((joined.at, joined.taken?))).collect();
    all.iter()
        .enumerate()
        .map(|(place, (joined, at))| Taken {
            at: at / 1e6,
            waited: (at - joined) / 1e6,
            others: all.get(place + 1).is_some_and(|(next, _)| next <= at),
        })
        .collect()
}

/// The probability of a hit, packet by packet, with updates every `period` from `phase` on [s].
fn predict(queue: &Queue, taken: &[Taken], target: f64, period: f64, phase: f64) -> Vec<f64> {
    let mut controller = Controller {
        target,
        prob: 0.0,
        accumulated: 0.0,
        delay: 0.0,
        delay_before: 0.0,
        burst: MAX_BURST,
        left: None,
    };
    let mut update = phase * period;
    let mut next = 0;
    queue
        .joined
        .iter()
        .map(|joined| {
            let now = joined.at / 1e6;
            loop {
                let leaves = taken.get(next).map_or(f64::INFINITY, |taken| taken.at);
                if update <= now && update <= leaves {
                    let waits = next.checked_sub(1).is_some_and(|last| taken[last].others);
                    controller.update(waits);
                    update += period;
                } else if leaves <= now {
                    let Taken { at, waited, others } = taken[next];
                    controller.delay = if others { waited } else { 0.0 };
                    if let Some(left) = controller.left.replace(at) {
                        controller.burst = (controller.burst - (at - left)).max(0.0);
                    }
                    next += 1;
                } else {
                    break;
                }
            }
            let hit = controller.hit(joined.bytes);
            if joined.is_hit() {
                controller.accumulated = 0.0;
            }
            hit
        })
        .collect()
}

/// Phases of the update that are tried: nobody knows when its timer was set.
const PHASES: [f64; 4] = [0.0, 0.25, 0.5, 0.75];

/// Fits `target` and `t_update`; none where nothing was taken out.
pub(super) fn fit(score: &Scoring<'_>, _setting: &Setting) -> Option<AqmEstimate> {
    let queue = score.queue;
    let seen = score.seen;
    let taken_so_far = taken(seen);
    if taken_so_far.is_empty() {
        return None;
    }
    let cost = |[target, period]: &[f64; 2]| {
        PHASES
            .iter()
            .map(|phase| {
                let predicted = predict(seen, &taken_so_far, target / 1e6, period / 1e6, *phase);
                seen.log_loss(&seen.softened(predicted), &seen.fit)
            })
            .fold(f64::INFINITY, f64::min)
    };
    let mut starts = Vec::new();
    for target in [2e3, 5e3, 10e3, 15e3, 20e3, 30e3, 50e3, 100e3] {
        for period in [8e3, 16e3, 24e3, 32e3] {
            let at = [target, period];
            starts.push((cost(&at), at));
        }
    }
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let bounded = |at: &[f64; 2]| if at[1] < 500.0 { f64::INFINITY } else { cost(at) };
    let (at, least) = starts
        .iter()
        .take(2)
        .map(|(_, at)| descend(*at, &[1.2, 1.07, 1.02], bounded))
        .min_by(|a, b| a.1.total_cmp(&b.1))?;
    let target = width(at[0], least + 2.0, |target| cost(&[target, at[1]]));
    let period = width(at[1], least + 2.0, |period| bounded(&[at[0], period]));
    let taken_target = roundest(at[0], target);
    let taken_period = roundest(at[1], period);
    let ecn = queue.joined.iter().any(|joined| joined.marked);
    let taken = taken(queue);
    let phase = PHASES.into_iter().map(|phase| {
        let predicted = queue.softened(predict(queue, &taken, at[0] / 1e6, at[1] / 1e6, phase));
        (queue.log_loss(&predicted, &queue.fit), predicted)
    });
    let (_, predicted) = phase.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let parameters = vec![
        Parameter { name: "target", value: at[0] / 1e3, uncertainty: target / 1e3, unit: "ms" },
        Parameter { name: "t_update", value: at[1] / 1e3, uncertainty: period / 1e3, unit: "ms" },
    ];
    // The kernel adds a jiffy to the period: 1 ms at the rate that is written.
    let spec = PieSpec {
        target: span(taken_target),
        t_update: span((taken_period - 1e3).max(1e3)),
        ecn,
        hz: std::num::NonZeroU32::new(1_000)?,
        ..PieSpec::default()
    };
    Some(score.estimate(AqmKind::Pie, parameters, &predicted, Some(PtmSpec::Pie(spec))))
}
