//! The path to the device and from it: a constant delay, its jitter, and reordering.
//!
//! The effects found are removed from the transits, so that all later stages see the device alone. See
//! `docs/calibration.md`, "Behind a path".

use std::num::NonZeroU32;
use std::ops::Range;

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::sample::{Sample, quantile, transmission};
use super::transit::{Fate, Joined, Transit};
use crate::config::toml_value;
use crate::ptm::{DelayDistribution, NetemSpec};
use crate::units::{Probability, Span};

const PS_PER_US: f64 = 1e6;

/// Maximum forwarding time of a device [us]: a constant sojourn above it is the delay of a path.
const LEAST_DELAY: f64 = 200.0;

/// Maximum time that a device takes to forward a packet through an empty queue, including noise of the
/// timestamps [us]. A delay is rounded down to the roundest one within it.
const FORWARDING: f64 = 30.0;

/// Minimum number of packets at the minimum sojourn; with fewer, it may be a queue that never empties.
const LEAST_AT_FLOOR: usize = 10;

/// Minimum fraction of packets that overtake one of their own flow, for a path whose delay varies per packet.
const LEAST_OVERTAKING: f64 = 0.002;

/// How the delay of a path varies from packet to packet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct JitterEstimate {
    /// Mean above the constant delay, in microseconds.
    pub mean_us: f64,
    /// Standard deviation, in microseconds.
    pub std_us: f64,
    /// Median above the constant delay, in microseconds.
    pub p50_us: f64,
    /// 99th percentile above the constant delay, in microseconds.
    pub p99_us: f64,
    /// Maximum above the constant delay, in microseconds.
    pub most_us: f64,
    /// The fourth moment divided by the squared variance: 1.8 for a uniform distribution, 3 for a normal one.
    pub kurtosis: f64,
    /// Packets that overtook one of their own flow.
    pub overtaking: u64,
    /// Other causes of delay.
    pub behind: JitterBehind,
}

/// Causes of delay besides a path with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JitterBehind {
    /// None: each packet is delayed independently.
    NoQueue,
    /// One queue. Its waiting times are subtracted, and the remainder is the jitter.
    Fifo {
        /// the rate that minimizes the variation of the delays, in bits per second
        rate_bps: f64,
        /// the difference between the estimates from the halves, plus one part in 10,000, in bits per second
        uncertainty_bps: f64,
        /// bytes that leave at once
        burst_bytes: f64,
    },
    /// Several queues, which cannot be distinguished from the jitter. The jitter is estimated from how far
    /// packets of one flow overtake, and assumed to be uniform.
    Queues,
}

impl JitterEstimate {
    /// Whether it resembles a uniform distribution rather than a normal one.
    fn is_uniform(&self) -> bool {
        self.kurtosis < 2.3
    }
}

/// A span in whole microseconds.
fn whole_us(us: f64) -> Span {
    Span::from_ns(us.round().max(0.0) as u64 * 1_000)
}

/// Packets that bypass the delay of the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ReorderEstimate {
    /// The fraction of packets that bypass it.
    pub part: f64,
    /// At most one packet out of this many bypasses it.
    pub gap: u32,
    /// The delay of the others, in microseconds.
    pub delay_us: f64,
}

impl ReorderEstimate {
    /// The probability with which an eligible packet bypasses the delay: after `gap - 1` others, each
    /// following packet is eligible until one does (Linux 6.1 `net/sched/sch_netem.c`, `netem_enqueue`).
    pub fn probability(&self) -> f64 {
        (1.0 / (1.0 / self.part - f64::from(self.gap - 1))).clamp(0.0, 1.0)
    }
}

/// The findings about the path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathEstimate {
    /// The constant delay of all packets, in microseconds; 0 if there is none.
    pub delay_us: f64,
    /// Its uncertainty: it includes the forwarding time of the device.
    pub delay_uncertainty_us: f64,
    /// The additional delay of each ingress capture, in microseconds.
    pub before_us: Vec<f64>,
    /// The jitter.
    pub jitter: Option<JitterEstimate>,
    /// Reordering by packets without delay.
    pub reordering: Option<ReorderEstimate>,
}

