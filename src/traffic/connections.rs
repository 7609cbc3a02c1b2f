//! Traffic over connections: who opens which, and with which transport.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arrivals::Arrivals;
use super::matrix::Destinations;
use super::poisson::Poisson;
use super::rate::Gap;
use super::size::Sizes;
use crate::application::{Entry, Flow};
use crate::config::Spanned;
use crate::random::stream;
use crate::topology::{DeviceId, Topology};
use crate::transport::congestion::Algorithm;
use crate::transport::tcp::{BufferLimits, LossRecovery, Parameters};
use crate::units::{ByteCount, Time};

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
}

/// Which connections an entry has.
#[derive(Debug, Clone)]
pub enum Plan {
    /// These, by their starts.
    Listed(Arc<[Flow]>),
    /// Poisson arrivals.
    Drawn(Arrival),
}

/// Flows that arrive at random.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The hosts that senders point to.
    pub hosts: Arc<[DeviceId]>,
    /// Who sends: position among the hosts, destinations, mean gap.
    pub senders: Vec<FlowSender>,
    /// Bytes of a flow.
    pub sizes: Sizes,
    /// When flows begin to arrive.
    pub start: Time,
    /// No flow begins from then on.
    pub stop: Time,
    /// Flows of each sender, at most.
    pub count: Option<u64>,
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
    /// Its flows, by their starts.
    pub fn entry(&self, topology: &Topology, seed: u64) -> Entry {
        let flows = match &self.plan {
            Plan::Listed(flows) => flows.to_vec(),
            Plan::Drawn(arrival) => arrival.draw(&self.label, topology, seed),
        };
        Entry { flows, parameters: self.parameters }
    }
}

impl Arrival {
    fn draw(&self, label: &str, topology: &Topology, seed: u64) -> Vec<Flow> {
        let mut flows = Vec::new();
        for sender in &self.senders {
            let name = &topology.device(sender.host).name;
            let mut random = stream(seed, "traffic", &format!("{label}/{name}"));
            let mut arrivals = Poisson::new(sender.gap, self.start);
            for _ in 0..self.count.unwrap_or(u64::MAX) {
                let at = arrivals.next_instant(&mut random);
                if at >= self.stop {
                    break;
                }
                let hosts = sender.to.as_ref().map_or(self.hosts.len(), Vec::len) as u32;
                let drawn = sender.destinations.draw(hosts, &mut random) as usize;
                let place = sender.to.as_ref().map_or(drawn, |to| to[drawn]);
                let bytes = Some(self.sizes.draw(&mut random).into());
                flows.push(Flow { at, from: sender.host, to: self.hosts[place], bytes, stop: None });
            }
        }
        // Of one instant, the first sender's comes first.
        flows.sort_by_key(|flow| flow.at);
        flows
    }
}
