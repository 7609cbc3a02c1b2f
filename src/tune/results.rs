//! The results of a search: its points in order, the best one, and a row per job.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray, UInt32Array};
use indexmap::IndexSet;

use super::file::Tune;
use super::search::PointResult;
use crate::sweep::{Mean, Parameter, Ran, Sweep, SweepResults};
use crate::table::{TableError, Tables, write_table};

/// The points of a search.
#[derive(Debug, Clone)]
pub struct TuneResults<'t> {
    tune: &'t Tune,
    points: &'t [PointResult],
}

impl<'t> TuneResults<'t> {
    /// Of these points, in the order of the search.
    pub fn new(tune: &'t Tune, points: &'t [PointResult]) -> Self {
        TuneResults { tune, points }
    }

    /// The best point with its metric: the first of equals.
    pub fn best(&self) -> Option<(&'t PointResult, Mean)> {
        let cost = |metric: &Mean| self.tune.objective.cost(metric.mean);
        let known = self.points.iter().filter_map(|point| Some((point, point.metric?)));
        known
            .filter(|(_, metric)| metric.mean.is_finite())
            .min_by(|(_, a), (_, b)| cost(a).total_cmp(&cost(b)))
    }

    /// The parameters whose best value is one of their bounds.
    pub fn at_bounds(&self) -> Vec<&'t str> {
        let Some((best, _)) = self.best() else { return Vec::new() };
        let bounds = self.tune.bounds.iter().zip(&best.point);
        bounds
            .filter(|(bound, value)| bound.is_at_bound(value))
            .map(|(bound, _)| bound.key.as_str())
            .collect()
    }

    /// All jobs as those of one sweep, whose points are those of the search. Starts that came to the same point share it.
    pub fn as_sweep(&self) -> (Sweep, Vec<Ran>) {
        let mut sweep = self.tune.sweep.clone();
        let distinct: IndexSet<&Vec<String>> = self.points.iter().map(|result| &result.point).collect();
        for (place, parameter) in sweep.parameters.iter_mut().enumerate() {
            let values: IndexSet<&String> = distinct.iter().map(|point| &point[place]).collect();
            parameter.values = values.into_iter().cloned().collect();
        }
        let places = |point: &&Vec<String>| {
            let place = |(parameter, value): (&Parameter, &String)| {
                parameter.values.iter().position(|known| known == value).unwrap_or_default()
            };
            sweep.parameters.iter().zip(point.iter()).map(place).collect()
        };
        let points = distinct.iter().map(places).collect();
        sweep.points = points;
        let mut seen = IndexSet::new();
        let mut ran = Vec::new();
        for result in self.points {
            let Some(point) = distinct.get_index_of(&result.point) else { continue };
            if seen.insert(point) {
                ran.extend(result.ran.iter().cloned().map(|mut ran| {
                    ran.job.point = point;
                    ran
                }));
            }
        }
        (sweep, ran)
    }

    /// Writes the tables `evaluations` (a row per point, in the order of the search) and `results` (a row per job).
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write(&self, tables: &dyn Tables) -> Result<(), TableError> {
        let (sweep, ran) = self.as_sweep();
        SweepResults::new(&sweep, &ran).write_results(tables)?;
        let points = self.points;
        let number = |of: &dyn Fn(usize, &PointResult) -> usize| {
            let numbers = points.iter().enumerate().map(|(place, point)| of(place, point) as u32);
            Arc::new(UInt32Array::from_iter_values(numbers)) as ArrayRef
        };
        let mean = |of: fn(&Mean) -> Option<f64>| {
            let values = points.iter().map(|point| of(point.metric.as_ref()?));
            Arc::new(Float64Array::from_iter(values)) as ArrayRef
        };
        let mut columns: Vec<(&str, ArrayRef)> =
            vec![("evaluation", number(&|place, _| place)), ("start", number(&|_, point| point.start))];
        for (place, bound) in self.tune.bounds.iter().enumerate() {
            let numbers: Option<Vec<f64>> =
                points.iter().map(|point| point.point[place].parse().ok()).collect();
            let column: ArrayRef = match numbers {
                Some(numbers) => Arc::new(Float64Array::from_iter_values(numbers)),
                None => {
                    let labels = points.iter().map(|point| Parameter::label(&point.point[place]));
                    Arc::new(StringArray::from_iter_values(labels))
                }
            };
            columns.push((&bound.key, column));
        }
        columns.push((self.tune.metric.as_str(), mean(|metric| Some(metric.mean))));
        columns.push(("half_width_95", mean(|metric| metric.half_width)));
        let cost = points.iter().map(|point| Some(self.tune.objective.cost(point.metric?.mean)));
        columns.push(("cost", Arc::new(Float64Array::from_iter(cost))));
        columns.push((
            "failed",
            number(&|_, point| point.ran.iter().filter(|ran| ran.done().is_none()).count()),
        ));
        write_table(tables, "evaluations", columns)
    }
}
