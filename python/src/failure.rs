//! Errors of the library as exceptions of the package: `taunet.TaunetError` and its subclasses.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use taunet::calibrate::CalibrateError;
use taunet::compare::CompareError;
use taunet::config::ConfigError;
use taunet::engine::EngineError;
use taunet::learn::LearnError;
use taunet::run::{AgainError, RunError};
use taunet::sweep::SweepError;

use crate::kinds::Raised;

/// Why a call failed.
#[derive(Debug)]
pub enum Failure {
    /// Mistakes in a file or a text: `ConfigError`.
    Config(ConfigError),
    /// An argument is wrong: `ArgumentError`.
    Argument(String),
    /// A capture, a run or another input is bad: `InputError`.
    Input(String),
    /// Anything else went wrong: `RunError`.
    Failed(String),
    /// The call was told to stop: the exception that told it is raised.
    Interrupted,
    /// An exception in a class of the user's: `RunError`, which it caused.
    Raised(Box<Raised>),
    /// A panic: `FaultError`.
    Fault(String),
}

impl Failure {
    /// A wrong value of an argument.
    pub fn argument(name: &str, error: impl Display) -> Self {
        Failure::Argument(format!("{name}: {error}"))
    }

    /// What ended a call, by what it was raised with: a panic, or an exception in a class of the user's.
    pub fn panic(payload: Box<dyn Any + Send>) -> Self {
        let payload = match payload.downcast::<Raised>() {
            Ok(raised) => return Failure::Raised(raised),
            Err(payload) => payload,
        };
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Failure::Fault(format!("a fault of taunet: please report it ({text})"))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::Config(error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Engine(EngineError::Interrupted) => Failure::Interrupted,
            error if error.is_bad_input() => Failure::Input(error.to_string()),
            error => Failure::Failed(with_causes(&error)),
        }
    }
}

impl From<AgainError> for Failure {
    fn from(error: AgainError) -> Self {
        match error {
            AgainError::Config(error) => error.into(),
            AgainError::Run(error) => (*error).into(),
            error => Failure::Input(error.to_string()),
        }
    }
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        Failure::Input(error.to_string())
    }
}

impl From<CalibrateError> for Failure {
    fn from(error: CalibrateError) -> Self {
        match error {
            CalibrateError::Interrupted => Failure::Interrupted,
            error if error.is_bad_input() => Failure::Input(error.to_string()),
            error => Failure::Failed(with_causes(&error)),
        }
    }
}

impl From<LearnError> for Failure {
    fn from(error: LearnError) -> Self {
        match error {
            LearnError::Interrupted => Failure::Interrupted,
            LearnError::Config(error) => error.into(),
            error if error.is_bad_input() => Failure::Input(error.to_string()),
            error => Failure::Failed(with_causes(&error)),
        }
    }
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Interrupted => Failure::Interrupted,
            SweepError::NotASweep(_) | SweepError::Damaged { .. } | SweepError::Changed(_) => {
                Failure::Input(error.to_string())
            }
            error => Failure::Failed(with_causes(&error)),
        }
    }
}

/// An error with its causes, as the command line prints them.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.ends_with(&reason) {
            text.push_str(&format!("\nbecause: {reason}"));
        }
        cause = error.source();
    }
    text
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> PyErr {
        Python::attach(|py| exception(py, failure).unwrap_or_else(|error| error))
    }
}

/// The exception of a failure.
fn exception(py: Python<'_>, failure: Failure) -> PyResult<PyErr> {
    let errors = py.import("taunet._errors")?;
    let (class, argument) = match failure {
        Failure::Config(error) => ("ConfigError", mistakes(py, &error)?.into_any()),
        Failure::Argument(text) => ("ArgumentError", text.into_pyobject(py)?.into_any()),
        Failure::Input(text) => ("InputError", text.into_pyobject(py)?.into_any()),
        Failure::Failed(text) => ("RunError", text.into_pyobject(py)?.into_any()),
        Failure::Fault(text) => ("FaultError", text.into_pyobject(py)?.into_any()),
        Failure::Raised(raised) => {
            let Raised { error, message } = *raised;
            let told = errors.getattr("RunError")?.call1((message,))?;
            told.setattr("__cause__", error.value(py))?;
            return Ok(PyErr::from_value(told));
        }
        Failure::Interrupted => {
            return Ok(pyo3::exceptions::PyKeyboardInterrupt::new_err(()));
        }
    };
    Ok(PyErr::from_value(errors.getattr(class)?.call1((argument,))?))
}

/// Every mistake as `(file, line, column, message, help, text of the line, characters)`.
fn mistakes<'py>(py: Python<'py>, error: &ConfigError) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for mistake in error.iter() {
        let source = mistake.source_text();
        let place = mistake.line_column();
        let text = place.and_then(|(line, _)| source.text.lines().nth(line - 1));
        let length = mistake
            .span()
            .and_then(|span| source.text.get(span))
            .map_or(0, |marked| marked.lines().next().unwrap_or_default().chars().count());
        let (line, column) = place.unzip();
        list.append(PyTuple::new(
            py,
            [
                (&source.name).into_pyobject(py)?.into_any(),
                line.into_pyobject(py)?.into_any(),
                column.into_pyobject(py)?.into_any(),
                mistake.message().into_pyobject(py)?.into_any(),
                mistake.help().into_pyobject(py)?.into_any(),
                text.into_pyobject(py)?.into_any(),
                length.into_pyobject(py)?.into_any(),
            ],
        )?)?;
    }
    Ok(list)
}

/// Calls `work`; a panic in it becomes a failure.
///
/// # Errors
/// Those of `work`, and a fault where it panics.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(Failure::panic(payload)))
}

/// A quantity of the argument `name`, such as "10 ms".
///
/// # Errors
/// The text is no such quantity.
pub fn quantity<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::argument(name, error))
}

/// A value as JSON.
///
/// # Errors
/// It has none, which is a fault.
pub fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::Fault(format!("a fault of taunet: {error}")))
}

/// Panics, to test that no panic reaches Python.
#[pyfunction]
pub fn fault(py: Python<'_>) -> PyResult<()> {
    crate::busy::busy(py, None, |_| panic!("asked for"))
}
