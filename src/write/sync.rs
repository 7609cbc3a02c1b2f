//! Synchronizing with the disk, where the file system can.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Waits until a file is on the disk.
pub(super) fn file(file: &File) -> io::Result<()> {
    file.sync_all().or_else(where_it_can)
}

/// Waits until the names in a folder are on the disk.
#[cfg(unix)]
pub(super) fn folder(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(folder) => folder.sync_all().or_else(where_it_can),
        // A folder may be writable and not readable.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
pub(super) fn folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Waits until the files in a directory, and their names, are on the disk.
pub(super) fn files_in(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            // Windows synchronizes only what may be written.
            file(&File::options().read(true).write(cfg!(windows)).open(entry.path())?)?;
        }
    }
    folder(path)
}

/// Some file systems, of networks above all, do not know it: their writes are as safe as they get.
fn where_it_can(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Ok(()),
        _ => Err(error),
    }
}
