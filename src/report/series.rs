//! Points over time in bounded number, with their extremes.

use serde_json::{Value, json};

use super::base64::{doubles, singles};
use crate::units::PS_PER_S;

const SECONDS: f64 = 1.0 / PS_PER_S as f64;

/// Points that are kept as they are, of all charts of a kind together; more become buckets.
const MOST_POINTS: usize = 60_000;
/// Buckets of one chart of many points, likewise shared.
const MOST_BUCKETS: usize = 16_384;
/// Buckets of one line of several, at least.
const LEAST_BUCKETS: usize = 512;
/// Bars of a chart of counts, about.
const BARS: f64 = 400.0;

/// Points of one chart that are held, at most; half of them are left out then.
const HELD: usize = 1 << 18;

/// Takes in points: a time since the start and `N` values, in picoseconds, in any order. Of very many, it holds
/// those that have the extremes of short intervals.
pub(crate) struct Reservoir<const N: usize> {
    points: Vec<(u64, [i64; N])>,
    is_thinned: bool,
    most_points: usize,
    most_buckets: usize,
}

/// Points of one chart, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Series {
    /// Every point: times `[points]`, and values of each line `[points]`.
    Points { times: Vec<f64>, lines: Vec<Vec<f64>> },
    /// The minimum and the maximum of each line in equal intervals of time; NaN where there is no value.
    Buckets { start: f64, width: f64, least: Vec<Vec<f64>>, greatest: Vec<Vec<f64>> },
}

impl Default for Series {
    fn default() -> Self {
        Series::Points { times: Vec::new(), lines: Vec::new() }
    }
}

impl<const N: usize> Reservoir<N> {
    /// For one of `charts` in a page.
    pub fn new(charts: usize) -> Self {
        let share = |most: usize| (most / charts.max(1)).max(2_048);
        let (most_points, most_buckets) = (share(MOST_POINTS), share(MOST_BUCKETS));
        Reservoir { points: Vec::new(), is_thinned: false, most_points, most_buckets }
    }

    #[inline]
    pub fn push(&mut self, time: u64, values: [i64; N]) {
        self.points.push((time, values));
        if self.points.len() == HELD {
            self.thin();
        }
    }

    /// Keeps the points with the extremes of each line in equal intervals.
    fn thin(&mut self) {
        let intervals = HELD / (4 * N);
        let times = || self.points.iter().map(|(time, _)| *time);
        let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        let width = (last - first) / intervals as u64 + 1;
        // The places of the least and of the greatest value of each line.
        let mut kept: Vec<[Option<(usize, usize)>; N]> = vec![[None; N]; intervals];
        for (place, (time, values)) in self.points.iter().enumerate() {
            let interval = &mut kept[((time - first) / width) as usize];
            for (line, value) in values.iter().enumerate() {
                let (least, greatest) = interval[line].get_or_insert((place, place));
                if *value < self.points[*least].1[line] {
                    *least = place;
                }
                if *value > self.points[*greatest].1[line] {
                    *greatest = place;
                }
            }
        }
        let both = |(least, greatest): (usize, usize)| [least, greatest];
        let mut places: Vec<usize> = kept.into_iter().flatten().flatten().flat_map(both).collect();
        places.sort_unstable();
        places.dedup();
        self.points = places.into_iter().map(|place| self.points[place]).collect();
        self.is_thinned = true;
    }

    pub fn into_series(self) -> Series {
        let Reservoir { mut points, is_thinned, most_points, most_buckets } = self;
        if points.len() <= most_points && !is_thinned {
            points.sort_by_key(|(time, _)| *time);
            let line = |line: usize| points.iter().map(|(_, values)| values[line] as f64 * SECONDS).collect();
            return Series::Points {
                times: points.iter().map(|(time, _)| *time as f64 * SECONDS).collect(),
                lines: (0..N).map(line).collect(),
            };
        }
        let times = || points.iter().map(|(time, _)| *time);
        let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        let width = (last - first) / most_buckets as u64 + 1;
        let buckets = ((last - first) / width + 1) as usize;
        let mut least = vec![[i64::MAX; N]; buckets];
        let mut greatest = vec![[i64::MIN; N]; buckets];
        for (time, values) in &points {
            let bucket = ((time - first) / width) as usize;
            for line in 0..N {
                least[bucket][line] = least[bucket][line].min(values[line]);
                greatest[bucket][line] = greatest[bucket][line].max(values[line]);
            }
        }
        let value = |value: i64| match value {
            i64::MAX | i64::MIN => f64::NAN,
            value => value as f64 * SECONDS,
        };
        let lines = |buckets: &[[i64; N]]| {
            (0..N).map(|line| buckets.iter().map(|values| value(values[line])).collect()).collect()
        };
        Series::Buckets {
            start: first as f64 * SECONDS,
            width: width as f64 * SECONDS,
            least: lines(&least),
            greatest: lines(&greatest),
        }
    }
}