impl PathEstimate {
    /// No path besides the device.
    pub(super) fn none(captures: usize) -> Self {
        PathEstimate {
            delay_us: 0.0,
            delay_uncertainty_us: 0.0,
            before_us: vec![0.0; captures],
            jitter: None,
            reordering: None,
        }
    }

    /// Whether there is a path besides the device.
    pub fn is_seen(&self) -> bool {
        self.delay_us > 0.0
            || self.before_us.iter().any(|us| *us > 0.0)
            || self.jitter.is_some()
            || self.reordering.is_some()
    }

    /// The path as a `netem`, if packets are delayed independently and nothing is queued; otherwise `None`.
    pub(super) fn netem(&self) -> Option<NetemSpec> {
        let limit = u64::from(u32::MAX);
        if let Some(found) = &self.reordering {
            return Some(NetemSpec {
                limit,
                delay: whole_us(found.delay_us),
                reorder: Probability::new(found.probability())?,
                gap: NonZeroU32::new(found.gap),
                ..NetemSpec::default()
            });
        }
        let jitter = self.jitter.filter(|jitter| jitter.behind == JitterBehind::NoQueue)?;
        let mean = whole_us(self.delay_us + jitter.mean_us);
        let (distribution, width) = match jitter.is_uniform() {
            true => (DelayDistribution::Uniform, 3f64.sqrt() * jitter.std_us),
            false => (DelayDistribution::Normal, jitter.std_us),
        };
        Some(NetemSpec { limit, delay: mean, jitter: whole_us(width), distribution, ..NetemSpec::default() })
    }

    /// Its jitter as the jitter of a link in a topology; `None` without jitter besides a bottleneck.
    pub(super) fn link_jitter(&self) -> Option<String> {
        let jitter = self.jitter.filter(|jitter| jitter.behind != JitterBehind::NoQueue)?;
        let quoted = |us: f64| toml_value(&whole_us(us));
        let distribution = match jitter.is_uniform() {
            true => format!("distribution = \"uniform\", max = {}", quoted(2.0 * jitter.mean_us)),
            false => format!(
                "distribution = \"normal\", mean = {}, std = {}",
                quoted(jitter.mean_us),
                quoted(jitter.std_us)
            ),
        };
        Some(format!("{{ {distribution}, order = \"break\" }}"))
    }
}

/// Finds the path from the packets that arrive in `window`, and removes it from all transits.
pub(super) fn take_off(joined: &mut Joined, captures: usize, window: Range<i64>) -> PathEstimate {
    let mut path = PathEstimate::none(captures);
    let overtaking = overtaking_in_flows(&joined.transits, &window);
    let matched = delays(&joined.transits, &window).count();
    if overtaking.len() >= 20 && overtaking.len() as f64 > LEAST_OVERTAKING * matched as f64 {
        path.reordering = reordering(joined, &window);
        match path.reordering {
            Some(found) => still(joined, &found),
            None => steady(joined, &window, &overtaking, &mut path),
        }
    } else {
        constant(joined, captures, &window, &mut path);
    }
    path
}

/// The packets that left, with their delays [us], by arrival.
fn delays<'j>(transits: &'j [Transit], window: &Range<i64>) -> impl Iterator<Item = (&'j Transit, f64)> {
    let window = window.clone();
    transits.iter().filter(move |transit| window.contains(&transit.arrival_ps)).filter_map(|transit| {
        match transit.fate {
            Fate::Departed(at) => Some((transit, (at - transit.arrival_ps) as f64 / PS_PER_US)),
            _ => None,
        }
    })
}

