//! The relation of two capture clocks: offset, skew, and resets.
//!
//! The apparent delay of a packet is the time of the second clock minus that of the first. Queueing only adds
//! to a delay, so packets that did not wait lie on a line below all others. The slope of this line is the
//! skew of the clocks. The line is the edge of the lower convex hull of (time, apparent delay) whose interval
//! contains the mean time. Of all lines below all points, it has the minimum sum of distances to them.
//!
//! With one direction, the offset of the clocks cannot be identified: only the sum of offset and minimum
//! delay is observable. The offset is then *relative* to a given minimum delay. With both directions, the
//! offset lies between the two lines; it is in the middle if the minimum delays are equal.
//!
//! # Source
//!
//! Zhang, Liu and Xia, *Clock synchronization algorithms for network measurements*, INFOCOM 2002 (the convex
//! hull and resets); the objective is that of Moon, Skelly and Towsley, *Estimation and removal of clock skew
//! from network delay measurements*, INFOCOM 1999. Deviation: a reset is detected as a lasting step between
//! two packets ([`RESET_FROM_PS`]), not by comparing the hulls of windows.

use serde::Serialize;

use crate::units::PS_PER_S;

/// Maximum plausible skew of a clock: 1000 ppm.
const GREATEST_SKEW: f64 = 1e-3;
/// Minimum size of a reset: 10 ms.
const RESET_FROM_PS: i64 = 10_000_000_000;
/// Minimum duration of a reset, as a multiple of its size. A queue of this size would drain within that time
/// at 95 % load.
const RESET_LASTS: i64 = 20;
/// Minimum number of packets on either side of a reset.
const RESET_PACKETS: usize = 128;
/// A section between resets gets its own skew if it lasts at least this fraction of the longest.
const OWN_SKEW_FROM: f64 = 0.25;

/// A packet in both captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// Time by the first clock, in picoseconds since the start.
    pub first_ps: i64,
    /// Time by the second clock, in picoseconds since the same start.
    pub second_ps: i64,
}

impl Passage {
    fn apparent_ps(&self) -> i64 {
        self.second_ps - self.first_ps
    }
}

/// The relation of the second clock to the first, between two resets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClockPart {
    /// Start of the section, in seconds since the start, by the first clock.
    pub from_s: f64,
    /// Offset of the second clock from the first at this time, in seconds; positive if it is ahead.
    pub offset_s: f64,
    /// Skew of the second clock, in parts per million. `None` if delays do not determine it (they rise
    /// throughout, or there are too few); no skew is then removed.
    pub skew_ppm: Option<f64>,
    /// Range of the skew: the slopes of the lines that touch the delays at either end of the edge and stay
    /// below them.
    pub skew_range_ppm: Option<(f64, f64)>,
    /// Number of packets that it is estimated from.
    pub packets: u64,
}

/// The relation of two clocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Clocks {
    parts: Vec<Part>,
    /// The assumed minimum delay; `None` if both directions determine the offset.
    anchor_ps: Option<i64>,
    /// Half the minimum round trip, if both directions are present.
    half_round_trip_ps: Option<i64>,
}

/// The clocks of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClockSummary {
    /// Whether the offset is relative to a given minimum delay (one direction), or determined from both
    /// directions.
    pub relative: bool,
    /// That minimum delay, in seconds.
    pub least_delay_s: Option<f64>,
    /// Half the minimum round trip, in seconds: the maximum error of the offset.
    pub half_round_trip_s: Option<f64>,
    /// The sections between resets of a clock.
    pub parts: Vec<ClockPart>,
    /// Whether the times of the second capture were corrected by it.
    pub corrected: bool,
}

/// A section between resets.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    from_ps: i64,
    /// Offset of the second clock from the first at `from_ps`.
    offset_ps: i64,
    skew: Option<f64>,
    range: Option<(f64, f64)>,
    packets: u64,
}

