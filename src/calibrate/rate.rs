//! The rate of the bottleneck and the framing overhead, from departures while packets wait.

use serde::Serialize;

use super::sample::{Sample, deviation, quantile, roundest};
use crate::ptm::{Framing, LinkLayer, Overhead};

/// How packets pass a bottleneck while it never idles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RateEstimate {
    /// Bits per second.
    pub bps: f64,
    /// Two standard errors of the regression plus one part in 10,000 for systematic errors, in bits per
    /// second.
    pub uncertainty_bps: f64,
    /// The roundest rate within the uncertainty, used in the topology.
    pub taken_bps: f64,
    /// What each packet takes in addition to its recorded length. An overhead that is not significantly
    /// different from 0 is 0.
    pub framing: Framing,
    /// The overhead according to the regression, in bytes.
    pub overhead_measured_bytes: f64,
    /// Three standard errors of the overhead plus a tenth of the noise of the timestamps; infinite (`null` in
    /// JSON) if all packets have one length.
    pub overhead_uncertainty_bytes: f64,
    /// Number of departures used.
    pub departures: u64,
    /// Number of uninterrupted backlogged periods that they come from.
    pub periods: u64,
    /// Whether a packet waits for its own tokens (a token bucket that must hold the whole packet), not for
    /// the transmission of the previous one (a link, or a bucket that may go below zero).
    pub waits_for_own_length: bool,
}

/// A departure in a backlogged period.
#[derive(Clone, Copy)]
struct Point {
    /// Time, in us.
    at: f64,
    /// Its length, in bytes.
    length: f64,
    /// Length of the previous departure.
    before: f64,
}

/// Minimum number of backlogged departures for a rate.
const LEAST: usize = 30;

/// Maximum number of bytes that framing adds to a packet.
const MOST_OVERHEAD: f64 = 128.0;

/// Runs of departures during which packets waited continuously. The first departure of each run has no gap.
fn periods(sample: &Sample, guard: f64) -> Vec<Vec<Point>> {
    let mut arrived = 0;
    let mut last: Option<(f64, f64, bool)> = None;
    let (mut periods, mut period) = (Vec::new(), Vec::new());
    let admitted: Vec<f64> =
        sample.crossings.iter().filter(|crossing| crossing.departure.is_some()).map(|c| c.arrival).collect();
    for (departed, (crossing, at)) in sample.departures().enumerate() {
        let waited = at - crossing.arrival > guard;
        if let Some((before_at, before, before_waited)) = last {
            while admitted.get(arrived).is_some_and(|arrival| *arrival < before_at - guard) {
                arrived += 1;
            }
            if arrived > departed && before_waited {
                if period.is_empty() {
                    period.push(Point { at: before_at, length: before, before: 0.0 });
                }
                period.push(Point { at, length: crossing.length, before });
            } else if !period.is_empty() {
                periods.push(std::mem::take(&mut period));
            }
        }
        last = Some((at, crossing.length, waited));
    }
    periods.push(period);
    periods.retain(|period| period.len() > 2);
    periods
}

/// A length as counted by the bottleneck.
pub(super) fn framed(framing: &Framing, length: f64) -> f64 {
    f64::from(framing.length(length as u32))
}

/// Sums of a regression within groups: each group has its own intercept.
#[derive(Default)]
struct Regression {
    xx: f64,
    xy: f64,
    yy: f64,
    points: usize,
    groups: usize,
}

impl Regression {
    fn add(&mut self, points: &[(f64, f64)]) {
        let n = points.len() as f64;
        let (sx, sy) = points.iter().fold((0.0, 0.0), |(sx, sy), (x, y)| (sx + x, sy + y));
        let (mx, my) = (sx / n, sy / n);
        for (x, y) in points {
            self.xx += (x - mx) * (x - mx);
            self.xy += (x - mx) * (y - my);
            self.yy += (y - my) * (y - my);
        }
        self.points += points.len();
        self.groups += 1;
    }

