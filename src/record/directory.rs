//! The run directory: written under a temporary name next to its place, then renamed.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::table::Format;
use crate::write::{NewDirectory, NewFile, remove_left_overs};

/// Errors of writing a run directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A result exists in this place.
    #[error("{} exists: choose another directory with --out, or replace it with --force", .0.display())]
    Exists(PathBuf),
    /// The directory contains other files than those of a run, and is not replaced.
    #[error("{} contains {found:?}, which is not part of a result: it is not replaced", place.display())]
    NotARun {
        /// the directory
        place: PathBuf,
        /// an unexpected file in it
        found: String,
    },
    /// What stands there is not a directory.
    #[error("{} is a file, not a directory: choose another place with --out", .0.display())]
    NotADirectory(PathBuf),
    /// The earlier result has got other files while the new one was written.
    #[error(
        "{} is written, but the result that it replaces was changed meanwhile: that is now {}",
        place.display(),
        kept.display()
    )]
    Kept {
        /// the directory
        place: PathBuf,
        /// the earlier one
        kept: PathBuf,
    },
    /// The file system reported an error.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// the file or directory
        path: PathBuf,
        /// the error of the operating system
        source: io::Error,
    },
}

/// The files of a run. Only these are replaced.
pub(crate) const TABLES: [&str; 13] = [
    "packets",
    "flows",
    "ports",
    "matched",
    "agreement",
    "losses",
    "windows",
    "transmissions",
    "goodput",
    "hops",
    "queues",
    "transport",
    "requests",
];
const OTHERS: [&str; 5] = ["summary.json", "meta.json", "topology.svg", "report.html", "deepqueuenet.csv"];

fn is_file_of_a_run(name: &str) -> bool {
    OTHERS.contains(&name)
        || (name.starts_with("vantage-") && name.ends_with(".pcapng"))
        || [Format::Parquet, Format::Csv].into_iter().any(|format| {
            let table = name.strip_suffix(format.extension()).and_then(|table| table.strip_suffix('.'));
            table.is_some_and(|table| TABLES.contains(&table))
        })
}

/// A run directory under construction. If it is dropped before [`commit`](RunDirectory::commit), nothing is
/// left behind.
#[derive(Debug)]
pub struct RunDirectory {
    place: PathBuf,
    replace: bool,
    temporary: NewDirectory,
    /// Whether a file with this name may be replaced.
    is_ours: fn(&str) -> bool,
}

impl RunDirectory {
    /// Begins the directory `place`. With `replace`, it will replace an earlier run. Symbolic links are
    /// followed. An empty directory is used without `replace`.
    ///
    /// # Errors
    /// An existing directory may not be replaced, or the file system reports an error.
    pub fn begin(place: &Path, replace: bool) -> Result<Self, DirectoryError> {
        Self::begin_with(place, replace, is_file_of_a_run)
    }

    /// As [`RunDirectory::begin`], for a directory with other files. Files whose names `is_ours` accepts may
    /// be replaced.
    ///
    /// # Errors
    /// As for [`RunDirectory::begin`].
    pub fn begin_with(
        place: &Path,
        replace: bool,
        is_ours: fn(&str) -> bool,
    ) -> Result<Self, DirectoryError> {
        let io = |source| DirectoryError::Io { path: place.to_owned(), source };
        // `.` and symbolic links are resolved to the path that is renamed.
        let place = match place.is_symlink() || place.file_name().is_none() {
            true => fs::canonicalize(place).map_err(io)?,
            false => place.to_owned(),
        };
        let parent = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if let Some(file) = parent.ancestors().find(|above| above.is_file()) {
            return Err(DirectoryError::NotADirectory(file.to_owned()));
        }
        // A result that a killed run left without its name gets it back before it is looked for.
        remove_left_overs(parent);
        check_replaceable(&place, replace, is_ours)?;
        fs::create_dir_all(parent).map_err(io)?;
        let temporary = NewDirectory::create_in(parent).map_err(io)?;
        Ok(RunDirectory { place, replace, temporary, is_ours })
    }

