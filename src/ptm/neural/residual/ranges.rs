//! What the networks were shown in training: they are asked within that alone. Beyond it a network says anything, and what it
//! says comes back as a feature of the next packet.

use super::{CHOICE_FEATURES, DROP_FEATURES, LATENESS_FEATURES, SENT_FEATURES};
use crate::ptm::neural::{ModelError, Tensors};

/// The least and the greatest value of each feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    least: Vec<f32>,
    most: Vec<f32>,
}

impl Range {
    fn new(features: usize) -> Self {
        Range { least: vec![f32::INFINITY; features], most: vec![f32::NEG_INFINITY; features] }
    }

    /// Widens it to what is in `rows` `[rows, features]`.
    pub fn see(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.least.len()) {
            for ((x, least), most) in row.iter().zip(&mut self.least).zip(&mut self.most) {
                *least = least.min(*x);
                *most = most.max(*x);
            }
        }
    }

    /// Puts what is outside in `rows` `[rows, features]` on the nearest end.
    #[inline]
    pub fn hold(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.least.len()) {
            for ((x, &least), &most) in row.iter_mut().zip(&self.least).zip(&self.most) {
                *x = x.max(least).min(most);
            }
        }
    }
}

/// Those of every network.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranges {
    /// Of what is told of a packet that has been sent.
    pub sent: Range,
    /// Of what is told as the port is asked when it sends.
    pub lateness: Range,
    /// Of what is told as a class is chosen.
    pub choice: Range,
    /// Of what is told of a packet that arrives.
    pub drop: Range,
}

impl Ranges {
    /// Nothing was seen yet, with so many classes.
    pub fn new(classes: usize) -> Self {
        let [sent, lateness, choice, drop] = sizes(classes).map(|(_, size)| Range::new(size));
        Ranges { sent, lateness, choice, drop }
    }

    /// Puts them beside the weights.
    pub fn insert(&self, classes: usize, tensors: &mut Tensors) {
        let all = [&self.sent, &self.lateness, &self.choice, &self.drop];
        for (range, (name, size)) in all.into_iter().zip(sizes(classes)) {
            // What was never seen has no ends, and a file holds numbers alone.
            let ends = range.least.iter().chain(&range.most);
            let values = ends.map(|end| if end.is_finite() { *end } else { 0.0 }).collect();
            tensors.insert(name, [2, size], values);
        }
    }

    /// Takes them from beside the weights.
    ///
    /// # Errors
    /// One is missing, has another shape, or ends before it begins.
    pub fn take(classes: usize, tensors: &mut Tensors) -> Result<Self, ModelError> {
        let mut take = |(name, size): (&str, usize)| {
            let mut least = tensors.take(name, &[2, size])?;
            let most = least.split_off(size);
            match least.iter().zip(&most).all(|(least, most)| least <= most) {
                true => Ok(Range { least, most }),
                false => Err(ModelError::Contradiction(format!("`{name}` has the lesser end first"))),
            }
        };
        let [sent, lateness, choice, drop] = sizes(classes);
        Ok(Ranges { sent: take(sent)?, lateness: take(lateness)?, choice: take(choice)?, drop: take(drop)? })
    }
}

/// The name of each range among the weights, and its features.
fn sizes(classes: usize) -> [(&'static str, usize); 4] {
    [
        ("range.sent", SENT_FEATURES + classes),
        ("range.lateness", LATENESS_FEATURES + classes),
        ("range.choice", CHOICE_FEATURES * classes),
        ("range.drop", DROP_FEATURES + classes),
    ]
}
