//! [`NewDirectory`]: a directory that appears when it is complete.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::left_over::remove_left_overs;
use super::part::{DIRECTORY, LOCK, Part, REPLACED, free_name};
use super::sync;
use super::target::folder;
use super::unfinished::{Unfinished, hold};

/// A directory under construction. If it is dropped before [`commit`](NewDirectory::commit), nothing is left
/// behind.
#[derive(Debug)]
pub struct NewDirectory {
    contents: Contents,
    /// Shows that the process lives. It is dropped after the contents.
    lock: Part,
}

/// A hidden directory, which is removed when it is dropped.
#[derive(Debug)]
struct Contents {
    path: PathBuf,
    _unfinished: Unfinished,
}

impl Contents {
    fn new(path: PathBuf) -> Self {
        Contents { _unfinished: Unfinished::new(&path), path }
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl NewDirectory {
    /// Begins a directory that will take its place in `folder`.
    ///
    /// # Errors
    /// The file system reports an error.
    pub fn create_in(folder: &Path) -> io::Result<Self> {
        remove_left_overs(folder);
        let lock = Part::create(folder, LOCK)?;
        let contents = Contents::new(lock.path.with_extension(DIRECTORY));
        fs::create_dir(&contents.path)?;
        Ok(NewDirectory { contents, lock })
    }

    /// The path until it is committed.
    pub fn path(&self) -> &Path {
        &self.contents.path
    }

    /// Moves it to `place`, in the same folder. A directory that is there is exchanged for it and then removed: its
    /// files `replaced`. If it has got others in the meantime, it is kept beside `place`, at the path that is
    /// returned.
    ///
    /// # Errors
    /// The file system reports an error. What was at `place` is still there.
    pub fn commit(self, place: &Path, replaced: &[String]) -> io::Result<Option<PathBuf>> {
        self.commit_by(exchange, place, replaced)
    }

    fn commit_by(
        mut self,
        exchange: impl Fn(&Path, &Path) -> io::Result<()>,
        place: &Path,
        replaced: &[String],
    ) -> io::Result<Option<PathBuf>> {
        sync::files_in(self.path())?;
        let Ok(earlier) = fs::metadata(place) else {
            self.take_place(|path| fs::rename(path, place))?;
            sync::folder(folder(place))?;
            return Ok(None);
        };
        fs::set_permissions(self.path(), earlier.permissions())?;
        // Exchanged, the hidden directory is the earlier one; killed now, the next process removes it.
        let exchanged = self.take_place(|path| exchange(path, place));
        let hidden = match exchanged {
            Ok(()) => &self.contents,
            Err(_) => &self.take_place_in_two_steps(place)?,
        };
        sync::folder(folder(place))?;
        let remove = || -> io::Result<()> {
            for name in replaced {
                fs::remove_file(hidden.path.join(name))?;
            }
            fs::remove_dir(&hidden.path)
        };
        if remove().is_ok() {
            return Ok(None);
        }
        let kept = free_name(place, "replaced");
        fs::rename(&hidden.path, &kept)?;
        Ok(Some(kept))
    }

    fn take_place(&self, rename: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        // It must not be renamed while `remove_unfinished` empties it.
        let _held = hold();
        rename(&self.contents.path)
    }

    /// Moves the earlier directory out of the way first, where the file system cannot exchange two. In between, no
    /// directory has the name: the lock file says which, for [`remove_left_overs`].
    fn take_place_in_two_steps(&mut self, place: &Path) -> io::Result<Contents> {
        let name = place.file_name().unwrap_or_default();
        self.lock.file.write_all(name.as_encoded_bytes())?;
        sync::file(&self.lock.file)?;
        sync::folder(folder(place))?;
        let earlier = self.lock.path.with_extension(REPLACED);
        self.take_place(|path| {
            fs::rename(place, &earlier)?;
            fs::rename(path, place).inspect_err(|_| {
                let _ = fs::rename(&earlier, place);
            })
        })?;
        Ok(Contents::new(earlier))
    }
}

/// Exchanges two directories at once.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::super::left_over::take_recovered;
    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn begun(root: &Path, file: &str) -> NewDirectory {
        let directory = NewDirectory::create_in(root).unwrap();
        fs::write(directory.path().join(file), file).unwrap();
        directory
    }

    #[test]
    fn an_earlier_directory_is_replaced_with_and_without_an_exchange() {
        type Exchange = fn(&Path, &Path) -> io::Result<()>;
        for way in [exchange as Exchange, |_, _| Err(io::ErrorKind::Unsupported.into())] {
            let root = tempfile::tempdir().unwrap();
            let place = root.path().join("run");
            assert_eq!(begun(root.path(), "a").commit_by(way, &place, &[]).unwrap(), None);
            assert_eq!(begun(root.path(), "b").commit_by(way, &place, &["a".to_owned()]).unwrap(), None);
            assert_eq!(names(&place), ["b"]);
            assert_eq!(names(root.path()), ["run"]);
            fs::write(place.join("thesis"), "").unwrap();
            let kept = begun(root.path(), "c").commit_by(way, &place, &["b".to_owned()]).unwrap();
            assert_eq!(kept, Some(root.path().join("run.replaced")));
            assert_eq!(names(&place), ["c"]);
            assert_eq!(names(&root.path().join("run.replaced")), ["thesis"]);
            assert_eq!(names(root.path()), ["run", "run.replaced"]);
        }
    }

    /// Leaves what a process leaves that is killed now.
    fn kill(directory: NewDirectory) -> PathBuf {
        let NewDirectory { contents, lock } = directory;
        let path = contents.path.clone();
        std::mem::forget(contents);
        let Part { file, path: lock, unfinished } = lock;
        lock.keep().unwrap();
        drop((file, unfinished));
        path
    }

    #[test]
    fn a_result_killed_between_two_steps_gets_its_name() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("run");
        begun(root.path(), "old").commit(&place, &[]).unwrap();
        let mut directory = begun(root.path(), "new");
        directory.lock.file.write_all(b"run").unwrap();
        fs::rename(&place, directory.lock.path.with_extension(REPLACED)).unwrap();
        kill(directory);
        // Another process would see the folder for the first time, as this one does by another name.
        let other = root.path().join("link");
        fs::create_dir(&other).unwrap();
        for name in names(root.path()).iter().filter(|name| name.starts_with('.')) {
            fs::rename(root.path().join(name), other.join(name)).unwrap();
        }
        remove_left_overs(&other);
        assert_eq!(names(&other), ["run"]);
        assert_eq!(names(&other.join("run")), ["new"]);
        assert!(take_recovered().contains(&other.join("run")));
    }

    #[test]
    fn a_dead_directory_is_removed_and_a_living_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let dead = kill(begun(root.path(), "dead"));
        for path in [dead.clone(), dead.with_extension(LOCK)] {
            fs::rename(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
        let living = begun(&folder, "living");
        assert_eq!(names(&folder).len(), 2, "{:?}", names(&folder));
        assert_eq!(names(living.path()), ["living"]);
    }
}