    /// The path of the directory before it is committed.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Writes a text file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_text(&self, name: &str, text: &str) -> Result<(), DirectoryError> {
        NewFile::write(&self.file(name), text.as_bytes(), true)
            .map_err(|source| DirectoryError::Io { path: self.place.join(name), source })
    }

    /// The path at which a file of the directory is written.
    pub fn file(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    /// Writes `value` as indented JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), DirectoryError> {
        let path = self.file(name);
        let write = || -> io::Result<()> {
            let mut file = io::BufWriter::new(NewFile::create(&path, true)?);
            serde_json::to_writer_pretty(&mut file, value)?;
            file.write_all(b"\n")?;
            file.into_inner()?.finish()
        };
        write().map_err(|source| DirectoryError::Io { path: self.place.join(name), source })
    }

    /// Moves the directory to its place.
    ///
    /// # Errors
    /// A directory now exists that may not be replaced, or the file system reports an error. The earlier
    /// directory is kept in either case.
    pub fn commit(self) -> Result<PathBuf, DirectoryError> {
        let RunDirectory { place, replace, temporary, is_ours } = self;
        let io = |source| DirectoryError::Io { path: place.clone(), source };
        let replaced = check_replaceable(&place, replace, is_ours)?;
        match temporary.commit(&place, &replaced).map_err(io)? {
            None => Ok(place),
            Some(kept) => Err(DirectoryError::Kept { place, kept }),
        }
    }
}

/// The files of the earlier result at `place`, if it may be replaced.
fn check_replaceable(
    place: &Path,
    replace: bool,
    is_ours: fn(&str) -> bool,
) -> Result<Vec<String>, DirectoryError> {
    let io = |source| DirectoryError::Io { path: place.to_owned(), source };
    if fs::symlink_metadata(place).is_err() {
        return Ok(Vec::new());
    }
    if !place.is_dir() {
        return Err(DirectoryError::NotADirectory(place.to_owned()));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(place).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_ours(&name) || !entry.file_type().map_err(io)?.is_file() {
            return Err(DirectoryError::NotARun { place: place.to_owned(), found: name });
        }
        names.push(name);
    }
    if names.is_empty() || replace { Ok(names) } else { Err(DirectoryError::Exists(place.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_run_is_there_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("runs/one");
        let begun = RunDirectory::begin(&place, false).unwrap();
        begun.write_json("meta.json", &1).unwrap();
        assert!(!place.exists());
        drop(begun);
        assert_eq!(names(&root.path().join("runs")), Vec::<String>::new());
        let begun = RunDirectory::begin(&place, false).unwrap();
        begun.write_json("meta.json", &1).unwrap();
        begun.commit().unwrap();
        assert_eq!(names(&place), ["meta.json"]);
    }

    /// Writes a run with these files to `place`.
    fn write(place: &Path, files: &[&str], replace: bool) -> Result<PathBuf, DirectoryError> {
        let begun = RunDirectory::begin(place, replace)?;
        for name in files {
            begun.write_json(name, &1)?;
        }
        begun.commit()
    }

    #[test]
    fn an_earlier_run_is_kept_unless_it_may_be_replaced() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("one");
        fs::create_dir(&place).unwrap();
        write(&place, &["meta.json", "packets.csv"], false).unwrap();
        let again = write(&place, &["meta.json"], false);
        assert!(matches!(again, Err(DirectoryError::Exists(_))), "{again:?}");
        assert_eq!(names(&place), ["meta.json", "packets.csv"]);
        write(&place, &["meta.json", "flows.parquet"], true).unwrap();
        assert_eq!(names(&place), ["flows.parquet", "meta.json"]);
        assert_eq!(names(root.path()), ["one"]);
    }

    #[test]
    fn what_is_not_a_run_alone_is_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("thesis");
        write(&place, &["meta.json"], false).unwrap();
        fs::write(place.join("chapter"), "1").unwrap();
        let error = write(&place, &["meta.json"], true).unwrap_err();
        assert!(matches!(&error, DirectoryError::NotARun { found, .. } if found == "chapter"), "{error}");
        assert_eq!(names(&place), ["chapter", "meta.json"]);
        let error = write(&place.join("chapter"), &["meta.json"], true).unwrap_err();
        assert!(matches!(error, DirectoryError::NotADirectory(_)), "{error}");
    }

    #[test]
    fn what_appears_meanwhile_is_not_replaced_either() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("one");
        let begun = RunDirectory::begin(&place, false).unwrap();
        write(&place, &["meta.json"], false).unwrap();
        assert!(matches!(begun.commit(), Err(DirectoryError::Exists(_))));
        assert_eq!(names(root.path()), ["one"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let (real, link) = (root.path().join("real"), root.path().join("link"));
        write(&real, &["meta.json"], false).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, &["summary.json"], true).unwrap();
        assert_eq!(names(&real), ["summary.json"]);
        assert!(link.is_symlink());
        let dangling = root.path().join("dangling");
        std::os::unix::fs::symlink(root.path().join("nowhere"), &dangling).unwrap();
        assert!(matches!(RunDirectory::begin(&dangling, true), Err(DirectoryError::Io { .. })));
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let error = RunDirectory::begin(&file.join("a/run"), false).unwrap_err();
        assert!(matches!(error, DirectoryError::NotADirectory(named) if named == file));
    }
}
