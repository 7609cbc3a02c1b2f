//! Ctrl-C and SIGTERM: unfinished output is removed before the process ends.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::CliError;

/// When the user first asked to stop.
pub(super) struct Interrupt(Arc<OnceLock<Instant>>);

/// A further signal within this time counts as the same request: some senders signal a process and its group.
const ONE_WISH: Duration = Duration::from_secs(1);

impl Interrupt {
    /// Listens from now on. A second request after a second ends the process at once.
    ///
    /// # Errors
    /// The system refuses the handler.
    pub(super) fn new() -> Result<Self, CliError> {
        let asked = Arc::new(OnceLock::new());
        let since = Arc::clone(&asked);
        ctrlc::set_handler(move || {
            if since.get_or_init(Instant::now).elapsed() > ONE_WISH {
                std::process::exit(130);
            }
        })
        .map_err(|error| CliError::Failed(Box::new(error)))?;
        Ok(Interrupt(asked))
    }

    /// Whether to go on.
    pub(super) fn as_control_flow(&self) -> ControlFlow<()> {
        if self.0.get().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
