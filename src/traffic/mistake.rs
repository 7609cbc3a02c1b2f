//! Errors in the parameters of a source.

use std::ops::Range;

use crate::config::Spanned;

/// An invalid parameter, with its position in the scenario file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Its position.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Mistake {
    /// Creates an error at `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Mistake { span, message: message.into(), help: None }
    }

    /// The same error, with a hint what to write instead.
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Mistake { help: Some(help.into()), ..self }
    }
}

/// The number, if it is above zero and neither so small nor so large that sums and products of such numbers
/// lose it.
///
/// # Errors
/// Any other number; `what` names it.
pub(crate) fn positive(number: &Spanned<f64>, what: &str) -> Result<f64, Mistake> {
    let value = *number.get_ref();
    if (1e-9..=1e15).contains(&value) {
        return Ok(value);
    }
    Err(Mistake::new(number.span(), format!("{what} cannot be {value}"))
        .with_help("it must be above zero, from 1e-9 to 1e15"))
}