    /// The slope and its standard error; `None` without variation.
    fn slope(&self) -> Option<(f64, f64)> {
        if self.xx <= 0.0 || self.points <= self.groups + 1 {
            return None;
        }
        let slope = self.xy / self.xx;
        let rest = (self.yy - slope * self.xy).max(0.0) / (self.points - self.groups - 1) as f64;
        Some((slope, (rest / self.xx).sqrt()))
    }
}

/// Us per byte in the median period.
fn roughly(periods: &[Vec<Point>], framing: &Framing) -> Option<f64> {
    let mut slopes: Vec<(f64, f64)> = periods
        .iter()
        .map(|period| {
            let sent: f64 = period[1..].iter().map(|point| framed(framing, point.before)).sum();
            ((period[period.len() - 1].at - period[0].at) / sent, sent)
        })
        .collect();
    // Long periods are more informative: the median is weighted by bytes.
    slopes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = slopes.iter().map(|(_, sent)| sent).sum::<f64>() / 2.0;
    let mut below = 0.0;
    slopes
        .into_iter()
        .find(|(_, sent)| {
            below += sent;
            below >= half
        })
        .map(|(slope, _)| slope)
}

/// Whether gaps depend on the length of the departing packet rather than on that of the previous one.
fn waits_for_own_length(periods: &[Vec<Point>]) -> Option<bool> {
    let us_per_byte = roughly(periods, &Framing::default())?;
    let spread = |length: fn(&[Point]) -> f64| {
        let mut rests: Vec<f64> = periods
            .iter()
            .flat_map(|period| period[1..].windows(2))
            .map(|pair| pair[1].at - pair[0].at - us_per_byte * length(pair))
            .collect();
        let middle = quantile(&mut rests, 0.5)?;
        Some(deviation(&rests, middle))
    };
    Some(spread(|pair| pair[1].length)? < spread(|pair| pair[1].before)?)
}

/// A rate by regression of the departures on the departed bytes: us per byte.
struct Fit {
    us_per_byte: f64,
    standard_error: f64,
    points: usize,
    periods: usize,
}

/// Fits lines of one slope to the periods. A pause of the device is a step in time, where the period is
/// divided.
fn fit(periods: &[Vec<Point>], own_length: bool, framing: &Framing, guard: f64) -> Option<Fit> {
    let bytes = |point: &Point| framed(framing, if own_length { point.length } else { point.before });
    let mut us_per_byte = roughly(periods, framing)?;
    let mut found = None;
    for _ in 0..4 {
        let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
        for period in periods {
            let mut sent = 0.0;
            let mut piece = vec![(0.0, period[0].at)];
            for pair in period.windows(2) {
                let step = bytes(&pair[1]);
                let late = pair[1].at - pair[0].at - step * us_per_byte;
                sent += step;
                if late.abs() > 10.0 * guard {
                    pieces.push(std::mem::take(&mut piece));
                }
                piece.push((sent, pair[1].at));
            }
            pieces.push(piece);
        }
        pieces.retain(|piece| piece.len() > 2);
        let mut residuals = Vec::new();
        let middles: Vec<f64> = pieces
            .iter()
            .map(|piece| {
                let mut rests: Vec<f64> = piece.iter().map(|(x, y)| y - x * us_per_byte).collect();
                let middle = quantile(&mut rests, 0.5).unwrap_or(0.0);
                residuals.extend(rests.iter().map(|rest| rest - middle));
                middle
            })
            .collect();
        let spread = deviation(&residuals, 0.0);
        let mut regression = Regression::default();
        for (piece, middle) in pieces.iter().zip(&middles) {
            let near: Vec<(f64, f64)> = piece
                .iter()
                .filter(|(x, y)| (y - x * us_per_byte - middle).abs() <= (6.0 * spread).max(guard))
                .copied()
                .collect();
            if near.len() > 2 {
                regression.add(&near);
            }
        }
        let (slope, standard_error) = regression.slope()?;
        us_per_byte = slope;
        let (points, periods) = (regression.points, regression.groups);
        found = Some(Fit { us_per_byte, standard_error, points, periods });
    }
    found.filter(|fit| fit.us_per_byte > 0.0 && fit.points >= LEAST)
}

