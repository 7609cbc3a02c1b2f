//! Long calls: on a thread of their own, while the caller's thread waits without the GIL, looks for signals,
//! and shows progress.
//!
//! The library asks at intervals whether it may go on. A call that does not stop in time when it is told to is
//! left to end by itself, so that Ctrl-C is answered at once whatever the library does.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use pyo3::prelude::*;

use crate::failure::{Failure, guarded};

/// How often signals are looked for, and progress is shown.
const TICK: Duration = Duration::from_millis(50);
/// How long a call may take to stop.
const PATIENCE: Duration = Duration::from_millis(500);
/// The stack of a call, as of the main thread.
const STACK: usize = 8 << 20;

/// How far a call is: the fraction, if it is known, and some words.
pub type Shown = (Option<f64>, String);

/// What a call and the thread that waits for it share.
#[derive(Clone, Default)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    shown: Arc<Mutex<Option<Shown>>>,
}

impl Watch {
    /// Whether to go on.
    pub fn go_on(&self) -> ControlFlow<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// The same as a result.
    ///
    /// # Errors
    /// The call is to stop.
    pub fn check(&self) -> Result<(), Failure> {
        match self.go_on() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Failure::Interrupted),
        }
    }

    /// Says how far the call is.
    pub fn show(&self, fraction: Option<f64>, words: impl Into<String>) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some((fraction, words.into()));
    }

    fn take(&self) -> Option<Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Runs `work`, while `progress(fraction, words)` is called, if there is one.
///
/// # Errors
/// Those of `work`, a panic in it, an exception of `progress`, and `KeyboardInterrupt`.
pub fn busy<T: Send + 'static>(
    py: Python<'_>,
    progress: Option<Bound<'_, PyAny>>,
    work: impl FnOnce(&Watch) -> Result<T, Failure> + Send + 'static,
) -> PyResult<T> {
    let watch = Watch::default();
    let (sender, ended) = mpsc::sync_channel(1);
    let watched = watch.clone();
    let thread = Builder::new().name("taunet".to_owned()).stack_size(STACK).spawn(move || {
        // Nobody waits any more if the call was left.
        let _ = sender.send(guarded(|| work(&watched)));
    });
    thread.map_err(|error| Failure::Failed(format!("no thread can be started: {error}")))?;
    let ended = Mutex::new(ended);
    loop {
        let waited = py.detach(|| ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(TICK));
        match waited {
            Ok(result) => {
                py.check_signals()?;
                return result.map_err(PyErr::from);
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::Fault("a fault of taunet: please report it".to_owned()).into());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let mut told = py.check_signals();
        if let (Ok(()), Some(progress), Some((fraction, words))) = (&told, &progress, watch.take()) {
            told = progress.call1((fraction, words)).map(drop);
        }
        if let Err(error) = told {
            watch.stop.store(true, Ordering::Relaxed);
            py.detach(|| ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(PATIENCE).ok());
            return Err(error);
        }
    }
}
