//! The data drawn on the page of a calibration: the recording, the chosen device, and the next-best
//! candidate.
//!
//! All curves cover the packets that the candidates are scored on. A curve has at most about 2,000 points.

use std::ops::Range;

use super::aqm::AqmEstimate;
use super::fit::Fitting;
use super::model::{Bottleneck, Model};
use super::queue::Queue;
use super::rate::framed;
use super::sample::Sample;
use super::simulate::Replays;
use super::transit::{Fate, Joined, Transit};
use super::{CalibrateError, Trial};
use crate::report::{Distribution, Reservoir, Series};

const PS_PER_US: f64 = 1e6;

/// Maximum number of packets of one side in the chart of sojourns.
const MOST_DOTS: usize = 1_000;

/// Approximate number of bins of the backlog.
const BINS: usize = 40;

/// Minimum number of packets in a bin; smaller bins are merged with their neighbour.
const LEAST_IN_BIN: usize = 20;

/// Number of charts that share the 2,048 points over time of a page.
const SHARES: usize = 32;

/// The curves of a page.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curves {
    /// The next-best candidate, as text; `None` with a single candidate.
    pub(super) next_best: Option<String>,
    /// Packets of the recording that were marked.
    pub(super) marked: u64,
    /// Measured sojourns against the backlog.
    pub(super) measured: Dots,
    /// Sojourns of the chosen device against the backlog.
    pub(super) simulated: Dots,
    /// The sojourn at the estimated rate: the first and the last point of a line; empty without a bottleneck.
    pub(super) at_rate: Dots,
    /// Losses and marks against the backlog; `None` if there were none.
    pub(super) losses: Option<LossCurve>,
    /// Sojourns of the packets that left in all of them: measured, chosen and next best, in reverse order.
    pub(super) distribution: Distribution,
    /// Sojourns over time: chosen and measured.
    pub(super) over_time: Series,
}

/// Packets with the backlog at their arrival and their sojourn.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Dots {
    /// Backlog in bytes, ascending.
    pub waiting: Vec<f64>,
    /// Sojourn in seconds.
    pub sojourns: Vec<f64>,
}

/// Frequency of losses and marks against the backlog.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct LossCurve {
    /// Packets lost or marked.
    pub hits: u64,
    /// The mean backlog per bin, in bytes, ascending.
    pub waiting: Vec<f64>,
    /// The fraction lost or marked.
    pub measured: Vec<f64>,
    /// Lower end of its binomial interval (95 %).
    pub low: Vec<f64>,
    /// Upper end of its binomial interval (95 %).
    pub high: Vec<f64>,
    /// The probability that the chosen rule gives to the same packets; empty without a rule.
    pub by_rule: Vec<f64>,
    /// The fraction of the packets with this backlog that the chosen device loses; NaN with few such packets.
    /// Empty if the recording has marks, which a simulation does not report.
    pub simulated: Vec<f64>,
}

/// A packet with the backlog at its arrival.
#[derive(Debug, Clone, Copy)]
struct Found {
    waiting: f64,
    hit: bool,
    /// Sojourn in us; `None` for a lost packet.
    sojourn: Option<f64>,
    /// The probability given by the rule.
    by_rule: f64,
}

/// The packets that arrive in `window`, sorted by the backlog.
fn found(queue: &Queue, sample: &Sample, predicted: Option<&[f64]>) -> Vec<Found> {
    let of = |place: usize| {
        let joined = &queue.joined[place];
        Found {
            waiting: joined.bytes,
            hit: joined.is_hit(),
            sojourn: sample.crossings[place].sojourn(),
            by_rule: predicted.map_or(f64::NAN, |predicted| predicted[place]),
        }
    };
    let mut found: Vec<Found> = queue.score.clone().map(of).collect();
    // The sort is stable: of equals, the earlier comes first.
    found.sort_by(|a, b| a.waiting.total_cmp(&b.waiting));
    found
}