/// How much earlier packets left than an earlier packet of their own flow [us]. A device with one queue per
/// flow does not cause this.
fn overtaking_in_flows(transits: &[Transit], window: &Range<i64>) -> Vec<f64> {
    let mut latest: FxHashMap<u32, f64> = FxHashMap::default();
    let mut by = Vec::new();
    for (transit, delay) in delays(transits, window) {
        let at = transit.arrival_ps as f64 / PS_PER_US + delay;
        let latest = latest.entry(transit.fid).or_insert(f64::NEG_INFINITY);
        if at < *latest - 1.0 {
            by.push(*latest - at);
        }
        *latest = latest.max(at);
    }
    by
}

/// The minimum delay shared by many packets; `None` if the minimum delays belong to a queue that never
/// empties.
fn floor(delays: &mut [f64]) -> Option<f64> {
    let first: Vec<f64> = delays.iter().take(3).copied().collect();
    let place = if delays.len() >= 1_000 { 2 } else { 0 };
    if delays.len() <= place {
        return None;
    }
    let (_, floor, _) = delays.select_nth_unstable_by(place, f64::total_cmp);
    let floor = *floor;
    let at_floor = delays.iter().filter(|delay| **delay <= floor + FORWARDING).count();
    let began_idle = first.iter().any(|delay| *delay <= floor + FORWARDING);
    (at_floor >= LEAST_AT_FLOOR || began_idle).then_some(floor)
}

/// The roundest value from `total - FORWARDING` to `total`; the largest if there are several.
fn roundest_below(total: f64) -> f64 {
    if total <= 0.0 {
        return 0.0;
    }
    let mut step = libm::pow(10.0, libm::log10(total).floor());
    loop {
        // Timestamps are not finer than nanoseconds.
        let rounded = (total / step + 1e-9).floor() * step;
        if total - rounded <= FORWARDING || step <= 1e-3 {
            return rounded;
        }
        step /= 10.0;
    }
}

/// A delay that is the same for all packets of a capture.
fn constant(joined: &mut Joined, captures: usize, window: &Range<i64>, path: &mut PathEstimate) {
    let floors: Vec<Option<f64>> = (0..captures)
        .map(|capture| {
            let of = |(transit, _): &(&Transit, f64)| usize::from(transit.capture) == capture;
            let mut of_capture: Vec<f64> =
                delays(&joined.transits, window).filter(of).map(|(_, delay)| delay).collect();
            floor(&mut of_capture)
        })
        .collect();
    let Some(least) = floors.iter().flatten().copied().min_by(f64::total_cmp) else { return };
    let before: Vec<f64> = floors
        .iter()
        .map(|floor| floor.map_or(0.0, |floor| floor - least))
        .map(|more| if more > LEAST_DELAY { roundest_below(more) } else { 0.0 })
        .collect();
    if least < LEAST_DELAY && before.iter().all(|us| *us == 0.0) {
        return;
    }
    // The transmission time of the packet and the forwarding time of the device do not belong to the path.
    let shifted: Vec<Transit> = joined
        .transits
        .iter()
        .map(|transit| moved(transit, before[usize::from(transit.capture)], least))
        .collect();
    let alone = Sample::new(&shifted, window.start, window.end).alone();
    let within = match transmission(&alone) {
        Some(us_per_byte) => {
            let mut rest: Vec<f64> =
                alone.iter().map(|alone| alone.sojourn - us_per_byte * alone.length).collect();
            quantile(&mut rest, 0.02).unwrap_or(0.0)
        }
        None => {
            let mut sojourns: Vec<f64> =
                alone.iter().map(|alone| alone.sojourn).filter(|us| *us <= FORWARDING).collect();
            quantile(&mut sojourns, 0.5).unwrap_or(0.0)
        }
    };
    let total = least + within;
    if total >= LEAST_DELAY {
        path.delay_us = roundest_below(total);
        path.delay_uncertainty_us = FORWARDING;
    }
    path.before_us = before;
    for transit in &mut joined.transits {
        *transit = moved(transit, path.before_us[usize::from(transit.capture)], path.delay_us);
    }
    joined.transits.sort_by_key(|transit| transit.arrival_ps);
}

