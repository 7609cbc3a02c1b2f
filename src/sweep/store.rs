//! What a sweep keeps: a file for each job that is done, by what the job is.
//!
//! ```text
//! DIR/jobs/HASH.json                            the summary: it is written last, and stands for the whole job
//! DIR/tables/flows/job=HASH/part-0.parquet      the tables that the sweep keeps
//! ```
//!
//! HASH covers everything that a job's result depends on, so that a job that is there is never run again, whichever sweep,
//! machine or shard ran it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::SweepError;
use crate::limits;
use crate::scenario::Scenario;
use crate::write::{NewDirectory, NewFile, move_file, remove_left_overs};

/// What names a job: a hash over all that its result depends on, as 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobHash(String);

impl JobHash {
    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A job that is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// The version of taunet that ran it.
    pub version: String,
    /// The scenario, as the sweep named it.
    pub scenario: PathBuf,
    /// The changes to the scenario.
    pub overrides: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// The figures of the run: its `summary.json`.
    pub summary: Value,
}

/// Whose tables a directory has.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    /// The sweep file or tune file.
    sweep: PathBuf,
}

/// Hashes jobs. A file is read once, however many jobs read it.
#[derive(Debug, Default)]
pub struct Hasher {
    files: Mutex<BTreeMap<PathBuf, Hashed>>,
}

/// A file as it was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hashed {
    digest: [u8; 32],
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Hasher {
    /// The hash of a job whose scenario this is: over the version, the contents of every file that it reads, the changes and the
    /// seed. Where a file lies does not matter, its name neither.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn hash(&self, scenario: &Scenario, overrides: &[String], seed: u64) -> Result<JobHash, SweepError> {
        let mut hasher = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(env!("CARGO_PKG_VERSION").as_bytes());
        part(&seed.to_le_bytes());
        part(&(overrides.len() as u64).to_le_bytes());
        overrides.iter().for_each(|set| part(set.as_bytes()));
        for input in &scenario.inputs {
            part(&self.file(input)?);
        }
        let digest = hasher.finalize();
        Ok(JobHash(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()))
    }

    fn file(&self, path: &Path) -> Result<[u8; 32], SweepError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let io = |source| SweepError::Read { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(io)?;
        let (bytes, modified) = (metadata.len(), metadata.modified().ok());
        if let Some(known) = files.get(path) {
            return match (known.bytes, known.modified) == (bytes, modified) {
                true => Ok(known.digest),
                false => Err(SweepError::Changed(path.to_owned())),
            };
        }
        let mut hasher = Sha256::new();
        io::copy(&mut File::open(path).map_err(io)?, &mut hasher).map_err(io)?;
        let digest: [u8; 32] = hasher.finalize().into();
        files.insert(path.to_owned(), Hashed { digest, bytes, modified });
        Ok(digest)
    }

    /// That no file of a scenario has changed since it was hashed: a job that read another content has another hash.
    ///
    /// # Errors
    /// One has changed.
    pub fn check(&self, scenario: &Scenario) -> Result<(), SweepError> {
        scenario.inputs.iter().try_for_each(|input| self.file(input).map(drop))
    }
}

/// The directory of a sweep.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
    hasher: Arc<Hasher>,
}

impl Store {
    /// Opens a directory, and makes it where there is none.
    ///
    /// # Errors
    /// It cannot be made, or holds something else than a sweep.
    pub fn open(directory: &Path) -> Result<Self, SweepError> {
        let io = |source| SweepError::Write { path: directory.to_owned(), source };
        if let Ok(mut entries) = fs::read_dir(directory)
            && entries.next().is_some()
            && !directory.join("jobs").is_dir()
        {
            return Err(SweepError::NotASweep(directory.to_owned()));
        }
        fs::create_dir_all(directory.join("jobs")).map_err(io)?;
        remove_left_overs(directory);
        remove_left_overs(&directory.join("jobs"));
        Ok(Store { directory: directory.to_owned(), hasher: Arc::default() })
    }

