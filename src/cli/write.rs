//! Files that a verb writes, complete or not at all.

use std::io::{self, Write};
use std::path::Path;

use super::CliError;

/// Writes a temporary file in the same folder and renames it. Without `force`, an existing file is kept.
pub(super) fn write_file(path: &Path, text: &str, force: bool) -> Result<(), CliError> {
    write_bytes(path, text.as_bytes(), force)
}

/// The same for bytes.
pub(super) fn write_bytes(path: &Path, bytes: &[u8], force: bool) -> Result<(), CliError> {
    check_free(path, force)?;
    let cannot =
        |error: io::Error| CliError::Failed(format!("cannot write {}: {error}", path.display()).into());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".taunet-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The mode of a new file, less the umask.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder(path)).map_err(cannot)?;
    file.write_all(bytes).map_err(cannot)?;
    match force {
        true => file.persist(path),
        // The file may have been created in the meantime.
        false => file.persist_noclobber(path),
    }
    .map(drop)
    .map_err(|error| cannot(error.error))
}

/// The folder of a file.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Checks that a file can be written to `path`: its folder exists, and no file there would be replaced
/// without `force`.
pub(super) fn check_free(path: &Path, force: bool) -> Result<(), CliError> {
    if path.is_dir() {
        return Err(CliError::Usage(format!("{} is a directory: name a file", path.display())));
    }
    if path.exists() && !force {
        return Err(CliError::Usage(format!(
            "{} exists: choose another file, or replace it with --force",
            path.display()
        )));
    }
    if !folder(path).is_dir() {
        return Err(CliError::Usage(format!("there is no folder `{}`", folder(path).display())));
    }
    Ok(())
}
