//! Round-trip times, simulated against measured, at one port.
//!
//! A simulation without a TCP stack sends no answers. For a recorded round trip, it gives the time of the
//! data packet from the port to the host that answered, and the time of the answer from its injection back to
//! the port. The simulated round-trip time is the sum of the two and a constant turnaround. The pairs of data
//! packet and answer are those of the capture.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap};
use serde::Serialize;

use super::REACH_PS;
use super::distribution::DelaySummary;
use super::metrics::{Agreement, Delays, agreement};
use crate::capture::{
    CaptureError, Frame, MatchFields, Options, Reader, RttEstimator, RttMethod, TcpSegment, UnreadCounts,
    standard_input,
};
use crate::engine::{Hop, Injected, InjectionPoint};
use crate::packet::Tau;
use crate::scenario::MeasuredRtts;
use crate::topology::{DeviceId, PortId, Topology};
use crate::units::{Span, Time};

/// Observes a simulation at the ports of the captures with round-trip times.
#[derive(Debug, Default)]
pub struct RttWatch {
    ports: Vec<RttPort>,
    /// The packets inside the network, by pid.
    inside: FxHashMap<u64, Inside>,
}

/// One port, and the packets that passed it.
#[derive(Debug)]
pub struct RttPort {
    port: PortId,
    device: DeviceId,
    number: u16,
    /// By match key; `None` if two packets share it.
    legs: FxHashMap<u64, Option<Legs>>,
}

/// A packet that passed a port.
#[derive(Debug, Clone, Copy)]
struct Legs {
    /// Time from injection to the port; `None` if injected at the port.
    before: Option<Span>,
    /// Time from the port to the destination host.
    beyond: Span,
}

#[derive(Debug)]
struct Inside {
    key: u64,
    injected: Time,
    entered: InjectionPoint,
    /// Time of passing, by port.
    passed: Vec<(usize, Time)>,
}

impl RttWatch {
    /// Observes these ports.
    pub fn new(topology: &Topology, measured: &[MeasuredRtts]) -> Self {
        let port = |measured: &MeasuredRtts| {
            let port = topology.port(measured.at);
            let (device, number) = (port.device, port.number);
            RttPort { port: measured.at, device, number, legs: FxHashMap::default() }
        };
        RttWatch { ports: measured.iter().map(port).collect(), inside: FxHashMap::default() }
    }

    /// Whether no port is observed.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// Records a packet that enters at a point.
    pub fn injected(&mut self, injected: &Injected<'_>, entered: InjectionPoint) {
        let (Some(key), false) = (injected.match_key, self.ports.is_empty()) else { return };
        let at = injected.tau.timestamp;
        let here =
            self.ports.iter().enumerate().filter(|(_, port)| entered == InjectionPoint::Egress(port.port));
        let passed = here.map(|(number, _)| (number, at)).collect();
        self.inside.insert(injected.tau.packet.pid, Inside { key, injected: at, entered, passed });
    }

    /// Records a packet that passed a device.
    #[inline]
    pub fn hop(&mut self, hop: &Hop) {
        if self.ports.is_empty() {
            return;
        }
        let Some(inside) = self.inside.get_mut(&hop.packet.pid) else { return };
        for (number, port) in self.ports.iter().enumerate() {
            if port.port == hop.port {
                inside.passed.push((number, hop.egress));
            } else if port.device == hop.device && port.number == hop.packet.in_port {
                inside.passed.push((number, hop.ingress));
            }
        }
    }

    /// Records a packet that reached its destination host.
    pub fn delivered(&mut self, tau: &Tau, host: DeviceId) {
        let Some(inside) = self.inside.remove(&tau.packet.pid) else { return };
        let mut passed = inside.passed;
        for (number, port) in self.ports.iter().enumerate() {
            if port.device == host && port.number == tau.packet.in_port {
                passed.push((number, tau.timestamp));
            }
        }
        for (number, at) in passed {
            let port = self.ports[number].port;
            let here = [InjectionPoint::Ingress(port), InjectionPoint::Egress(port)];
            let injected_here = here.contains(&inside.entered);
            let before = (!injected_here).then(|| at.since(inside.injected));
            let legs = Legs { before, beyond: tau.timestamp.since(at) };
            let known = self.ports[number].legs.entry(inside.key);
            known.and_modify(|legs| *legs = None).or_insert(Some(legs));
        }
    }

    /// Records a lost packet.
    pub fn dropped(&mut self, pid: u64) {
        self.inside.remove(&pid);
    }

    /// The ports, with all packets that passed them.
    pub fn into_ports(self) -> Vec<RttPort> {
        self.ports
    }
}

/// Round-trip times at a port, simulated against measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RttComparison {
    /// The port.
    pub port: String,
    /// The capture, as named in the scenario.
    pub capture: PathBuf,
    /// The constant added to every simulated round trip, in seconds.
    pub turnaround_s: f64,
    /// Round trips in the capture, from acknowledgements.
    pub measured: u64,
    /// Of those, round trips whose two packets were both simulated.
    pub compared: u64,
    /// Of those, round trips with a packet that the simulation lost, does not have at the port, or has twice.
    pub not_simulated: u64,
    /// Of those, round trips whose answer was injected at the port itself, so that its path was not
    /// simulated.
    pub answered_here: u64,
    /// Agreement over all round trips; `None` if none was compared.
    pub all: Option<RttAgreement>,
    /// Agreement by connection and by the side that answered.
    pub connections: Vec<ConnectionAgreement>,
}

