//! SIGINT (Ctrl-C), SIGTERM and SIGHUP: whatever the process does, it ends within a second, and leaves nothing
//! unfinished behind.
//!
//! A thread waits for the signals. A verb that looks at [`Interrupt::as_control_flow`] has [`GRACE`] to end by
//! itself and to say what it has written; then, or at once if the verb never looks, or at a second signal, the
//! thread removes what is unfinished and ends the process. So a read that blocks, or a computation that cannot be
//! interrupted, does not keep it alive.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::write::remove_unfinished;

/// A signal that asks the process to end, by its number.
#[derive(Debug, Clone, Copy)]
struct Asked {
    number: u8,
    name: &'static str,
    at: Instant,
}

/// The first such signal.
static ASKED: OnceLock<Asked> = OnceLock::new();
/// Whether the verb looks at it.
static IS_WATCHED: AtomicBool = AtomicBool::new(false);

/// The time that a verb has to end by itself.
const GRACE: Duration = Duration::from_millis(500);
/// A further signal within this time counts as the same request: some senders signal a process and its group.
const ONE_WISH: Duration = Duration::from_millis(100);
/// The time for removing files and flushing what is printed.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Whether the user has asked to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interrupt(());

impl Interrupt {
    /// From now on, the verb looks at [`as_control_flow`](Interrupt::as_control_flow) again and again.
    pub(super) fn watch() -> Self {
        IS_WATCHED.store(true, Ordering::Relaxed);
        Interrupt(())
    }

    /// Whether to go on.
    pub(super) fn as_control_flow(self) -> ControlFlow<()> {
        if ASKED.get().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The exit code of a process that was asked to end, as in shells: 128 and the number of the signal.
pub(super) fn exit_code() -> u8 {
    128 + ASKED.get().map_or(INTERRUPT, |asked| asked.number)
}

/// The number of SIGINT.
const INTERRUPT: u8 = 2;

/// Notes a signal.
fn ask(number: u8, name: &'static str) {
    let mut is_first = false;
    let asked = *ASKED.get_or_init(|| {
        is_first = true;
        Asked { number, name, at: Instant::now() }
    });
    if is_first {
        let grace = if IS_WATCHED.load(Ordering::Relaxed) { GRACE } else { Duration::ZERO };
        // The signals' own thread goes on to wait for the second one.
        let waits = thread::Builder::new().spawn(move || {
            thread::sleep(grace);
            end(asked)
        });
        if waits.is_err() {
            end(asked);
        }
    } else if asked.at.elapsed() > ONE_WISH {
        end(asked);
    }
}

/// Removes what is unfinished, and ends the process.
fn end(asked: Asked) -> ! {
    static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
    if HAS_BEGUN.swap(true, Ordering::SeqCst) {
        loop {
            thread::park();
        }
    }
    // A file system that hangs, or a full pipe that nobody reads, must not keep the process alive.
    let _ = thread::Builder::new().spawn(move || {
        thread::sleep(LAST_WORDS);
        die(asked);
    });
    remove_unfinished();
    let _ = writeln!(io::stderr(), "error: interrupted by {}: what was unfinished is removed", asked.name);
    std::process::exit(i32::from(128 + asked.number))
}

#[cfg(unix)]
use unix::die;
#[cfg(unix)]
pub(super) use unix::listen;

#[cfg(unix)]
mod unix {
    use std::io;

    use nix::sys::signal::{SigSet, Signal, raise};

    use super::{Asked, ask};

    /// Takes the signals from now on. Call it before any other thread begins: threads inherit what is blocked.
    ///
    /// SIGXFSZ is blocked too: a file beyond the limit of its size is then an error of the write.
    ///
    /// # Errors
    /// The system refuses.
    pub(in crate::cli) fn listen() -> io::Result<()> {
        let mut signals = SigSet::empty();
        // `nohup`, and shells for what runs in the background, ignore some signals, which then stay ignored.
        let is_ignored = ignored();
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
            .into_iter()
            .filter(|signal| !is_ignored(*signal))
            .for_each(|signal| signals.add(signal));
        let mut blocked = signals;
        blocked.add(Signal::SIGXFSZ);
        blocked.thread_block()?;
        let wait = move || loop {
            if let Ok(signal) = signals.wait() {
                ask(signal as u8, signal.as_str());
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
    }

    /// Whether this process was started with a signal ignored, where the system says so.
    fn ignored() -> impl Fn(Signal) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        move |signal| mask >> (signal as u32 - 1) & 1 == 1
    }

    /// Ends the process by the signal itself.
    pub(super) fn die(asked: Asked) {
        if let Ok(signal) = Signal::try_from(i32::from(asked.number)) {
            let _ = SigSet::from(signal).thread_unblock();
            let _ = raise(signal);
        }
    }
}

/// Takes the signals from now on.
///
/// # Errors
/// The system refuses.
#[cfg(not(unix))]
pub(super) fn listen() -> io::Result<()> {
    ctrlc::set_handler(|| ask(INTERRUPT, "Ctrl-C")).map_err(io::Error::other)
}

#[cfg(not(unix))]
fn die(_asked: Asked) {
    std::process::abort();
}
