//! [`NewFile`]: a file that appears when it is complete.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::left_over::remove_left_overs;
use super::part::{PART, Part};
use super::sync;
use super::target::{Target, errors, folder, open_special, output};
use super::unfinished::is_unfinished;

/// A file under construction. If it is dropped before [`finish`](NewFile::finish), nothing is left behind.
///
/// Write in large pieces, or buffer it.
#[derive(Debug)]
pub struct NewFile(To);

#[derive(Debug)]
enum To {
    /// A regular file.
    Place { part: Part, place: PathBuf, earlier: Option<Permissions>, replace: bool },
    /// What is not a regular file is written to at once.
    Through(File),
}

impl NewFile {
    /// Begins the file `path`. Symbolic links are followed; what is not a regular file is written to. An earlier
    /// file keeps its permissions.
    ///
    /// # Errors
    /// Nothing can be written there ([`TargetError`](super::TargetError)), a file is there and not to be replaced,
    /// or the file system reports an error.
    pub fn create(path: &Path, replace: bool) -> io::Result<Self> {
        let (place, earlier) = match Target::of(path)? {
            Target::File { earlier: Some(_), .. } if !replace => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            Target::File { path, earlier } => (path, earlier),
            Target::Special(path) => return Ok(NewFile(To::Through(open_special(&path)?))),
            Target::Output => return Ok(NewFile(To::Through(output()?))),
            Target::Errors => return Ok(NewFile(To::Through(errors()?))),
        };
        if !is_unfinished(folder(&place)) {
            remove_left_overs(folder(&place));
        }
        let part = Part::create(folder(&place), PART)?;
        Ok(NewFile(To::Place { part, place, earlier, replace }))
    }

    /// Writes the whole file `path`.
    ///
    /// # Errors
    /// As for [`NewFile::create`] and [`NewFile::finish`].
    pub fn write(path: &Path, bytes: &[u8], replace: bool) -> io::Result<()> {
        let mut file = NewFile::create(path, replace)?;
        file.write_all(bytes)?;
        file.finish()
    }

    /// Moves the file to its place. It is on the disk before.
    ///
    /// # Errors
    /// The file system reports an error, or a file that is not to be replaced has appeared.
    pub fn finish(self) -> io::Result<()> {
        let To::Place { part, place, earlier, replace } = self.0 else { return Ok(()) };
        let Part { file, path, unfinished } = part;
        if let Some(earlier) = earlier {
            file.set_permissions(earlier)?;
        }
        // The files of a directory that is not finished are synchronized with it.
        let is_alone = !is_unfinished(folder(&place));
        if is_alone {
            sync::file(&file)?;
        }
        unfinished
            .take_place(|| if replace { path.persist(&place) } else { path.persist_noclobber(&place) })
            .map_err(|error| error.error)?;
        if is_alone { sync::folder(folder(&place)) } else { Ok(()) }
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            To::Place { part, .. } => part.file.write(bytes),
            To::Through(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            To::Place { part, .. } => part.file.flush(),
            To::Through(file) => file.flush(),
        }
    }
}

/// Moves a complete file to another place in the same file system. It is on the disk before, and replaces what is
/// there.
///
/// # Errors
/// The file system reports an error.
pub fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    sync::file(&File::options().read(true).write(cfg!(windows)).open(from)?)?;
    fs::rename(from, to)?;
    sync::folder(folder(to))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut begun = NewFile::create(&path, false).unwrap();
        begun.write_all(b"new").unwrap();
        assert!(!path.exists());
        drop(begun);
        assert!(names(folder.path()).is_empty());
        NewFile::write(&path, b"one", false).unwrap();
        let kept = NewFile::write(&path, b"two", false).unwrap_err();
        assert_eq!(kept.kind(), io::ErrorKind::AlreadyExists);
        let late = NewFile::create(&folder.path().join("b"), false).unwrap();
        fs::write(folder.path().join("b"), "meanwhile").unwrap();
        assert_eq!(late.finish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        NewFile::write(&path, b"three", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(names(folder.path()), ["a", "b"]);
    }

    #[test]
    fn an_earlier_file_keeps_its_permissions_and_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "secret").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        symlink("file", &link).unwrap();
        NewFile::write(&link, b"new", true).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_device_stays_a_device() {
        NewFile::write(Path::new("/dev/null"), b"text", false).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        if Path::new("/dev/full").exists() {
            let full = NewFile::write(Path::new("/dev/full"), b"text", true).unwrap_err();
            assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        }
    }

    #[test]
    fn left_overs_of_the_dead_alone_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let dead = Part::create(folder.path(), PART).unwrap();
        let Part { file, path, unfinished } = dead;
        let path = path.keep().unwrap();
        drop((file, unfinished));
        let living = NewFile::create(&folder.path().join("living"), false).unwrap();
        assert!(!path.exists(), "the first that writes into a folder removes what is dead there");
        assert_eq!(names(folder.path()).len(), 1);
        living.finish().unwrap();
        assert_eq!(names(folder.path()), ["living"]);
    }
}
