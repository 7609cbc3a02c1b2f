//! The joined results of a sweep: a row per job, means over replications, and paired differences.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray, UInt32Array, UInt64Array};
use indexmap::{IndexMap, IndexSet};
use serde::Serialize;

use super::execute::Ran;
use super::file::Sweep;
use super::metrics::metrics;
use super::student::Mean;
use super::vary::Parameter;
use crate::table::{TableError, Tables, write_table};

/// The confidence of the intervals.
pub const CONFIDENCE: f64 = 0.95;

/// The results of the jobs that are done.
#[derive(Debug, Clone)]
pub struct SweepResults<'s> {
    sweep: &'s Sweep,
    /// In the order of the jobs.
    rows: Vec<Row>,
    /// The names of the metrics, in the order in which jobs have them.
    metrics: Vec<String>,
}

#[derive(Debug, Clone)]
struct Row {
    job: String,
    point: usize,
    replication: usize,
    seed: u64,
    fingerprint: String,
    metrics: IndexMap<String, f64>,
}

/// A metric over the replications of a point.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PointMean {
    /// The combination of values, by number.
    pub point: usize,
    /// The metric.
    pub metric: String,
    /// Its mean over the replications.
    #[serde(flatten)]
    pub mean: Mean,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

/// A metric at one value of a parameter less the metric at the parameter's first value, all else and the seed being equal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The key of the parameter, or the keys that change together.
    pub parameter: String,
    /// The combination of values, by number.
    pub point: usize,
    /// The one that it is compared with: that of the parameter's first value.
    pub baseline: usize,
    /// The metric.
    pub metric: String,
    /// The mean of the differences over the replications that both have.
    #[serde(flatten)]
    pub mean: Mean,
    /// The mean difference over the baseline's mean; none where that is 0.
    pub relative: Option<f64>,
}

impl<'s> SweepResults<'s> {
    /// Of the jobs that are done.
    pub fn new(sweep: &'s Sweep, ran: &[Ran]) -> Self {
        let mut names: IndexSet<String> = sweep.metrics.iter().cloned().collect();
        let all = names.is_empty();
        let mut rows = Vec::new();
        let mut ran: Vec<&Ran> = ran.iter().collect();
        ran.sort_by_key(|ran| (ran.job.point, ran.job.replication));
        for ran in ran {
            let (job, Some(hash), Some(done)) = (&ran.job, &ran.hash, ran.done()) else { continue };
            let found = metrics(&done.summary);
            if all {
                names.extend(found.keys().cloned());
            }
            rows.push(Row {
                job: hash.as_str().to_owned(),
                point: job.point,
                replication: job.replication,
                seed: job.seed,
                fingerprint: done.summary["fingerprint"].as_str().unwrap_or_default().to_owned(),
                metrics: found,
            });
        }
        SweepResults { sweep, rows, metrics: names.into_iter().collect() }
    }

    /// The names of the metrics.
    pub fn metrics(&self) -> &[String] {
        &self.metrics
    }

    /// How many jobs are done.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Metrics that the sweep names and that no job has.
    pub fn unknown_metrics(&self) -> Vec<&str> {
        let known = |name: &String| self.rows.iter().any(|row| row.metrics.contains_key(name));
        if self.rows.is_empty() {
            return Vec::new();
        }
        let named = self.sweep.metrics.iter().chain(self.sweep.stop.as_ref().map(|stop| &stop.metric));
        named.filter(|name| !known(name)).map(String::as_str).collect()
    }

    /// Whether all replications of each point are one and the same run: the scenario draws no random numbers.
    pub fn is_deterministic(&self) -> bool {
        let is_same =
            |pair: &[Row]| pair[0].point != pair[1].point || pair[0].fingerprint == pair[1].fingerprint;
        let is_pair = |pair: &[Row]| pair[0].point == pair[1].point;
        self.rows.windows(2).any(is_pair) && self.rows.windows(2).all(is_same)
    }

