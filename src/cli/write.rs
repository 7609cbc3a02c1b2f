//! The files that a verb is asked to write.

use std::io;
use std::path::{Path, PathBuf};

use super::CliError;
use crate::write::{NewFile, Target, TargetError};

/// Writes a file whole or not at all. Without `force`, an existing file is kept.
pub(super) fn write_file(path: &Path, text: &str, force: bool) -> Result<(), CliError> {
    write_bytes(path, text.as_bytes(), force)
}

/// The same for bytes.
pub(super) fn write_bytes(path: &Path, bytes: &[u8], force: bool) -> Result<(), CliError> {
    check_free(path, force)?;
    NewFile::write(path, bytes, force)
        .map_err(|error| CliError::Failed(format!("cannot write {}: {error}", path.display()).into()))
}

/// Checks that a file can be written to `path`: its folder exists, and no file there would be replaced
/// without `force`. A device, such as /dev/stdout, is not replaced.
pub(super) fn check_free(path: &Path, force: bool) -> Result<(), CliError> {
    check_is_no_hyphen(path)?;
    let target = Target::of(path).map_err(|error| {
        let is_told = error.get_ref().is_some_and(|inner| inner.is::<TargetError>());
        match error.kind() {
            io::ErrorKind::IsADirectory => {
                CliError::Usage(format!("{} is a directory: name a file", path.display()))
            }
            _ if is_told => CliError::Usage(format!("cannot write {}: {error}", path.display())),
            _ => CliError::Failed(format!("cannot write {}: {error}", path.display()).into()),
        }
    })?;
    if target.replaces() && !force {
        return Err(CliError::Usage(format!(
            "{} exists: choose another file, or replace it with --force",
            path.display()
        )));
    }
    let Target::File { path, .. } = &target else { return Ok(()) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(CliError::Usage(format!("there is no folder `{}`", folder.display())));
    }
    Ok(())
}

/// Refuses `-`, which elsewhere is standard input or output, and here a file that is hard to remove.
pub(super) fn check_is_no_hyphen(path: &Path) -> Result<(), CliError> {
    if path != Path::new("-") {
        return Ok(());
    }
    Err(CliError::Usage(
        "`-` names no result: write /dev/stdout for standard output, or ./- for a file or a directory of that name"
            .to_owned(),
    ))
}

/// A directory for a result, by a name of a file: it is not hidden, and no option where it is given to another
/// command.
pub(super) fn directory_name(name: &str) -> PathBuf {
    let plain: String =
        name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    let plain = plain.replace("..", "-");
    let plain = plain.trim_start_matches(['-', '.']);
    PathBuf::from(if plain.is_empty() { "unnamed" } else { plain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_makes_a_hidden_directory_or_an_option() {
        for (name, directory) in [
            ("line", "line"),
            ("two words", "two-words"),
            ("v1.2", "v1.2"),
            ("-rf", "rf"),
            (".hidden", "hidden"),
            (".", "unnamed"),
            ("..", "unnamed"),
            ("../../a", "a"),
            ("", "unnamed"),
            ("x/../y", "x---y"),
        ] {
            assert_eq!(directory_name(name), Path::new(directory), "{name}");
        }
    }
}
