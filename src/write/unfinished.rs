//! What this process has begun to write and not finished.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Tries to remove a directory that other threads still write into.
const TRIES: usize = 5;

/// A path that [`remove_unfinished`] removes, until this is dropped.
#[derive(Debug)]
pub(super) struct Unfinished(PathBuf);

impl Unfinished {
    pub(super) fn new(path: &Path) -> Self {
        hold().insert(path.to_owned());
        Unfinished(path.to_owned())
    }

    /// Moves it to its place with `rename`, after which it is no longer unfinished.
    pub(super) fn take_place<T, E>(self, rename: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        // The directory must not be renamed while `remove_unfinished` empties it.
        let mut unfinished = hold();
        let done = rename()?;
        unfinished.remove(&self.0);
        Ok(done)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        hold().remove(&self.0);
    }
}

/// Holds off [`remove_unfinished`].
pub(super) fn hold() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this process is writing the directory `path`.
pub(super) fn is_unfinished(path: &Path) -> bool {
    hold().contains(path)
}

/// Removes all that this process has begun to write and not finished, for an end that drops nothing. From now
/// on, nothing can be begun or finished: whoever tries waits forever. The process must end.
pub fn remove_unfinished() {
    let unfinished = hold();
    // A directory goes before its lock file, without which nobody would remove it.
    let (directories, files): (Vec<_>, Vec<_>) = unfinished.iter().partition(|path| path.is_dir());
    for path in directories {
        let _ = (0..TRIES).find(|_| fs::remove_dir_all(path).is_ok());
    }
    for path in files {
        let _ = fs::remove_file(path);
    }
    std::mem::forget(unfinished);
}