impl Clocks {
    /// Estimates the relation of the clocks from the packets from the first capture to the second, and from
    /// those of the other direction, each ordered by the first clock. `least_delay_ps` is the minimum delay
    /// of a packet; it is used with one direction only. `None` without packets.
    ///
    /// # Complexity
    /// O(packets).
    pub fn estimate(forward: &[Passage], backward: &[Passage], least_delay_ps: i64) -> Option<Clocks> {
        let leading = if forward.is_empty() { backward } else { forward };
        let start = leading.first()?.first_ps;
        let mut starts = vec![start];
        starts.extend(resets(leading));
        let within = |all: &[Passage], part: usize| {
            let from = if part == 0 { 0 } else { all.partition_point(|at| at.first_ps < starts[part]) };
            let to =
                starts.get(part + 1).map_or(all.len(), |end| all.partition_point(|at| at.first_ps < *end));
            from..to
        };
        let mut half_round_trip_ps = None;
        let parts: Vec<Sides<'_>> = (0..starts.len())
            .map(|part| Sides {
                from_ps: starts[part],
                forward: &forward[within(forward, part)],
                backward: backward[within(backward, part)].iter().map(turned).collect(),
            })
            .collect();
        let longest = parts.iter().map(Sides::span_ps).max().unwrap_or(0);
        let mut drifts: Vec<Option<Drift>> = parts.iter().map(Sides::drift).collect();
        let of_longest =
            parts.iter().position(|part| part.span_ps() == longest).and_then(|part| drifts[part]);
        for (part, drift) in parts.iter().zip(&mut drifts) {
            if (part.span_ps() as f64) < OWN_SKEW_FROM * longest as f64 {
                *drift = of_longest;
            }
        }
        let parts = parts.iter().zip(drifts).map(|(part, drift)| {
            let skew = drift.map(|drift| drift.skew);
            let least = |of: &[Passage], skew: f64| {
                let line = |at: &Passage| at.apparent_ps() - drifted(skew, at.first_ps - part.from_ps);
                of.iter().map(line).min()
            };
            let forward = least(part.forward, skew.unwrap_or(0.0));
            let backward = least(&part.backward, -skew.unwrap_or(0.0)).map(|least| -least);
            let offset_ps = match (forward, backward) {
                (Some(above), Some(below)) => {
                    half_round_trip_ps =
                        Some(half_round_trip_ps.unwrap_or(i64::MAX).min((above - below) / 2));
                    below + (above - below) / 2
                }
                (Some(above), None) => above - least_delay_ps,
                (None, Some(below)) => below + least_delay_ps,
                (None, None) => 0,
            };
            Part {
                from_ps: part.from_ps,
                offset_ps,
                skew,
                range: drift.and_then(|drift| drift.range),
                packets: (part.forward.len() + part.backward.len()) as u64,
            }
        });
        let parts = parts.collect();
        let anchor_ps = half_round_trip_ps.is_none().then_some(least_delay_ps);
        Some(Clocks { parts, anchor_ps, half_round_trip_ps })
    }

    /// Converts a time of the second clock to the first clock, for a packet that the first capture saw at
    /// `first_ps`.
    #[inline]
    pub fn corrected_ps(&self, first_ps: i64, second_ps: i64) -> i64 {
        let part = self.part(first_ps);
        let Some(part) = part else { return second_ps };
        let since = second_ps - part.offset_ps - part.from_ps;
        let skew = part.skew.unwrap_or(0.0);
        second_ps - part.offset_ps - drifted(skew / (1.0 + skew), since)
    }

    /// Offset of the second clock from the first at `first_ps`, in picoseconds; positive if it is ahead.
    pub fn offset_ps(&self, first_ps: i64) -> i64 {
        let offset =
            |part: &Part| part.offset_ps + drifted(part.skew.unwrap_or(0.0), first_ps - part.from_ps);
        self.part(first_ps).map_or(0, offset)
    }

    fn part(&self, first_ps: i64) -> Option<&Part> {
        let after = self.parts.partition_point(|part| part.from_ps <= first_ps);
        self.parts.get(after.saturating_sub(1))
    }

