//! Models of a port over batches of arrivals: arrays in, arrays out.

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};
use pyo3::{IntoPyObjectExt, intern};
use taunet::flow::Flows;
use taunet::link::Transmission;
use taunet::packet::Tau;
use taunet::ptm::{Arrival, Departure, Lindley, Loss, Place, Ptm};
use taunet::units::{Span, Time};

use super::{Class, helpers, raise};

/// A column of the features.
#[derive(Clone, Copy)]
enum Column {
    Arrival,
    Gap,
    Service,
    FifoWait,
    Length,
    Fid,
    Dscp,
    Ecn,
    InPort,
    Protocol,
}

impl Column {
    const ALL: [(&'static str, Column); 10] = [
        ("arrival_ps", Column::Arrival),
        ("gap_ps", Column::Gap),
        ("service_ps", Column::Service),
        ("fifo_wait_ps", Column::FifoWait),
        ("length", Column::Length),
        ("fid", Column::Fid),
        ("dscp", Column::Dscp),
        ("ecn", Column::Ecn),
        ("in_port", Column::InPort),
        ("protocol", Column::Protocol),
    ];
}

/// The names of all columns.
#[pyfunction]
pub fn features() -> Vec<&'static str> {
    Column::ALL.iter().map(|(name, _)| *name).collect()
}

/// A port whose model is in Python.
pub(super) struct BatchPort {
    object: Py<PyAny>,
    name: String,
    columns: Vec<Column>,
    transmission: Transmission,
    /// The same arrivals through a FIFO.
    fifo: Lindley,
    /// The last arrival.
    last: Time,
    /// When the link becomes free.
    free: Time,
}

impl BatchPort {
    /// Makes the model of a port.
    ///
    /// An exception ends the run.
    pub fn new(class: &Class, keys: &toml::Table, place: &Place<'_>) -> Self {
        let name = format!("`{}` at {}", class.kind, place.port);
        let (object, columns) = Python::attach(|py| {
            let object = class.make_at(py, keys, place);
            let named =
                object.bind(py).getattr(intern!(py, "features")).and_then(|it| it.extract::<Vec<String>>());
            let named = named.unwrap_or_else(|error| raise(py, error, &name, "features"));
            (object, named)
        });
        // Names were checked where the class got its own.
        let of =
            |name: &String| Column::ALL.iter().find(|(known, _)| known == name).map(|(_, column)| *column);
        BatchPort {
            object,
            name,
            columns: columns.iter().filter_map(of).collect(),
            transmission: Transmission::new(&place.link),
            fifo: Lindley::new(&place.link),
            last: Time::ZERO,
            free: Time::ZERO,
        }
    }

    /// The features of a packet.
    fn write(&mut self, tau: &Tau, features: &mut Vec<u8>) {
        let (packet, at) = (&tau.packet, tau.timestamp);
        let (start, _) = self.fifo.send(at, packet.length);
        for column in &self.columns {
            let number = match column {
                Column::Arrival => at.as_ps() as f64,
                Column::Gap => at.as_ps().saturating_sub(self.last.as_ps()) as f64,
                Column::Service => self.transmission.time(packet.length).as_ps() as f64,
                Column::FifoWait => start.as_ps().saturating_sub(at.as_ps()) as f64,
                Column::Length => packet.length.into(),
                Column::Fid => packet.fid.into(),
                Column::Dscp => packet.dscp.into(),
                Column::Ecn => packet.ecn.into(),
                Column::InPort if packet.in_port == u16::MAX => -1.0,
                Column::InPort => packet.in_port.into(),
                Column::Protocol => packet.trp.into(),
            };
            features.extend(number.to_ne_bytes());
        }
        self.last = at;
    }

    /// When each of some packets starts.
    ///
    /// An exception ends the run.
    fn starts(&mut self, ingress: &[Tau], mut start: impl FnMut(&Tau, Time)) {
        let mut features = Vec::with_capacity(ingress.len() * self.columns.len() * 8);
        ingress.iter().for_each(|tau| self.write(tau, &mut features));
        Python::attach(|py| {
            let waits = || {
                let features = PyByteArray::new(py, &features).into_bound_py_any(py)?;
                let arguments = (self.object.bind(py), features, ingress.len());
                let waits = helpers(py)?.call_method1(intern!(py, "waits"), arguments)?;
                Ok(waits.cast_into::<PyBytes>()?)
            };
            let waits = waits().unwrap_or_else(|error| raise(py, error, &self.name, "waits"));
            for (tau, wait) in ingress.iter().zip(waits.as_bytes().chunks_exact(8)) {
                let wait = f64::from_ne_bytes(wait.try_into().unwrap_or_default());
                // It is neither negative nor too long: `waits` of the package has checked it.
                let at = (tau.timestamp + Span::from_ps(wait.round() as u64)).max(self.free);
                self.free = at + self.transmission.time(tau.packet.length);
                start(tau, at);
            }
        });
    }
}

impl Ptm for BatchPort {
    fn arrive(&mut self, tau: &Tau, _flows: &Flows) -> Arrival {
        let mut at = tau.timestamp;
        self.starts(std::slice::from_ref(tau), |_, start| at = start);
        Arrival::Departs(at)
    }

    fn forward_trace(
        &mut self,
        ingress: &[Tau],
        _flows: &Flows,
        _until: Time,
        departures: &mut Vec<Departure>,
        _losses: &mut Vec<Loss>,
    ) {
        if !ingress.is_empty() {
            self.starts(ingress, |tau, start| departures.push(Departure { tau: *tau, start }));
        }
    }
}
