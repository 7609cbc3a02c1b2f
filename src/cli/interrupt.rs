//! Ctrl-C and a polite kill: what is being written is removed before the process ends.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::CliError;

/// Whether the user has asked to stop.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on. A second signal does not wait.
    ///
    /// # Errors
    /// The system has no signals to give.
    pub(super) fn new() -> Result<Self, CliError> {
        let asked = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&asked);
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        })
        .map_err(|error| CliError::Failed(Box::new(error)))?;
        Ok(Interrupt(asked))
    }

    /// Whether to go on.
    pub(super) fn as_control_flow(&self) -> ControlFlow<()> {
        if self.0.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
