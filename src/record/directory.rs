//! The run directory: written beside its place, then renamed to it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempDir;

/// Why a run directory cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A result stands there already.
    #[error("{} exists: choose another directory with --out, or replace it with --force", .0.display())]
    Exists(PathBuf),
    /// What stands there is not a run, and is not replaced.
    #[error("{} is not a run directory (no meta.json in it): it is not replaced", .0.display())]
    NotARun(PathBuf),
    /// The file system refused.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// the file or directory
        path: PathBuf,
        /// what it said
        source: io::Error,
    },
}

/// A run directory in the making. Dropped before [`commit`](RunDirectory::commit), it leaves nothing behind.
#[derive(Debug)]
pub struct RunDirectory {
    place: PathBuf,
    temporary: TempDir,
}

impl RunDirectory {
    /// Begins the directory `place`; with `replace` it will take the place of an earlier run.
    ///
    /// # Errors
    /// Something stands there that may not be replaced, or the file system refuses.
    pub fn begin(place: &Path, replace: bool) -> Result<Self, DirectoryError> {
        if place.exists() {
            let is_run = place.join("meta.json").is_file()
                || fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_none());
            match (replace, is_run) {
                (false, _) => return Err(DirectoryError::Exists(place.to_owned())),
                (true, false) => return Err(DirectoryError::NotARun(place.to_owned())),
                (true, true) => {}
            }
        }
        let parent = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let io = |source| DirectoryError::Io { path: place.to_owned(), source };
        fs::create_dir_all(parent).map_err(io)?;
        let temporary = tempfile::Builder::new().prefix(".taunet-run-").tempdir_in(parent).map_err(io)?;
        Ok(RunDirectory { place: place.to_owned(), temporary })
    }

    /// Where a file of the directory is written.
    pub fn file(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    /// Writes `value` as JSON, indented.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), DirectoryError> {
        let path = self.file(name);
        let write = || -> io::Result<()> {
            let mut file = io::BufWriter::new(fs::File::create(&path)?);
            serde_json::to_writer_pretty(&mut file, value)?;
            file.write_all(b"\n")?;
            file.flush()
        };
        write().map_err(|source| DirectoryError::Io { path: self.place.join(name), source })
    }

    /// Puts the directory in its place.
    ///
    /// # Errors
    /// The file system refuses; an earlier run is then still there.
    pub fn commit(self) -> Result<PathBuf, DirectoryError> {
        let RunDirectory { place, temporary } = self;
        let io = |source| DirectoryError::Io { path: place.clone(), source };
        let earlier = place.with_extension(format!("replaced-{}", std::process::id()));
        let replaced = place.exists();
        if replaced {
            fs::rename(&place, &earlier).map_err(io)?;
        }
        if let Err(source) =
            open_to_others(temporary.path()).and_then(|()| fs::rename(temporary.path(), &place))
        {
            if replaced {
                fs::rename(&earlier, &place).map_err(io)?;
            }
            return Err(io(source));
        }
        // It has moved: nothing is left to remove.
        let _ = temporary.keep();
        if replaced {
            fs::remove_dir_all(&earlier).map_err(io)?;
        }
        Ok(place)
    }
}

/// Temporary directories are private; a result is as open as any other directory.
#[cfg(unix)]
fn open_to_others(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn open_to_others(_path: &Path) -> io::Result<()> {
    Ok(())
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

    #[test]
    fn an_earlier_run_is_kept_unless_it_may_be_replaced() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("one");
        let write = |name: &str, replace| {
            let begun = RunDirectory::begin(&place, replace)?;
            begun.write_json("meta.json", &1)?;
            begun.write_json(name, &1)?;
            begun.commit()
        };
        write("a.json", false).unwrap();
        assert!(matches!(write("b.json", false), Err(DirectoryError::Exists(_))));
        assert_eq!(names(&place), ["a.json", "meta.json"]);
        write("b.json", true).unwrap();
        assert_eq!(names(&place), ["b.json", "meta.json"]);
        assert_eq!(names(root.path()), ["one"]);
    }

    #[test]
    fn what_is_not_a_run_is_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("thesis");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("chapter"), "1").unwrap();
        assert!(matches!(RunDirectory::begin(&place, true), Err(DirectoryError::NotARun(_))));
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(RunDirectory::begin(&file.join("run"), false), Err(DirectoryError::Io { .. })));
    }
}
