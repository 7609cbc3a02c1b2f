//! What is wrong with the parameters of a source.

use std::ops::Range;

use crate::config::Spanned;

/// A parameter that cannot be, with its place in the scenario file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Mistake {
    /// A mistake at `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Mistake { span, message: message.into(), help: None }
    }

    /// The same, with what would be right.
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Mistake { help: Some(help.into()), ..self }
    }
}

/// The number, when it is above zero, and neither so small nor so large that sums and products of such
/// numbers lose it.
///
/// # Errors
/// It is not; `what` names it.
pub(crate) fn positive(number: &Spanned<f64>, what: &str) -> Result<f64, Mistake> {
    let value = *number.get_ref();
    if (1e-9..=1e15).contains(&value) {
        return Ok(value);
    }
    Err(Mistake::new(number.span(), format!("{what} cannot be {value}"))
        .with_help("it must be above zero, from 1e-9 to 1e15"))
}