/// Departures of a backlogged stretch: bytes and packets that left before each one, and its time.
struct Stretch {
    lengths: Vec<f64>,
    at: Vec<f64>,
}

/// Maximum length of a stretch: over longer ones the rate of a device may drift.
const STRETCH: usize = 256;

/// Divides the periods into stretches without pauses.
fn stretches(periods: &[Vec<Point>], own_length: bool, us_per_byte: f64, guard: f64) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    for period in periods {
        let mut stretch = Stretch { lengths: vec![0.0], at: vec![period[0].at] };
        for pair in period.windows(2) {
            let length = if own_length { pair[1].length } else { pair[1].before };
            let late = pair[1].at - pair[0].at - length * us_per_byte;
            if late.abs() > 10.0 * guard + MOST_OVERHEAD * us_per_byte || stretch.at.len() == STRETCH {
                stretches.push(std::mem::replace(
                    &mut stretch,
                    Stretch { lengths: vec![0.0], at: vec![pair[1].at] },
                ));
            } else {
                stretch.lengths.push(length);
                stretch.at.push(pair[1].at);
            }
        }
        stretches.push(stretch);
    }
    stretches.retain(|stretch| stretch.at.len() > 8);
    stretches
}

/// Sums of a regression on two variables; each stretch has its own intercept.
#[derive(Clone, Copy, Default)]
struct Plane {
    bb: f64,
    bn: f64,
    nn: f64,
    by: f64,
    ny: f64,
    yy: f64,
    points: f64,
}

impl Plane {
    /// The sums of one stretch, with lengths transformed by `framed`.
    fn of(stretch: &Stretch, framed: impl Fn(f64) -> f64) -> Self {
        let count = stretch.at.len() as f64;
        let mut bytes = 0.0;
        let mut points = Vec::with_capacity(stretch.at.len());
        let (mut sum_b, mut sum_y) = (0.0, 0.0);
        for (place, (length, at)) in stretch.lengths.iter().zip(&stretch.at).enumerate() {
            bytes += if place == 0 { 0.0 } else { framed(*length) };
            let y = at - stretch.at[0];
            sum_b += bytes;
            sum_y += y;
            points.push((bytes, place as f64, y));
        }
        let (mean_b, mean_n, mean_y) = (sum_b / count, (count - 1.0) / 2.0, sum_y / count);
        let mut plane = Plane { points: count - 1.0, ..Plane::default() };
        for (b, n, y) in points {
            let (b, n, y) = (b - mean_b, n - mean_n, y - mean_y);
            plane.bb += b * b;
            plane.bn += b * n;
            plane.nn += n * n;
            plane.by += b * y;
            plane.ny += n * y;
            plane.yy += y * y;
        }
        plane
    }

    fn plus(self, other: Plane, sign: f64) -> Self {
        Plane {
            bb: self.bb + sign * other.bb,
            bn: self.bn + sign * other.bn,
            nn: self.nn + sign * other.nn,
            by: self.by + sign * other.by,
            ny: self.ny + sign * other.ny,
            yy: self.yy + sign * other.yy,
            points: self.points + sign * other.points,
        }
    }

    /// Us per byte and us per packet; `None` if all packets have one length.
    fn solve(&self) -> Option<(f64, f64)> {
        let determinant = self.bb * self.nn - self.bn * self.bn;
        if determinant <= 1e-9 * self.bb * self.nn {
            return None;
        }
        let per_byte = (self.by * self.nn - self.ny * self.bn) / determinant;
        let per_packet = (self.ny * self.bb - self.by * self.bn) / determinant;
        (per_byte > 0.0).then_some((per_byte, per_packet))
    }

