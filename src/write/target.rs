//! What stands where a file is to be written.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::path::{Path, PathBuf};

/// The most symbolic links that are followed, as in Linux.
const MOST_LINKS: usize = 40;

/// Why nothing can be written to a path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// A directory stands there.
    #[error("it is a directory: name a file")]
    Directory,
    /// A disk stands there.
    #[error("it is a block device, whose contents would be lost: name a file")]
    BlockDevice,
    /// Its symbolic links have no end.
    #[error("it leads through more than {MOST_LINKS} symbolic links: they may form a cycle")]
    Links,
}

/// What stands where a file is to be written, after all symbolic links.
#[derive(Debug)]
pub enum Target {
    /// A regular file, or nothing yet. It is replaced.
    File {
        /// the path after all links
        path: PathBuf,
        /// the permissions of the file that is there
        earlier: Option<Permissions>,
    },
    /// A FIFO, a terminal or another device. It is written to.
    Special(PathBuf),
    /// Standard output, by one of its names.
    Output,
    /// Standard error, by one of its names.
    Errors,
}

impl Target {
    /// Follows the symbolic links at `path`.
    ///
    /// # Errors
    /// Nothing can be written there ([`TargetError`]), or the file system reports an error.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut path = path.to_owned();
        for _ in 0..=MOST_LINKS {
            if let Some(stream) = stream(&path) {
                return Ok(stream);
            }
            let metadata = match fs::symlink_metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Target::File { path, earlier: None });
                }
                metadata => metadata?,
            };
            if metadata.is_symlink() {
                path = folder(&path).join(fs::read_link(&path)?);
            } else if metadata.is_dir() {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, TargetError::Directory));
            } else if metadata.is_file() {
                return Ok(Target::File { path, earlier: Some(metadata.permissions()) });
            } else if is_block_device(&metadata) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, TargetError::BlockDevice));
            } else {
                return Ok(Target::Special(path));
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, TargetError::Links))
    }

    /// Whether a file stands there that would be replaced.
    pub fn replaces(&self) -> bool {
        matches!(self, Target::File { earlier: Some(_), .. })
    }
}

/// The folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens what is not a regular file.
pub(super) fn open_special(path: &Path) -> io::Result<File> {
    // A file behind /dev/fd/3 keeps what another process has written to it.
    OpenOptions::new().append(true).open(path)
}

/// A descriptor of this process, by its name below `/dev` or `/proc`. Opened by name, the file behind it would be
/// written from its beginning, over what is printed, and a socket could not be opened at all.
#[cfg(unix)]
fn stream(path: &Path) -> Option<Target> {
    let name = match path.to_str() {
        Some("/dev/stdout") => "1".to_owned(),
        Some("/dev/stderr") => "2".to_owned(),
        _ => {
            let name = path.file_name()?.to_str()?;
            name.parse::<u32>().ok()?;
            let folder = fs::canonicalize(folder(path)).ok()?;
            let folder = folder.to_str()?;
            let own = format!("/proc/{}/", std::process::id());
            let is_of_this_process = folder == "/dev/fd"
                || folder.strip_prefix(&own).is_some_and(|rest| rest == "fd" || rest.ends_with("/fd"));
            let is_of_another = folder.starts_with("/proc/") && folder.ends_with("/fd");
            match (is_of_this_process, is_of_another) {
                (true, _) => name.to_owned(),
                (false, true) => return Some(Target::Special(path.to_owned())),
                (false, false) => return None,
            }
        }
    };
    Some(match name.as_str() {
        "1" => Target::Output,
        "2" => Target::Errors,
        _ => Target::Special(path.to_owned()),
    })
}

#[cfg(not(unix))]
fn stream(_path: &Path) -> Option<Target> {
    None
}

#[cfg(unix)]
fn is_block_device(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_block_device()
}

#[cfg(not(unix))]
fn is_block_device(_metadata: &fs::Metadata) -> bool {
    false
}

/// Standard output as a file, beside its buffer.
#[cfg(unix)]
pub(super) fn output() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Standard error as a file.
#[cfg(unix)]
pub(super) fn errors() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?))
}

#[cfg(not(unix))]
pub(super) fn output() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
pub(super) fn errors() -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "").unwrap();
        symlink("file", at("one")).unwrap();
        symlink(at("one"), at("two")).unwrap();
        symlink("nothing", at("dangling")).unwrap();
        for name in ["file", "one", "two"] {
            let Ok(Target::File { path, earlier: Some(_) }) = Target::of(&at(name)) else { panic!("{name}") };
            assert_eq!(path, at("file"));
        }
        let Ok(Target::File { path, earlier: None }) = Target::of(&at("dangling")) else { panic!() };
        assert_eq!(path, at("nothing"));
        symlink("round", at("round")).unwrap();
        assert!(Target::of(&at("round")).unwrap_err().to_string().contains("a cycle"));
        assert_eq!(Target::of(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn devices_and_streams_are_not_files() {
        for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1"] {
            if Path::new(name).parent().is_some_and(Path::is_dir) {
                assert!(matches!(Target::of(Path::new(name)), Ok(Target::Output)), "{name}");
            }
        }
        assert!(matches!(Target::of(Path::new("/dev/stderr")), Ok(Target::Errors)));
        assert!(matches!(Target::of(Path::new("/dev/null")), Ok(Target::Special(_))));
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink("/dev/stdout", &link).unwrap();
        assert!(matches!(Target::of(&link), Ok(Target::Output)));
        // A file whose name is a number is a file.
        assert!(matches!(Target::of(&folder.path().join("1")), Ok(Target::File { .. })));
    }
}
