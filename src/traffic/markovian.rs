//! Markovian arrival processes (MAP), including Markov-modulated Poisson processes (MMPP).

use schemars::JsonSchema;
use serde::Deserialize;

use super::arrivals::{Arrivals, Clock};
use super::draw::{exponential, unit};
use super::mistake::Mistake;
use super::rate::{Gap, RateSpec};
use super::spec::generated;
use crate::config::Spanned;
use crate::random::Stream;
use crate::units::{PS_PER_S, Time};

generated!(
    /// The parameters of a `markovian`.
    MarkovianSpec {
        /// The process, by its two matrices; alternatively, give `mmpp_per_s`.
        #[schemars(with = "Option<MapSpec>")]
        map_per_s: Option<Spanned<MapSpec>>,
        /// The process, by a rate for each state of a Markov chain; alternatively, give `map_per_s`.
        #[schemars(with = "Option<MmppSpec>")]
        mmpp_per_s: Option<Spanned<MmppSpec>>,
        /// The mean rate of each sending host, to which the process is scaled in time (default: the process's
        /// own rate).
        #[schemars(with = "Option<RateSpec>")]
        rate: Option<Spanned<RateSpec>>,
    }
);

/// A square matrix, row by row.
pub type Matrix = Vec<Vec<f64>>;

/// A MAP: the rates of its state transitions, per second.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MapSpec {
    /// Rates of transitions without a packet. The diagonal has minus the rate of leaving the state, so each
    /// row of `d0 + d1` adds up to 0.
    #[schemars(with = "Matrix")]
    pub d0: Spanned<Matrix>,
    /// Rates of transitions with a packet. The diagonal has the rates of packets that keep the state.
    #[schemars(with = "Matrix")]
    pub d1: Spanned<Matrix>,
}

/// An MMPP: Poisson packets at a rate that depends on the state of a Markov chain.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MmppSpec {
    /// Packets per second in each state.
    #[schemars(with = "Vec<f64>")]
    pub rates: Spanned<Vec<f64>>,
    /// The generator of the chain: transition rates per second; the diagonal has minus their sum.
    #[schemars(with = "Matrix")]
    pub generator: Spanned<Matrix>,
}

/// A checked MAP.
///
/// # Source
/// Neuts, "A versatile Markovian point process", 1979; Lucantoni, "New results on the single server queue with
/// a batch Markovian arrival process", 1991.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    d0: Matrix,
    d1: Matrix,
    /// The fraction of time in each state.
    stationary: Vec<f64>,
}

/// Moments of the gaps between packets of a stationary MAP.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GapMoments {
    /// The mean in seconds.
    pub mean_s: f64,
    /// The squared coefficient of variation: variance divided by squared mean.
    pub squared_variation: f64,
    /// The correlation of successive gaps.
    pub lag_1_correlation: f64,
}

impl MapSpec {
    /// Checks and creates the process.
    ///
    /// # Errors
    /// The matrices are not square or differ in order, a sign is wrong, a row of their sum does not add up to
    /// 0, a state is unreachable from another, or there are no packets.
    pub fn resolve(&self) -> Result<Map, Mistake> {
        square(&self.d0, "d0", None)?;
        let order = self.d0.get_ref().len();
        square(&self.d1, "d1", Some(order))?;
        not_negative(&self.d0, "d0", true)?;
        not_negative(&self.d1, "d1", false)?;
        let (d0, d1) = (self.d0.get_ref().clone(), self.d1.get_ref().clone());
        balanced(&sum(&d0, &d1), &self.d0, "d0 + d1")?;
        Map::of(d0, d1, &self.d1)
    }
}

