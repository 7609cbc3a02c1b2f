//! Traffic over connections: the opened connections, and their transport.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arrivals::Arrivals;
use super::dialogue::Dialogue;
use super::flow_rate::{Gaps, Lognormal};
use super::matrix::Destinations;
use super::on_off::Period;
use super::poisson::Poisson;
use super::rate::Gap;
use super::size::Sizes;
use crate::application::{Burst, Bursts, Entry, Flow, Pacing, Program};
use crate::config::Spanned;
use crate::packet::FlowKey;
use crate::random::{Stream, stream};
use crate::topology::{DeviceId, Topology};
use crate::transport::congestion::Algorithm;
use crate::transport::tcp::{BufferLimits, LossRecovery, Parameters};
use crate::units::{ByteCount, Rate, Span, Time};

/// The transport of connections, as written in a scenario:
/// `transport = { kind = "tcp", congestion_control = "cubic" }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransportSpec {
    /// The protocol.
    pub kind: TransportKind,
    /// The congestion control (default: cubic; with `recovery = "rfc6582"`, reno).
    #[schemars(with = "Option<Algorithm>")]
    pub congestion_control: Option<Spanned<Algorithm>>,
    /// How losses are detected and repaired (default: rack).
    #[serde(default)]
    pub recovery: LossRecovery,
    /// Whether senders request ECN (RFC 3168), to which receivers agree (default: false; dctcp always
    /// requests it. Linux: `tcp_ecn = 1`).
    #[schemars(with = "Option<bool>")]
    pub ecn: Option<Spanned<bool>>,
    /// The initial congestion window, in segments (default: 10).
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    pub initial_window: Option<Spanned<u32>>,
    /// The maximum receive buffer, in bytes of memory, half of which is window (default: 6291456 B; Linux:
    /// the last value of `tcp_rmem`).
    #[schemars(with = "Option<ByteCount>")]
    pub receive_buffer: Option<Spanned<ByteCount>>,
    /// The maximum send buffer, in bytes of memory (default: 4194304 B; Linux: the last value of `tcp_wmem`).
    #[schemars(with = "Option<ByteCount>")]
    pub send_buffer: Option<Spanned<ByteCount>>,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportKind {
    /// TCP as implemented in Linux 6.1.
    #[default]
    Tcp,
}

impl Default for TransportSpec {
    fn default() -> Self {
        TransportSpec {
            kind: TransportKind::Tcp,
            congestion_control: None,
            recovery: LossRecovery::default(),
            ecn: None,
            initial_window: None,
            receive_buffer: None,
            send_buffer: None,
        }
    }
}

impl TransportSpec {
    /// The congestion control.
    pub fn algorithm(&self) -> Algorithm {
        match (&self.congestion_control, self.recovery) {
            (Some(given), _) => *given.get_ref(),
            (None, LossRecovery::Rack) => Algorithm::default(),
            (None, LossRecovery::Rfc6582) => Algorithm::Reno,
        }
    }

    /// The parameters, except for the segment size, which the hosts determine.
    pub fn parameters(&self) -> Parameters {
        let defaults = Parameters { recovery: self.recovery, ..Parameters::new(self.algorithm(), 0) };
        let limits = |limits: BufferLimits, most: &Option<Spanned<ByteCount>>| match most {
            None => limits,
            Some(most) => {
                let most = u32::try_from(most.get_ref().get()).unwrap_or(u32::MAX);
                BufferLimits { initial: limits.initial.min(most), most }
            }
        };
        Parameters {
            ecn: self.ecn.as_ref().map_or(defaults.ecn, |ecn| *ecn.get_ref()),
            initial_window: self
                .initial_window
                .as_ref()
                .map_or(defaults.initial_window, |size| *size.get_ref()),
            receive_buffer: limits(defaults.receive_buffer, &self.receive_buffer),
            send_buffer: limits(defaults.send_buffer, &self.send_buffer),
            ..defaults
        }
    }
}

/// A resolved `[[traffic]]` entry of connections.
#[derive(Debug, Clone)]
pub struct Connections {
    /// The kind, as in the file.
    pub kind: &'static str,
    /// The name of the entry, or its index among the entries.
    pub label: String,
    /// The parameters of the connections, except for the segment size.
    pub parameters: Parameters,
    /// The connections.
    pub plan: Plan,
    /// The behaviour of their processes.
    pub behaviour: Behaviour,
    /// Anomalies, as text.
    pub warnings: Vec<String>,
}

/// The behaviour of the processes of connections.
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// The opener writes as fast as possible.
    Stream,
    /// The opener writes at a rate, in bursts, or both.
    Paced {
        /// bits of payload per second
        rate: Option<Rate>,
        /// bytes of a write
        write: u64,
        /// lengths of the writing periods and of the pauses
        periods: Option<(Period, Period)>,
    },
    /// The opener sends requests, and the other end responds.
    Dialogue(Dialogue),
}

