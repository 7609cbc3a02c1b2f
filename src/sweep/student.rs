//! Means over replications, with Student's confidence intervals.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean, and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// How many values.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their sample standard deviation; none of a single value.
    pub standard_deviation: Option<f64>,
    /// Half the width of the confidence interval of the mean; none of a single value.
    pub half_width: Option<f64>,
}

impl Mean {
    /// Of some values, with an interval of this confidence (0 to 1); `None` without any.
    ///
    /// # Source
    /// A. M. Law, "Simulation Modeling and Analysis", 5th edition (2015), Section 4.5: the t confidence interval.
    pub fn of(values: &[f64], confidence: f64) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let standard_deviation = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
        let quantile = (count > 1)
            .then(|| StudentsT::new(0.0, 1.0, (count - 1) as f64).ok())
            .flatten()
            .map(|student| student.inverse_cdf(0.5 + confidence / 2.0));
        let half_width =
            standard_deviation.zip(quantile).map(|(deviation, t)| t * deviation / (count as f64).sqrt());
        Some(Mean { count, mean, standard_deviation, half_width })
    }

    /// Whether the half-width is at most this fraction of the mean. An interval of no width always is.
    pub fn is_within(&self, fraction: f64) -> bool {
        self.half_width.is_some_and(|half_width| half_width <= fraction * self.mean.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // Law (2015), Example 4.26: 10 observations, 90 %.
        let values = [1.20, 1.50, 1.68, 1.89, 0.95, 1.49, 1.58, 1.55, 0.50, 1.09];
        let mean = Mean::of(&values, 0.9).unwrap();
        assert!(
            (mean.mean - 1.343).abs() < 1e-3 && (mean.half_width.unwrap() - 0.2375).abs() < 2e-3,
            "{mean:?}"
        );
        assert!(mean.is_within(0.2) && !mean.is_within(0.1));
        let single = Mean::of(&[2.0], 0.95).unwrap();
        assert_eq!((single.mean, single.half_width, single.is_within(0.5)), (2.0, None, false));
        assert!(Mean::of(&[3.0, 3.0], 0.95).unwrap().is_within(1e-9));
        assert_eq!(Mean::of(&[], 0.95), None);
    }
}
