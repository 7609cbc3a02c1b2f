//! Traffic sources in Python: iterators of packets.

use std::collections::HashMap;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyIterator, PyString, PyTuple};
use taunet::packet::{FlowKey, Packet, Tau};
use taunet::topology::DeviceKind;
use taunet::traffic::{Batch, Emission, Source, SourceEntry, SourceError, SourcePlace, TrafficError};
use taunet::units::Time;

use super::discipline::shown;
use super::{Class, raise};

/// A source in Python.
pub(super) struct PythonSource {
    packets: Py<PyIterator>,
    name: String,
    /// Flows by their text, by their key, and in the order in which they appear.
    fids: HashMap<String, u32>,
    by_key: HashMap<FlowKey, u32>,
    keys: Vec<FlowKey>,
    last: u64,
    sent: u64,
}

impl PythonSource {
    /// Makes the source of an entry.
    ///
    /// # Errors
    /// The sending host has no address.
    ///
    /// An exception ends the run.
    pub fn open(class: &Class, keys: &toml::Table, place: &mut SourcePlace<'_>) -> Result<Self, SourceError> {
        let address = match place.entry {
            SourceEntry::Host(_) => Some(place.own_address()?.to_string()),
            SourceEntry::Vantage(_) => None,
        };
        // Only those of hosts: another device may have none.
        let hosts = place.topology.devices().filter(|(_, device)| device.kind == DeviceKind::Host);
        let hosts: Vec<String> = hosts.map(|(_, device)| device.name.clone()).collect();
        let mut addresses = Vec::new();
        for host in hosts {
            // A host without an address is an error where it is asked for.
            if let Ok(address) = place.address_of(&host) {
                addresses.push((host, address.to_string()));
            }
        }
        let name = format!("`{}` of the traffic `{}`", class.kind, place.name);
        Ok(Python::attach(|py| {
            let made = || {
                let attributes = PyDict::new(py);
                attributes.set_item("name", place.name)?;
                attributes.set_item("address", address)?;
                let of_hosts = PyDict::new(py);
                addresses.iter().try_for_each(|(host, address)| of_hosts.set_item(host, address))?;
                attributes.set_item("addresses", of_hosts)?;
                attributes.set_item("seed", (place.seed, "traffic", place.name))?;
                class.make(py, keys, attributes)
            };
            let object = made().unwrap_or_else(|error| raise(py, error, &name, "__init__"));
            let packets =
                object.bind(py).try_iter().unwrap_or_else(|error| raise(py, error, &name, "__iter__"));
            let packets = packets.unbind();
            PythonSource {
                packets,
                name,
                fids: HashMap::new(),
                by_key: HashMap::new(),
                keys: Vec::new(),
                last: 0,
                sent: 0,
            }
        }))
    }

    /// The next packet.
    fn next(&mut self, py: Python<'_>) -> PyResult<Option<Emission>> {
        let Some(given) = self.packets.bind(py).clone().next() else { return Ok(None) };
        let given = given?;
        let fields =
            given.cast::<PyTuple>().ok().filter(|it| (3..=6).contains(&it.len())).ok_or_else(|| {
                let message =
                    format!("{} is no packet: yield (instant in ps, length in bytes, flow)", shown(&given));
                PyTypeError::new_err(message)
            })?;
        let field = |place: usize, otherwise: u64, what: &str, most: u64| match fields.get_item(place) {
            Ok(value) => whole(&value, what, most),
            Err(_) => Ok(otherwise),
        };
        let at = field(0, 0, "the instant in picoseconds", u64::MAX - 1)?;
        let length = field(1, 0, "the length in bytes", u32::MAX.into())?;
        if length == 0 {
            return Err(PyValueError::new_err("the length in bytes: a packet has at least 1 byte"));
        }
        if at < self.last {
            let message =
                format!("a packet at {at} ps after one at {} ps: they are in the order of time", self.last);
            return Err(PyValueError::new_err(message));
        }
        let fid = self.fid(&fields.get_item(2)?)?;
        let is_ip = matches!(self.keys[fid as usize], FlowKey::Ip { .. });
        let (dscp, ecn) = (field(3, 0, "dscp", 63)?, field(4, 0, "ecn", 3)?);
        let ttl = field(5, if is_ip { 64 } else { 255 }, "ttl", 255)?;
        let trp = match self.keys[fid as usize] {
            FlowKey::Ip { protocol, .. } => protocol,
            FlowKey::Link { .. } => 255,
        };
        let packet = Packet {
            fid,
            length: length as u32,
            trp,
            ttl: ttl as u8,
            dscp: dscp as u8,
            ecn: ecn as u8,
            ..Packet::default()
        };
        let record = self.sent;
        (self.last, self.sent) = (at, record + 1);
        Ok(Some(Emission { tau: Tau { timestamp: Time::from_ps(at), packet }, record, match_key: None }))
    }

    /// The number of a flow, by its text.
    fn fid(&mut self, flow: &Bound<'_, PyAny>) -> PyResult<u32> {
        let text = flow.cast::<PyString>().map_err(|_| {
            PyTypeError::new_err(format!(
                "the flow: {} is not a text, such as \"10.0.0.1:5000 > 10.0.0.2:9 UDP\"",
                shown(flow)
            ))
        })?;
        let text = text.to_cow()?;
        if let Some(&fid) = self.fids.get(&*text) {
            return Ok(fid);
        }
        let key: FlowKey =
            text.parse().map_err(|error| PyValueError::new_err(format!("the flow: {error}")))?;
        // Two texts may name one flow.
        let fid = *self.by_key.entry(key).or_insert(self.keys.len() as u32);
        if fid as usize == self.keys.len() {
            self.keys.push(key);
        }
        self.fids.insert(text.into_owned(), fid);
        Ok(fid)
    }
}

/// A whole number in a range.
fn whole(value: &Bound<'_, PyAny>, what: &str, most: u64) -> PyResult<u64> {
    let is_number = !value.is_instance_of::<PyBool>() && !value.is_instance_of::<PyFloat>();
    match value.extract::<u64>() {
        Ok(number) if is_number && number <= most => Ok(number),
        _ => {
            let message = format!("{what}: {} is not a whole number from 0 to {most}", shown(value));
            Err(if is_number { PyValueError::new_err(message) } else { PyTypeError::new_err(message) })
        }
    }
}

impl Source for PythonSource {
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError> {
        Ok(Python::attach(|py| {
            let next = self.next(py);
            next.unwrap_or_else(|error| raise(py, error, &self.name, "__iter__"))
        }))
    }

    fn read(&mut self, end: Time, most: usize, batch: &mut Batch) -> Result<bool, TrafficError> {
        Python::attach(|_| {
            for _ in 0..most {
                let Some(emission) = self.next_emission()? else { return Ok(false) };
                batch.push(emission);
                if emission.tau.timestamp >= end {
                    return Ok(true);
                }
            }
            Ok(true)
        })
    }

    fn flow(&self, fid: u32) -> FlowKey {
        self.keys[fid as usize]
    }
}
