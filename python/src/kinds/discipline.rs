//! Queueing disciplines in Python.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit, intern};
use taunet::flow::Flows;
use taunet::packet::{DropReason, FlowKey, Tau, protocol_name};
use taunet::ptm::{Backlog, Held, Loss, Next, Place, Queueing};
use taunet::units::Time;

use super::{Class, raise};

/// Every packet that ever joined a discipline has a number of its own, so that no port takes that of another.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A flow.
#[pyclass(frozen, module = "taunet")]
pub struct Flow {
    #[pyo3(get)]
    fid: u32,
    #[pyo3(get)]
    source: Option<String>,
    #[pyo3(get)]
    destination: Option<String>,
    #[pyo3(get)]
    protocol: Option<String>,
    #[pyo3(get)]
    source_port: Option<u16>,
    #[pyo3(get)]
    destination_port: Option<u16>,
    text: String,
}

#[pymethods]
impl Flow {
    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> String {
        format!("<taunet.Flow {}: {}>", self.fid, self.text)
    }
}

impl Flow {
    fn new(fid: u32, key: &FlowKey) -> Self {
        let text = key.to_string();
        match key {
            FlowKey::Ip { source, destination, protocol, ports } => Flow {
                fid,
                source: Some(source.to_string()),
                destination: Some(destination.to_string()),
                protocol: Some(protocol_name(*protocol)),
                source_port: ports.map(|(port, _)| port),
                destination_port: ports.map(|(_, port)| port),
                text,
            },
            FlowKey::Link { source, destination, .. } => Flow {
                fid,
                source: source.map(|mac| mac.to_string()),
                destination: destination.map(|mac| mac.to_string()),
                protocol: None,
                source_port: None,
                destination_port: None,
                text,
            },
        }
    }
}

/// A packet as it joined a port.
#[pyclass(frozen, module = "taunet")]
pub struct Packet {
    number: u64,
    tau: Tau,
    #[pyo3(get)]
    flow: Py<Flow>,
}

#[pymethods]
impl Packet {
    #[getter]
    fn pid(&self) -> u64 {
        self.tau.packet.pid
    }

    #[getter]
    fn fid(&self) -> u32 {
        self.tau.packet.fid
    }

    #[getter]
    fn length(&self) -> u32 {
        self.tau.packet.length
    }

    #[getter]
    fn dscp(&self) -> u8 {
        self.tau.packet.dscp
    }

    #[getter]
    fn ecn(&self) -> u8 {
        self.tau.packet.ecn
    }

    #[getter]
    fn ttl(&self) -> u8 {
        self.tau.packet.ttl
    }

    #[getter]
    fn pcp(&self) -> Option<u8> {
        self.tau.packet.tag.pcp()
    }

    #[getter]
    fn vlan(&self) -> Option<u16> {
        self.tau.packet.tag.vlan()
    }

    #[getter]
    fn in_port(&self) -> Option<u16> {
        Some(self.tau.packet.in_port).filter(|&port| port != u16::MAX)
    }

    #[getter]
    fn arrived_ps(&self) -> u64 {
        self.tau.timestamp.as_ps()
    }

    fn __repr__(&self) -> String {
        format!("<taunet.Packet {}: {} B>", self.tau.packet.pid, self.tau.packet.length)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.flow)
    }
}

/// What waits at a port.
#[derive(Default)]
struct Waiting {
    waiting: BTreeMap<u64, Tau>,
    backlog: Backlog,
    losses: Vec<Loss>,
    /// The instant of the call of Python that is under way.
    now: Option<Time>,
}

impl Waiting {
    fn remove(&mut self, packet: &Packet, how: &str) -> PyResult<Tau> {
        let tau = self.waiting.remove(&packet.number).ok_or_else(|| {
            let pid = packet.tau.packet.pid;
            PyValueError::new_err(format!(
                "packet {pid} {how}, but does not wait here: it was sent or dropped before, or is of another port"
            ))
        })?;
        self.backlog.remove(tau.packet.length);
        Ok(tau)
    }
}

type Shared = Arc<Mutex<Waiting>>;

fn locked(held: &Shared) -> MutexGuard<'_, Waiting> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The base of disciplines: it knows what waits.
#[pyclass(subclass, frozen, module = "taunet._taunet")]
pub struct Discipline {
    held: Shared,
}

#[pymethods]
impl Discipline {
    #[new]
    #[pyo3(signature = (*_arguments, **_keys))]
    fn new(_arguments: &Bound<'_, PyTuple>, _keys: Option<&Bound<'_, PyDict>>) -> Self {
        Discipline { held: Shared::default() }
    }

    /// Drops a packet that waits.
    #[pyo3(signature = (packet, reason="buffer-full"))]
    fn drop(&self, packet: &Bound<'_, PyAny>, reason: &str) -> PyResult<()> {
        let packet = of_packet(packet, "drop")?;
        let Some(reason) = DropReason::ALL.into_iter().find(|known| known.name() == reason) else {
            let names: Vec<_> = DropReason::ALL.iter().map(|known| format!("\"{known}\"")).collect();
            let message = format!("`{reason}` is no reason for a drop: write one of {}", names.join(", "));
            return Err(PyValueError::new_err(message));
        };
        let mut held = locked(&self.held);
        let at = held
            .now
            .ok_or_else(|| PyValueError::new_err("a packet is dropped in `arrive` or `next` alone"))?;
        let tau = held.remove(packet.get(), "is dropped")?;
        held.losses.push(Loss { tau, at, reason });
        Ok(())
    }