impl Series {
    pub fn is_empty(&self) -> bool {
        matches!(self, Series::Points { times, .. } if times.is_empty())
    }

    /// As the page's script reads it.
    pub fn to_json(&self) -> Value {
        let all = |lines: &[Vec<f64>]| -> Vec<String> {
            lines.iter().map(|line| singles(line.iter().copied())).collect()
        };
        match self {
            Series::Points { times, lines } => json!({
                "times": doubles(times.iter().copied()),
                "lines": all(lines),
            }),
            Series::Buckets { start, width, least, greatest } => json!({
                "start": start,
                "width": width,
                "least": all(least),
                "greatest": all(greatest),
            }),
        }
    }
}

/// The extremes of several lines in equal intervals of time.
pub(super) struct Extremes {
    /// In picoseconds.
    width: u64,
    /// By line, by interval; NaN where there is no value.
    least: Vec<Vec<f64>>,
    greatest: Vec<Vec<f64>>,
}

impl Extremes {
    /// Of `lines` lines, from 0 to `end` picoseconds.
    pub fn new(end: u64, lines: usize) -> Self {
        let most = (MOST_BUCKETS / lines.max(1)).max(LEAST_BUCKETS) as u64;
        let width = end / most + 1;
        let empty = vec![vec![f64::NAN; (end / width) as usize + 1]; lines];
        Extremes { width, least: empty.clone(), greatest: empty }
    }

    /// The interval of an instant in picoseconds; the last one for instants after the end.
    fn interval(&self, at: u64) -> usize {
        let intervals = self.least.first().map_or(1, Vec::len);
        ((at / self.width) as usize).min(intervals - 1)
    }

    fn take(&mut self, interval: usize, line: usize, value: f64) {
        let (least, greatest) = (&mut self.least[line][interval], &mut self.greatest[line][interval]);
        *least = least.min(value);
        *greatest = greatest.max(value);
    }

    /// A line has a value at an instant in picoseconds.
    #[inline]
    pub fn push(&mut self, at: u64, line: usize, value: f64) {
        self.take(self.interval(at), line, value);
    }

    pub fn into_series(self) -> Series {
        let width = self.width as f64 * SECONDS;
        Series::Buckets { start: 0.0, width, least: self.least, greatest: self.greatest }
    }
}

/// Values that hold until the next one, of several lines: their extremes in equal intervals of time.
pub(super) struct Steps {
    extremes: Extremes,
    /// By line: the last value, and its interval.
    last: Vec<Option<(usize, f64)>>,
}

impl Steps {
    /// Of `lines` lines, from 0 to `end` picoseconds.
    pub fn new(end: u64, lines: usize) -> Self {
        Steps { extremes: Extremes::new(end, lines), last: vec![None; lines] }
    }

    /// A line has a value from an instant on, in picoseconds. Instants of a line ascend.
    pub fn push(&mut self, at: u64, line: usize, value: f64) {
        let interval = self.extremes.interval(at);
        if let Some((before, held)) = self.last[line].replace((interval, value)) {
            (before + 1..=interval).for_each(|interval| self.extremes.take(interval, line, held));
        }
        self.extremes.take(interval, line, value);
    }

    pub fn into_series(self) -> Series {
        self.extremes.into_series()
    }
}

/// Counts of each line per window of time.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Bars {
    /// In seconds.
    pub start: f64,
    /// In seconds.
    pub width: f64,
    /// By line, by window.
    pub counts: Vec<Vec<u64>>,
    /// The fractions of the first and of the last window that lie outside the recording.
    missing: [f64; 2],
}

impl Bars {
    /// The next window.
    pub fn push(&mut self, start_ps: u64, length_ps: u64, counts: &[u64]) {
        if self.counts.is_empty() {
            self.start = start_ps as f64 * SECONDS;
            self.width = length_ps as f64 * SECONDS;
            self.counts = vec![Vec::new(); counts.len()];
        }
        self.counts.iter_mut().zip(counts).for_each(|(counts, count)| counts.push(*count));
    }

    pub fn is_empty(&self) -> bool {
        self.counts.iter().flatten().all(|count| *count == 0)
    }

    /// The recording lasts from `first` to `last`, in seconds: the windows at both ends may be longer.
    pub fn cover(&mut self, first: f64, last: f64) {
        let windows = self.counts.first().map_or(0, Vec::len) as f64;
        let end = self.start + windows * self.width;
        // Rounding is no gap.
        let missing = |time: f64| match time / self.width {
            fraction if fraction > 1e-6 => fraction.min(1.0),
            _ => 0.0,
        };
        self.missing = [missing(first - self.start), missing(end - last)];
    }

