//! The bottleneck's rate and the framing overhead, from departures while packets wait.

use serde::Serialize;

use super::sample::{Sample, deviation, quantile, roundest};

/// How packets pass a bottleneck that never idles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RateEstimate {
    /// Bits per second.
    pub bps: f64,
    /// Two standard errors of the regression and one part in 10,000 for what it does not see, in bits per second.
    pub uncertainty_bps: f64,
    /// The roundest rate within the uncertainty: what the topology gets.
    pub taken_bps: f64,
    /// Bytes that each packet takes beyond its recorded length; what is not told from 0 is 0.
    pub overhead_bytes: f64,
    /// As the regression has it.
    pub overhead_measured_bytes: f64,
    /// Three standard errors and half the noise of the stamps, in bytes; infinite (`null` in JSON) where it was not
    /// looked for.
    pub overhead_uncertainty_bytes: f64,
    /// Departures that were used.
    pub departures: u64,
    /// Uninterrupted backlogged periods that they come from.
    pub periods: u64,
    /// Whether a packet waits for its own tokens (a token bucket that must hold the whole packet), and not for the
    /// transmission of the one before (a link, or a bucket that may go below zero).
    pub waits_for_own_length: bool,
}

/// A departure in a backlogged period.
#[derive(Clone, Copy)]
struct Point {
    /// When, in us.
    at: f64,
    /// Its length, in bytes.
    length: f64,
    /// That of the departure before.
    before: f64,
}

/// The least departures from backlog that give a rate.
const LEAST: usize = 30;

/// The most bytes that framing adds to a packet.
const MOST_OVERHEAD: f64 = 128.0;

/// Runs of departures during which packets waited all the time; the first of each has no gap of its own.
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

/// Sums of a regression within groups: each group has an intercept of its own.
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

    /// The slope and its standard error; none where nothing varies.
    fn slope(&self) -> Option<(f64, f64)> {
        if self.xx <= 0.0 || self.points <= self.groups + 1 {
            return None;
        }
        let slope = self.xy / self.xx;
        let rest = (self.yy - slope * self.xy).max(0.0) / (self.points - self.groups - 1) as f64;
        Some((slope, (rest / self.xx).sqrt()))
    }
}

/// Us per byte by the median period.
fn roughly(periods: &[Vec<Point>]) -> Option<f64> {
    let mut slopes: Vec<(f64, f64)> = periods
        .iter()
        .map(|period| {
            let sent: f64 = period[1..].iter().map(|point| point.before).sum();
            ((period[period.len() - 1].at - period[0].at) / sent, sent)
        })
        .collect();
    // Long periods say more: the median by bytes.
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

/// Whether gaps go with the length of the packet that leaves, rather than with that of the one before.
fn waits_for_own_length(periods: &[Vec<Point>]) -> Option<bool> {
    let us_per_byte = roughly(periods)?;
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

/// A rate by regression of the departures on the bytes that left: us per byte.
struct Fit {
    us_per_byte: f64,
    standard_error: f64,
    points: usize,
    periods: usize,
}

/// Fits lines of one slope to the periods. A pause of the device is a step in time: the period is cut there.
fn fit(periods: &[Vec<Point>], own_length: bool, overhead: f64, guard: f64) -> Option<Fit> {
    let bytes = |point: &Point| overhead + if own_length { point.length } else { point.before };
    let mut us_per_byte = roughly(periods)?;
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

/// Bytes that a packet takes beyond its length, and three standard errors: a line through gaps and lengths.
fn overhead(periods: &[Vec<Point>], own_length: bool, us_per_byte: f64, guard: f64) -> Option<(f64, f64)> {
    let all: Vec<(f64, f64)> = periods
        .iter()
        .flat_map(|period| period.windows(2))
        .map(|pair| (if own_length { pair[1].length } else { pair[1].before }, pair[1].at - pair[0].at))
        .collect();
    // A timer does not fire again at once: several short packets leave when it does.
    let long = |(length, _): &&(f64, f64)| length * us_per_byte > 4.0 * guard;
    let gaps: Vec<(f64, f64)> = match 3 * all.iter().filter(long).count() > all.len() {
        true => all.iter().filter(long).copied().collect(),
        false => all,
    };
    let mut rests: Vec<f64> = gaps.iter().map(|(length, gap)| gap - length * us_per_byte).collect();
    let mut middle = quantile(&mut rests, 0.5)?;
    let mut slope = us_per_byte;
    let mut error = f64::INFINITY;
    for _ in 0..6 {
        let rests: Vec<f64> = gaps.iter().map(|(length, gap)| gap - length * slope).collect();
        let near = 6.0 * deviation(&rests, middle).max(1e-3);
        let near: Vec<(f64, f64)> = gaps
            .iter()
            .zip(&rests)
            .filter(|(_, rest)| (*rest - middle).abs() <= near)
            .map(|(p, _)| *p)
            .collect();
        let mut regression = Regression::default();
        regression.add(&near);
        let (found, standard_error) = regression.slope()?;
        let n = near.len() as f64;
        let (x, y) = near.iter().fold((0.0, 0.0), |(sx, sy), (x, y)| (sx + x / n, sy + y / n));
        slope = found;
        middle = y - slope * x;
        // Of the intercept, at length 0.
        error = standard_error * (x * x + regression.xx / n).sqrt();
    }
    // The lateness of timers goes with lengths too, within the noise of the stamps.
    Some((middle / slope, (3.0 * error + 0.5 * guard) / slope))
}

impl RateEstimate {
    /// From the departures while packets waited for more than `guard` us; none where too few did.
    /// Framing is looked for where that is wanted.
    pub(super) fn of(sample: &Sample, guard: f64, frames: bool) -> Option<Self> {
        let periods = periods(sample, guard);
        let own_length = waits_for_own_length(&periods)?;
        let mut fitted = fit(&periods, own_length, 0.0, guard)?;
        let (measured, uncertainty) = frames
            .then(|| overhead(&periods, own_length, fitted.us_per_byte, guard))
            .flatten()
            .unwrap_or((0.0, f64::INFINITY));
        // More than any framing takes is something else.
        let told = measured > uncertainty.max(2.0) && measured < MOST_OVERHEAD;
        let overhead_bytes = if told { measured.round() } else { 0.0 };
        if told {
            fitted = fit(&periods, own_length, overhead_bytes, guard)?;
        }
        let bps = 8e6 / fitted.us_per_byte;
        let relative = 2.0 * fitted.standard_error / fitted.us_per_byte + 1e-4;
        Some(RateEstimate {
            bps,
            uncertainty_bps: bps * relative,
            taken_bps: roundest(bps, bps * relative),
            overhead_bytes,
            overhead_measured_bytes: measured,
            overhead_uncertainty_bytes: uncertainty,
            departures: fitted.points as u64,
            periods: fitted.periods as u64,
            waits_for_own_length: own_length,
        })
    }

    /// From the transmission times of packets that met no other, where none waited.
    pub(super) fn of_transmission(us_per_byte: f64) -> Self {
        let bps = 8e6 / us_per_byte;
        RateEstimate {
            bps,
            uncertainty_bps: 0.01 * bps,
            taken_bps: roundest(bps, 0.01 * bps),
            overhead_bytes: 0.0,
            overhead_measured_bytes: 0.0,
            overhead_uncertainty_bytes: f64::INFINITY,
            departures: 0,
            periods: 0,
            waits_for_own_length: false,
        }
    }

    /// Us that a packet of `length` bytes takes at the bottleneck.
    pub(super) fn service(&self, length: f64) -> f64 {
        (length + self.overhead_bytes) * 8e6 / self.taken_bps
    }
}
