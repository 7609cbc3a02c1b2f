//! `taunet._taunet`: what the Python package `taunet` needs of the library.
//!
//! The package is written in Python (`python/taunet`); this module has no interface of its own that anybody
//! else should use. It converts: texts and paths in, JSON and Arrow tables out.
//!
//! 1. `failure`: errors of the library as exceptions of the package.
//! 2. `busy`: long calls on a thread of their own, without the GIL, with progress and Ctrl-C.
//! 3. `table`: tables in memory as streams of the Arrow C data interface.
//! 4. `kinds`: disciplines, sources and models that are written in Python.
//! 5. `topology`, `scenario`, `captures`, `runs`, `sweep`, `learned`: one file per part of the package.
#![deny(unsafe_code)]

mod busy;
mod captures;
mod failure;
mod kinds;
mod learned;
mod runs;
mod scenario;
mod sweep;
mod table;
mod topology;

use pyo3::prelude::*;

#[pymodule]
mod _taunet {
    #[pymodule_export]
    use crate::captures::{Calibration, calibrate, compare_captures, read_pcap};
    #[pymodule_export]
    use crate::failure::fault;
    #[pymodule_export]
    use crate::kinds::batch::features;
    #[pymodule_export]
    use crate::kinds::discipline::{Discipline, Flow, Packet};
    #[pymodule_export]
    use crate::kinds::register;
    #[pymodule_export]
    use crate::learned::{evaluate, train, trains};
    #[pymodule_export]
    use crate::runs::{compare_run, compare_runs};
    #[pymodule_export]
    use crate::scenario::Scenario;
    #[pymodule_export]
    use crate::sweep::Sweep;
    #[pymodule_export]
    use crate::table::Table;
    #[pymodule_export]
    use crate::topology::Topology;
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