    /// The estimate in seconds and ppm.
    pub fn summary(&self, corrected: bool) -> ClockSummary {
        const PPM: f64 = 1e6;
        let seconds = |ps: i64| ps as f64 / PS_PER_S as f64;
        ClockSummary {
            relative: self.half_round_trip_ps.is_none(),
            least_delay_s: self.anchor_ps.map(seconds),
            half_round_trip_s: self.half_round_trip_ps.map(seconds),
            parts: self
                .parts
                .iter()
                .map(|part| ClockPart {
                    from_s: seconds(part.from_ps),
                    offset_s: seconds(part.offset_ps),
                    skew_ppm: part.skew.map(|skew| skew * PPM),
                    skew_range_ppm: part.range.map(|(low, high)| (low * PPM, high * PPM)),
                    packets: part.packets,
                })
                .collect(),
            corrected,
        }
    }
}

/// The drift of a clock within `span_ps`.
fn drifted(skew: f64, span_ps: i64) -> i64 {
    (skew * span_ps as f64).round() as i64
}

/// Mirrors a packet of the other direction, so that its apparent delay is bounded from below as well.
fn turned(passage: &Passage) -> Passage {
    let Passage { first_ps, second_ps } = *passage;
    Passage { first_ps, second_ps: 2 * first_ps - second_ps }
}

/// The packets of a section between resets; those of the other direction are mirrored.
struct Sides<'p> {
    from_ps: i64,
    forward: &'p [Passage],
    backward: Vec<Passage>,
}

#[derive(Debug, Clone, Copy)]
struct Drift {
    skew: f64,
    range: Option<(f64, f64)>,
}

impl Sides<'_> {
    fn span_ps(&self) -> i64 {
        let span = |of: &[Passage]| match (of.first(), of.last()) {
            (Some(first), Some(last)) => last.first_ps - first.first_ps,
            _ => 0,
        };
        span(self.forward).max(span(&self.backward))
    }

    /// The skew from both directions.
    fn drift(&self) -> Option<Drift> {
        let forward = lower_line(self.forward);
        let backward = lower_line(&self.backward).map(|Drift { skew, range }| Drift {
            skew: -skew,
            range: range.map(|(low, high)| (-high, -low)),
        });
        match (forward, backward) {
            (Some(one), Some(other)) => Some(Drift {
                skew: (one.skew + other.skew) / 2.0,
                range: one.range.zip(other.range).map(|(a, b)| ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0)),
            }),
            (one, other) => one.or(other),
        }
    }
}

/// The slope of the line that lies below all apparent delays and nearest to them. `None` if it exceeds the
/// skew of a clock.
fn lower_line(passages: &[Passage]) -> Option<Drift> {
    let first = passages.first()?.first_ps;
    let mut hull: Vec<(i64, i64)> = Vec::new();
    for passage in passages {
        let (x, y) = (passage.first_ps - first, passage.apparent_ps());
        // Of several packets at one instant, the one with the minimum delay is used.
        if hull.last().is_some_and(|last| last.0 == x) {
            if hull.last().is_some_and(|last| last.1 <= y) {
                continue;
            }
            hull.pop();
        }
        while let [.., a, b] = hull[..]
            && !turns_up(a, b, (x, y))
        {
            hull.pop();
        }
        hull.push((x, y));
    }
    let sum: i128 = passages.iter().map(|passage| i128::from(passage.first_ps - first)).sum();
    let mean = (sum / passages.len() as i128) as i64;
    let slopes: Vec<f64> = hull.windows(2).map(|edge| slope(edge[0], edge[1])).collect();
    let edge = hull.windows(2).position(|edge| (edge[0].0..=edge[1].0).contains(&mean))?;
    let skew = slopes[edge];
    let range = edge.checked_sub(1).map(|before| slopes[before]).zip(slopes.get(edge + 1).copied());
    (skew.abs() <= GREATEST_SKEW).then_some(Drift { skew, range })
}