/// A transit without the delays before and behind the device [us].
fn moved(transit: &Transit, before: f64, behind: f64) -> Transit {
    let ps = |us: f64| (us * PS_PER_US).round() as i64;
    let fate = match transit.fate {
        Fate::Departed(at) => Fate::Departed(at - ps(behind)),
        fate => fate,
    };
    Transit { arrival_ps: transit.arrival_ps + ps(before), fate, ..*transit }
}

/// Some packets are sent at once, and all others have the same delay: `netem reorder`.
fn reordering(joined: &Joined, window: &Range<i64>) -> Option<ReorderEstimate> {
    let all: Vec<f64> = delays(&joined.transits, window).map(|(_, delay)| delay).collect();
    let middle = quantile(&mut all.clone(), 0.5)?;
    let border = middle / 2.0;
    let mut slow: Vec<f64> = all.iter().copied().filter(|delay| *delay > border).collect();
    let mut fast: Vec<f64> = all.iter().copied().filter(|delay| *delay <= border).collect();
    let range = |values: &mut [f64]| Some(quantile(values, 0.95)? - quantile(values, 0.05)?);
    if fast.len() < 20 || range(&mut slow)? > 0.05 * middle || range(&mut fast)? > 0.05 * middle {
        return None;
    }
    let part = fast.len() as f64 / all.len() as f64;
    // The minimum distance between two packets sent at once. With random draws instead of a fixed gap, it
    // would be smaller.
    let places: Vec<usize> =
        all.iter().enumerate().filter(|(_, delay)| **delay <= border).map(|(place, _)| place).collect();
    let gap = places.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(1).max(1) as u32;
    let at_once = quantile(&mut fast, 0.5)?;
    Some(ReorderEstimate { part, gap, delay_us: quantile(&mut slow, 0.5)? - at_once })
}

/// Removes the delay from the packets that had it.
fn still(joined: &mut Joined, found: &ReorderEstimate) {
    for transit in &mut joined.transits {
        if let Fate::Departed(at) = transit.fate {
            let delayed = (at - transit.arrival_ps) as f64 / PS_PER_US > found.delay_us / 2.0;
            let delay = if delayed { (found.delay_us * PS_PER_US).round() as i64 } else { 0 };
            transit.fate = Fate::Departed(at - delay);
        }
    }
}

/// A FIFO behind a bucket of one rate, observed at the start or at the end of each packet's transmission.
#[derive(Debug, Clone, Copy)]
struct Pace {
    us_per_byte: f64,
    /// The burst [us at the rate].
    burst: f64,
    at_end: bool,
}

/// A packet that left: its arrival [us], its length [B], and its delay [us].
type Delayed = (f64, f64, f64);

impl Pace {
    /// The time that each packet stays [us].
    fn stays<'p>(&'p self, packets: &'p [Delayed]) -> impl Iterator<Item = f64> + 'p {
        let mut done = f64::NEG_INFINITY;
        packets.iter().map(move |(arrival, length, _)| {
            let start = arrival.max(done);
            done = start + length * self.us_per_byte;
            ((if self.at_end { done } else { start }) - arrival - self.burst).max(0.0)
        })
    }

    /// The spread of the remaining delays: the standard deviation without the outliers.
    fn spread(&self, packets: &[Delayed]) -> f64 {
        let mut rest: Vec<f64> =
            self.stays(packets).zip(packets).map(|(stay, (_, _, delay))| delay - stay).collect();
        let (Some(low), Some(high)) = (quantile(&mut rest, 0.002), quantile(&mut rest, 0.998)) else {
            return 0.0;
        };
        let within = rest.iter().filter(|us| (low..=high).contains(*us));
        let (count, sum) = within.clone().fold((0.0, 0.0), |(count, sum), us| (count + 1.0, sum + us));
        let mean = sum / count;
        (within.map(|us| (us - mean) * (us - mean)).sum::<f64>() / count).sqrt()
    }
}

/// Factor between consecutive rates that are tried.
const STEP: f64 = 1.03;

/// Number of packets on which all rates are tried.
const TRIED: usize = 6_000;

