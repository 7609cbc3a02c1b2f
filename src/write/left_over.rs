//! What dead processes have left behind.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::part::{DIRECTORY, Dead, LOCK, REPLACED, free_name};
use super::sync;
use super::target::folder;

/// The folders that this process has looked at.
static SEEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// Results that have got their names back.
static RECOVERED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes what dead processes have left in a folder: unfinished files and directories, never those of a living
/// process. A process does so once per folder, before it writes there. What cannot be removed stays: it is of no
/// use to anybody.
///
/// A result that was about to take its name gets it ([`take_recovered`]).
///
/// # Complexity
/// O(files in the folder) once, O(1) later.
pub fn remove_left_overs(folder: &Path) {
    let Ok(place) = fs::canonicalize(folder) else { return };
    if !SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(place) {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Some(dead) = Dead::find(entry.path()) else { continue };
        // Without an error only: as long as the lock file is there, so is the way to the directories.
        if remove(&dead).is_ok() {
            let _ = fs::remove_file(&dead.path);
        }
    }
}

/// The results that [`remove_left_overs`] found without a name and gave it back, since the last call: processes
/// were killed while they replaced an earlier result, on a file system that cannot exchange two directories.
pub fn take_recovered() -> Vec<PathBuf> {
    std::mem::take(&mut RECOVERED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Removes what belongs to a file of a dead process, but the file itself.
fn remove(dead: &Dead) -> io::Result<()> {
    if dead.path.extension().is_none_or(|extension| extension != LOCK) {
        return Ok(());
    }
    let [new, replaced] = [DIRECTORY, REPLACED].map(|extension| dead.path.with_extension(extension));
    if new.is_dir() && replaced.is_dir() {
        recover(dead, &new)?;
    }
    for directory in [new, replaced] {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Gives the complete directory `new` its name: the earlier one has lost it already.
fn recover(dead: &Dead, new: &Path) -> io::Result<()> {
    let mut name = Vec::new();
    (&dead.file).read_to_end(&mut name)?;
    // Only beside itself: the folder may belong to several users.
    let Some(name) = file_name(name).filter(|name| Path::new(name).file_name() == Some(name)) else {
        return Ok(());
    };
    let folder = folder(new);
    let place = match folder.join(&name) {
        free if fs::symlink_metadata(&free).is_err() => free,
        taken => free_name(&taken, "recovered"),
    };
    fs::rename(new, &place)?;
    sync::folder(folder)?;
    RECOVERED.lock().unwrap_or_else(PoisonError::into_inner).push(place);
    Ok(())
}

#[cfg(unix)]
fn file_name(bytes: Vec<u8>) -> Option<OsString> {
    use std::os::unix::ffi::OsStringExt;
    Some(OsString::from_vec(bytes))
}

#[cfg(not(unix))]
fn file_name(bytes: Vec<u8>) -> Option<OsString> {
    String::from_utf8(bytes).ok().map(OsString::from)
}
