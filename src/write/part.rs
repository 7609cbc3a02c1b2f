//! Names and locks of unfinished files.
//!
//! A process may delete what another one left only if that one is dead. Numbers of processes do not say so:
//! they are reused, and two containers, or two hosts on NFS, see different processes under the same number. A
//! lock does: the kernel drops it when the process dies, whichever container it was in; and on NFS the server
//! keeps it, so that it holds across hosts. A lock may be local to its host, if NFS is mounted with `nolock`.
//! Therefore the name says which kernel took the lock, and what another kernel has left is only removed if
//! nothing in it has changed for a day. Where there are no locks, nothing is removed.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use super::unfinished::Unfinished;

/// How the names of unfinished files begin.
const PREFIX: &str = ".taunet-";
/// The extension of an unfinished file.
pub(super) const PART: &str = "part";
/// The extension of an unfinished directory.
pub(super) const DIRECTORY: &str = "dir";
/// The extension of the lock of an unfinished directory: on NFS, only a file that can be written can be locked.
pub(super) const LOCK: &str = "lock";
/// The extension of the directory that an unfinished one replaces, where the two cannot be exchanged at once.
pub(super) const REPLACED: &str = "replaced";

/// What another kernel has left is removed after this time without a change.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Tries to find a free name.
const TRIES: usize = 100;

/// This start of this machine, as hexadecimal digits: equal in all of its containers. Zeros where the system does
/// not say.
fn kernel() -> &'static str {
    static KERNEL: OnceLock<String> = OnceLock::new();
    KERNEL.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(8).collect();
        format!("{digits:0>8}")
    })
}

/// A locked file that is unfinished. It is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Part {
    pub file: File,
    pub path: tempfile::TempPath,
    pub unfinished: Unfinished,
}

impl Part {
    /// A new file in `folder`, with the permissions of any new file.
    pub(super) fn create(folder: &Path, extension: &str) -> io::Result<Self> {
        for _ in 0..TRIES {
            // Its keys differ from call to call.
            let random = std::hash::RandomState::new().build_hasher().finish();
            let path = folder.join(format!("{PREFIX}{}-{random:016x}.{extension}", kernel()));
            let unfinished = Unfinished::new(&path);
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let path = tempfile::TempPath::try_from_path(path)?;
                    // Another process may have found it without a lock, and be about to remove it.
                    let is_ours = !matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock));
                    if is_ours && path.exists() {
                        return Ok(Part { file, path, unfinished });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// A lock file or an unfinished file whose process is dead, now locked by this one.
#[derive(Debug)]
pub(super) struct Dead {
    pub path: PathBuf,
    pub file: File,
}

impl Dead {
    /// The file `path`, if its process is dead.
    pub(super) fn find(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let of = name.strip_prefix(PREFIX)?.split('-').next()?;
        if ![PART, LOCK].iter().any(|known| path.extension().is_some_and(|extension| extension == *known)) {
            return None;
        }
        // A FIFO of this name would block.
        fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let file = OpenOptions::new().read(true).write(true).open(&path).ok()?;
        file.try_lock().ok()?;
        // Its process may have finished it since the folder was read.
        (path.exists() && (of == kernel() || is_abandoned(&path))).then_some(Dead { path, file })
    }
}

/// The first free one of `PLACE.WORD`, `PLACE.WORD-2`, ...
pub(super) fn free_name(place: &Path, word: &str) -> PathBuf {
    let name = |number: u32| {
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{word}"));
        if number > 1 {
            name.push(format!("-{number}"));
        }
        place.with_file_name(name)
    };
    let free = (1..=u32::MAX).map(name).find(|path| fs::symlink_metadata(path).is_err());
    free.unwrap_or_else(|| name(u32::MAX))
}

/// Whether neither the file nor what belongs to it has changed for long.
fn is_abandoned(path: &Path) -> bool {
    let directory = path.with_extension(DIRECTORY);
    let inside = fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path());
    [path.to_owned(), directory].into_iter().chain(inside).all(|path| {
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
        let age =
            modified.ok().map(|modified| SystemTime::now().duration_since(modified).unwrap_or_default());
        age.is_none_or(|age| age >= ABANDONED)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_is_not_dead() {
        let folder = tempfile::tempdir().unwrap();
        let part = Part::create(folder.path(), PART).unwrap();
        let path = part.path.to_path_buf();
        assert!(Dead::find(path.clone()).is_none());
        // As after a kill: the lock is gone, and the file is there.
        let Part { file, path: kept, unfinished } = part;
        kept.keep().unwrap();
        drop((file, unfinished));
        assert!(Dead::find(path).is_some());
    }

    #[test]
    fn of_another_kernel_only_what_is_old_is_dead() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("{PREFIX}not-ours.{PART}"));
        let file = File::create(&path).unwrap();
        assert!(Dead::find(path.clone()).is_none());
        file.set_modified(SystemTime::now() - ABANDONED - Duration::from_secs(1)).unwrap();
        assert!(Dead::find(path).is_some());
        let other = folder.path().join("thesis.part");
        fs::write(&other, "").unwrap();
        assert!(Dead::find(other).is_none());
    }
}