    /// Residual mean square with a rate alone [us^2].
    fn left_by_rate(&self) -> f64 {
        ((self.yy - self.by * self.by / self.bb) / self.points).max(0.0)
    }

    /// Residual mean square with a rate and a time per packet [us^2].
    fn left_by_both(&self) -> Option<f64> {
        let (per_byte, per_packet) = self.solve()?;
        Some(((self.yy - per_byte * self.by - per_packet * self.ny) / self.points).max(0.0))
    }
}

/// Number of parts that are left out in turn, for the standard error.
const PARTS: usize = 20;

/// Overhead in bytes per packet, and three standard errors: departures depend on the bytes and on the number
/// of packets that have left. The standard error is a jackknife estimate over parts of the recording.
fn overhead(stretches: &[Stretch]) -> Option<OverheadEstimate> {
    if stretches.len() < PARTS {
        return None;
    }
    let mut parts = [Plane::default(); PARTS];
    for (place, stretch) in stretches.iter().enumerate() {
        let part = &mut parts[place * PARTS / stretches.len()];
        *part = part.plus(Plane::of(stretch, |length| length), 1.0);
    }
    let all = parts.iter().fold(Plane::default(), |all, part| all.plus(*part, 1.0));
    let bytes = |plane: Plane| plane.solve().map(|(per_byte, per_packet)| per_packet / per_byte);
    let found = bytes(all)?;
    let mut squares = 0.0;
    for part in parts {
        let off = bytes(all.plus(part, -1.0))? - found;
        squares += off * off;
    }
    let error = (squares * (PARTS - 1) as f64 / PARTS as f64).sqrt();
    let explains = all.left_by_both()? < EXPLAINS * all.left_by_rate();
    Some(OverheadEstimate { bytes: found, uncertainty: 3.0 * error + LEAST_UNCERTAINTY, explains })
}

/// Bytes per packet.
struct OverheadEstimate {
    bytes: f64,
    uncertainty: f64,
    /// Whether it explains the departures much better.
    explains: bool,
}

/// Maximum ratio of the residual mean square with an overhead to that without.
const EXPLAINS: f64 = 0.5;

/// Minimum uncertainty of an overhead [B]: timestamps are whole nanoseconds at best.
const LEAST_UNCERTAINTY: f64 = 0.05;

/// The fraction of the noise of the timestamps that may depend on lengths.
const TIMERS: f64 = 0.1;

/// Minimum framing overhead [B]: a tag has 4.
const LEAST_OVERHEAD: f64 = 2.0;

/// Maximum ratio of the residual with a minimum length or cells to that with an overhead, for accepting them.
const MUCH_LESS: f64 = 0.25;

/// Number of departures on which minimum lengths and cells are tried.
const TRIED: usize = 6_000;

/// Cells or a minimum length, if they explain the departures much better than any overhead.
fn cells_or_shortest(stretches: &[Stretch]) -> Option<Framing> {
    let mut count = 0;
    let tried: Vec<&Stretch> = stretches
        .iter()
        .take_while(|stretch| {
            count += stretch.at.len();
            count < TRIED + STRETCH
        })
        .collect();
    let sum = |framed: &dyn Fn(f64) -> f64| {
        tried.iter().fold(Plane::default(), |sum, stretch| sum.plus(Plane::of(stretch, framed), 1.0))
    };
    let straight = sum(&|length| length).left_by_both()?;
    let shortest = tried
        .iter()
        .flat_map(|stretch| &stretch.lengths[1..])
        .fold(f64::INFINITY, |least, length| least.min(*length));
    let overheads = -16..=64;
    let cells = overheads.clone().map(|bytes| (bytes, 0, LinkLayer::Atm));
    let least = (shortest as u32 / 4 + 1) * 4;
    let lengths = (least..least + 128).step_by(4);
    let shortest =
        lengths.flat_map(|mpu| overheads.clone().map(move |bytes| (bytes, mpu, LinkLayer::Ethernet)));
    let (left, framing) = cells
        .chain(shortest)
        .filter_map(|(bytes, mpu, link_layer)| {
            let framing = Framing { overhead: Overhead::new(bytes)?, mpu, link_layer };
            // The table has few entries: one per length that occurs.
            let framed = |length: f64| f64::from(framing.length(length as u32));
            Some((sum(&framed).left_by_rate(), framing))
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))?;
    (left < MUCH_LESS * straight).then_some(framing)
}