    /// How many bytes the jobs and tables of the sweep take.
    pub fn bytes(&self) -> u64 {
        let mut open = vec![self.directory.join("jobs"), self.directory.join("tables")];
        let mut bytes = 0;
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.metadata() {
                    Ok(metadata) if metadata.is_dir() => open.push(entry.path()),
                    Ok(metadata) => bytes += metadata.len(),
                    Err(_) => {}
                }
            }
        }
        bytes
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What hashes its jobs.
    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    fn summary(&self, job: &JobHash) -> PathBuf {
        self.directory.join("jobs").join(format!("{}.json", job.0))
    }

    fn table(&self, job: &JobHash, name: &str) -> PathBuf {
        self.directory.join("tables").join(name).join(format!("job={}", job.0))
    }

    /// A job that is done, with all of these tables; none of one that is not.
    ///
    /// # Errors
    /// Its file is there and cannot be read.
    pub fn find(&self, job: &JobHash, tables: &[String]) -> Result<Option<Done>, SweepError> {
        let path = self.summary(job);
        let text = match limits::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SweepError::Read { path, source }),
        };
        if !tables.iter().all(|name| self.table(job, name).is_dir()) {
            return Ok(None);
        }
        let done = serde_json::from_slice(&text).map_err(|error| SweepError::Damaged { path, error })?;
        Ok(Some(done))
    }

    /// A place for the tables of a job that runs.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn begin(&self) -> Result<NewDirectory, SweepError> {
        let io = |source| SweepError::Write { path: self.directory.clone(), source };
        NewDirectory::create_in(&self.directory).map_err(io)
    }

    /// Keeps a job that is done: its tables, which are files of `written`, and then its summary. Whoever is killed in between
    /// has not done the job.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn keep(
        &self,
        job: &JobHash,
        done: &Done,
        written: &Path,
        tables: &[String],
    ) -> Result<(), SweepError> {
        for name in tables {
            let from = written.join(format!("{name}.parquet"));
            // A table that this scenario has no rows for, such as `requests`, is a directory without files.
            let place = self.table(job, name);
            let io = |source| SweepError::Write { path: place.clone(), source };
            fs::create_dir_all(&place).map_err(io)?;
            if from.is_file() {
                move_file(&from, &place.join("part-0.parquet")).map_err(io)?;
            }
        }
        let text = serde_json::to_vec_pretty(done)
            .map_err(|error| SweepError::Damaged { path: self.summary(job), error })?;
        self.write(&self.summary(job), &text)
    }

    /// Notes that the tables of the directory are those of this sweep or tune file; gives the file that they were of, if that
    /// was another one.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn replace_owner(&self, file: &Path) -> Result<Option<PathBuf>, SweepError> {
        let path = self.directory.join("sweep.json");
        let now = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let before = limits::read(&path).ok().and_then(|text| serde_json::from_slice::<Owner>(&text).ok());
        let owner = Owner { sweep: now.clone() };
        let text = serde_json::to_vec_pretty(&owner)
            .map_err(|error| SweepError::Damaged { path: path.clone(), error })?;
        self.write(&path, &text)?;
        Ok(before.map(|before| before.sweep).filter(|before| *before != now))
    }

    /// Removes a file of the sweep, if it is there.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn remove(&self, name: &str) -> Result<(), SweepError> {
        let path = self.directory.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(SweepError::Write { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Writes a file of the sweep, whole or not at all.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), SweepError> {
        NewFile::write(path, bytes, true)
            .map_err(|source| SweepError::Write { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_back_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        // Approximate readers take the nearest but one.
        let summary =
            serde_json::json!({ "delay_s": 0.00018396416737404998, "carried_bps": 58876764.251334764 });
        let (version, scenario, overrides) = (String::new(), PathBuf::new(), Vec::new());
        let done = Done { version, scenario, overrides, seed: 1, summary };
        let job = JobHash("00".to_owned());
        store.keep(&job, &done, folder.path(), &[]).unwrap();
        assert_eq!(store.find(&job, &[]).unwrap(), Some(done));
    }
}
