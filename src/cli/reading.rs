//! How captures are read: the flags that the verbs share.

use clap::Args;

use super::CliError;
use super::text::counted;
use crate::capture::{CaptureDirection, CaptureKeys, InterfaceName, Options};
use crate::units::Span;

/// Flags for all captures of a command.
#[derive(Debug, Args)]
pub(super) struct Reading {
    /// Read a damaged capture up to the damage, and give packets that are too far out of order the latest
    /// time
    #[arg(long)]
    lenient: bool,
    /// How far out of order packets may be; this much of a capture is held in memory
    #[arg(long, value_name = "TIME", default_value = "1 s")]
    reorder_window: Span,
}

impl Reading {
    pub(super) fn options(&self) -> Options {
        let Reading { lenient, reorder_window } = *self;
        Options { lenient, reorder_window, ..Options::default() }
    }

    /// The reorder window, where it is not the default.
    pub(super) fn unusual_window(&self) -> Option<Span> {
        Some(self.reorder_window).filter(|window| *window != Options::default().reorder_window)
    }
}

/// The keys of each of several captures. A flag is given never, once for all captures, or once for each.
pub(super) fn keys_of_each(
    what: &str,
    captures: usize,
    interfaces: &[InterfaceName],
    directions: &[CaptureDirection],
) -> Result<Vec<CaptureKeys>, CliError> {
    for (flag, given) in [("interface", interfaces.len()), ("direction", directions.len())] {
        if given > 1 && given != captures {
            return Err(CliError::Usage(format!(
                "--{what}-{flag} is given {given} times for {}: give it once for all of them, or once for each",
                counted(captures as u64, "capture")
            )));
        }
    }
    fn nth<T: Clone>(given: &[T], number: usize) -> Option<T> {
        given.get(number).or(given.first()).cloned()
    }
    let keys = |number| CaptureKeys {
        interface: nth(interfaces, number),
        direction: nth(directions, number),
        reorder_window: None,
    };
    Ok((0..captures).map(keys).collect())
}
