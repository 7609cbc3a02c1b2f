//! The search: simplices of Nelder and Mead over points, and the runs of each point.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use argmin::core::{CostFunction, Executor};
use argmin::solver::neldermead::NelderMead;
use rand::RngExt;

use super::file::{Objective, Tune};
use crate::random::stream;
use crate::sweep::{Execution, Mean, Outcome, Ran, Store, SweepError, execute, metrics};

/// The edges of successive simplices, as parts of the bounds. A simplex can collapse away from an optimum; another one around
/// its best point goes on (C. T. Kelley, "Detection and Remediation of Stagnation in the Nelder-Mead Algorithm", 1999).
const EDGES: [f64; 2] = [0.25, 0.05];

/// A simplex ends when the metric differs by less than this between its corners (standard deviation), relative to the metric's
/// first value, or to the target.
const TOLERANCE: f64 = 1e-4;

/// Places where a search tries to begin, as long as they have no metric.
const ATTEMPTS: usize = 10;

/// The confidence of the interval of a point's metric.
const CONFIDENCE: f64 = 0.95;

/// A point of the search: the values of its parameters, as they stand in TOML.
pub type Point = Vec<String>;

/// A point that was run.
#[derive(Debug, Clone)]
pub struct PointResult {
    /// The start whose search asked for it first.
    pub start: usize,
    /// Its values.
    pub point: Point,
    /// Its jobs.
    pub ran: Vec<Ran>,
    /// The metric over the jobs that have it.
    pub metric: Option<Mean>,
}

impl PointResult {
    /// The first of its jobs that failed: why.
    pub fn failure(&self) -> Option<&str> {
        self.ran.iter().find_map(|ran| match &ran.outcome {
            Outcome::Failed(error) => Some(error.as_str()),
            Outcome::Done(_) | Outcome::Missing => None,
        })
    }
}

/// Why the search from one place ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The simplex is small.
    Converged,
    /// All points that are allowed have run.
    Exhausted,
    /// The metric is the same at all points: nothing shows the way.
    Flat,
    /// No point that it began with has a metric.
    Failed,
}

/// How far a search is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TuneProgress {
    /// Points that are known.
    pub points: usize,
    /// The most points that there can be.
    pub at_most: usize,
    /// The metric of the best one.
    pub best: Option<f64>,
}