/// Whether the path from `a` over `b` to `c` turns upwards.
fn turns_up(a: (i64, i64), b: (i64, i64), c: (i64, i64)) -> bool {
    let [(x, y), (u, v)] =
        [(a, b), (b, c)].map(|(from, to)| (i128::from(to.0 - from.0), i128::from(to.1 - from.1)));
    x * v > y * u
}

fn slope(a: (i64, i64), b: (i64, i64)) -> f64 {
    (b.1 - a.1) as f64 / (b.0 - a.0) as f64
}

/// The resets of a clock: the times of the first packets after them.
///
/// At a reset, the apparent delay makes a step between two packets, and the minimum delay differs by about
/// the same amount from then on, for [`RESET_LASTS`] times the step. It is steady on either side. A step down
/// is steeper than a queue can drain: the packet sent later seems to arrive earlier.
fn resets(passages: &[Passage]) -> Vec<i64> {
    let mut found = Vec::new();
    let mut from = 0;
    for at in RESET_PACKETS..passages.len().saturating_sub(RESET_PACKETS) {
        let [before, here] = [passages[at - 1], passages[at]];
        let step = here.apparent_ps() - before.apparent_ps();
        if step.abs() < RESET_FROM_PS
            || at < from + RESET_PACKETS
            || (step < 0 && here.second_ps >= before.second_ps)
        {
            continue;
        }
        // This rejects most steps quickly.
        let near = shift(&passages[at - RESET_PACKETS..at], &passages[at..at + RESET_PACKETS]);
        let Some(near) = near.filter(|shift| shift.signum() == step.signum()) else { continue };
        let lasts = step.abs().max(near.abs()).saturating_mul(RESET_LASTS);
        let since =
            passages[..at].partition_point(|packet| packet.first_ps < here.first_ps.saturating_sub(lasts));
        let until = passages.partition_point(|packet| packet.first_ps <= here.first_ps.saturating_add(lasts));
        let before = &passages[since.clamp(from, at - RESET_PACKETS)..at];
        let after = &passages[at..until.max(at + RESET_PACKETS)];
        let is_reset = shift(before, after).is_some_and(|shift| {
            shift.signum() == step.signum()
                && (step.abs() / 2..=step.abs().saturating_mul(2)).contains(&shift.abs())
                && [before, after].into_iter().all(|side| is_steady(side, shift.abs() / 4))
        });
        if is_reset {
            found.push(here.first_ps);
            from = at;
        }
    }
    found
}

/// The difference of the minimum delays, if it is large enough for a reset.
fn shift(before: &[Passage], after: &[Passage]) -> Option<i64> {
    let shift = least_ps(after) - least_ps(before);
    (shift.abs() >= RESET_FROM_PS).then_some(shift)
}

/// Whether the minimum delay of every eighth of the packets is within `margin_ps` of the overall minimum.
fn is_steady(passages: &[Passage], margin_ps: i64) -> bool {
    let least = least_ps(passages);
    passages.chunks(passages.len().div_ceil(8)).all(|part| least_ps(part) - least <= margin_ps)
}