    /// A metric of the jobs of a point: its replications and values.
    fn values<'r>(&'r self, point: usize, metric: &'r str) -> impl Iterator<Item = (usize, f64)> + 'r {
        let start = self.rows.partition_point(|row| row.point < point);
        let of_point = self.rows[start..].iter().take_while(move |row| row.point == point);
        of_point.filter_map(move |row| Some((row.replication, *row.metrics.get(metric)?)))
    }

    /// Every metric of every point.
    pub fn means(&self) -> Vec<PointMean> {
        let mean = |(point, metric): (usize, &String)| {
            let values: Vec<f64> = self.values(point, metric).map(|(_, value)| value).collect();
            Some(PointMean {
                point,
                metric: metric.clone(),
                mean: Mean::of(&values, CONFIDENCE)?,
                min: values.iter().copied().reduce(f64::min)?,
                max: values.iter().copied().reduce(f64::max)?,
            })
        };
        let points = 0..self.sweep.points.len();
        points
            .flat_map(|point| self.metrics.iter().map(move |metric| (point, metric)))
            .filter_map(mean)
            .collect()
    }

    /// For each parameter, every point beside the one that has the parameter's first value and is the same in all else.
    /// Parameters that change together count as one.
    pub fn differences(&self) -> Vec<Difference> {
        let points = &self.sweep.points;
        let by_values: IndexMap<&[usize], usize> =
            points.iter().enumerate().map(|(point, values)| (values.as_slice(), point)).collect();
        let mut found = Vec::new();
        for axis in &self.sweep.axes {
            let keys: Vec<&str> =
                self.sweep.parameters[axis.clone()].iter().map(|parameter| parameter.key.as_str()).collect();
            let keys = keys.join(", ");
            for (point, values) in points.iter().enumerate() {
                let mut first = values.clone();
                first[axis.clone()].fill(0);
                let Some(baseline) = by_values.get(first.as_slice()).copied().filter(|first| *first != point)
                else {
                    continue;
                };
                let differ = |metric: &String| self.difference(metric, (point, baseline), &keys);
                found.extend(self.metrics.iter().filter_map(differ));
            }
        }
        found
    }

    fn difference(
        &self,
        metric: &str,
        (point, baseline): (usize, usize),
        parameter: &str,
    ) -> Option<Difference> {
        let before: IndexMap<usize, f64> = self.values(baseline, metric).collect();
        let pairs: Vec<(f64, f64)> = self
            .values(point, metric)
            .filter_map(|(replication, value)| Some((value, *before.get(&replication)?)))
            .collect();
        let differences: Vec<f64> = pairs.iter().map(|(value, before)| value - before).collect();
        let mean = Mean::of(&differences, CONFIDENCE)?;
        let base = pairs.iter().map(|(_, before)| before).sum::<f64>() / pairs.len() as f64;
        Some(Difference {
            parameter: parameter.to_owned(),
            point,
            baseline,
            metric: metric.to_owned(),
            mean,
            relative: (base != 0.0).then(|| mean.mean / base),
        })
    }

    /// A column per parameter, of a row's points: numbers where all of its values are.
    fn parameters(&self, points: &[usize]) -> Vec<(&str, ArrayRef)> {
        let column = |(place, parameter): (usize, &'s Parameter)| {
            let value = |point: &usize| self.sweep.value(*point, place);
            let is_number = parameter.values.iter().all(|value| value.parse::<f64>().is_ok());
            let column: ArrayRef = match is_number {
                true => Arc::new(Float64Array::from_iter(
                    points.iter().map(|point| value(point).parse::<f64>().ok()),
                )),
                false => {
                    let labels = points.iter().map(|point| Parameter::label(value(point)));
                    Arc::new(StringArray::from_iter_values(labels))
                }
            };
            (parameter.key.as_str(), column)
        };
        self.sweep.parameters.iter().enumerate().map(column).collect()
    }