/// The kinds of framing to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LookedFor {
    /// None: if packets of several classes alternate, departures do not depend on single packets.
    Nothing,
    /// Added bytes.
    Overhead,
    /// Added bytes, cells and minimum lengths.
    All,
}

impl RateEstimate {
    /// Estimates the rate from the departures while packets waited for more than `guard` us; `None` if there
    /// are too few.
    pub(super) fn of(sample: &Sample, guard: f64, looked_for: LookedFor) -> Option<Self> {
        let periods = periods(sample, guard);
        let own_length = waits_for_own_length(&periods)?;
        let mut framing = Framing::default();
        let stretches = stretches(&periods, own_length, roughly(&periods, &framing)?, guard);
        let OverheadEstimate { bytes: measured, uncertainty, explains } = overhead(&stretches)
            .unwrap_or(OverheadEstimate { bytes: 0.0, uncertainty: f64::INFINITY, explains: false });
        // The lateness of timers depends slightly on lengths, so a fraction of the noise of the timestamps is
        // systematic.
        let uncertainty = uncertainty + TIMERS * guard / roughly(&periods, &framing)?;
        // A value above any framing has another cause.
        let is_significant = looked_for != LookedFor::Nothing
            && explains
            && measured.abs() > uncertainty.max(LEAST_OVERHEAD)
            && measured.abs() < MOST_OVERHEAD;
        if is_significant {
            framing.overhead = Overhead::new(measured.round() as i32).unwrap_or_default();
        }
        if let Some(found) = (looked_for == LookedFor::All).then(|| cells_or_shortest(&stretches)).flatten() {
            framing = found;
        }
        let fitted = fit(&periods, own_length, &framing, guard)?;
        let bps = 8e6 / fitted.us_per_byte;
        let relative = 2.0 * fitted.standard_error / fitted.us_per_byte + 1e-4;
        Some(RateEstimate {
            bps,
            uncertainty_bps: bps * relative,
            taken_bps: roundest(bps, bps * relative),
            framing,
            overhead_measured_bytes: measured,
            overhead_uncertainty_bytes: uncertainty,
            departures: fitted.points as u64,
            periods: fitted.periods as u64,
            waits_for_own_length: own_length,
        })
    }

    /// Adjusts the estimate for departures with jitter: the uncertainty of the rate increases, and framing is
    /// unknown.
    pub(super) fn blurred(&mut self, uncertainty_bps: f64) {
        self.uncertainty_bps = uncertainty_bps;
        self.taken_bps = roundest(self.bps, uncertainty_bps);
        self.framing = Framing::default();
        (self.overhead_measured_bytes, self.overhead_uncertainty_bytes) = (0.0, f64::INFINITY);
    }

    /// Estimates the rate from the transmission times of packets that met no other, if none waited.
    pub(super) fn of_transmission(us_per_byte: f64) -> Self {
        let bps = 8e6 / us_per_byte;
        RateEstimate {
            bps,
            uncertainty_bps: 0.01 * bps,
            taken_bps: roundest(bps, 0.01 * bps),
            framing: Framing::default(),
            overhead_measured_bytes: 0.0,
            overhead_uncertainty_bytes: f64::INFINITY,
            departures: 0,
            periods: 0,
            waits_for_own_length: false,
        }
    }

    /// Time in us that a packet of `length` bytes takes at the bottleneck.
    pub(super) fn service(&self, length: f64) -> f64 {
        framed(&self.framing, length) * 8e6 / self.taken_bps
    }
}
