//! Requests and responses on a connection, drawn identically at both ends.

use std::sync::Arc;

use super::on_off::Period;
use super::size::Sizes;
use crate::application::{Turn, Turns};
use crate::packet::FlowKey;
use crate::random::stream;
use crate::units::Span;

/// The time between a response and the next request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Think {
    /// A constant time.
    Constant(Span),
    /// A random time.
    Drawn(Period),
}

/// The requests and responses.
#[derive(Debug, Clone, PartialEq)]
pub struct Dialogue {
    /// Bytes of each request.
    pub request: Sizes,
    /// Bytes of each response.
    pub response: Sizes,
    /// The number of requests of each connection; `None` for as many as time permits.
    pub turns: Option<u64>,
    /// The time between a response and the next request.
    pub think: Think,
}

impl Dialogue {
    /// The turns of each connection, by the name of the entry and the flow, so both ends draw the same.
    pub(super) fn turns(&self, label: &str, seed: u64) -> Turns {
        let (dialogue, label) = (self.clone(), label.to_owned());
        Arc::new(move |key: &FlowKey| {
            let mut random = stream(seed, "traffic", &format!("{label}/{key}"));
            let dialogue = dialogue.clone();
            let most = usize::try_from(dialogue.turns.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
            let turn = move || {
                Some(Turn {
                    request: dialogue.request.draw(&mut random).into(),
                    response: dialogue.response.draw(&mut random).into(),
                    think: match &dialogue.think {
                        Think::Constant(span) => *span,
                        Think::Drawn(period) => period.span(&mut random),
                    },
                })
            };
            Box::new(std::iter::from_fn(turn).take(most))
        })
    }
}
