//! Acceptance bounds of a comparison: `[accept]` of a scenario, and `taunet compare --accept`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::captures::CaptureComparison;
use super::delays::DelayComparison;
use super::matching::Confusion;
use super::metrics::{Agreement, RelativeError};
use super::rtt::RttComparison;
use crate::scenario::Accept;
use crate::units::Span;

/// A figure and its bound.
struct Bound {
    metric: &'static str,
    relation: Relation,
    bound: Option<f64>,
    value: Option<f64>,
}

impl Bound {
    fn is_kept(&self) -> bool {
        match (self.bound, self.value) {
            (None, _) => true,
            // An undefined figure meets no bound.
            (Some(_), None) => false,
            (Some(bound), Some(value)) => match self.relation {
                Relation::AtMost => value <= bound,
                Relation::AtLeast => value >= bound,
            },
        }
    }
}

/// The direction of a bound.
#[derive(Clone, Copy)]
enum Relation {
    AtMost,
    AtLeast,
}

impl Relation {
    fn name(self) -> &'static str {
        match self {
            Relation::AtMost => "at most",
            Relation::AtLeast => "at least",
        }
    }
}

/// The result of checking the bounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AcceptSummary {
    /// Number of bounds.
    pub bounds: usize,
    /// Whether all bounds were met.
    pub passed: bool,
    /// The bounds that were missed.
    pub missed: Vec<MissedBound>,
}

/// A bound that was missed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MissedBound {
    /// The vantage, port or path.
    pub vantage: String,
    /// The metric.
    pub metric: &'static str,
    /// `at most` or `at least`.
    pub relation: &'static str,
    /// The bound.
    pub bound: f64,
    /// The figure; `None` if it is not defined.
    pub value: Option<f64>,
}

impl Default for AcceptSummary {
    fn default() -> Self {
        AcceptSummary { bounds: 0, passed: true, missed: Vec::new() }
    }
}

impl AcceptSummary {
    /// Checks the comparison at a vantage against its bounds.
    pub fn check(
        &mut self,
        vantage: &str,
        accept: &Accept,
        delays: Option<&DelayComparison>,
        loss: &Confusion,
    ) {
        self.hold(vantage, agreement_bounds(accept, delays, loss));
    }

    /// Checks the round-trip times at a port against their bounds.
    pub fn check_rtts(&mut self, accept: &Accept, found: &RttComparison) {
        let agreement = found.all.map(|all| all.agreement);
        let error = found.all.map(|all| RelativeError::new(&all.simulated_s, &all.measured_s));
        self.hold(&format!("round trips at {}", found.port), delay_bounds(accept, agreement, error));
    }

    /// Checks the path between two captures against its bounds.
    pub fn check_path(&mut self, path: &str, accept: &PathAccept, found: &CaptureComparison) {
        self.hold(path, path_bounds(accept, found));
    }

    fn hold(&mut self, vantage: &str, bounds: Vec<Bound>) {
        for bound in bounds {
            self.bounds += usize::from(bound.bound.is_some());
            if let (false, Some(limit)) = (bound.is_kept(), bound.bound) {
                self.passed = false;
                self.missed.push(MissedBound {
                    vantage: vantage.to_owned(),
                    metric: bound.metric,
                    relation: bound.relation.name(),
                    bound: limit,
                    value: bound.value,
                });
            }
        }
    }
}

fn bound(metric: &'static str, relation: Relation, bound: Option<f64>, value: Option<f64>) -> Bound {
    Bound { metric, relation, bound, value }
}

fn most(metric: &'static str, limit: Option<f64>, value: Option<f64>) -> Bound {
    bound(metric, Relation::AtMost, limit, value)
}

fn seconds(span: Option<Span>) -> Option<f64> {
    span.map(Span::as_seconds_f64)
}

fn agreement_bounds(accept: &Accept, delays: Option<&DelayComparison>, loss: &Confusion) -> Vec<Bound> {
    let agreement = delays.map(|delays| delays.agreement);
    let mut bounds = delay_bounds(accept, agreement, delays.map(|delays| delays.relative_error));
    let jitter_error = delays.and_then(|delays| {
        let (simulated, measured) = (delays.jitter_s.simulated?, delays.jitter_s.measured?);
        (measured != 0.0).then(|| (simulated - measured) / measured)
    });
    bounds.extend([
        most("jitter_relative_error", accept.jitter_relative_error, jitter_error.map(f64::abs)),
        most("drops_relative_error", accept.drops_relative_error, drops_relative_error(loss)),
    ]);
    bounds
}

