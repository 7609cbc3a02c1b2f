//! Traffic over connections: who opens which, and with which transport.

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

/// The transport of connections, as a scenario gives it: `transport = { kind = "tcp", congestion_control = "cubic" }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransportSpec {
    /// The protocol.
    pub kind: TransportKind,
    /// The congestion control (default: cubic; with `recovery = "rfc6582"`, reno).
    #[schemars(with = "Option<Algorithm>")]
    pub congestion_control: Option<Spanned<Algorithm>>,
    /// How losses are found and repaired (default: rack).
    #[serde(default)]
    pub recovery: LossRecovery,
    /// Whether senders ask for ECN (RFC 3168), to which receivers agree (default: false; dctcp always does. Linux: `tcp_ecn = 1`).
    #[schemars(with = "Option<bool>")]
    pub ecn: Option<Spanned<bool>>,
    /// The congestion window at the start, in segments (default: 10).
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    pub initial_window: Option<Spanned<u32>>,
    /// What the receive buffer grows to, in bytes of memory, of which half is window (default: 6291456 B; Linux: the last of `tcp_rmem`).
    #[schemars(with = "Option<ByteCount>")]
    pub receive_buffer: Option<Spanned<ByteCount>>,
    /// What the send buffer grows to, in bytes of memory (default: 4194304 B; Linux: the last of `tcp_wmem`).
    #[schemars(with = "Option<ByteCount>")]
    pub send_buffer: Option<Spanned<ByteCount>>,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportKind {
    /// TCP as Linux 6.1 does it.
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

    /// The parameters; the segment size is that of the hosts.
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

/// A `[[traffic]]` entry of connections, resolved.
#[derive(Debug, Clone)]
pub struct Connections {
    /// Its kind, as in the file.
    pub kind: &'static str,
    /// Its name, or its place among the entries.
    pub label: String,
    /// The parameters of its connections, but for the segment size.
    pub parameters: Parameters,
    /// Which connections there are.
    pub plan: Plan,
    /// What their processes do.
    pub behaviour: Behaviour,
}

/// What the processes of connections do.
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// The opener writes as fast as it can.
    Stream,
    /// It writes at a rate, in bursts, or both.
    Paced {
        /// Bits of payload per second.
        rate: Option<Rate>,
        /// Bytes of a write.
        write: u64,
        /// How long it writes, and how long it pauses.
        periods: Option<(Period, Period)>,
    },
    /// It asks, and the other end answers.
    Dialogue(Dialogue),
}

impl Behaviour {
    /// As programs of an entry of this name.
    fn program(&self, label: &str, seed: u64) -> Program {
        match self {
            Behaviour::Stream => Program::Stream,
            Behaviour::Dialogue(dialogue) => Program::Dialogue(dialogue.turns(label, seed)),
            Behaviour::Paced { rate, write, periods } => {
                let bursts = |(on, off): (Period, Period)| -> Bursts {
                    let label = label.to_owned();
                    Arc::new(move |key: &FlowKey| {
                        let mut random = stream(seed, "traffic", &format!("{label}/{key}"));
                        // The first burst begins with the connection.
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

/// Which connections an entry has.
#[derive(Debug, Clone)]
pub enum Plan {
    /// These, by their starts.
    Listed(Arc<[Flow]>),
    /// Random ones.
    Drawn(Box<Arrival>),
}

/// Flows that arrive at random.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The hosts that senders point to.
    pub hosts: Arc<[DeviceId]>,
    /// Who sends: position among the hosts, destinations, mean gap.
    pub senders: Vec<FlowSender>,
    /// Bytes of a flow; none where its process decides.
    pub sizes: Option<Sizes>,
    /// When the process of a flow closes, if not before.
    pub ends_at: Option<Time>,
    /// When flows begin to arrive.
    pub start: Time,
    /// No flow begins from then on.
    pub stop: Time,
    /// Flows of each sender, at most.
    pub count: Option<u64>,
    /// How the gaps are drawn.
    pub gaps: Gaps,
    /// What all of them offer.
    pub offered: Offered,
    /// What is odd about them, in words.
    pub warnings: Vec<String>,
}

/// What flows that arrive at random offer while they arrive, all hosts together, on average.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Offered {
    /// Flows per second.
    pub flows_per_s: f64,
    /// Bits of flows per second: their bytes alone, without headers.
    pub bps: f64,
    /// Bytes of a flow.
    pub mean_bytes: f64,
    /// How the gaps between the flows of a host are distributed.
    pub arrivals: String,
    /// What the rate was given as, and what that means.
    pub definition: String,
}

/// A host that opens flows.
#[derive(Debug, Clone)]
pub struct FlowSender {
    /// The host.
    pub host: DeviceId,
    /// Its destinations, by position among the hosts; `None` for all.
    pub to: Option<Vec<usize>>,
    /// How one is drawn.
    pub destinations: Destinations,
    /// The mean time between its flows.
    pub gap: Gap,
}

impl Connections {
    /// What its flows offer, where they arrive at random.
    pub fn offered(&self) -> Option<&Offered> {
        match &self.plan {
            Plan::Drawn(arrival) => Some(&arrival.offered),
            Plan::Listed(_) => None,
        }
    }

    /// Whether the bytes of each flow are given, so that its completion time says how the network did.
    pub fn has_sizes(&self) -> bool {
        let sized = match &self.plan {
            Plan::Listed(flows) => flows.iter().all(|flow| flow.bytes.is_some()),
            Plan::Drawn(arrival) => arrival.sizes.is_some(),
        };
        sized && self.behaviour == Behaviour::Stream
    }

    /// Whether one end asks and the other answers.
    pub fn has_requests(&self) -> bool {
        matches!(self.behaviour, Behaviour::Dialogue(_))
    }

    /// What is odd about it, in words.
    pub fn warnings(&self) -> &[String] {
        match &self.plan {
            Plan::Drawn(arrival) => &arrival.warnings,
            Plan::Listed(_) => &[],
        }
    }

    /// Its flows, by their starts.
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
        // Of one instant, the first sender's comes first.
        flows.sort_by_key(|flow| flow.at);
        flows
    }

    /// The flows of a sender, at these instants.
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