impl Behaviour {
    /// The program of an entry with this name.
    fn program(&self, label: &str, seed: u64) -> Program {
        match self {
            Behaviour::Stream => Program::Stream,
            Behaviour::Dialogue(dialogue) => Program::Dialogue(dialogue.turns(label, seed)),
            Behaviour::Paced { rate, write, periods } => {
                let bursts = |(on, off): (Period, Period)| -> Bursts {
                    let label = label.to_owned();
                    Arc::new(move |key: &FlowKey| {
                        let mut random = stream(seed, "traffic", &format!("{label}/{key}"));
                        // The first burst starts with the connection.
                        let mut is_first = true;
                        Box::new(std::iter::from_fn(move || {
                            let is_first = std::mem::take(&mut is_first);
                            let silent = if is_first { Span::ZERO } else { off.span(&mut random) };
                            Some(Burst { off: silent, on: on.span(&mut random) })
                        }))
                    })
                };
                Program::Paced(Pacing { rate: *rate, write: *write, bursts: periods.map(bursts) })
            }
        }
    }
}

/// The connections of an entry.
#[derive(Debug, Clone)]
pub enum Plan {
    /// Listed connections, by start time.
    Listed(Arc<[Flow]>),
    /// Random connections.
    Drawn(Box<Arrival>),
}

/// Flows with random arrivals.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The hosts that the destinations of senders refer to.
    pub hosts: Arc<[DeviceId]>,
    /// The senders: position among the hosts, destinations, mean gap.
    pub senders: Vec<FlowSender>,
    /// The bytes of a flow; `None` if the process decides.
    pub sizes: Option<Sizes>,
    /// When the process of a flow closes the connection, if not before.
    pub ends_at: Option<Time>,
    /// The start of the arrivals.
    pub start: Time,
    /// The end of the arrivals, exclusive.
    pub stop: Time,
    /// The maximum number of flows of each sender.
    pub count: Option<u64>,
    /// The distribution of the gaps.
    pub gaps: Gaps,
    /// The load that all flows offer together.
    pub offered: Offered,
}

/// The mean load offered by flows with random arrivals while they arrive, over all hosts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Offered {
    /// Flows per second.
    pub flows_per_s: f64,
    /// Bits of flows per second: payload bytes only, without headers.
    pub bps: f64,
    /// Mean bytes of a flow.
    pub mean_bytes: f64,
    /// The distribution of the gaps between the flows of a host.
    pub arrivals: String,
    /// The definition of the given rate.
    pub definition: String,
}

/// A host that opens flows.
#[derive(Debug, Clone)]
pub struct FlowSender {
    /// The host.
    pub host: DeviceId,
    /// Its destinations, by position among the hosts; `None` for all.
    pub to: Option<Vec<usize>>,
    /// How a destination is drawn.
    pub destinations: Destinations,
    /// The mean time between its flows.
    pub gap: Gap,
}

impl Connections {
    /// The load offered by its flows, if they arrive at random.
    pub fn offered(&self) -> Option<&Offered> {
        match &self.plan {
            Plan::Drawn(arrival) => Some(&arrival.offered),
            Plan::Listed(_) => None,
        }
    }

    /// Whether the bytes of each flow are given, so its completion time measures the network.
    pub fn has_sizes(&self) -> bool {
        let sized = match &self.plan {
            Plan::Listed(flows) => flows.iter().all(|flow| flow.bytes.is_some()),
            Plan::Drawn(arrival) => arrival.sizes.is_some(),
        };
        sized && self.behaviour == Behaviour::Stream
    }

    /// Whether one end sends requests and the other responds.
    pub fn has_requests(&self) -> bool {
        matches!(self.behaviour, Behaviour::Dialogue(_))
    }

    /// Anomalies, as text.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The flows, by start time.
    pub fn entry(&self, topology: &Topology, seed: u64) -> Entry {
        let flows = match &self.plan {
            Plan::Listed(flows) => flows.to_vec(),
            Plan::Drawn(arrival) => arrival.draw(&self.label, topology, seed),
        };
        Entry { flows, parameters: self.parameters, program: self.behaviour.program(&self.label, seed) }
    }
}

impl Arrival {
    fn draw(&self, label: &str, topology: &Topology, seed: u64) -> Vec<Flow> {
        let mut flows = Vec::new();
        for sender in &self.senders {
            let name = &topology.device(sender.host).name;
            let mut random = stream(seed, "traffic", &format!("{label}/{name}"));
            match self.gaps {
                Gaps::Exponential => {
                    self.draw_at(Poisson::new(sender.gap, self.start), sender, &mut random, &mut flows);
                }
                Gaps::Lognormal(sigma) => {
                    let arrivals = Lognormal::new(sender.gap, sigma, self.start);
                    self.draw_at(arrivals, sender, &mut random, &mut flows);
                }
            }
        }
        // Of flows at the same instant, that of the first sender comes first.
        flows.sort_by_key(|flow| flow.at);
        flows
    }

    /// The flows of a sender at these instants.
    fn draw_at(
        &self,
        mut arrivals: impl Arrivals,
        sender: &FlowSender,
        random: &mut Stream,
        flows: &mut Vec<Flow>,
    ) {
        for _ in 0..self.count.unwrap_or(u64::MAX) {
            let at = arrivals.next_instant(random);
            if at >= self.stop {
                break;
            }
            let hosts = sender.to.as_ref().map_or(self.hosts.len(), Vec::len) as u32;
            let drawn = sender.destinations.draw(hosts, random) as usize;
            let place = sender.to.as_ref().map_or(drawn, |to| to[drawn]);
            let bytes = self.sizes.as_ref().map(|sizes| sizes.draw(random).into());
            flows.push(Flow { at, from: sender.host, to: self.hosts[place], bytes, stop: self.ends_at });
        }
    }
}