    /// As the page's script reads it.
    pub fn to_json(&self) -> Value {
        let covered = self.missing.map(|missing| 1.0 - missing);
        json!({ "start": self.start, "width": self.width, "covered": covered, "counts": self.counts })
    }

    /// The same, with counts in base64.
    pub fn to_short_json(&self) -> Value {
        let line = |counts: &Vec<u64>| singles(counts.iter().map(|count| *count as f64));
        let mut json = self.to_json();
        json["counts"] = self.counts.iter().map(line).collect();
        json
    }
}

/// Bars in the making.
pub(super) struct Counts(Bars);

impl Counts {
    /// About 400 windows from 0 to `end` seconds, 1, 2 or 5 times a power of ten long, for each of `lines`.
    pub fn new(end: f64, lines: usize) -> Self {
        let width = nice(end / BARS);
        // The end of a window is not the start of another that is empty, however the division is rounded.
        let windows = ((end / width - 1e-9).ceil() as usize).max(1);
        let mut bars = Bars { start: 0.0, width, counts: vec![vec![0; windows]; lines], missing: [0.0; 2] };
        bars.cover(0.0, end);
        Counts(bars)
    }

    /// The windows of others.
    pub fn like(bars: &Bars, lines: usize) -> Self {
        let windows = bars.counts.first().map_or(0, Vec::len);
        Counts(Bars { counts: vec![vec![0; windows]; lines], ..bars.clone() })
    }

    /// Counts an amount at a time in picoseconds; times outside count in the nearest window.
    #[inline]
    pub fn count(&mut self, at_ps: u64, line: usize, amount: u64) {
        let Bars { start, width, counts, .. } = &mut self.0;
        let counts = &mut counts[line];
        let window = ((at_ps as f64 * SECONDS - *start) / *width).max(0.0) as usize;
        if let Some(last) = counts.len().checked_sub(1) {
            counts[window.min(last)] += amount;
        }
    }

    /// Spreads an amount evenly over an interval in picoseconds; over an empty one, it counts at its end.
    pub fn spread(&mut self, over: std::ops::Range<u64>, line: usize, amount: u64) {
        let length = over.end.saturating_sub(over.start);
        let window = self.0.width / SECONDS;
        let boundary = |at: u64| ((at as f64 / window).floor() + 1.0) * window;
        let (mut at, mut counted) = (over.start, 0);
        // The first part ends with its window. Each part is the amount up to its end, less the parts before.
        while length > 0 && boundary(at) < over.end as f64 {
            let end = boundary(at).ceil().max(at as f64 + 1.0) as u64;
            let part = (u128::from(amount) * u128::from(end - over.start) / u128::from(length)) as u64;
            self.count(at, line, part - counted);
            (at, counted) = (end, part);
        }
        self.count(at.min(over.end), line, amount - counted);
    }

    pub fn into_bars(self) -> Bars {
        self.0
    }
}

