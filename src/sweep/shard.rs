//! The part of a sweep that one of several processes runs.

use std::fmt;
use std::str::FromStr;

use super::file::{Job, Sweep};

/// Shard `index` of `count`, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

/// Why a text is no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// It is not two numbers.
    #[error("`{0}` is not a shard: write I/N, such as 0/4 for the first of four")]
    Form(String),
    /// There is no such shard.
    #[error("there is no shard {index} of {count}: they are 0 to {}", count.saturating_sub(1))]
    Beyond {
        /// the index
        index: u32,
        /// how many there are
        count: u32,
    },
    /// A variable of the environment says which shard this is, and none says of how many.
    #[error("{0} says which shard this is, but not of how many: give --shards N, or set TAUNET_SHARDS")]
    NoCount(&'static str),
}

impl Shard {
    /// All jobs.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };

    /// Shard `index` of `count`.
    ///
    /// # Errors
    /// There is no such shard.
    pub fn new(index: u32, count: u32) -> Result<Self, ShardError> {
        if index < count { Ok(Shard { index, count }) } else { Err(ShardError::Beyond { index, count }) }
    }

    /// Whether it is all of the sweep.
    pub fn is_whole(&self) -> bool {
        self.count == 1
    }

    /// Whether a job is one of its own. With `[stop]` all replications of a point are in one shard, since they depend on each
    /// other; without, jobs are dealt one by one.
    pub fn has(&self, sweep: &Sweep, job: &Job) -> bool {
        let number = match sweep.stop {
            Some(_) => job.point,
            None => job.replication * sweep.points.len() + job.point,
        };
        number % self.count as usize == self.index as usize
    }

    /// What the environment of an array job says: Slurm (`SLURM_ARRAY_TASK_ID` of `SLURM_ARRAY_TASK_COUNT`, from
    /// `SLURM_ARRAY_TASK_MIN`), an indexed job of Kubernetes (`JOB_COMPLETION_INDEX`) and GNU parallel (`PARALLEL_SEQ`, from
    /// 1), both of `TAUNET_SHARDS`. `None` where it says nothing.
    ///
    /// # Errors
    /// A variable is no number, or nothing says how many shards there are.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, ShardError> {
        let number = |name: &str| -> Result<Option<u32>, ShardError> {
            let Some(text) = variable(name) else { return Ok(None) };
            text.trim().parse().map(Some).map_err(|_| ShardError::Form(format!("{name}={text}")))
        };
        if let Some(index) = number("SLURM_ARRAY_TASK_ID")? {
            let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
            let count =
                number("SLURM_ARRAY_TASK_COUNT")?.ok_or(ShardError::NoCount("SLURM_ARRAY_TASK_ID"))?;
            return Shard::new(index.saturating_sub(first), count).map(Some);
        }
        for (name, first) in [("JOB_COMPLETION_INDEX", 0), ("PARALLEL_SEQ", 1)] {
            if let Some(index) = number(name)? {
                let count = number("TAUNET_SHARDS")?.ok_or(ShardError::NoCount(name))?;
                return Shard::new(index.saturating_sub(first), count).map(Some);
            }
        }
        Ok(None)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let numbers = text
            .split_once('/')
            .and_then(|(index, count)| Some((index.trim().parse().ok()?, count.trim().parse().ok()?)));
        let (index, count) = numbers.ok_or_else(|| ShardError::Form(text.to_owned()))?;
        Shard::new(index, count)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_read() {
        assert_eq!("2/3".parse(), Shard::new(2, 3));
        assert!(matches!("3/3".parse::<Shard>(), Err(ShardError::Beyond { .. })));
        assert!(matches!("x".parse::<Shard>(), Err(ShardError::Form(_))));
    }

    #[test]
    fn the_environment_of_array_jobs_says_which() {
        let of = |variables: &[(&str, &str)]| {
            let found = |name: &str| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            Shard::of_environment(found)
        };
        assert_eq!(of(&[]), Ok(None));
        let slurm =
            [("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_ARRAY_TASK_MIN", "1"), ("SLURM_ARRAY_TASK_COUNT", "4")];
        assert_eq!(of(&slurm), Shard::new(2, 4).map(Some));
        assert_eq!(of(&[("JOB_COMPLETION_INDEX", "0"), ("TAUNET_SHARDS", "2")]), Shard::new(0, 2).map(Some));
        assert_eq!(of(&[("PARALLEL_SEQ", "2"), ("TAUNET_SHARDS", "2")]), Shard::new(1, 2).map(Some));
        assert_eq!(of(&[("PARALLEL_SEQ", "2")]), Err(ShardError::NoCount("PARALLEL_SEQ")));
        assert!(matches!(of(&[("PARALLEL_SEQ", "x"), ("TAUNET_SHARDS", "2")]), Err(ShardError::Form(_))));
    }
}