impl MmppSpec {
    /// Checks and creates the process: `d1` has the rates on its diagonal, and `d0` is the generator minus
    /// `d1`.
    ///
    /// # Errors
    /// As [`MapSpec::resolve`].
    pub fn resolve(&self) -> Result<Map, Mistake> {
        square(&self.generator, "generator", None)?;
        not_negative(&self.generator, "generator", true)?;
        let generator = self.generator.get_ref();
        balanced(generator, &self.generator, "generator")?;
        let rates = self.rates.get_ref();
        if rates.len() != generator.len() {
            let message = format!("{} rates for {} states", rates.len(), generator.len());
            return Err(Mistake::new(self.rates.span(), message).with_help("write one rate for each state"));
        }
        if let Some(rate) = rates.iter().find(|rate| !is_rate(**rate)) {
            return Err(Mistake::new(self.rates.span(), format!("a rate cannot be {rate}")));
        }
        let order = rates.len();
        let entry = |row: usize, column: usize| if row == column { rates[row] } else { 0.0 };
        let d1: Matrix =
            (0..order).map(|row| (0..order).map(|column| entry(row, column)).collect()).collect();
        let less = |(row, rates): (&Vec<f64>, &Vec<f64>)| row.iter().zip(rates).map(|(a, b)| a - b).collect();
        let d0 = generator.iter().zip(&d1).map(less).collect();
        Map::of(d0, d1, &self.rates)
    }
}

fn square(matrix: &Spanned<Matrix>, name: &str, order: Option<usize>) -> Result<(), Mistake> {
    let rows = matrix.get_ref().len();
    if rows == 0 {
        return Err(Mistake::new(matrix.span(), format!("`{name}` is empty")));
    }
    if let Some(row) = matrix.get_ref().iter().position(|row| row.len() != rows) {
        let message =
            format!("`{name}` is not square: row {} has {} of {rows}", row + 1, matrix.get_ref()[row].len());
        return Err(
            Mistake::new(matrix.span(), message).with_help("write one row and one column for each state")
        );
    }
    match order {
        Some(order) if order != rows => {
            let message = format!("`{name}` has {rows} rows, but `d0` has {order}");
            Err(Mistake::new(matrix.span(), message).with_help("write one row and one column for each state"))
        }
        _ => Ok(()),
    }
}

fn not_negative(matrix: &Spanned<Matrix>, name: &str, but_diagonal: bool) -> Result<(), Mistake> {
    for (row, entries) in matrix.get_ref().iter().enumerate() {
        for (column, entry) in entries.iter().enumerate() {
            let may_be_negative = but_diagonal && row == column;
            if !is_rate(entry.abs()) || (*entry < 0.0 && !may_be_negative) {
                let message = format!("row {}, column {} of `{name}` cannot be {entry}", row + 1, column + 1);
                let help = match but_diagonal {
                    true => "entries off the diagonal are rates: 0, or from 1e-9 to 1e12",
                    false => "rates are 0, or from 1e-9 to 1e12",
                };
                return Err(Mistake::new(matrix.span(), message).with_help(help));
            }
        }
    }
    Ok(())
}

/// Whether it is 0, or a rate that a run can distinguish from 0 and from infinity.
fn is_rate(rate: f64) -> bool {
    rate == 0.0 || (1e-9..=1e12).contains(&rate)
}

/// Checks that each row adds up to 0, within rounding.
fn balanced(generator: &Matrix, at: &Spanned<Matrix>, name: &str) -> Result<(), Mistake> {
    for (row, entries) in generator.iter().enumerate() {
        let (sum, size) =
            entries.iter().fold((0.0, 0.0), |(sum, size), entry| (sum + entry, size + f64::abs(*entry)));
        if sum.abs() > 1e-9 * size {
            let message = format!("row {} of `{name}` adds up to {sum}, not to 0", row + 1);
            let help = "the entry on the diagonal is minus the sum of all other rates of the row";
            return Err(Mistake::new(at.span(), message).with_help(help));
        }
    }
    Ok(())
}

