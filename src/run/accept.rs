//! The bounds of `[accept]`.

use super::summary::{AcceptSummary, MeasuredSummary, MissedBound};
use crate::compare::Confusion;
use crate::scenario::{Accept, Scenario};

/// A figure and the bound that it must keep.
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
            // What is not defined keeps no bound.
            (Some(_), None) => false,
            (Some(bound), Some(value)) => match self.relation {
                Relation::AtMost => value <= bound,
                Relation::AtLeast => value >= bound,
            },
        }
    }
}

/// On which side of its bound a figure must be.
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

/// Holds every measured capture against its bounds.
pub(super) fn check(scenario: &Scenario, measured: &[MeasuredSummary]) -> AcceptSummary {
    let mut summary = AcceptSummary { bounds: 0, passed: true, missed: Vec::new() };
    for (target, measured) in scenario.measured.iter().zip(measured) {
        for bound in bounds(&target.accept, measured) {
            summary.bounds += usize::from(bound.bound.is_some());
            if let (false, Some(limit)) = (bound.is_kept(), bound.bound) {
                summary.passed = false;
                summary.missed.push(MissedBound {
                    vantage: measured.vantage.clone(),
                    metric: bound.metric,
                    relation: bound.relation.name(),
                    bound: limit,
                    value: bound.value,
                });
            }
        }
    }
    summary
}

fn bounds(accept: &Accept, measured: &MeasuredSummary) -> [Bound; 6] {
    let agreement = measured.agreement;
    let bound = |metric, relation, bound, value| Bound { metric, relation, bound, value };
    [
        bound(
            "w1_normalized",
            Relation::AtMost,
            accept.w1_normalized,
            agreement.and_then(|agreement| agreement.w1_normalized),
        ),
        bound(
            "pearson",
            Relation::AtLeast,
            accept.pearson,
            agreement.and_then(|agreement| agreement.pearson),
        ),
        bound(
            "spearman",
            Relation::AtLeast,
            accept.spearman,
            agreement.and_then(|agreement| agreement.spearman),
        ),
        bound("ks", Relation::AtMost, accept.ks, agreement.map(|agreement| agreement.ks)),
        bound(
            "mae_s",
            Relation::AtMost,
            accept.mae.map(|span| span.as_seconds_f64()),
            agreement.map(|agreement| agreement.mae_s),
        ),
        bound(
            "drops_relative_error",
            Relation::AtMost,
            accept.drops_relative_error,
            drops_relative_error(&measured.loss),
        ),
    ]
}

/// |simulated - measured| / measured drops; not defined when only the simulation dropped.
fn drops_relative_error(loss: &Confusion) -> Option<f64> {
    match (loss.simulated(), loss.measured()) {
        (0, 0) => Some(0.0),
        (_, 0) => None,
        (simulated, measured) => Some(simulated.abs_diff(measured) as f64 / measured as f64),
    }
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
}
