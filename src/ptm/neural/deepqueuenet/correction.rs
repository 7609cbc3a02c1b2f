//! Statistical error correction: the errors of training, by predicted value.

use super::super::{ModelError, Output, Tensors};
use crate::random::{self, Stream};

/// Bins of equal width over the predictions of a class.
pub const BINS: usize = 100;

/// The maximum number of errors kept per bin, as quantiles.
pub const KEPT: usize = 64;

/// The errors of each class.
///
/// # Source
/// SEC of DeepQueueNet (SIGCOMM 2022): the range of the training predictions is divided into 100 equal bins,
/// and an error drawn at random from the bin of a prediction is subtracted from it. The original keeps every
/// error; this implementation keeps 64 quantiles per bin.
#[derive(Debug, Clone, PartialEq)]
pub struct Correction(Vec<OfClass>);

#[derive(Debug, Clone, PartialEq)]
struct OfClass {
    /// The minimum and maximum prediction in training, in seconds.
    range: [f32; 2],
    /// Per bin, ascending errors `prediction - truth`, in seconds.
    bins: Vec<Vec<f32>>,
}

impl Correction {
    /// Computes the errors from pairs of prediction and truth of each class, in seconds.
    pub fn of(classes: &[Vec<(f32, f32)>]) -> Self {
        let of_class = |pairs: &Vec<(f32, f32)>| {
            let ends = pairs.iter().fold(None, |ends: Option<[f32; 2]>, &(prediction, _)| {
                let [least, most] = ends.unwrap_or([prediction; 2]);
                Some([least.min(prediction), most.max(prediction)])
            });
            let mut of_class = OfClass { range: ends.unwrap_or([0.0; 2]), bins: vec![Vec::new(); BINS] };
            for &(prediction, truth) in pairs {
                let bin = of_class.bin(prediction);
                of_class.bins[bin].push(prediction - truth);
            }
            of_class.bins.iter_mut().for_each(keep);
            of_class
        };
        Correction(classes.iter().map(of_class).collect())
    }

    /// Takes `correction.range` `[classes, 2]`, `correction.counts` `[classes, BINS]` and `correction.errors`
    /// `[classes, BINS, KEPT]`.
    ///
    /// # Errors
    /// An array is missing or has another shape, or the arrays contradict each other.
    pub fn take(tensors: &mut Tensors, classes: usize) -> Result<Self, ModelError> {
        let ranges = tensors.take("correction.range", &[classes, 2])?;
        let counts = tensors.take("correction.counts", &[classes, BINS])?;
        let errors = tensors.take("correction.errors", &[classes, BINS, KEPT])?;
        let mut all = Vec::new();
        let of_class =
            ranges.chunks_exact(2).zip(counts.chunks_exact(BINS)).zip(errors.chunks_exact(BINS * KEPT));
        for ((range, counts), errors) in of_class {
            let range = [range[0], range[1]];
            if range[0] > range[1] {
                return Err(ModelError::Contradiction(format!(
                    "`correction.range` goes from {} down to {}",
                    range[0], range[1]
                )));
            }
            let mut bins = Vec::new();
            for (&count, errors) in counts.iter().zip(errors.chunks_exact(KEPT)) {
                if !(0.0..=KEPT as f32).contains(&count) || count.fract() != 0.0 {
                    return Err(ModelError::Contradiction(format!(
                        "`correction.counts` contains {count}, but a bin has 0 to {KEPT} errors"
                    )));
                }
                bins.push(errors[..count as usize].to_vec());
            }
            all.push(OfClass { range, bins });
        }
        Ok(Correction(all))
    }

    /// Adds the arrays that [`take`](Self::take) takes.
    pub fn insert(&self, tensors: &mut Tensors) {
        let classes = self.0.len();
        let ranges = self.0.iter().flat_map(|class| class.range).collect();
        let bins = || self.0.iter().flat_map(|class| &class.bins);
        let counts = bins().map(|bin| bin.len() as f32).collect();
        let zeros = || std::iter::repeat(0.0);
        let errors = bins().flat_map(|bin| bin.iter().copied().chain(zeros()).take(KEPT)).collect();
        tensors.insert("correction.range", [classes, 2], ranges);
        tensors.insert("correction.counts", [classes, BINS], counts);
        tensors.insert("correction.errors", [classes, BINS, KEPT], errors);
    }