/// Searches; gives the points in the order of starts and of steps, and how each start's search ended. `progress` may break it
/// off: what is done by then is kept.
///
/// Starts run at the same time, as many as there are threads; each has its own points, so that the result does not depend on
/// the threads.
///
/// # Errors
/// The directory cannot be read or written, or `progress` broke it off. A job that fails is no error: its point is worse than
/// all others.
pub fn tune(
    tune: &Tune,
    store: &Store,
    execution: &Execution,
    progress: impl FnMut(TuneProgress) -> ControlFlow<()> + Send,
) -> Result<(Vec<PointResult>, Vec<Ending>), SweepError> {
    let workers = execution.threads.clamp(1, tune.starts);
    let execution = Execution { threads: (execution.threads / workers).max(1), ..execution.clone() };
    let watch = Mutex::new(Watch { progress, points: 0, best: None, is_broken_off: false });
    let next = AtomicUsize::new(0);
    let found = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let start = next.fetch_add(1, Ordering::Relaxed);
                    if start >= tune.starts {
                        break;
                    }
                    let mut search = Search {
                        tune,
                        store,
                        execution: &execution,
                        watch: &watch,
                        start,
                        results: Vec::new(),
                        known: BTreeMap::new(),
                        best: None,
                        is_exhausted: false,
                        unit: None,
                        wrong: None,
                    };
                    let ending = search.run();
                    let outcome = match search.wrong.take() {
                        Some(error) => Err(error),
                        None => Ok((search.results, ending)),
                    };
                    let ends = outcome.is_err();
                    found.lock().unwrap_or_else(PoisonError::into_inner).insert(start, outcome);
                    if ends {
                        next.store(tune.starts, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (mut results, mut endings) = (Vec::new(), Vec::new());
    for outcome in found.into_inner().unwrap_or_else(PoisonError::into_inner).into_values() {
        let (of_start, ending) = outcome?;
        results.extend(of_start);
        endings.push(ending);
    }
    Ok((results, endings))
}

/// What all searches tell of.
struct Watch<P> {
    progress: P,
    points: usize,
    /// The best point's cost and metric.
    best: Option<(f64, f64)>,
    is_broken_off: bool,
}

impl<P: FnMut(TuneProgress) -> ControlFlow<()>> Watch<P> {
    /// Tells how far the search is; gives whether it is broken off.
    fn tell(&mut self, tune: &Tune) -> bool {
        let progress = TuneProgress {
            points: self.points,
            at_most: tune.starts.saturating_mul(tune.evaluations),
            best: self.best.map(|(_, metric)| metric),
        };
        self.is_broken_off = self.is_broken_off || (self.progress)(progress).is_break();
        self.is_broken_off
    }
}

/// The search from one place.
struct Search<'a, P> {
    tune: &'a Tune,
    store: &'a Store,
    execution: &'a Execution,
    watch: &'a Mutex<Watch<P>>,
    start: usize,
    results: Vec<PointResult>,
    /// The costs of points.
    known: BTreeMap<Point, f64>,
    /// The lowest cost, and its place.
    best: Option<(f64, Vec<f64>)>,
    /// Whether it asked for more points than are allowed.
    is_exhausted: bool,
    /// What costs are divided by: the size of the metric.
    unit: Option<f64>,
    wrong: Option<SweepError>,
}

impl<P: FnMut(TuneProgress) -> ControlFlow<()>> Search<'_, P> {
    fn run(&mut self) -> Ending {
        let mut random = stream(self.tune.seed, "start", &self.start.to_string());
        let mut place = |_| random.random::<f64>();
        for attempt in 0..ATTEMPTS {
            let first: Vec<f64> = match (self.start, attempt) {
                (0, 0) => vec![0.5; self.tune.bounds.len()],
                _ => (0..self.tune.bounds.len()).map(&mut place).collect(),
            };
            if self.cost(&first).is_finite() || self.wrong.is_some() {
                break;
            }
        }
        for edge in EDGES {
            let Some((_, best)) = &self.best else { return Ending::Failed };
            let Ok(solver) = NelderMead::new(self.simplex(best, edge)).with_sd_tolerance(TOLERANCE) else {
                return Ending::Failed;
            };
            let most_steps = 10 * self.tune.evaluations as u64;
            let problem = Problem(RefCell::new(&mut *self));
            // Costs are numbers, so that the solver has no errors; what is found is kept in `self`.
            let _ = Executor::new(problem, solver)
                .configure(|state| state.max_iters(most_steps))
                .timer(false)
                .run();
            if self.wrong.is_some() || self.is_exhausted {
                return Ending::Exhausted;
            }
        }
        let mut costs = self.known.values();
        let first = costs.next();
        let is_met = matches!(self.tune.objective, Objective::Nearest(_)) && first == Some(&0.0);
        match self.known.len() > 1 && !is_met && costs.all(|cost| Some(cost) == first) {
            true => Ending::Flat,
            false => Ending::Converged,
        }
    }

    /// A corner, and one more along each parameter, inside the bounds, with another value.
    fn simplex(&self, corner: &[f64], edge: f64) -> Vec<Vec<f64>> {
        let along = |parameter: usize| {
            let mut other = corner.to_vec();
            let bound = &self.tune.bounds[parameter];
            let edge = bound.next_value(corner[parameter], edge);
            let up = other[parameter] + edge;
            let is_up = up <= 1.0 && bound.value(up) != bound.value(other[parameter]);
            other[parameter] += if is_up { edge } else { -edge };
            other
        };
        std::iter::once(corner.to_vec()).chain((0..corner.len()).map(along)).collect()
    }

    /// How bad a place is; infinite where it has no metric, and where it may not run any more.
    fn cost(&mut self, place: &[f64]) -> f64 {
        let inside: Vec<f64> = place.iter().map(|place| mirrored(*place)).collect();
        let point: Point =
            self.tune.bounds.iter().zip(&inside).map(|(bound, place)| bound.value(*place)).collect();
        if let Some(cost) = self.known.get(&point) {
            return *cost;
        }
        self.is_exhausted |= self.results.len() >= self.tune.evaluations;
        if self.is_exhausted || self.wrong.is_some() {
            return f64::INFINITY;
        }
        let result = match self.evaluate(&point) {
            Ok(result) => result,
            Err(error) => {
                self.wrong = Some(error);
                return f64::INFINITY;
            }
        };
        let metric = result.metric.map(|metric| metric.mean).filter(|metric| metric.is_finite());
        let cost = match metric {
            Some(metric) => {
                let size = match self.tune.objective {
                    Objective::Nearest(target) => target,
                    Objective::Smallest | Objective::Largest => metric,
                };
                let unit = *self.unit.get_or_insert(if size == 0.0 { 1.0 } else { size.abs() });
                self.tune.objective.cost(metric) / unit
            }
            None => f64::INFINITY,
        };
        if cost.is_finite() && self.best.as_ref().is_none_or(|(best, _)| cost < *best) {
            self.best = Some((cost, inside));
        }
        self.known.insert(point, cost);
        self.results.push(result);
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.points += 1;
        if let Some(metric) = metric
            && watch.best.is_none_or(|(best, _)| self.tune.objective.cost(metric) < best)
        {
            watch.best = Some((self.tune.objective.cost(metric), metric));
        }
        drop(watch);
        cost
    }

    /// Runs the jobs of a point that are not done.
    fn evaluate(&self, point: &Point) -> Result<PointResult, SweepError> {
        let sweep = self.tune.at(point);
        let ran = execute(&sweep, self.store, self.execution, |_, _| {
            let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
            match watch.tell(self.tune) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        let value = |ran: &Ran| metrics(&ran.done()?.summary).get(&self.tune.metric).copied();
        let failed = ran.iter().any(|ran| ran.done().is_none());
        let values: Vec<f64> = ran.iter().filter_map(value).collect();
        // A mean over some of the seeds is no mean that others can be compared with.
        let metric = (!failed && values.len() == ran.len()).then(|| Mean::of(&values, CONFIDENCE)).flatten();
        Ok(PointResult { start: self.start, point: point.clone(), ran, metric })
    }
}

/// Places outside of the bounds, folded back at them.
fn mirrored(place: f64) -> f64 {
    let place = place.rem_euclid(2.0);
    if place > 1.0 { 2.0 - place } else { place }
}

/// The search as `argmin` sees it.
struct Problem<'s, 'a, P>(RefCell<&'s mut Search<'a, P>>);

impl<P: FnMut(TuneProgress) -> ControlFlow<()>> CostFunction for Problem<'_, '_, P> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, place: &Vec<f64>) -> Result<f64, argmin::core::Error> {
        Ok(self.0.borrow_mut().cost(place))
    }
}