/// The smallest of 1, 2, 5, 10, 20, ... times a power of ten that is not below `least`; 1 for 0.
fn nice(least: f64) -> f64 {
    if least.is_nan() || least <= 0.0 {
        return 1.0;
    }
    let power = libm::pow(10.0, libm::log10(least).floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|length| *length >= least)
        .unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_points_stay_as_they_are_in_order_of_time() {
        let mut points = Reservoir::new(1);
        points.push(2_000_000_000_000, [5_000_000_000, 1]);
        points.push(1_000_000_000_000, [7_000_000_000, 2]);
        let Series::Points { times, lines } = points.into_series() else { panic!("points") };
        assert_eq!((times, lines[0].clone()), (vec![1.0, 2.0], vec![0.007, 0.005]));
    }

    #[test]
    fn of_many_points_the_extremes_are_kept() {
        let mut points = Reservoir::new(1);
        let value = |number: i64| if number == 700_001 { 9_000_000 } else { number % 1_000 };
        for number in 0..1_000_000 {
            // Nothing happens in the second quarter.
            if !(250_000..500_000).contains(&number) {
                points.push(number as u64 * 1_000, [value(number)]);
            }
        }
        let Series::Buckets { start, width, least, greatest } = points.into_series() else {
            panic!("buckets")
        };
        assert!(least[0].len() <= MOST_BUCKETS && least[0].len() > MOST_BUCKETS / 2);
        let most = greatest[0].iter().copied().fold(0.0, f64::max);
        assert_eq!(most, 9e-6);
        let bucket = greatest[0].iter().position(|value| *value == most).unwrap();
        let at = start + width * (bucket as f64 + 0.5);
        assert!((at - 700_001e3 * SECONDS).abs() <= width, "{at}");
        assert!(least[0][5_000].is_nan() && greatest[0][5_000].is_nan());
    }

    #[test]
    fn points_are_thinned_to_their_extremes() {
        let mut points = Reservoir::new(1);
        let all: Vec<(u64, [i64; 2])> = (0..2_000_000)
            .map(|number: i64| (number.unsigned_abs() * 1_000, [number * 7_919 % 10_007, -number % 1_009]))
            .collect();
        for (time, values) in &all {
            points.push(*time, *values);
            assert!(points.points.len() < HELD);
        }
        let Series::Buckets { start, width, least, greatest } = points.into_series() else {
            panic!("buckets")
        };
        // The extremes of each bucket, from its start on. An interval in two buckets has its extremes in one of them.
        let extremes = |bucket: usize, buckets: usize, line: usize| {
            let instant = |bucket: usize| ((start + width * bucket as f64) / SECONDS) as u64;
            let from = all.iter().skip((instant(bucket) / 1_000) as usize);
            let within = from.take_while(|(time, _)| *time < instant(bucket + buckets));
            within.fold((i64::MAX, i64::MIN), |(low, high), (_, values)| {
                (low.min(values[line]), high.max(values[line]))
            })
        };
        let picoseconds = |value: f64| (value / SECONDS).round() as i64;
        for (line, bucket) in
            (0..2).flat_map(|line| (1..least[0].len() - 1).map(move |bucket| (line, bucket)))
        {
            let (low, high) = extremes(bucket - 1, 3, line);
            let [lowest, greatest_of] = [&least, &greatest].map(|of| picoseconds(of[line][bucket]));
            assert!(lowest >= low && greatest_of <= high, "{line} {bucket}");
            let (low, high) = extremes(bucket, 1, line);
            let around = bucket - 1..=bucket + 1;
            let near = |of: &[Vec<f64>]| -> Vec<i64> {
                of[line][around.clone()].iter().map(|it| picoseconds(*it)).collect()
            };
            assert!(near(&least).into_iter().min() <= Some(low), "{line} {bucket}");
            assert!(near(&greatest).into_iter().max() >= Some(high), "{line} {bucket}");
        }
    }

    #[test]
    fn a_value_holds_until_the_next() {
        let mut steps = Steps::new(5_000 * 2_048, 8);
        let width = steps.extremes.width;
        for (part, value) in [(1, 7.0), (4, 3.0), (4, 9.0)] {
            steps.push(part * width + 2, 1, value);
        }
        let Series::Buckets { least, greatest, .. } = steps.into_series() else { panic!("buckets") };
        assert!(least[1][0].is_nan() && least[1][5].is_nan() && least[0][1].is_nan());
        assert_eq!(
            (&least[1][1..5], &greatest[1][1..5]),
            (&[7.0, 7.0, 7.0, 3.0][..], &[7.0, 7.0, 7.0, 9.0][..])
        );
    }

    #[test]
    fn an_amount_is_spread_over_its_windows() {
        let mut counts = Counts::new(1.0, 1);
        // Windows of 5 ms: half of one, two, and a fifth.
        counts.spread(2_500_000_000..16_000_000_000, 0, 135);
        counts.spread(20_000_000_000..20_000_000_000, 0, 7);
        counts.spread(21_000_000_000..22_000_000_000, 0, 3);
        assert_eq!(counts.into_bars().counts[0][..5], [25, 50, 50, 10, 10]);
    }

    #[test]
    fn windows_at_the_ends_are_covered_in_part() {
        // 201 windows of 10 ms; of the last one, 1 ms.
        let mut bars = Counts::new(2.001, 1).into_bars();
        assert_eq!((bars.width, bars.counts[0].len()), (0.01, 201));
        let covered = |bars: &Bars| {
            let json = bars.to_json();
            [0, 1].map(|end| (json["covered"][end].as_f64().unwrap() * 100.0).round())
        };
        assert_eq!(covered(&bars), [100.0, 10.0]);
        bars.cover(0.0075, 2.005);
        assert_eq!(covered(&bars), [25.0, 50.0]);
        assert_eq!(bars.to_short_json()["covered"], bars.to_json()["covered"]);
    }

    #[test]
    fn counts_fall_into_their_windows() {
        let mut counts = Counts::new(0.9, 2);
        for at in [0, 4_999_999_999, 5_000_000_000, 99_000_000_000_000] {
            counts.count(at, 1, 3);
        }
        let bars = counts.into_bars();
        assert_eq!((bars.width, bars.counts[1].len(), bars.missing), (0.005, 180, [0.0; 2]));
        let counts = &bars.counts;
        assert_eq!((counts[1][0], counts[1][1], counts[1][179], counts[0][0]), (6, 3, 3, 0));
        assert_eq!([0.0, 0.03, 0.05, 6.0].map(nice), [1.0, 0.05, 0.05, 10.0]);
    }
}