impl Dots {
    /// Packets at equal distances in the order of the backlog, including the first and the last.
    fn of(found: &[Found]) -> Self {
        let left: Vec<(f64, f64)> =
            found.iter().filter_map(|found| Some((found.waiting, found.sojourn? / PS_PER_US))).collect();
        let count = left.len().min(MOST_DOTS);
        let place = |dot: usize| dot * (left.len() - 1) / (count - 1).max(1);
        let (waiting, sojourns) = (0..count).map(|dot| left[place(dot)]).unzip();
        Dots { waiting, sojourns }
    }
}

/// The binomial interval (95 %) of `hits` out of `all`.
///
/// # Source
/// E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the
/// American Statistical Association 22(158), 1927.
fn interval(hits: f64, all: f64) -> (f64, f64) {
    const Z: f64 = 1.96;
    let part = hits / all;
    let middle = part + Z * Z / (2.0 * all);
    let reach = Z * (part * (1.0 - part) / all + Z * Z / (4.0 * all * all)).sqrt();
    let scale = 1.0 + Z * Z / all;
    (((middle - reach) / scale).max(0.0), ((middle + reach) / scale).min(1.0))
}

/// Divides packets by their backlog into bins of equal width with enough packets.
fn bins(found: &[Found]) -> Vec<&[Found]> {
    let most = found.last().map_or(0.0, |last| last.waiting);
    let width = most / BINS as f64;
    let mut bins = Vec::new();
    let mut rest = found;
    while let Some(first) = rest.first() {
        let full = rest.partition_point(|found| found.waiting <= first.waiting + width);
        let mut end = full.max(LEAST_IN_BIN).min(rest.len());
        if rest.len() - end < LEAST_IN_BIN {
            end = rest.len();
        }
        // Packets with the same backlog stay together.
        while end < rest.len() && rest[end].waiting <= rest[end - 1].waiting {
            end += 1;
        }
        let (bin, others) = rest.split_at(end);
        bins.push(bin);
        rest = others;
    }
    bins
}

impl LossCurve {
    /// The curve of measured packets and of the chosen device; `None` if nothing was lost or marked.
    fn of(measured: &[Found], simulated: Option<&[Found]>) -> Option<Self> {
        let hits = |bin: &[Found]| bin.iter().filter(|found| found.hit).count();
        let mut curve = LossCurve { hits: hits(measured) as u64, ..LossCurve::default() };
        if curve.hits == 0 {
            return None;
        }
        for bin in bins(measured) {
            let all = bin.len() as f64;
            let mean = |of: fn(&Found) -> f64| bin.iter().map(of).sum::<f64>() / all;
            let (low, high) = interval(hits(bin) as f64, all);
            curve.waiting.push(mean(|found| found.waiting));
            curve.measured.push(hits(bin) as f64 / all);
            curve.low.push(low);
            curve.high.push(high);
            curve.by_rule.push(mean(|found| found.by_rule));
            if let (Some(simulated), Some(first), Some(last)) = (simulated, bin.first(), bin.last()) {
                let from = simulated.partition_point(|found| found.waiting < first.waiting);
                let to = simulated.partition_point(|found| found.waiting <= last.waiting);
                let same = &simulated[from..to];
                let enough = same.len() >= LEAST_IN_BIN / 4;
                curve.simulated.push(if enough { hits(same) as f64 / same.len() as f64 } else { f64::NAN });
            }
        }
        if curve.by_rule.iter().all(|part| part.is_nan()) {
            curve.by_rule.clear();
        }
        Some(curve)
    }
}

/// The inputs of the curves.
pub(super) struct CurveInputs<'a> {
    pub joined: &'a Joined,
    pub replays: &'a Replays,
    /// The part of the recording that the candidates were fitted on.
    pub fitting: &'a Fitting,
    /// The rule of the chosen device.
    pub aqm: Option<&'a AqmEstimate>,
    /// The candidates, the best first.
    pub trials: &'a [(Trial, Model)],
    /// The packets that they are scored on, by arrival in picoseconds.
    pub window: Range<i64>,
}