    /// Marks a packet that waits as having experienced congestion; gives whether it has the mark.
    fn mark(&self, packet: &Bound<'_, PyAny>) -> PyResult<bool> {
        let packet = of_packet(packet, "mark")?;
        let mut held = locked(&self.held);
        let number = packet.get().number;
        let Some(tau) = held.waiting.get_mut(&number) else {
            let pid = packet.get().tau.packet.pid;
            return Err(PyValueError::new_err(format!("packet {pid} is marked, but does not wait here")));
        };
        Ok(tau.packet.mark_congestion())
    }

    /// The packets that wait.
    #[getter]
    fn backlog_packets(&self) -> u64 {
        locked(&self.held).backlog.packets()
    }

    /// Their bytes.
    #[getter]
    fn backlog_bytes(&self) -> u64 {
        locked(&self.held).backlog.bytes()
    }
}

fn of_packet<'a, 'py>(it: &'a Bound<'py, PyAny>, method: &str) -> PyResult<&'a Bound<'py, Packet>> {
    it.cast::<Packet>().map_err(|_| {
        let kind = it.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
        PyTypeError::new_err(format!("{method}: a value of type {kind} is no packet"))
    })
}

/// Makes the discipline of a port.
///
/// An exception ends the run.
pub(super) fn queue(class: &Class, keys: &toml::Table, place: &Place<'_>) -> Held<PythonQueue> {
    Python::attach(|py| {
        let object = class.make_at(py, keys, place);
        let name = format!("`{}` at {}", class.kind, place.port);
        let held = match object.bind(py).cast::<Discipline>() {
            Ok(base) => Arc::clone(&base.get().held),
            Err(error) => raise(py, error.into(), &name, "__new__"),
        };
        Held::new(PythonQueue { object, name, held, flows: HashMap::new() })
    })
}

/// A discipline in Python at a port.
pub(super) struct PythonQueue {
    object: Py<PyAny>,
    name: String,
    held: Shared,
    flows: HashMap<u32, Py<Flow>>,
}

impl PythonQueue {
    /// Calls a method at an instant, and passes on what it drops.
    fn call<T>(
        &mut self,
        now: Time,
        losses: &mut Vec<Loss>,
        method: &str,
        call: impl FnOnce(&mut Self, Python<'_>) -> PyResult<T>,
    ) -> T {
        locked(&self.held).now = Some(now);
        let found = Python::attach(|py| match call(self, py) {
            Ok(found) => found,
            Err(error) => raise(py, error, &self.name, method),
        });
        let mut held = locked(&self.held);
        held.now = None;
        losses.append(&mut held.losses);
        found
    }

    fn flow(&mut self, py: Python<'_>, fid: u32, flows: &Flows) -> PyResult<Py<Flow>> {
        if let Some(flow) = self.flows.get(&fid) {
            return Ok(flow.clone_ref(py));
        }
        let nameless = FlowKey::Link { source: None, destination: None, ether_type: None };
        let key = flows.key(fid).unwrap_or(nameless);
        let flow = Py::new(py, Flow::new(fid, &key))?;
        self.flows.insert(fid, flow.clone_ref(py));
        Ok(flow)
    }
}

impl Queueing for PythonQueue {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, _held: Backlog, losses: &mut Vec<Loss>) {
        let now = tau.timestamp;
        self.call(now, losses, "arrive", |this, py| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let flow = this.flow(py, tau.packet.fid, flows)?;
            let packet = Py::new(py, Packet { number, tau, flow })?;
            {
                let mut held = locked(&this.held);
                held.waiting.insert(number, tau);
                held.backlog.add(tau.packet.length);
            }
            let given = this.object.bind(py).call_method1(intern!(py, "arrive"), (packet, now.as_ps()))?;
            if given.is_none() {
                return Ok(());
            }
            let message = format!(
                "it returned {}, but returns nothing: `self.drop(packet)` drops a packet",
                shown(&given)
            );
            Err(PyTypeError::new_err(message))
        });
    }

    fn take(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<Tau, Next> {
        // No port asks Python about nothing.
        if locked(&self.held).waiting.is_empty() {
            return Err(Next::Nothing);
        }
        self.call(now, losses, "next", |this, py| {
            let given = this.object.bind(py).call_method1(intern!(py, "next"), (now.as_ps(),))?;
            if let Ok(packet) = given.cast::<Packet>() {
                return Ok(Ok(locked(&this.held).remove(packet.get(), "is returned")?));
            }
            let waiting = locked(&this.held).waiting.len();
            if given.is_none() {
                if waiting == 0 {
                    return Ok(Err(Next::Nothing));
                }
                return Err(PyValueError::new_err(format!(
                    "it returned None while {waiting} packets wait: return one of them, or when to ask again, in \
                     picoseconds"
                )));
            }
            if !given.is_instance_of::<PyInt>() || given.is_instance_of::<pyo3::types::PyBool>() {
                let message = format!("it returned {}: return a packet, None, or a whole number of picoseconds", shown(&given));
                return Err(PyTypeError::new_err(message));
            }
            match given.extract::<u64>() {
                Ok(at) if at > now.as_ps() && waiting > 0 => Ok(Err(Next::Throttled(Time::from_ps(at)))),
                _ if waiting == 0 => Ok(Err(Next::Nothing)),
                _ => Err(PyValueError::new_err(format!(
                    "it returned {}, which is no instant after now, {}, in picoseconds",
                    shown(&given),
                    now.as_ps()
                ))),
            }
        })
    }

    fn backlog(&self) -> Backlog {
        locked(&self.held).backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(locked(&self.held).waiting.values());
    }
}

/// A value in a message.
pub(super) fn shown(value: &Bound<'_, PyAny>) -> String {
    let text = value.repr().unwrap_or_else(|_| PyString::new(value.py(), "a value"));
    let text = text.to_string();
    if text.chars().count() <= 80 {
        text
    } else {
        format!("{}...", text.chars().take(77).collect::<String>())
    }
}
