//! Many runs of one scenario: its keys take many values, and each combination runs with several seeds.
//!
//! A sweep file names a scenario, the values of its keys ([`SweepFile`]), and how often each combination runs. [`Sweep::load`]
//! resolves it into jobs. [`execute`] runs the jobs that are not done on several threads; the [`Store`] keeps each job under a
//! hash of everything that its result depends on, so that a sweep can be killed and continued, and split into [`Shard`]s on
//! several machines. [`SweepResults`] joins what is done: a row per job, means over replications with Student's intervals, and
//! paired differences, since all points of a replication share its seed (common random numbers).

mod execute;
mod file;
mod join;
mod metrics;
mod page;
mod results;
mod script;
mod shard;
mod store;
mod student;
mod vary;

use std::path::PathBuf;

pub use execute::{Execution, Outcome, Progress, Ran, execute};
pub use file::{Job, Stop, StopFile, Sweep, SweepFile};
pub(crate) use file::{NAMES, SEEDS, seeds, sets_seed, wrong_name};
pub use join::write_joined;
pub use metrics::metrics;
pub use page::sweep_page;
pub(crate) use page::{figure_of, metric_figure};
pub use results::{CONFIDENCE, Difference, PointMean, SweepResults};
#[cfg(feature = "cli")]
pub(crate) use script::in_shell;
pub use script::{Scheduler, script};
pub use shard::{Shard, ShardError};
pub use store::{Done, Hasher, JobHash, Store};
pub use student::Mean;
pub(crate) use vary::Decimal;
pub use vary::{Parameter, Varied, VaryTable};

use crate::table::TableError;

/// Why a sweep ended before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// It was interrupted.
    #[error("interrupted: the jobs that are done are kept; the same command runs the others")]
    Interrupted,
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// the file
        path: PathBuf,
        /// what the file system said
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// the file or directory
        path: PathBuf,
        /// what the file system said
        source: std::io::Error,
    },
    /// A job's file is not what a sweep wrote.
    #[error("{} is damaged ({error}): remove it, and its job runs again", path.display())]
    Damaged {
        /// the file
        path: PathBuf,
        /// what is wrong with it
        error: serde_json::Error,
    },
    /// A file was changed while jobs ran.
    #[error("{} was changed while the jobs ran: the same command runs those that depend on it again", .0.display())]
    Changed(PathBuf),
    /// A directory holds something else.
    #[error("{} holds something else than a sweep: choose another directory with --out", .0.display())]
    NotASweep(PathBuf),
    /// A table cannot be written.
    #[error(transparent)]
    Table(#[from] TableError),
}
