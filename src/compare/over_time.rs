//! Delay and rate over time, simulated and measured.

use serde::{Deserialize, Serialize};

use super::metrics::{ByOrigin, Delays};
use crate::units::PS_PER_S;

/// Approximate number of windows.
const WINDOWS: i64 = 400;
const SECONDS: f64 = 1.0 / PS_PER_S as f64;

/// One window of time at a vantage.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Window {
    /// Packets that pass the vantage in the window.
    pub packets: ByOrigin<u64>,
    /// Their bytes on the wire.
    pub bytes: ByOrigin<u64>,
    /// The sum of their delays, in picoseconds.
    pub delay_sum: ByOrigin<i128>,
}

impl<T: Default> Default for ByOrigin<T> {
    fn default() -> Self {
        ByOrigin { simulated: T::default(), measured: T::default() }
    }
}

impl Window {
    /// The mean delay of its packets, simulated and measured, in seconds.
    pub fn mean_delay_s(&self) -> ByOrigin<Option<f64>> {
        let mean = |sum: i128, packets: u64| (packets > 0).then(|| sum as f64 / packets as f64 * SECONDS);
        ByOrigin {
            simulated: mean(self.delay_sum.simulated, self.packets.simulated),
            measured: mean(self.delay_sum.measured, self.packets.measured),
        }
    }
}

/// Matched packets in windows by the time they pass the vantage, each side by its own time.
#[derive(Debug, Clone, PartialEq)]
pub struct Windows {
    /// Start of the first window, in picoseconds since the start of the run.
    pub start_ps: i64,
    /// Length of a window.
    pub length_ps: i64,
    /// The consecutive windows.
    pub windows: Vec<Window>,
}

/// Agreement of delay and rate over time. The length of a window is 1, 2 or 5 times a power of ten, for about
/// 400 windows. An undefined correlation is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OverTime {
    /// Length of a window, in seconds.
    pub window_s: f64,
    /// Number of windows.
    pub windows: usize,
    /// Correlation of the mean delays of windows with packets on both sides.
    pub delay_pearson: Option<f64>,
    /// Mean of |simulated - measured| mean delay over windows with packets on both sides, in seconds.
    pub delay_mae_s: Option<f64>,
    /// Correlation of the packets per window.
    pub rate_pearson: Option<f64>,
    /// Mean of |simulated - measured| packets per window, divided by the mean.
    pub rate_relative_mae: Option<f64>,
    /// Correlation of the bits per window.
    pub bit_rate_pearson: Option<f64>,
    /// Mean of |simulated - measured| bits per window, divided by the mean.
    pub bit_rate_relative_mae: Option<f64>,
}

impl Windows {
    /// Assigns packets `[packets]` with these lengths into windows, by when they pass the vantage, simulated
    /// and measured. `None` without packets.
    pub fn new(at_ps: &Delays, delays: &Delays, lengths: &[u32]) -> Option<Self> {
        let sides = [(&at_ps.simulated, &delays.simulated), (&at_ps.measured, &delays.measured)];
        let all = || sides.iter().flat_map(|(at, _)| at.iter().copied());
        let (first, last) = (all().min()?, all().max()?);
        let length_ps = nice_length((last - first) / WINDOWS);
        let start_ps = first.div_euclid(length_ps) * length_ps;
        let count = ((last - start_ps) / length_ps + 1) as usize;
        let mut windows = vec![Window::default(); count];
        for (side, (at, delays)) in sides.into_iter().enumerate() {
            for ((at, delay), length) in at.iter().zip(delays).zip(lengths) {
                let Window { packets, bytes, delay_sum } =
                    &mut windows[((at - start_ps) / length_ps) as usize];
                let (packets, bytes, sum) = match side {
                    0 => (&mut packets.simulated, &mut bytes.simulated, &mut delay_sum.simulated),
                    _ => (&mut packets.measured, &mut bytes.measured, &mut delay_sum.measured),
                };
                *packets += 1;
                *bytes += u64::from(*length);
                *sum += i128::from(*delay);
            }
        }
        Some(Windows { start_ps, length_ps, windows })
    }

