//! The ranges of the features in training. Inputs are clamped to them: outside its training range a network
//! may give any output, and this output is a feature of the next packet.

use super::{CHOICE_FEATURES, DROP_FEATURES, LATENESS_FEATURES, SENT_FEATURES};
use crate::ptm::neural::{ModelError, Tensors};

/// The minimum and maximum of each feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    least: Vec<f32>,
    most: Vec<f32>,
}

impl Range {
    fn new(features: usize) -> Self {
        Range { least: vec![f32::INFINITY; features], most: vec![f32::NEG_INFINITY; features] }
    }

    /// Widens the range to include `rows` `[rows, features]`.
    pub fn see(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.least.len()) {
            for ((x, least), most) in row.iter().zip(&mut self.least).zip(&mut self.most) {
                *least = least.min(*x);
                *most = most.max(*x);
            }
        }
    }

    /// Clamps `rows` `[rows, features]` to the range.
    #[inline]
    pub fn hold(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.least.len()) {
            for ((x, &least), &most) in row.iter_mut().zip(&self.least).zip(&self.most) {
                *x = x.max(least).min(most);
            }
        }
    }
}

/// The ranges of all networks.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranges {
    /// Of the features of a sent packet.
    pub sent: Range,
    /// Of the features for the sending time.
    pub lateness: Range,
    /// Of the features for the choice of a class.
    pub choice: Range,
    /// Of the features of an arriving packet.
    pub drop: Range,
}

impl Ranges {
    /// Creates empty ranges for `classes` classes.
    pub fn new(classes: usize) -> Self {
        let [sent, lateness, choice, drop] = sizes(classes).map(|(_, size)| Range::new(size));
        Ranges { sent, lateness, choice, drop }
    }

    /// Adds them to the weights.
    pub fn insert(&self, classes: usize, tensors: &mut Tensors) {
        let all = [&self.sent, &self.lateness, &self.choice, &self.drop];
        for (range, (name, size)) in all.into_iter().zip(sizes(classes)) {
            // A feature that never occurred has infinite bounds, and a file holds only finite numbers.
            let ends = range.least.iter().chain(&range.most);
            let values = ends.map(|end| if end.is_finite() { *end } else { 0.0 }).collect();
            tensors.insert(name, [2, size], values);
        }
    }

    /// Takes them from the weights.
    ///
    /// # Errors
    /// An array is missing or has another shape, or a minimum exceeds its maximum.
    pub fn take(classes: usize, tensors: &mut Tensors) -> Result<Self, ModelError> {
        let mut take = |(name, size): (&str, usize)| {
            let mut least = tensors.take(name, &[2, size])?;
            let most = least.split_off(size);
            match least.iter().zip(&most).all(|(least, most)| least <= most) {
                true => Ok(Range { least, most }),
                false => {
                    Err(ModelError::Contradiction(format!("`{name}` must have the smaller bound first")))
                }
            }
        };
        let [sent, lateness, choice, drop] = sizes(classes);
        Ok(Ranges { sent: take(sent)?, lateness: take(lateness)?, choice: take(choice)?, drop: take(drop)? })
    }
}

/// The name of each range among the weights, and the number of its features.
fn sizes(classes: usize) -> [(&'static str, usize); 4] {
    [
        ("range.sent", SENT_FEATURES + classes),
        ("range.lateness", LATENESS_FEATURES + classes),
        ("range.choice", CHOICE_FEATURES * classes),
        ("range.drop", DROP_FEATURES + classes),
    ]
}
