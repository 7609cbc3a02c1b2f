//! Kinds that are written in Python: `taunet.register`.
//!
//! Classes have names here, for every file, text and dict that is read afterwards. An exception in one of them
//! ends the run where it is raised: the calls of a port return no errors, so it unwinds as a panic does, without
//! being one, and [`Failure::panic`] makes it an exception again.

pub mod batch;
pub mod discipline;
pub mod source;

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use taunet::config::Registry;
use taunet::ptm::Place;
use taunet::units::Bandwidth;

use crate::failure::Failure;

/// What a class is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Discipline,
    Batch,
    Source,
}

/// A class with its name.
struct Kind {
    role: Role,
    class: Py<PyAny>,
}

/// The classes that have names.
static KINDS: Mutex<BTreeMap<String, Kind>> = Mutex::new(BTreeMap::new());

fn kinds() -> MutexGuard<'static, BTreeMap<String, Kind>> {
    KINDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives a class a name: `role` is "discipline", "batch" or "source".
#[pyfunction]
pub fn register(kind: String, role: &str, class_: Py<PyAny>) -> PyResult<()> {
    let role = match role {
        "discipline" => Role::Discipline,
        "batch" => Role::Batch,
        "source" => Role::Source,
        other => return Err(Failure::argument("role", format!("`{other}` is none")).into()),
    };
    kinds().insert(kind, Kind { role, class: class_ });
    Ok(())
}

/// Taunet's kinds, and those with names.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    // The GIL before the lock, as where a class gets its name.
    Python::attach(|py| {
        for (name, Kind { role, class }) in &*kinds() {
            let class = Class { kind: name.clone(), class: class.clone_ref(py) };
            let checked = class.clone();
            registry.check(name, move |keys| checked.check(keys));
            match role {
                Role::Discipline => registry
                    .discipline(name, move |keys: &toml::Table, place: &Place<'_>| {
                        discipline::queue(&class, keys, place)
                    }),
                Role::Batch => registry.ptm(name, move |keys: &toml::Table, place: &Place<'_>| {
                    batch::BatchPort::new(&class, keys, place)
                }),
                Role::Source => registry.source(name, move |keys: &toml::Table, place| {
                    source::PythonSource::open(&class, keys, place)
                }),
            }
        }
    });
    registry
}

/// Whether any class has a name.
pub fn any() -> bool {
    !kinds().is_empty()
}

/// A class in a registry.
struct Class {
    kind: String,
    class: Py<PyAny>,
}

impl Clone for Class {
    fn clone(&self) -> Self {
        let class = Python::attach(|py| self.class.clone_ref(py));
        Class { kind: self.kind.clone(), class }
    }
}

impl Class {
    /// What is wrong with the keys beside `kind`, by the names of the arguments of the class.
    fn check(&self, keys: &toml::Table) -> Result<(), String> {
        let wrong = Python::attach(|py| {
            let arguments = (&self.kind, self.class.bind(py), dict(py, keys)?);
            helpers(py)?.call_method1("wrong_keys", arguments)?.extract::<Option<String>>()
        });
        match wrong {
            Ok(None) => Ok(()),
            Ok(Some(wrong)) => Err(wrong),
            Err(error) => Err(format!("the class of `{}` cannot be looked at: {error}", self.kind)),
        }
    }

    /// A new object, with attributes for its place.
    fn make(&self, py: Python<'_>, keys: &toml::Table, place: Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
        let arguments = (self.class.bind(py), dict(py, keys)?, place);
        Ok(helpers(py)?.call_method1("make", arguments)?.unbind())
    }

    /// The same at a port.
    ///
    /// An exception ends the run.
    fn make_at(&self, py: Python<'_>, keys: &toml::Table, place: &Place<'_>) -> Py<PyAny> {
        let made = || {
            let attributes = PyDict::new(py);
            attributes.set_item("port", place.port)?;
            attributes.set_item(
                "rate_bps",
                match place.link.bandwidth {
                    Bandwidth::Limited(rate) => Some(rate.as_bps()),
                    Bandwidth::Unlimited => None,
                },
            )?;
            attributes.set_item("seed", (place.seed, "ptm", place.port))?;
            self.make(py, keys, attributes)
        };
        made().unwrap_or_else(|error| {
            raise(py, error, &format!("`{}` at {}", self.kind, place.port), "__init__")
        })
    }
}

/// The half of this in Python.
fn helpers(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("taunet._kinds")
}

/// A table as a dict.
fn dict<'py>(py: Python<'py>, table: &toml::Table) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, item) in table {
        dict.set_item(key, value(py, item)?)?;
    }
    Ok(dict)
}

/// A value of TOML; a date is its text.
fn value<'py>(py: Python<'py>, item: &toml::Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match item {
        toml::Value::String(text) => PyString::new(py, text).into_any(),
        toml::Value::Integer(number) => number.into_pyobject(py)?.into_any(),
        toml::Value::Float(number) => number.into_pyobject(py)?.into_any(),
        toml::Value::Boolean(is) => is.into_pyobject(py)?.to_owned().into_any(),
        toml::Value::Datetime(date) => PyString::new(py, &date.to_string()).into_any(),
        toml::Value::Array(items) => {
            let items = items.iter().map(|item| value(py, item)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        toml::Value::Table(table) => dict(py, table)?.into_any(),
    })
}

/// An exception that ended a run, and where.
#[derive(Debug)]
pub struct Raised {
    pub error: PyErr,
    pub message: String,
}

/// Ends the run with an exception that was raised in a method: `place` is "`my-queue` at r1:0".
///
/// The hook of panics is not called: nothing is printed, and no debugger stops.
fn raise(py: Python<'_>, error: PyErr, place: &str, method: &str) -> ! {
    let said = error.value(py).str().map_or_else(|_| String::new(), |text| text.to_string());
    let name = error.get_type(py).name().map_or_else(|_| "an exception".to_owned(), |name| name.to_string());
    let colon = if said.is_empty() { "" } else { ": " };
    resume_unwind(Box::new(Raised { error, message: format!("{place}: {method}: {name}{colon}{said}") }))
}

/// Runs `work` on this thread without the GIL, and keeps the thread known to Python in between, so that a call
/// of Python costs little.
pub fn known_to_python<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if any() { Python::attach(|py| py.detach(work)) } else { work() }
}