impl CurveInputs<'_> {
    /// The curves of the best candidate and of the next.
    ///
    /// # Errors
    /// A simulation fails.
    pub fn curves(&self) -> Result<Curves, CalibrateError> {
        let (_, model) = &self.trials[0];
        let chosen = self.replays.simulate(model)?;
        let next = match self.trials.get(1) {
            Some((_, model)) => Some(self.replays.simulate(model)?),
            None => None,
        };
        let transits = &self.joined.transits;
        let marked = transits.iter().filter(|transit| transit.marked).count() as u64;
        let measured = self.found(model, transits, self.aqm.map(|aqm| &aqm.predicted[..]));
        let simulated = self.found(model, &as_simulated(transits, &chosen), None);
        let (distribution, over_time) = self.sojourns(&chosen, next.as_deref());
        let words = |trial: &Trial| format!("{}, {}", trial.words(), trial.bottleneck.words());
        Ok(Curves {
            next_best: self.trials.get(1).map(|(trial, _)| words(trial)),
            marked,
            at_rate: self.at_rate(model, &measured),
            losses: LossCurve::of(&measured, (marked == 0).then_some(&simulated[..])),
            measured: Dots::of(&measured),
            simulated: Dots::of(&simulated),
            distribution,
            over_time,
        })
    }

    fn found(&self, model: &Model, transits: &[Transit], predicted: Option<&[f64]>) -> Vec<Found> {
        let us = |ps: i64| ps as f64 / PS_PER_US;
        let sample = self.fitting.as_found(transits);
        let window = us(self.window.start)..us(self.window.end);
        let processing = us(model.processing_ps as i64);
        let queue = Queue::new(&sample, |_| true, processing, false, |_| 0.0, 0.0..0.0, window);
        found(&queue, &sample, predicted)
    }

    /// From zero backlog to the maximum: the processing delay plus the backlog divided by the rate.
    fn at_rate(&self, model: &Model, found: &[Found]) -> Dots {
        let (Some(most), false) = (found.last(), model.bottleneck == Bottleneck::None) else {
            return Dots::default();
        };
        let transits = &self.joined.transits;
        let bytes = transits.iter().map(|transit| f64::from(transit.packet.length)).sum::<f64>();
        let length = bytes / transits.len().max(1) as f64;
        // The queue of a bucket already counts framing.
        let framing = match model.bottleneck {
            Bottleneck::Link => framed(&model.framing, length) / length,
            _ => 1.0,
        };
        let sojourn = |waiting: f64| {
            model.processing_ps as f64 * 1e-12 + framing * waiting * 8.0 / model.rate_bps.max(1) as f64
        };
        Dots { waiting: vec![0.0, most.waiting], sojourns: vec![sojourn(0.0), sojourn(most.waiting)] }
    }

    /// Sojourns of packets that left in the recording and in each simulation: distributions, and over time.
    fn sojourns(&self, chosen: &[Option<i64>], next: Option<&[Option<i64>]>) -> (Distribution, Series) {
        let mut sides = vec![Vec::new(); 2 + usize::from(next.is_some())];
        let mut over_time = Reservoir::new(SHARES);
        for (place, transit) in self.joined.transits.iter().enumerate() {
            let (Fate::Departed(measured), true) = (transit.fate, self.window.contains(&transit.arrival_ps))
            else {
                continue;
            };
            let sojourn = |at: i64| at - transit.arrival_ps;
            let next = next.and_then(|next| next[place]);
            if let Some(next) = next {
                sides[0].push(sojourn(next));
            }
            let last = sides.len() - 1;
            sides[last].push(sojourn(measured));
            if let Some(chosen) = chosen[place] {
                sides[last - 1].push(sojourn(chosen));
                let since_start = u64::try_from(transit.arrival_ps).unwrap_or(0);
                over_time.push(since_start, [sojourn(chosen), sojourn(measured)]);
            }
        }
        (Distribution::of_several(sides), over_time.into_series())
    }
}

