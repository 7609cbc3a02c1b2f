//! Standard input as a capture, which the path `-` stands for.

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::CaptureError;

/// How errors name it.
pub(super) const NAME: &str = "standard input";

/// Whether standard input was handed out: it can be read once.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether a path stands for standard input. A file of this name is `./-`.
pub(crate) fn is_meant(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// That a capture can be read a second time.
///
/// # Errors
/// It is standard input, or a pipe.
pub(crate) fn check_twice(path: &Path, why: &'static str) -> Result<(), CaptureError> {
    match is_meant(path) || (path.exists() && !path.is_file() && !path.is_dir()) {
        true => Err(CaptureError::ReadTwice { path: path.to_owned(), why }),
        false => Ok(()),
    }
}

/// Hands standard input out.
///
/// # Errors
/// It is a terminal, or was handed out before.
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