fn least_ps(passages: &[Passage]) -> i64 {
    passages.iter().map(Passage::apparent_ps).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const US: i64 = 1_000_000;
    const MS: i64 = 1_000 * US;
    const S: i64 = 1_000 * MS;

    /// One packet per millisecond for `seconds`. It waits up to 20 ms, and sometimes not at all. `clock`
    /// converts the true time.
    fn passages(seconds: i64, least_ps: i64, clock: impl Fn(i64) -> i64) -> Vec<Passage> {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        (0..seconds * 1000)
            .map(|number| {
                let sent = number * MS + (next() % 1000) as i64 * US / 10;
                let waits = if next() % 10 == 0 { 0 } else { (next() % 20_000) as i64 * US };
                Passage { first_ps: sent, second_ps: clock(sent + least_ps + waits) }
            })
            .collect()
    }

    fn ppm(clocks: &Clocks, part: usize) -> f64 {
        clocks.parts[part].skew.unwrap() * 1e6
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn offset_and_skew_come_back(offset in -5 * S..5 * S, skew in -200..200i64, least in 0..5 * MS) {
            let clock = |at: i64| at + offset + at * skew / 1_000_000;
            let clocks = Clocks::estimate(&passages(20, least, clock), &[], least).unwrap();
            prop_assert!((ppm(&clocks, 0) - skew as f64).abs() < 0.01);
            prop_assert!((clocks.offset_ps(0) - offset).abs() < US);
            let at = 10 * S;
            let corrected = clocks.corrected_ps(at, clock(at + 3 * MS));
            prop_assert!((corrected - at - 3 * MS).abs() < US, "{corrected}");
            prop_assert!(clocks.summary(true).relative);
        }
    }

    #[test]
    fn both_directions_say_the_offset() {
        let (offset, least) = (-3 * S, 7 * MS);
        let clock = |at: i64| at + offset + at * 40 / 1_000_000;
        let forward = passages(20, least, clock);
        // the other direction: sent by the second clock, received by the first
        let backward: Vec<Passage> = passages(20, least, |at| at)
            .iter()
            .map(|passage| Passage { first_ps: passage.second_ps, second_ps: clock(passage.first_ps) })
            .collect();
        let mut backward = backward;
        backward.sort_by_key(|passage| passage.first_ps);
        let clocks = Clocks::estimate(&forward, &backward, 0).unwrap();
        assert!((ppm(&clocks, 0) - 40.0).abs() < 0.05, "{}", ppm(&clocks, 0));
        assert!((clocks.offset_ps(0) - offset).abs() < 5 * US, "{}", clocks.offset_ps(0));
        let summary = clocks.summary(false);
        assert!(!summary.relative && (summary.half_round_trip_s.unwrap() - 7e-3).abs() < 1e-5);
    }

    #[test]
    fn a_reset_parts_the_time() {
        for step in [-300 * MS, 40 * MS, 2 * S] {
            let clock = |at: i64| at + at * 25 / 1_000_000 + if at < 12 * S { 0 } else { step };
            let all = passages(60, MS, clock);
            let clocks = Clocks::estimate(&all, &[], MS).unwrap();
            assert_eq!(clocks.parts.len(), 2, "{step}: {:?}", clocks.parts);
            let at = clocks.parts[1].from_ps;
            assert!((at - 12 * S).abs() < 50 * MS, "{at}");
            assert!((clocks.offset_ps(50 * S) - clock(50 * S) + 50 * S).abs() < 20 * US);
            assert!((ppm(&clocks, 1) - 25.0).abs() < 0.5);
        }
    }

    #[test]
    fn queues_are_no_resets() {
        // bursts that wait for up to 200 ms, drained at half the rate at which they came
        let all: Vec<Passage> = (0..60_000)
            .map(|number| {
                let phase = number % 4000;
                let wait = if phase < 1000 { 200 - phase / 5 } else { 0 };
                Passage { first_ps: number * MS, second_ps: number * MS + wait * MS }
            })
            .collect();
        assert!(resets(&all).is_empty());
    }

    #[test]
    fn delays_that_rise_throughout_tell_no_skew() {
        let all: Vec<Passage> = (0..10_000)
            .map(|number| Passage { first_ps: number * MS, second_ps: number * MS + number * 200 * US })
            .collect();
        let clocks = Clocks::estimate(&all, &[], 0).unwrap();
        assert_eq!(clocks.parts[0].skew, None);
        assert_eq!(clocks.corrected_ps(0, 5), 5);
    }

    #[test]
    fn few_packets() {
        assert_eq!(Clocks::estimate(&[], &[], 0), None);
        let one = [Passage { first_ps: 10, second_ps: 30 }];
        let clocks = Clocks::estimate(&one, &[], 5).unwrap();
        assert_eq!((clocks.offset_ps(10), clocks.corrected_ps(10, 30)), (15, 15));
    }
}
