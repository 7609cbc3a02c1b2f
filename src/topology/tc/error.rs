//! The reasons why a line of tc has no counterpart.

use std::ops::Range;

use crate::config::{did_you_mean, listed, nearest};

/// The reason why a line of tc has no counterpart in a `[ptm]` table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TcError {
    /// The file creates no queueing discipline.
    #[error("there is no queueing discipline in this file")]
    Nothing,
    /// A word that the shell interprets.
    #[error("`{0}` is for the shell, not for tc")]
    Shell(String),
    /// A line that creates nothing.
    #[error("`{0}` creates no queueing discipline")]
    NotACommand(String),
    /// The commands are for more than one network device.
    #[error("the commands are for several devices: {}", listed(.0.iter().map(String::as_str)))]
    Devices(Vec<String>),
    /// No command is for the requested network device.
    #[error("no command is for the device `{name}`")]
    NoDevice {
        /// the device
        name: String,
        /// the devices of the commands
        known: Vec<String>,
    },
    /// A command ends too early.
    #[error("`{after}` needs {what} after it")]
    Incomplete {
        /// the last word
        after: String,
        /// what is missing
        what: &'static str,
    },
    /// A value that cannot be read.
    #[error("`{text}` is not {what}")]
    BadValue {
        /// the value as given
        text: String,
        /// what it should be
        what: &'static str,
        /// a value that would be right
        example: &'static str,
    },
    /// A word that tc does not accept there.
    #[error("`{word}` is not a word of {place}")]
    UnknownWord {
        /// the word
        word: String,
        /// its place
        place: String,
        /// the accepted words
        known: &'static [&'static str],
    },
    /// An unsupported kind of qdisc, class or filter.
    #[error("taunet has no {what} like `{kind}`")]
    NoKind {
        /// `qdisc`, `class` or `filter`
        what: &'static str,
        /// the kind as given
        kind: String,
        /// the supported kinds
        known: &'static [&'static str],
    },
    /// An unsupported feature of tc.
    #[error("`{word}` has no counterpart in taunet: {why}")]
    NoCounterpart {
        /// the word
        word: String,
        /// its effect, or the reason
        why: &'static str,
        /// a suggestion
        help: &'static str,
    },
    /// A missing parameter that tc requires.
    #[error("`{kind}` needs `{key}`")]
    Required {
        /// the kind of qdisc or class
        kind: &'static str,
        /// the parameter
        key: &'static str,
    },
    /// Parameters that the kernel refuses.
    #[error("{what}")]
    Refused {
        /// what is wrong
        what: String,
        /// a suggestion
        help: &'static str,
    },
    /// A parent, class or qdisc that no earlier line creates.
    #[error("no earlier line creates {what} `{name}`")]
    NotDefined {
        /// the expected object
        what: &'static str,
        /// its handle as given
        name: String,
    },
    /// Two objects with one handle.
    #[error("{what} `{name}` already exists, created by line {line}")]
    Twice {
        /// the object
        what: &'static str,
        /// its handle
        name: String,
        /// the line of the first
        line: usize,
    },
    /// Filters that one `match` cannot express.
    #[error(
        "this filter and that of line {line} lead to one class, and a single `match` cannot express both"
    )]
    TwoMatches {
        /// the line of the other filter
        line: usize,
    },
    /// Filters in an order that classes cannot have.
    #[error("the filter of line {line} takes some of the same packets first, and leads to a later class")]
    Order {
        /// the line of the other filter
        line: usize,
    },
    /// The table is invalid.
    #[error("these commands do not form a valid [ptm] table: {0}")]
    NoTable(String),
}

impl TcError {
    /// A suggestion.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            TcError::Nothing | TcError::NotACommand(_) => {
                "write `qdisc add`, `class add` or `filter add`, one per line".to_owned()
            }
            TcError::Shell(_) => "write the expanded command: plain words, one command per line".to_owned(),
            TcError::Devices(devices) => {
                let first = devices.first().map_or("eth0", String::as_str);
                format!("name one of them: --dev {first}")
            }
            TcError::NoDevice { known, .. } => {
                format!("the commands are for {}", listed(known.iter().map(String::as_str)))
            }
            TcError::BadValue { example, .. } => format!("write for example {example}"),
            TcError::UnknownWord { word, known, .. } => match nearest(word, known.iter().copied()) {
                Some(near) => did_you_mean(near),
                None => format!("its words: {}", known.join(", ")),
            },
            TcError::NoKind { kind, known, .. } => match nearest(kind, known.iter().copied()) {
                Some(near) => did_you_mean(near),
                None => format!("it has {}", known.join(", ")),
            },
            TcError::NoCounterpart { help, .. } | TcError::Refused { help, .. } => (*help).to_owned(),
            TcError::Required { key, .. } => format!("add `{key}` and its value"),
            TcError::NotDefined { .. } => "create it first, or correct the handle".to_owned(),
            TcError::Twice { .. } => "keep one of them, or write `replace`".to_owned(),
            TcError::TwoMatches { .. } => {
                "write filters that differ in one field only, or give each its own class".to_owned()
            }
            TcError::Order { .. } => {
                "a packet goes to the first class that matches it, in the order of bands or class ids: number the \
                 classes in the order of their filters"
                    .to_owned()
            }
            TcError::Incomplete { .. } | TcError::NoTable(_) => return None,
        })
    }
}

/// A [`TcError`], and the bytes of the mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub span: Range<usize>,
    /// Boxed, because most results are not errors.
    pub error: Box<TcError>,
}

impl Refusal {
    pub fn new(span: Range<usize>, error: TcError) -> Self {
        Refusal { span, error: Box::new(error) }
    }
}