/// Maximum ratio of the spread behind a bottleneck to that without, for accepting the bottleneck.
const BOTTLENECK_TELLS: f64 = 0.985;

/// The minimum of a unimodal function between `low` and `high`, to a relative precision of 10^-6, by ternary
/// search.
fn least(mut low: f64, mut high: f64, of: impl Fn(f64) -> f64) -> f64 {
    while high - low > 1e-6 * high {
        let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if of(a) <= of(b) { high = b } else { low = a }
    }
    (low + high) / 2.0
}

/// The rate that minimizes the spread of the delays; `None` if no rate reduces it enough.
fn pace(packets: &[Delayed]) -> Option<Pace> {
    let (first, last) = (packets.first()?, packets.last()?);
    let bytes: f64 = packets.iter().map(|(_, length, _)| length).sum();
    // A bottleneck is at least as fast as the traffic that passed it.
    let slowest = 1.02 * (last.0 - first.0) / bytes;
    let beginning = &packets[..packets.len().min(TRIED)];
    let none = Pace { us_per_byte: 0.0, burst: 0.0, at_end: false }.spread(beginning);
    let rates = (0..130).map(|step| slowest / libm::pow(STEP, f64::from(step)));
    let bursts = (0..10).map(|step| if step == 0 { 0.0 } else { 150.0 * libm::pow(1.7, f64::from(step)) });
    let tried = rates.flat_map(|us_per_byte| {
        let with = move |burst| [false, true].map(|at_end| Pace { us_per_byte, burst, at_end });
        bursts.clone().flat_map(with)
    });
    let (found, mut pace) =
        tried.map(|pace| (pace.spread(beginning), pace)).min_by(|a, b| a.0.total_cmp(&b.0))?;
    if found > BOTTLENECK_TELLS * none {
        return None;
    }
    for _ in 0..3 {
        pace.us_per_byte = least(pace.us_per_byte / STEP, pace.us_per_byte * STEP, |us_per_byte| {
            Pace { us_per_byte, ..pace }.spread(packets)
        });
        if pace.burst > 0.0 {
            let burst =
                least(pace.burst / 1.7, pace.burst * 1.7, |burst| Pace { burst, ..pace }.spread(packets));
            pace.burst = burst;
        }
    }
    Some(pace)
}

/// Maximum spread of the remainder behind a FIFO, relative to the maximum overtaking within flows. For
/// uniform jitter it is 0.29.
const MOST_SPREAD: f64 = 0.7;

/// A delay that varies from packet to packet: the remainder after subtracting the queue of a bottleneck.
fn steady(joined: &mut Joined, window: &Range<i64>, overtaking: &[f64], path: &mut PathEstimate) {
    let packets = |window: &Range<i64>| -> Vec<Delayed> {
        delays(&joined.transits, window)
            .map(|(transit, delay)| {
                (transit.arrival_ps as f64 / PS_PER_US, f64::from(transit.packet.length), delay)
            })
            .collect()
    };
    let seen = packets(window);
    let pace = pace(&seen);
    let farthest = quantile(&mut overtaking.to_vec(), 1.0).unwrap_or(0.0);
    let none = Pace { us_per_byte: 0.0, burst: 0.0, at_end: false };
    let left = pace.unwrap_or(none).spread(&seen);
    if left > MOST_SPREAD * farthest && pace.is_some() {
        queues(joined, window, overtaking, farthest, path);
        return;
    }
    let all = packets(&(i64::MIN..i64::MAX));
    let pace_or_none = pace.unwrap_or(none);
    let stays: Vec<f64> = pace_or_none.stays(&all).collect();
    let mut rest: Vec<f64> = stays.iter().zip(&all).map(|(stay, (_, _, delay))| delay - stay).collect();
    path.jitter = jitter(&mut rest, overtaking.len() as u64, path);
    if let (Some(jitter), Some(pace)) = (&mut path.jitter, pace) {
        let (early, late) = seen.split_at(seen.len() / 2);
        let bps = |us_per_byte: f64| 8e6 / us_per_byte;
        let halves = [early, late].map(|half| {
            let of = |us_per_byte| Pace { us_per_byte, ..pace }.spread(half);
            bps(least(pace.us_per_byte / STEP, pace.us_per_byte * STEP, of))
        });
        let rate_bps = bps(pace.us_per_byte);
        let apart = halves.iter().map(|half| (half - rate_bps).abs()).fold(0.0, f64::max);
        let uncertainty_bps = apart + 1e-4 * rate_bps;
        let burst_bytes = pace.burst / pace.us_per_byte;
        jitter.behind = JitterBehind::Fifo { rate_bps, uncertainty_bps, burst_bytes };
    }
    let mut stays = stays.into_iter();
    for transit in &mut joined.transits {
        if matches!(transit.fate, Fate::Departed(_)) {
            let stay = stays.next().unwrap_or(0.0);
            transit.fate = Fate::Departed(transit.arrival_ps + (stay * PS_PER_US).round() as i64);
        }
    }
}

