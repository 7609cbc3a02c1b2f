//! Why a PTM cannot be made of its parameters.

use super::netem::NetemError;

/// Why the parameters of a PTM do not hold together, or not at their link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PtmError {
    /// A classful discipline without classes.
    #[error("`{kind}` has no classes")]
    NoClasses {
        /// the discipline
        kind: &'static str,
        /// whether it can have a class per flow
        per_flow: bool,
    },
    /// A learned model cannot be used here.
    #[error("{0}")]
    Model(String),
    /// Classes by name and by flow.
    #[error("`{kind}` has both `class` tables and classes = \"per-flow\"")]
    TwoKindsOfClasses {
        /// the discipline
        kind: &'static str,
    },
    /// A key that says nothing here.
    #[error("`{key}` says nothing {place}")]
    IdleKey {
        /// the key
        key: &'static str,
        /// where it stands, and why
        place: String,
        /// what would be right
        help: &'static str,
    },
    /// No packet reaches a class.
    #[error("no packet reaches the class {class}: the class {taker} before it takes everything")]
    Unreachable {
        /// the class
        class: String,
        /// the class without `match`
        taker: String,
    },
    /// Two classes of one name.
    #[error("two classes are named `{0}`")]
    DuplicateClass(String),
    /// A strict class of `ets` behind one that shares.
    #[error("the class {class} of `ets` is strict and comes after one with a `quantum`")]
    StrictBehindShared {
        /// its number, from 1
        class: usize,
    },
    /// A `limit` of `sfq` that the kernel refuses.
    #[error("a `limit` of fewer than 2 packets keeps `sfq` from queueing")]
    LimitOfOne,
    /// A group of `same_queue` with a flow alone, or none.
    #[error("a group of `same_queue` shares a queue with no other flow: [{0}]")]
    LoneFlow(String),
    /// A flow in two groups of `same_queue`, or twice in one.
    #[error("`same_queue` names the flow `{0}` twice")]
    FlowTwice(String),
    /// The discipline needs to know how fast the link is.
    #[error("`{kind}` needs a link of limited bandwidth: its rule is a share of the bandwidth")]
    UnlimitedLink {
        /// the discipline
        kind: &'static str,
    },
    /// `default` names no class that can take packets.
    #[error("`default` names no class without classes of its own: `{name}`")]
    UnknownDefault {
        /// the name as given
        name: String,
        /// what would be right
        help: String,
    },
    /// Classes in classes, too deep.
    #[error("classes are nested {levels} deep: `htb` has at most {most} levels")]
    TooDeep {
        /// how deep
        levels: usize,
        /// how deep they may be
        most: usize,
    },
    /// A discipline of another crate that has not been made: the parameters of another kind hold it.
    #[error("the kind `{0}` of another crate has no place here")]
    NotMade(String),
    /// The parameters of `netem` do not hold together.
    #[error(transparent)]
    Netem(#[from] NetemError),
}

impl PtmError {
    /// What would be right.
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
                "name two flows or more; flows that are not named have a queue of their own".to_owned()
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
            PtmError::NotMade(_) => "name it where a topology has a `ptm`, or in a class of taunet's own kinds".to_owned(),
            PtmError::Netem(error) => error.help(),
            PtmError::TooDeep { .. } => "put the inner classes further out".to_owned(),
        }
    }
}