/// The round-trip times between a port and one side of a connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConnectionAgreement {
    /// The connection's number in the capture.
    pub connection: u32,
    /// The sender of the answered data.
    pub sender: SocketAddr,
    /// The host that answered.
    pub responder: SocketAddr,
    /// Number of samples and agreement.
    #[serde(flatten)]
    pub agreement: RttAgreement,
}

/// Agreement of simulated and measured round-trip times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RttAgreement {
    /// Number of round trips compared.
    pub samples: u64,
    /// Simulated round-trip times, in seconds.
    pub simulated_s: DelaySummary,
    /// Measured round-trip times, in seconds.
    pub measured_s: DelaySummary,
    /// The metrics.
    #[serde(flatten)]
    pub agreement: Agreement,
}

impl RttAgreement {
    fn new(delays: &Delays) -> Option<Self> {
        let (simulated_s, measured_s, agreement) = agreement(delays)?;
        Some(RttAgreement { samples: delays.measured.len() as u64, simulated_s, measured_s, agreement })
    }
}

/// Reads the round-trip times of `capture` and compares them with those of the simulation at `port`. Match
/// keys cover `fields`, as in the simulation.
///
/// # Errors
/// The capture cannot be read.
pub fn compare_rtts(
    name: String,
    measured: &MeasuredRtts,
    port: &RttPort,
    fields: &MatchFields,
    options: &Options,
) -> Result<(RttComparison, Vec<String>), CaptureError> {
    standard_input::check_twice(&measured.capture, "[[rtt]] compares in a second pass")?;
    let options = options.with(&measured.keys);
    let mut reader = Reader::open(&measured.capture, &options)?;
    let mut estimator = RttEstimator::new();
    let mut comparison = RttComparison {
        port: name,
        capture: measured.capture.clone(),
        turnaround_s: measured.turnaround.as_seconds_f64(),
        measured: 0,
        compared: 0,
        not_simulated: 0,
        answered_here: 0,
        all: None,
        connections: Vec::new(),
    };
    // By record.
    let mut keys: Vec<Option<u64>> = Vec::new();
    let mut all = Delays::default();
    let mut unread = UnreadCounts::default();
    let mut sides: IndexMap<(u32, SocketAddr, SocketAddr), Delays, FxBuildHasher> = IndexMap::default();
    while let Some(record) = reader.next_record()? {
        let frame = Frame::parse(record.link_type, record.bytes, record.original_length);
        unread.add(&frame);
        let key = frame.match_key_over(fields);
        keys.resize(record.index as usize, None);
        keys.push(key);
        let Some(segment) = TcpSegment::parse(record.link_type, record.bytes, record.original_length) else {
            continue;
        };
        for rtt in estimator.add(record.timestamp, record.index, &segment) {
            if rtt.method == RttMethod::Timestamp {
                continue;
            }
            comparison.measured += 1;
            let legs = |record: u64| port.legs.get(&keys[record as usize]?).copied().flatten();
            let (Some(data), Some(answer)) = (legs(rtt.sent_record), legs(rtt.answer_record)) else {
                comparison.not_simulated += 1;
                continue;
            };
            let Some(before) = answer.before else {
                comparison.answered_here += 1;
                continue;
            };
            let ps = |span: Span| i64::try_from(span.as_ps()).unwrap_or(REACH_PS).min(REACH_PS);
            let simulated = ps(data.beyond + measured.turnaround + before);
            let side = sides.entry((rtt.connection, rtt.sender, rtt.responder)).or_default();
            for delays in [&mut all, side] {
                delays.simulated.push(simulated);
                delays.measured.push(ps(rtt.rtt));
            }
        }
    }
    comparison.compared = all.measured.len() as u64;
    comparison.all = RttAgreement::new(&all);
    let sides = sides.iter().filter_map(|((connection, sender, responder), delays)| {
        let (connection, sender, responder) = (*connection, *sender, *responder);
        Some(ConnectionAgreement { connection, sender, responder, agreement: RttAgreement::new(delays)? })
    });
    comparison.connections = sides.collect();
    let mut warnings = reader.remarks();
    warnings.extend(unread.remarks(reader.path()));
    warnings.extend(comparison.doubts(&measured.capture));
    Ok((comparison, warnings))
}

impl RttComparison {
    /// A warning if the comparison is empty.
    fn doubts(&self, capture: &Path) -> Option<String> {
        let (port, capture) = (&self.port, capture.display());
        if self.measured == 0 {
            Some(format!(
                "{capture} has no round-trip times: does it contain both directions of TCP connections?"
            ))
        } else if self.compared == 0 && self.answered_here > 0 {
            Some(format!(
                "all answers in {capture} are injected at {port}, so their path is not simulated: replay it \
                 with `by_address`, so that each host sends its own packets"
            ))
        } else if self.compared == 0 {
            Some(format!(
                "no round trip of {capture} was simulated at {port}: is the port on the path of its packets?"
            ))
        } else {
            None
        }
    }
}