/// A delay that varies before or behind several queues: only its constant part is removed.
fn queues(joined: &mut Joined, window: &Range<i64>, overtaking: &[f64], most: f64, path: &mut PathEstimate) {
    let mut all: Vec<f64> = delays(&joined.transits, window).map(|(_, delay)| delay).collect();
    let Some(least) = quantile(&mut all, 0.001) else { return };
    path.delay_us = roundest_below(least);
    path.delay_uncertainty_us = FORWARDING + 0.05 * most;
    path.jitter = Some(JitterEstimate {
        mean_us: most / 2.0,
        std_us: most / 12f64.sqrt(),
        p50_us: most / 2.0,
        p99_us: 0.99 * most,
        most_us: most,
        kurtosis: 1.8,
        overtaking: overtaking.len() as u64,
        behind: JitterBehind::Queues,
    });
    for transit in &mut joined.transits {
        *transit = moved(transit, 0.0, path.delay_us);
    }
}

/// The constant and the varying part.
fn jitter(rest: &mut [f64], overtaking: u64, path: &mut PathEstimate) -> Option<JitterEstimate> {
    let least = quantile(rest, 0.001)?;
    path.delay_us = roundest_below(least.max(0.0) + FORWARDING / 2.0).max(0.0);
    let of = |q: f64, rest: &mut [f64]| quantile(rest, q).map(|us| us - path.delay_us);
    let count = rest.len() as f64;
    let mean = rest.iter().sum::<f64>() / count;
    let squares = || rest.iter().map(|us| (us - mean) * (us - mean));
    let variance = squares().sum::<f64>() / count;
    let kurtosis = squares().map(|square| square * square).sum::<f64>() / count / (variance * variance);
    path.delay_uncertainty_us = (0.02 * variance.sqrt()).max(FORWARDING);
    Some(JitterEstimate {
        mean_us: mean - path.delay_us,
        std_us: variance.sqrt(),
        p50_us: of(0.5, rest)?,
        p99_us: of(0.99, rest)?,
        most_us: of(1.0, rest)?,
        kurtosis,
        overtaking,
        behind: JitterBehind::NoQueue,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_the_roundest_that_leaves_some_forwarding() {
        assert_eq!(roundest_below(5_002.8), 5_000.0);
        assert_eq!(roundest_below(25_020.0), 25_000.0);
        assert_eq!(roundest_below(100_000.0), 100_000.0);
        assert_eq!(roundest_below(12_343.0), 12_340.0);
    }

    #[test]
    fn a_queue_that_never_empties_is_no_delay() {
        let mut growing: Vec<f64> = (0..2_000).map(|n| 5_000.0 + 20.0 * f64::from((n * 7) % 2_000)).collect();
        growing[0] = 40_000.0;
        growing[1] = 40_000.0;
        growing[2] = 40_000.0;
        assert_eq!(floor(&mut growing), None);
        let mut settled = vec![5_003.0; 100];
        settled.extend((0..2_000).map(|n| 5_003.0 + f64::from(n)));
        assert_eq!(floor(&mut settled), Some(5_003.0));
    }
}