    /// A corrected prediction, in seconds; unchanged if its bin has no errors.
    pub fn correct(&self, class: usize, prediction: f32, output: Output, random: &mut Stream) -> f32 {
        let of_class = &self.0[class];
        let errors = &of_class.bins[of_class.bin(prediction)];
        if errors.is_empty() {
            return prediction;
        }
        let error = match output {
            Output::Sample => errors[(random::unit(random) * errors.len() as f64) as usize],
            Output::Median => (errors[(errors.len() - 1) / 2] + errors[errors.len() / 2]) / 2.0,
            Output::Mean => errors.iter().sum::<f32>() / errors.len() as f32,
        };
        prediction - error
    }
}

impl OfClass {
    /// The bin of a prediction; a prediction out of range belongs to the first or the last bin.
    fn bin(&self, prediction: f32) -> usize {
        let [least, most] = self.range;
        let place = (prediction - least) / (most - least) * BINS as f32;
        (place as usize).min(BINS - 1)
    }
}

/// Sorts errors, and keeps evenly spaced quantiles if there are too many.
fn keep(errors: &mut Vec<f32>) {
    errors.sort_unstable_by(f32::total_cmp);
    let count = errors.len();
    if count > KEPT {
        let quantile = |index: usize| errors[(2 * index + 1) * count / (2 * KEPT)];
        *errors = (0..KEPT).map(quantile).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        random::stream(1, "test", "correction")
    }

    #[test]
    fn an_error_of_the_same_bin_is_taken_from_a_prediction() {
        // From 0 to 10 s: a bin is 0.1 s wide.
        let correction =
            Correction::of(&[vec![(0.0, 1.0), (0.05, 2.05), (0.09, 3.09), (10.0, 7.0)], Vec::new()]);
        let correct =
            |class, prediction, output| correction.correct(class, prediction, output, &mut stream());
        assert!((correct(0, 0.02, Output::Median) - 2.02).abs() < 1e-5);
        assert!((correct(0, 0.02, Output::Mean) - 2.02).abs() < 1e-5);
        assert_eq!(correct(0, 9.95, Output::Mean), 6.95);
        assert_eq!(correct(0, 11.0, Output::Median), 8.0, "beyond the range: the last bin");
        assert!((correct(0, -1.0, Output::Median) - 1.0).abs() < 1e-5, "below it: the first");
        assert_eq!(correct(0, 5.0, Output::Sample), 5.0, "an empty bin");
        assert_eq!(correct(1, 5.0, Output::Sample), 5.0, "a class without errors");
        let mut random = stream();
        let mut drawn: Vec<f32> =
            (0..50).map(|_| correction.correct(0, 0.0, Output::Sample, &mut random).round()).collect();
        drawn.sort_unstable_by(f32::total_cmp);
        drawn.dedup();
        assert_eq!(drawn, [1.0, 2.0, 3.0]);
    }

    #[test]
    fn many_errors_become_quantiles() {
        let mut errors: Vec<f32> = (0..6_400).rev().map(|index| index as f32).collect();
        keep(&mut errors);
        let expected: Vec<f32> = (0..64).map(|index| (index * 100 + 50) as f32).collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn what_is_written_is_read_and_contradictions_are_told() {
        let correction = Correction::of(&[vec![(0.0, 1.0), (1.0, 0.5)], vec![(3.0, 3.0)]]);
        let mut tensors = Tensors::default();
        correction.insert(&mut tensors);
        assert_eq!(Correction::take(&mut tensors.clone(), 2), Ok(correction));
        assert!(matches!(Correction::take(&mut tensors.clone(), 1), Err(ModelError::Shape { .. })));
        let mut reversed = tensors.clone();
        reversed.insert("correction.range", [2, 2], vec![0.0, 1.0, 3.0, 2.0]);
        let told = Correction::take(&mut reversed, 2).unwrap_err().to_string();
        assert!(told.ends_with("`correction.range` goes from 3 down to 2"), "{told}");
        for wrong in [65.0, -1.0, 0.5] {
            let mut counts = tensors.clone();
            counts.insert("correction.counts", [2, BINS], vec![wrong; 2 * BINS]);
            let told = Correction::take(&mut counts, 2).unwrap_err().to_string();
            assert!(told.contains(&format!("contains {wrong}, but a bin has 0 to 64 errors")), "{told}");
        }
    }
}