    /// Writes the tables `results` (a row per job), `means` (a row per point and metric) and `differences` (a row per
    /// parameter, point and metric).
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write(&self, tables: &dyn Tables) -> Result<(), TableError> {
        self.write_results(tables)?;
        self.write_means(tables)?;
        self.write_differences(tables)
    }

    /// Writes the table `results` alone.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write_results(&self, tables: &dyn Tables) -> Result<(), TableError> {
        let rows = &self.rows;
        let text =
            |of: fn(&Row) -> &str| Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as ArrayRef;
        let number = |of: fn(&Row) -> usize| {
            Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| of(row) as u32))) as ArrayRef
        };
        let points: Vec<usize> = rows.iter().map(|row| row.point).collect();
        let seeds = UInt64Array::from_iter_values(rows.iter().map(|row| row.seed));
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            ("job", text(|row| &row.job)),
            ("point", number(|row| row.point)),
            ("replication", number(|row| row.replication)),
            ("seed", Arc::new(seeds)),
        ];
        columns.extend(self.parameters(&points));
        columns.push(("fingerprint", text(|row| &row.fingerprint)));
        columns.extend(self.metrics.iter().map(|name| {
            let values = rows.iter().map(|row| row.metrics.get(name).copied());
            (name.as_str(), Arc::new(Float64Array::from_iter(values)) as ArrayRef)
        }));
        write_table(tables, "results", columns)
    }

    fn write_means(&self, tables: &dyn Tables) -> Result<(), TableError> {
        let means = self.means();
        let points: Vec<usize> = means.iter().map(|of| of.point).collect();
        let mut columns = vec![("point", numbers(points.iter().copied()))];
        columns.extend(self.parameters(&points));
        columns.push((
            "metric",
            Arc::new(StringArray::from_iter_values(means.iter().map(|of| &of.metric))) as ArrayRef,
        ));
        columns.extend(mean_columns(means.iter().map(|of| &of.mean)));
        columns.push(("min", Arc::new(Float64Array::from_iter_values(means.iter().map(|of| of.min)))));
        columns.push(("max", Arc::new(Float64Array::from_iter_values(means.iter().map(|of| of.max)))));
        write_table(tables, "means", columns)
    }

    fn write_differences(&self, tables: &dyn Tables) -> Result<(), TableError> {
        let found = self.differences();
        let points: Vec<usize> = found.iter().map(|of| of.point).collect();
        let text = |of: fn(&Difference) -> &str| {
            Arc::new(StringArray::from_iter_values(found.iter().map(of))) as ArrayRef
        };
        let mut columns = vec![
            ("parameter", text(|of| &of.parameter)),
            ("point", numbers(points.iter().copied())),
            ("baseline", numbers(found.iter().map(|of| of.baseline))),
        ];
        columns.extend(self.parameters(&points));
        columns.push(("metric", text(|of| &of.metric)));
        columns.extend(mean_columns(found.iter().map(|of| &of.mean)));
        columns.push(("relative", Arc::new(Float64Array::from_iter(found.iter().map(|of| of.relative)))));
        write_table(tables, "differences", columns)
    }
}

fn numbers(of: impl Iterator<Item = usize>) -> ArrayRef {
    Arc::new(UInt32Array::from_iter_values(of.map(|number| number as u32)))
}

/// The columns of means.
fn mean_columns<'m>(means: impl Iterator<Item = &'m Mean> + Clone) -> Vec<(&'static str, ArrayRef)> {
    let float =
        |of: fn(&Mean) -> Option<f64>| Arc::new(Float64Array::from_iter(means.clone().map(of))) as ArrayRef;
    vec![
        ("replications", numbers(means.clone().map(|mean| mean.count))),
        ("mean", float(|mean| Some(mean.mean))),
        ("standard_deviation", float(|mean| mean.standard_deviation)),
        ("half_width_95", float(|mean| mean.half_width)),
    ]
}