    /// The metrics.
    pub fn summarize(&self) -> OverTime {
        let both = |window: &Window| {
            let mean = window.mean_delay_s();
            Some((mean.simulated?, mean.measured?))
        };
        let delays: Vec<(f64, f64)> = self.windows.iter().filter_map(both).collect();
        let of = |count: fn(&Window) -> ByOrigin<u64>| -> Vec<(f64, f64)> {
            let counts = self.windows.iter().map(count);
            counts.map(|count| (count.simulated as f64, count.measured as f64)).collect()
        };
        let (packets, bytes) = (of(|window| window.packets), of(|window| window.bytes));
        let mean_error = |pairs: &[(f64, f64)]| {
            let sum: f64 = pairs.iter().map(|(x, y)| (x - y).abs()).sum();
            (!pairs.is_empty()).then(|| sum / pairs.len() as f64)
        };
        let relative_error = |rates: &[(f64, f64)]| {
            let measured = rates.iter().map(|(_, measured)| measured).sum::<f64>() / rates.len() as f64;
            mean_error(rates).filter(|_| measured > 0.0).map(|error| error / measured)
        };
        OverTime {
            window_s: self.length_ps as f64 * SECONDS,
            windows: self.windows.len(),
            delay_pearson: correlation(&delays),
            delay_mae_s: mean_error(&delays),
            rate_pearson: correlation(&packets),
            rate_relative_mae: relative_error(&packets),
            bit_rate_pearson: correlation(&bytes),
            bit_rate_relative_mae: relative_error(&bytes),
        }
    }
}

/// The minimum of 1, 2, 5, 10, 20, ... picoseconds that is at least `length`.
pub(super) fn nice_length(length: i64) -> i64 {
    let mut power = 1i64;
    loop {
        for factor in [1, 2, 5] {
            if factor * power >= length {
                return factor * power;
            }
        }
        power *= 10;
    }
}

fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let (first_x, first_y) = *pairs.first()?;
    // A constant side has no variance; rounding must not create one.
    if pairs.iter().all(|(x, _)| *x == first_x) || pairs.iter().all(|(_, y)| *y == first_y) {
        return None;
    }
    let mean_x = pairs.iter().map(|(x, _)| x).sum::<f64>() / n;
    let mean_y = pairs.iter().map(|(_, y)| y).sum::<f64>() / n;
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        xx += (x - mean_x) * (x - mean_x);
        yy += (y - mean_y) * (y - mean_y);
        xy += (x - mean_x) * (y - mean_y);
    }
    let scale = xx.sqrt() * yy.sqrt();
    (scale > 0.0).then(|| xy / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_round_lengths() {
        assert_eq!([0, 1, 3, 5, 6, 11, 400, 501].map(nice_length), [1, 1, 5, 5, 10, 20, 500, 1_000]);
    }

    #[test]
    fn packets_are_counted_when_they_pass() {
        let at = |shift: i64| (0..1_000).map(|packet| 7 + packet * 10 + shift).collect::<Vec<i64>>();
        let at_ps = Delays { simulated: at(0), measured: at(3) };
        let delays = Delays { simulated: vec![4; 1_000], measured: (0..1_000).collect() };
        let lengths: Vec<u32> = (0..1_000).collect();
        let windows = Windows::new(&at_ps, &delays, &lengths).unwrap();
        assert_eq!((windows.start_ps, windows.length_ps, windows.windows.len()), (0, 50, 201));
        let second = windows.windows[1];
        assert_eq!(second.packets, ByOrigin { simulated: 5, measured: 5 });
        assert_eq!(second.bytes, ByOrigin { simulated: 5 + 6 + 7 + 8 + 9, measured: 4 + 5 + 6 + 7 + 8 });
        assert_eq!(second.delay_sum, ByOrigin { simulated: 20, measured: 4 + 5 + 6 + 7 + 8 });
        let summary = windows.summarize();
        assert_eq!(summary.delay_pearson, None, "the simulated delay is constant");
        assert_eq!(summary.window_s, 50e-12);
        assert!(Windows::new(&Delays::default(), &Delays::default(), &[]).is_none());
    }

    #[test]
    fn what_goes_alike_correlates() {
        let at: Vec<i64> = (0..5_000).map(|packet| packet * packet).collect();
        let delay: Vec<i64> = (0..5_000).map(|packet| packet % 700).collect();
        let same = |values: &[i64]| Delays { simulated: values.to_vec(), measured: values.to_vec() };
        let lengths: Vec<u32> = (0..5_000).map(|packet| 64 + packet % 1_400).collect();
        let summary = Windows::new(&same(&at), &same(&delay), &lengths).unwrap().summarize();
        assert!((summary.delay_pearson.unwrap() - 1.0).abs() < 1e-12);
        assert!((summary.rate_pearson.unwrap() - 1.0).abs() < 1e-12);
        assert!((summary.bit_rate_pearson.unwrap() - 1.0).abs() < 1e-12);
        assert_eq!((summary.delay_mae_s, summary.rate_relative_mae), (Some(0.0), Some(0.0)));
        assert_eq!(summary.bit_rate_relative_mae, Some(0.0));
    }
}