fn sum(a: &Matrix, b: &Matrix) -> Matrix {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

/// A state that cannot reach, or cannot be reached from, all others in the graph of positive rates.
fn unreachable(generator: &Matrix) -> Option<usize> {
    let order = generator.len();
    let reached = |forward: bool| {
        let mut reached = vec![false; order];
        let mut open = vec![0];
        reached[0] = true;
        while let Some(state) = open.pop() {
            for next in 0..order {
                let rate = if forward { generator[state][next] } else { generator[next][state] };
                if !reached[next] && rate > 0.0 {
                    reached[next] = true;
                    open.push(next);
                }
            }
        }
        reached.iter().position(|reached| !reached)
    };
    reached(true).or_else(|| reached(false))
}

/// The stationary distribution of an irreducible generator, computed without subtractions.
///
/// # Source
/// Grassmann, Taksar, Heyman, "Regenerative analysis and steady state distributions for Markov chains", 1985.
fn stationary(generator: &Matrix) -> Vec<f64> {
    let order = generator.len();
    let mut rates = generator.clone();
    for last in (1..order).rev() {
        // Transitions to `last` are redirected to its successors.
        let (earlier, later) = rates.split_at_mut(last);
        let leads = &later[0][..last];
        let out: f64 = leads.iter().sum();
        for row in earlier {
            row[last] /= out;
            let part = row[last];
            row.iter_mut().zip(leads).for_each(|(rate, lead)| *rate += part * lead);
        }
    }
    let mut weights = vec![1.0; order];
    for last in 1..order {
        weights[last] = (0..last).map(|row| weights[row] * rates[row][last]).sum();
    }
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

/// The `x` with `matrix x = right`, for an invertible matrix: elimination with row pivots.
fn solve(matrix: &Matrix, right: &[f64]) -> Vec<f64> {
    let order = right.len();
    let mut rows: Matrix =
        matrix.iter().zip(right).map(|(row, right)| row.iter().copied().chain([*right]).collect()).collect();
    for pivot in 0..order {
        let largest = (pivot..order).max_by(|a, b| rows[*a][pivot].abs().total_cmp(&rows[*b][pivot].abs()));
        rows.swap(pivot, largest.unwrap_or(pivot));
        let pivot_row = rows[pivot].clone();
        for (index, row) in rows.iter_mut().enumerate() {
            if index != pivot {
                let factor = row[pivot] / pivot_row[pivot];
                row.iter_mut().zip(&pivot_row).for_each(|(entry, above)| *entry -= factor * above);
            }
        }
    }
    rows.iter().enumerate().map(|(index, row)| row[order] / row[index]).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Map {
    fn of<T>(d0: Matrix, d1: Matrix, at: &Spanned<T>) -> Result<Self, Mistake> {
        let generator = sum(&d0, &d1);
        if d1.iter().flatten().all(|rate| *rate == 0.0) {
            return Err(Mistake::new(at.span(), "there are no packets: every rate is 0"));
        }
        if let Some(state) = unreachable(&generator) {
            let message = format!("not every state can be reached from every other: see state {}", state + 1);
            return Err(Mistake::new(at.span(), message).with_help("the chain must be irreducible"));
        }
        /// More would make the simulation too slow.
        const MOST_CHANGES: f64 = 1e6;
        let stationary = stationary(&generator);
        let map = Map { d0, d1, stationary };
        // The changes up to the next packet, from the state with the most: the stationary mean hides a state that
        // is rare, where the process would stay longer than any run.
        let leaving: Vec<f64> = map.d0.iter().enumerate().map(|(state, row)| -row[state]).collect();
        let changes = solve(&map.minus_d0(), &leaving);
        // Rounding makes numbers that are too large negative, or none.
        let is_small = |changes: &f64| (0.5..=MOST_CHANGES).contains(changes);
        if !changes.iter().all(is_small) {
            let most = (0..changes.len()).max_by(|a, b| changes[*a].abs().total_cmp(&changes[*b].abs()));
            let state = most.unwrap_or(0);
            let message = format!(
                "there are more than {MOST_CHANGES:.0} changes of state up to the next packet from state {}",
                state + 1
            );
            return Err(Mistake::new(at.span(), message).with_help("the maximum is a million on average"));
        }
        Ok(map)
    }

    fn minus_d0(&self) -> Matrix {
        self.d0.iter().map(|row| row.iter().map(|rate| -rate).collect()).collect()
    }

    /// Packets per second in the steady state: `pi D1 1`.
    pub fn packets_per_s(&self) -> f64 {
        self.stationary.iter().zip(&self.d1).map(|(part, row)| part * row.iter().sum::<f64>()).sum()
    }

    /// The moments of the gaps between packets, in the steady state.
    pub fn gap_moments(&self) -> GapMoments {
        let order = self.d0.len();
        let rate = self.packets_per_s();
        // The distribution of the state just after a packet.
        let after = |column: usize| {
            self.stationary.iter().zip(&self.d1).map(|(part, row)| part * row[column]).sum::<f64>() / rate
        };
        let after: Vec<f64> = (0..order).map(after).collect();
        let minus_d0 = self.minus_d0();
        let first = solve(&minus_d0, &vec![1.0; order]);
        let second = solve(&minus_d0, &first);
        let mean_s = dot(&after, &first);
        let variance = 2.0 * dot(&after, &second) - mean_s * mean_s;
        // E[gap, next gap] = after (-D0)^-2 D1 (-D0)^-1 1
        let next: Vec<f64> = self.d1.iter().map(|row| dot(row, &first)).collect();
        let product = dot(&after, &solve(&minus_d0, &solve(&minus_d0, &next)));
        GapMoments {
            mean_s,
            squared_variation: variance / (mean_s * mean_s),
            lag_1_correlation: (product - mean_s * mean_s) / variance,
        }
    }
}

/// A transition: the largest draw for which it is taken, its target, and whether it sends a packet.
#[derive(Debug, Clone, Copy)]
struct Change {
    up_to: f64,
    to: u32,
    sends: bool,
}

/// A running MAP.
pub struct Markovian {
    clock: Clock,
    state: u32,
    begun: bool,
    stationary: Vec<f64>,
    /// Per state: the mean time until it changes, in picoseconds, and its transitions.
    states: Vec<(f64, Box<[Change]>)>,
}

impl Markovian {
    /// The process from `start` on, in its stationary distribution, scaled to the mean `gap` if given.
    pub fn new(map: &Map, gap: Option<Gap>, start: Time) -> Self {
        let speed = gap.map_or(1.0, |gap| gap.as_packets_per_s() / map.packets_per_s());
        let state = |(d0, d1): (&Vec<f64>, &Vec<f64>)| {
            let hidden =
                d0.iter().enumerate().filter(|(_, rate)| **rate > 0.0).map(|(to, rate)| (to, *rate, false));
            let sent =
                d1.iter().enumerate().filter(|(_, rate)| **rate > 0.0).map(|(to, rate)| (to, *rate, true));
            let changes: Vec<(usize, f64, bool)> = hidden.chain(sent).collect();
            let total: f64 = changes.iter().map(|(_, rate, _)| rate).sum();
            let mut reached = 0.0;
            let mut changes: Box<[Change]> = changes
                .into_iter()
                .map(|(to, rate, sends)| {
                    reached += rate / total;
                    Change { up_to: reached, to: to as u32, sends }
                })
                .collect();
            if let Some(last) = changes.last_mut() {
                last.up_to = f64::INFINITY;
            }
            (PS_PER_S as f64 / (total * speed), changes)
        };
        Markovian {
            clock: Clock::new(start),
            state: 0,
            begun: false,
            stationary: map.stationary.clone(),
            states: map.d0.iter().zip(&map.d1).map(state).collect(),
        }
    }

    fn begin(&mut self, random: &mut Stream) {
        self.begun = true;
        let mut left = unit(random);
        for (state, part) in self.stationary.iter().enumerate() {
            self.state = state as u32;
            left -= part;
            if left <= 0.0 {
                break;
            }
        }
    }
}

impl Arrivals for Markovian {
    #[inline]
    fn next_instant(&mut self, random: &mut Stream) -> Time {
        if !self.begun {
            self.begin(random);
        }
        let mut gap = 0.0;
        loop {
            let (mean, changes) = &self.states[self.state as usize];
            gap += mean * exponential(random);
            let drawn = unit(random);
            let change =
                changes.iter().find(|change| drawn <= change.up_to).expect("the last takes every draw");
            self.state = change.to;
            if change.sends {
                return self.clock.advance(gap);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::statistics::{gaps_s, lag_1_correlation, moments};

    fn map(d0: &[&[f64]], d1: &[&[f64]]) -> Result<Map, Mistake> {
        let matrix = |rows: &[&[f64]]| rows.iter().map(|row| row.to_vec()).collect();
        MapSpec { d0: Spanned::new(1..2, matrix(d0)), d1: Spanned::new(3..4, matrix(d1)) }.resolve()
    }

    fn mmpp(rates: &[f64], generator: &[&[f64]]) -> Result<Map, Mistake> {
        let generator = generator.iter().map(|row| row.to_vec()).collect();
        MmppSpec { rates: Spanned::new(1..2, rates.to_vec()), generator: Spanned::new(3..4, generator) }
            .resolve()
    }

    #[track_caller]
    fn agree(map: &Map, gap: Option<Gap>) {
        let theory = map.gap_moments();
        let speed = gap.map_or(1.0, |gap| gap.as_packets_per_s() / map.packets_per_s());
        let gaps = gaps_s(&mut Markovian::new(map, gap, Time::ZERO), 1_000_000);
        let (mean, variation) = moments(&gaps);
        let correlation = lag_1_correlation(&gaps);
        assert!((mean * speed / theory.mean_s - 1.0).abs() < 0.01, "{mean}, not {}", theory.mean_s);
        assert!((theory.mean_s * map.packets_per_s() - 1.0).abs() < 1e-12);
        let expected = theory.squared_variation;
        assert!((variation / expected - 1.0).abs() < 0.03, "{variation}, not {expected}");
        let expected = theory.lag_1_correlation;
        assert!((correlation - expected).abs() < 0.01, "{correlation}, not {expected}");
    }

    #[test]
    fn one_state_is_poisson() {
        let map = map(&[&[-5e3]], &[&[5e3]]).unwrap();
        let moments = map.gap_moments();
        assert!((moments.mean_s - 2e-4).abs() < 1e-16 && (moments.squared_variation - 1.0).abs() < 1e-12);
        assert!(moments.lag_1_correlation.abs() < 1e-12);
        agree(&map, None);
    }

    #[test]
    fn an_erlang_is_more_even_than_poisson() {
        // Two phases of 1/1000 s: variation 1/2, and no correlation.
        let map = map(&[&[-1e3, 1e3], &[0.0, -1e3]], &[&[0.0, 0.0], &[1e3, 0.0]]).unwrap();
        let moments = map.gap_moments();
        assert!((moments.mean_s - 2e-3).abs() < 1e-15 && (moments.squared_variation - 0.5).abs() < 1e-12);
        agree(&map, None);
    }

    #[test]
    fn an_mmpp_has_the_moments_of_its_matrices() {
        let map = mmpp(&[10_000.0, 500.0], &[&[-200.0, 200.0], &[100.0, -100.0]]).unwrap();
        // A third of the time is spent in the first state.
        assert!((map.packets_per_s() - (10_000.0 + 2.0 * 500.0) / 3.0).abs() < 1e-9);
        assert!(map.gap_moments().squared_variation > 2.0);
        assert!(map.gap_moments().lag_1_correlation > 0.1);
        agree(&map, None);
        // Scaled to 1 packet per microsecond; all else is the same.
        agree(&map, Some(Gap::new(1_000_000, 1)));
    }

    #[test]
    fn a_map_of_three_states_has_the_moments_of_its_matrices() {
        let map = map(
            &[&[-3e3, 1e3, 0.0], &[0.0, -5e2, 3e2], &[1e1, 0.0, -2e4]],
            &[&[1e3, 0.0, 1e3], &[0.0, 2e2, 0.0], &[9_990.0, 1e4, 0.0]],
        );
        agree(&map.unwrap(), None);
    }

    #[test]
    fn matrices_that_make_no_process_are_told() {
        let told = |map: Result<Map, Mistake>| map.unwrap_err().message;
        assert_eq!(told(map(&[], &[])), "`d0` is empty");
        assert_eq!(told(map(&[&[-1.0, 0.0]], &[&[1.0]])), "`d0` is not square: row 1 has 2 of 1");
        let two: &[&[f64]] = &[&[-2.0, 1.0], &[1.0, -2.0]];
        assert_eq!(told(map(two, &[&[1.0]])), "`d1` has 1 rows, but `d0` has 2");
        assert_eq!(told(map(&[&[-1.0, -1.0], &[1.0, -2.0]], two)), "row 1, column 2 of `d0` cannot be -1");
        assert_eq!(told(map(two, two)), "row 1, column 1 of `d1` cannot be -2");
        assert_eq!(told(map(two, &[&[1.0, 0.0], &[f64::NAN, 1.0]])), "row 2, column 1 of `d1` cannot be NaN");
        assert_eq!(
            told(map(two, &[&[1.0, 0.0], &[0.5, 1.0]])),
            "row 2 of `d0 + d1` adds up to 0.5, not to 0"
        );
        assert_eq!(
            told(map(&[&[-1.0, 0.0], &[0.0, -1.0]], &[&[1.0, 0.0], &[0.0, 1.0]])),
            "not every state can be reached from every other: see state 2"
        );
        assert_eq!(
            told(map(&[&[-1.0, 1.0], &[0.0, -1.0]], &[&[0.0, 0.0], &[0.0, 1.0]])),
            "not every state can be reached from every other: see state 2"
        );
        let none: &[&[f64]] = &[&[0.0, 0.0], &[0.0, 0.0]];
        assert_eq!(told(map(&[&[-1.0, 1.0], &[1.0, -1.0]], none)), "there are no packets: every rate is 0");
        assert_eq!(
            told(mmpp(&[1e300, 1.0], &[&[-1.0, 1.0], &[1.0, -1.0]])),
            format!("a rate cannot be {}", 1e300)
        );
        let busy: &[&[f64]] = &[&[-1e9, 1e9], &[1e9, -1e9]];
        let many = |state| {
            format!("there are more than 1000000 changes of state up to the next packet from state {state}")
        };
        assert_eq!(told(mmpp(&[1.0, 1.0], busy)), many(2));
        // Half of the time in states 2 and 3, in visits of 30 years: one change per packet on average.
        let rare: &[&[f64]] = &[&[-1e-9, 1e-9, 0.0], &[1e-9, -1e12, 1e12], &[0.0, 1e12, -1e12]];
        assert_eq!(told(mmpp(&[1e12, 0.0, 0.0], rare)), many(2));
        assert_eq!(told(mmpp(&[1.0], &[&[-1.0, 1.0], &[1.0, -1.0]])), "1 rates for 2 states");
        assert_eq!(told(mmpp(&[1.0, -1.0], &[&[-1.0, 1.0], &[1.0, -1.0]])), "a rate cannot be -1");
        assert_eq!(
            told(mmpp(&[1.0, 1.0], &[&[-1.0, 2.0], &[1.0, -1.0]])),
            "row 1 of `generator` adds up to 1, not to 0"
        );
        assert_eq!(
            told(mmpp(&[0.0, 0.0], &[&[-1.0, 1.0], &[1.0, -1.0]])),
            "there are no packets: every rate is 0"
        );
    }
}
