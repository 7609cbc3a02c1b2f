//! Standard input as a capture, selected by the path `-`.

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::CaptureError;

/// The name in error messages.
pub(super) const NAME: &str = "standard input";

/// Whether standard input is already in use. It can be read only once.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether a path means standard input. A file of this name is `./-`.
pub(crate) fn is_meant(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Checks that a capture can be read a second time.
///
/// # Errors
/// It is standard input or a pipe.
pub(crate) fn check_twice(path: &Path, why: &'static str) -> Result<(), CaptureError> {
    match is_meant(path) || (path.exists() && !path.is_file() && !path.is_dir()) {
        true => Err(CaptureError::ReadTwice { path: path.to_owned(), why }),
        false => Ok(()),
    }
}

/// Takes standard input for reading.
///
/// # Errors
/// It is a terminal, or was taken before.
pub(super) fn take() -> Result<impl Read + Send + 'static, CaptureError> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err(CaptureError::Terminal);
    }
    match IS_TAKEN.swap(true, Ordering::Relaxed) {
        true => Err(CaptureError::ReadTwice { path: NAME.into(), why: "two captures are `-`" }),
        false => Ok(input),
    }
}