/// The same packets with their simulated fates.
fn as_simulated(transits: &[Transit], simulated: &[Option<i64>]) -> Vec<Transit> {
    let of = |(transit, simulated): (&Transit, &Option<i64>)| {
        let fate = match (transit.fate, simulated) {
            (Fate::Unknown, _) => Fate::Unknown,
            (_, Some(at)) => Fate::Departed(*at),
            (_, None) => Fate::Lost,
        };
        Transit { fate, marked: false, ..*transit }
    };
    transits.iter().zip(simulated).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` packets, each with 100 B more backlog; every one beyond `limit` bytes is lost.
    fn packets(count: usize, limit: f64) -> Vec<Found> {
        (0..count)
            .map(|number| {
                let waiting = 100.0 * number as f64;
                let hit = waiting > limit;
                let by_rule = if hit { 0.75 } else { 0.25 };
                Found { waiting, hit, sojourn: (!hit).then_some(waiting), by_rule }
            })
            .collect()
    }

    #[test]
    fn dots_are_few_and_hold_both_ends() {
        let dots = Dots::of(&packets(100_000, f64::INFINITY));
        assert_eq!(dots.waiting.len(), MOST_DOTS);
        assert_eq!((dots.waiting[0], dots.waiting[MOST_DOTS - 1]), (0.0, 9_999_900.0));
        assert_eq!(dots.sojourns[MOST_DOTS - 1], 9.9999);
        assert_eq!(Dots::of(&packets(3, 100.0)).waiting, [0.0, 100.0]);
        assert_eq!(Dots::of(&[]), Dots::default());
    }

    #[test]
    fn intervals_are_those_of_wilson() {
        let (low, high) = interval(10.0, 100.0);
        assert!((low - 0.0552).abs() < 1e-4 && (high - 0.1744).abs() < 1e-4, "{low} to {high}");
        assert_eq!(interval(0.0, 50.0).0, 0.0);
        assert_eq!(interval(50.0, 50.0).1, 1.0);
    }

    #[test]
    fn bins_hold_every_packet_once() {
        let found = packets(1_000, f64::INFINITY);
        let bins = bins(&found);
        assert!((30..=BINS + 1).contains(&bins.len()), "{}", bins.len());
        assert_eq!(bins.iter().map(|bin| bin.len()).sum::<usize>(), 1_000);
        assert!(bins[..bins.len() - 1].iter().all(|bin| bin.len() >= LEAST_IN_BIN));
        // Packets with the same backlog form one bin.
        let same: Vec<Found> = found.iter().map(|found| Found { waiting: 0.0, ..*found }).collect();
        assert_eq!(super::bins(&same).len(), 1);
    }

    #[test]
    fn losses_begin_at_the_limit() {
        assert_eq!(LossCurve::of(&packets(1_000, f64::INFINITY), None), None);
        let (measured, simulated) = (packets(1_000, 50_000.0), packets(1_000, 40_000.0));
        let curve = LossCurve::of(&measured, Some(&simulated)).unwrap();
        assert_eq!(curve.hits, 499);
        for (bin, waiting) in curve.waiting.iter().enumerate() {
            let (measured, simulated) = (curve.measured[bin], curve.simulated[bin]);
            assert!(curve.low[bin] <= measured && measured <= curve.high[bin]);
            match waiting {
                ..=38_000.0 => assert_eq!((measured, simulated, curve.by_rule[bin]), (0.0, 0.0, 0.25)),
                42_000.0..=48_000.0 => assert_eq!((measured, simulated), (0.0, 1.0)),
                52_000.0.. => assert_eq!((measured, simulated, curve.by_rule[bin]), (1.0, 1.0, 0.75)),
                _ => {}
            }
        }
    }
}