/// The bounds on delays or round-trip times.
fn delay_bounds(accept: &Accept, agreement: Option<Agreement>, error: Option<RelativeError>) -> Vec<Bound> {
    let size = |value: Option<f64>| value.map(f64::abs);
    let least = |metric, limit, value| bound(metric, Relation::AtLeast, limit, value);
    vec![
        most("w1_normalized", accept.w1_normalized, agreement.and_then(|agreement| agreement.w1_normalized)),
        least("pearson", accept.pearson, agreement.and_then(|agreement| agreement.pearson)),
        least("spearman", accept.spearman, agreement.and_then(|agreement| agreement.spearman)),
        most("ks", accept.ks, agreement.map(|agreement| agreement.ks)),
        most("mae_s", seconds(accept.mae), agreement.map(|agreement| agreement.mae_s)),
        most(
            "median_abs_error_s",
            seconds(accept.median_abs_error),
            agreement.map(|agreement| agreement.median_abs_error_s),
        ),
        most(
            "p99_abs_error_s",
            seconds(accept.p99_abs_error),
            agreement.map(|agreement| agreement.p99_abs_error_s),
        ),
        most("mean_relative_error", accept.mean_relative_error, size(error.and_then(|error| error.mean))),
        most("p50_relative_error", accept.p50_relative_error, size(error.and_then(|error| error.p50))),
        most("p90_relative_error", accept.p90_relative_error, size(error.and_then(|error| error.p90))),
        most("p99_relative_error", accept.p99_relative_error, size(error.and_then(|error| error.p99))),
        most("p999_relative_error", accept.p999_relative_error, size(error.and_then(|error| error.p999))),
    ]
}

/// |simulated - measured| / measured drops; not defined if only the simulation dropped packets.
fn drops_relative_error(loss: &Confusion) -> Option<f64> {
    match (loss.simulated(), loss.measured()) {
        (0, 0) => Some(0.0),
        (_, 0) => None,
        (simulated, measured) => Some(simulated.abs_diff(measured) as f64 / measured as f64),
    }
}

/// Bounds on the path between two captures.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathAccept {
    /// Maximum of the mean one-way delay.
    pub delay_mean: Option<Span>,
    /// Maximum of the median one-way delay.
    pub delay_p50: Option<Span>,
    /// Maximum of the 90th percentile of the one-way delay.
    pub delay_p90: Option<Span>,
    /// Maximum of the 99th percentile of the one-way delay.
    pub delay_p99: Option<Span>,
    /// Maximum of the 99.9th percentile of the one-way delay.
    pub delay_p999: Option<Span>,
    /// Maximum jitter.
    pub jitter: Option<Span>,
    /// Maximum of the lost packets divided by the lost and matched packets.
    pub loss_ratio: Option<f64>,
    /// Maximum of the reordered packets divided by the matched packets.
    pub reordered_ratio: Option<f64>,
}

fn path_bounds(accept: &PathAccept, found: &CaptureComparison) -> Vec<Bound> {
    let delay = found.delay_s;
    let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    vec![
        most("delay_mean_s", seconds(accept.delay_mean), delay.map(|delay| delay.mean)),
        most("delay_p50_s", seconds(accept.delay_p50), delay.map(|delay| delay.p50)),
        most("delay_p90_s", seconds(accept.delay_p90), delay.map(|delay| delay.p90)),
        most("delay_p99_s", seconds(accept.delay_p99), delay.map(|delay| delay.p99)),
        most("delay_p999_s", seconds(accept.delay_p999), delay.map(|delay| delay.p999)),
        most("jitter_s", seconds(accept.jitter), found.jitter_s),
        most("loss_ratio", accept.loss_ratio, found.loss_ratio.map(|lost| lost.ratio)),
        most("reordered_ratio", accept.reordered_ratio, ratio(found.reordered, found.counts.matched)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_kept_on_its_own_side_and_not_by_what_is_undefined() {
        let kept = |relation, value| Bound { metric: "m", relation, bound: Some(0.5), value }.is_kept();
        assert!(
            kept(Relation::AtMost, Some(0.5))
                && !kept(Relation::AtMost, Some(0.6))
                && !kept(Relation::AtMost, None)
        );
        assert!(
            kept(Relation::AtLeast, Some(0.5))
                && !kept(Relation::AtLeast, Some(0.4))
                && !kept(Relation::AtLeast, Some(f64::NAN))
        );
    }

    #[test]
    fn drops_are_compared_where_reality_dropped() {
        let loss = |both, only_simulated, only_measured| Confusion {
            both,
            only_simulated,
            only_measured,
            neither: 9,
        };
        assert_eq!(drops_relative_error(&loss(8, 1, 2)), Some(0.1));
        assert_eq!(drops_relative_error(&loss(0, 0, 0)), Some(0.0));
        assert_eq!(drops_relative_error(&loss(0, 3, 0)), None);
    }

    #[test]
    fn errors_are_bounded_whatever_their_sign() {
        let delays = crate::compare::Delays { simulated: vec![1, 2, 3], measured: vec![2, 4, 6] };
        let found = crate::compare::compare_delays(&delays, &[0; 3]).unwrap();
        let accept = |bound| Accept {
            mean_relative_error: Some(bound),
            jitter_relative_error: Some(bound),
            ..Accept::default()
        };
        let missed = |bound| {
            let mut summary = AcceptSummary::default();
            summary.check("r1:1 egress", &accept(bound), Some(&found), &Confusion::default());
            (summary.bounds, summary.missed.iter().map(|missed| missed.metric).collect::<Vec<_>>())
        };
        assert_eq!(missed(0.5), (2, vec![]));
        assert_eq!(missed(0.4), (2, vec!["mean_relative_error", "jitter_relative_error"]));
    }
}
