//! Errors in the parameters of a PTM.

use super::netem::NetemError;

/// Why the parameters of a PTM are inconsistent, or do not fit the link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PtmError {
    /// A classful discipline without classes.
    #[error("`{kind}` has no classes")]
    NoClasses {
        /// the kind of the discipline
        kind: &'static str,
        /// whether it can have a class per flow
        per_flow: bool,
    },
    /// A learned model cannot be used here.
    #[error("{0}")]
    Model(String),
    /// Both `class` tables and a class per flow.
    #[error("`{kind}` has both `class` tables and classes = \"per-flow\"")]
    TwoKindsOfClasses {
        /// the kind of the discipline
        kind: &'static str,
    },
    /// A key that has no effect.
    #[error("`{key}` has no effect {place}")]
    IdleKey {
        /// the key
        key: &'static str,
        /// where the key is, and why it has no effect
        place: String,
        /// what to write instead
        help: &'static str,
    },
    /// A class that no packet reaches.
    #[error("no packet reaches the class {class}: the class {taker} before it takes everything")]
    Unreachable {
        /// the class
        class: String,
        /// the class without `match`
        taker: String,
    },
    /// Two classes of the same name.
    #[error("two classes are named `{0}`")]
    DuplicateClass(String),
    /// A strict class of `ets` after one with a quantum.
    #[error("the class {class} of `ets` is strict and comes after one with a `quantum`")]
    StrictBehindShared {
        /// the number of the class, from 1
        class: usize,
    },
    /// A `limit` of `sfq` that the kernel rejects.
    #[error("a `limit` of fewer than 2 packets keeps `sfq` from queueing")]
    LimitOfOne,
    /// A group of `same_queue` with fewer than two flows.
    #[error("a group of `same_queue` has fewer than two flows: [{0}]")]
    LoneFlow(String),
    /// A flow in two groups of `same_queue`, or twice in one.
    #[error("`same_queue` names the flow `{0}` twice")]
    FlowTwice(String),
    /// The discipline needs a link of limited bandwidth.
    #[error("`{kind}` needs a link of limited bandwidth: its rule is a share of the bandwidth")]
    UnlimitedLink {
        /// the kind of the discipline
        kind: &'static str,
    },
    /// `default` names no leaf class.
    #[error("`default` names no leaf class: `{name}`")]
    UnknownDefault {
        /// the name as given
        name: String,
        /// what to write instead
        help: String,
    },
    /// Classes are nested too deeply.
    #[error("classes are nested {levels} deep: `htb` has at most {most} levels")]
    TooDeep {
        /// the depth
        levels: usize,
        /// the maximum depth
        most: usize,
    },
    /// A discipline of another crate that was not created, because it is inside the parameters of another
    /// custom kind.
    #[error("the kind `{0}` of another crate cannot be used here")]
    NotMade(String),
    /// A model of a whole port inside a discipline.
    #[error("`{0}` is a model of a whole port, and cannot be inside a discipline")]
    WholePort(String),
    /// The parameters of `netem` are inconsistent.
    #[error(transparent)]
    Netem(#[from] NetemError),
}

impl PtmError {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            PtmError::NoClasses { per_flow: true, .. } => {
                "add a `class` table for each class, or write classes = \"per-flow\"".to_owned()
            }
            PtmError::NoClasses { .. } => "add a `class` table for each class".to_owned(),
            PtmError::StrictBehindShared { .. } => {
                "give it a `quantum`, such as \"1514 B\", or put it before those that have one".to_owned()
            }
            PtmError::LimitOfOne => "write 2 or more, such as 127".to_owned(),
            PtmError::LoneFlow(_) => {
                "name two flows or more; each flow that is not named has its own queue".to_owned()
            }
            PtmError::FlowTwice(_) => "put all flows that share a queue into one group".to_owned(),
            PtmError::TwoKindsOfClasses { .. } => "keep one of them".to_owned(),
            PtmError::IdleKey { help, .. } => (*help).to_owned(),
            PtmError::Unreachable { taker, .. } => {
                format!("give the class {taker} a `match`, or put it last")
            }
            PtmError::Model(_) => "`taunet train` makes models; a model is a .safetensors file with its card, a .toml, beside it".to_owned(),
            PtmError::DuplicateClass(_) => "give each class its own name".to_owned(),
            PtmError::UnlimitedLink { .. } => "give the link a `bandwidth`, such as \"1 Gbps\"".to_owned(),
            PtmError::UnknownDefault { help, .. } => help.clone(),
            PtmError::NotMade(_) => "use it as a `ptm` in a topology, or in a class of one of taunet's own kinds".to_owned(),
            PtmError::WholePort(_) => "use it as the `ptm` of a link, a device or of `defaults`".to_owned(),
            PtmError::Netem(error) => error.help(),
            PtmError::TooDeep { .. } => "use fewer levels of classes".to_owned(),
        }
    }
}
