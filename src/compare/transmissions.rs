//! Compares the TCP packets that simulated endpoints send with those of a capture, transmission by
//! transmission.
//!
//! A simulated packet and its counterpart in a capture have only the transmitted data in common. Two packets
//! are the same transmission if they belong to the same connection and direction, carry the same range of the
//! stream, and do so for the n-th time at the vantage. Packets without a range are the same if they carry the
//! same acknowledgement for the n-th time.
//!
//! - `transmission`: a packet and its identity; `passes` counts how often bytes have passed;
//! - `measured`: the packets of a capture, with positions that do not wrap;
//! - `pairing`: pairs measured and simulated connections;
//! - `flow`: the transmissions of one flow on both sides; `ingress`: losses since the ingress of a device;
//! - `divergence`: the first transmission that differs; `senders`: the state of simulated senders;
//! - `summary`, `goodput`: the results.

mod divergence;
mod flow;
mod goodput;
mod ingress;
mod measured;
mod pairing;
mod passes;
mod senders;
mod summary;
mod transmission;

use rustc_hash::FxHashMap;

pub use divergence::{Difference, DivergedSide, Divergence, SenderState};
use divergence::{Ends, Place};
pub use flow::FlowAt;
pub use goodput::{Goodput, GoodputRow};
use ingress::{Ingress, Passage};
pub use measured::MeasuredFlows;
use pairing::Pair;
pub use pairing::{Connections, PairedBy};
pub use senders::{Senders, TransportAround, TransportState};
pub use summary::{ConnectionCounts, FlowSide, FlowTransmissions, TransmissionComparison};
pub use transmission::{ShownTransmission, Transmission};

use super::matching::{Confusion, Loss, MatchCounts, Matched, Sighting};
use super::metrics::ByOrigin;
use crate::packet::FlowKey;
use crate::topology::DeviceId;
use crate::transport::Segment;

/// The transmissions of a run, compared vantage by vantage, starting with those at ingress ports.
#[derive(Debug, Default)]
pub struct Transmissions {
    connections: Connections,
    /// The segments sent towards a vantage.
    segments: Vec<Segment>,
    senders: Senders,
    clock: Clock,
    ingress: FxHashMap<DeviceId, Ingress>,
    vantages: Vec<Compared>,
}

/// The relation of the clock of the captures to that of the run.
#[derive(Debug, Clone, Copy, Default)]
enum Clock {
    /// The clocks are equal: the run takes its clock from a replayed capture.
    #[default]
    Same,
    /// All captures are ahead by this much, according to the first transmission on both sides.
    Ahead(Option<i64>),
}

/// The place of a capture, and the parameters of its comparison.
#[derive(Debug, Clone, Copy)]
pub struct CapturePoint {
    /// The number of its comparison.
    pub number: usize,
    /// The device of its vantage.
    pub device: DeviceId,
    /// Whether it is at the egress.
    pub is_egress: bool,
    /// Whether its clock differs from that of the other captures.
    pub has_own_clock: bool,
    /// Maximum time between simulated and measured transmissions that count as equal, in picoseconds.
    pub tolerance_ps: i64,
    /// The last simulated time.
    pub simulated_end_ps: i64,
    /// The last time in the capture.
    pub measured_end_ps: i64,
}

/// A transmission on both sides.
#[derive(Debug, Clone, Copy)]
pub struct SameTransmission {
    /// The simulated packet at the vantage.
    pub sighting: Sighting,
    /// Measured time at the vantage.
    pub measured_ps: i64,
    /// Measured time at the ingress of the device, if a capture there has it.
    pub ingress_ps: Option<i64>,
}

impl SameTransmission {
    /// This transmission as a simulated and measured packet.
    pub fn matched(&self) -> Option<Matched> {
        let SameTransmission { sighting, measured_ps, .. } = *self;
        Some(Matched { sighting, simulated_ps: sighting.at_ps?, measured_ps })
    }
}

/// The results for one capture, as part of the comparison of all packets.
#[derive(Debug, Default)]
pub struct AtVantage {
    /// Transmissions on both sides.
    pub same: Vec<SameTransmission>,
    /// Transmissions in the simulation only.
    pub only_simulated: u64,
    /// Transmissions in the capture only.
    pub only_measured: u64,
    /// Copies in the capture.
    pub copies: u64,
    /// Losses between ingress and egress of the device, of the transmissions that both sides have at the
    /// ingress.
    pub losses: Vec<Loss>,
    /// The counts of these losses.
    pub loss: Confusion,
}

impl MatchCounts {
    /// Adds the transmissions of another vantage.
    pub fn add(&mut self, found: &AtVantage) {
        self.matched += found.same.len() as u64;
        self.only_simulated += found.only_simulated;
        self.only_measured += found.only_measured;
        self.copies += found.copies;
    }
}

/// A vantage after comparison.
#[derive(Debug)]
struct Compared {
    point: CapturePoint,
    flows: Vec<FlowAt>,
    /// By index of a flow.
    differences: Vec<Option<Place>>,
    drops: FxHashMap<u32, [u64; 2]>,
    has_ingress: bool,
    aligned_ps: Option<i64>,
    end_ps: i64,
    unpaired: u64,
    unpaired_packets: u64,
}

/// The result at a vantage.
#[derive(Debug)]
pub struct VantageTransmissions {
    /// The number of its comparison.
    pub number: usize,
    /// The figures.
    pub summary: TransmissionComparison,
    /// Its flows.
    pub flows: Vec<FlowAt>,
    /// Their bytes over time.
    pub goodput: Goodput,
}

impl Transmissions {
    /// Creates the comparison for a run with these connections, with the segments sent towards vantages and
    /// the states of the senders. `is_on_clock`: a replayed capture gives the run its clock, and the measured
    /// captures share it.
    pub fn new(
        connections: Connections,
        segments: Vec<Segment>,
        senders: Senders,
        is_on_clock: bool,
    ) -> Self {
        let clock = if is_on_clock { Clock::Same } else { Clock::Ahead(None) };
        Transmissions { connections, segments, senders, clock, ..Transmissions::default() }
    }

    /// Whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Whether a packet of this flow may belong to a connection.
    pub fn may_have(&self, flow: &FlowKey) -> bool {
        self.connections.may_have(flow)
    }

    /// Compares the packets sent towards a vantage with those of a capture.
    pub fn compare(
        &mut self,
        mut point: CapturePoint,
        sightings: &[Sighting],
        mut measured: MeasuredFlows,
    ) -> AtVantage {
        let unpaired = self.connections.pair(&measured);
        let copies = measured.copies;
        let mut flows = self.flows(sightings, &mut measured);
        let aligned_ps = self.align(&mut flows, point.has_own_clock);
        point.measured_end_ps -= aligned_ps.unwrap_or(0);
        let end_ps = point.simulated_end_ps.min(point.measured_end_ps);
        let ends = Ends { simulated_ps: point.simulated_end_ps, measured_ps: point.measured_end_ps };
        let first_difference = |flow: &FlowAt| {
            let place = flow.first_difference(point.tolerance_ps, ends)?;
            let sent = flow.simulated.get(place.index).map(|packet| &sightings[packet.tag as usize]);
            Some(Place { sent_ps: sent.map_or(place.at_ps, |sent| sent.injected_ps), ..place })
        };
        let differences = flows.iter().map(first_difference).collect();
        let mut passage = self.passage(point, sightings, &flows, end_ps);
        let same = flows.iter().flat_map(|flow| {
            flow.same.iter().map(|(ours, theirs)| SameTransmission {
                sighting: sightings[flow.simulated[*ours].tag as usize],
                measured_ps: flow.measured[*theirs].at_ps,
                ingress_ps: passage.ingress_ps(&flow.measured[*theirs]),
            })
        });
        let same: Vec<SameTransmission> = same.collect();
        let unpaired_packets: u64 = measured.iter().map(|(_, flow)| flow.packets() as u64).sum();
        let (mut only_simulated, mut only_measured) = (0, unpaired_packets);
        for flow in &mut flows {
            let [simulated, measured] = flow.alone(end_ps);
            only_simulated += simulated;
            only_measured += measured;
            flow.simulated.iter_mut().for_each(|packet| packet.tag = sightings[packet.tag as usize].pid);
        }
        let has_ingress = point.is_egress && self.ingress.contains_key(&point.device);
        let drops = std::mem::take(&mut passage.drops);
        self.vantages.push(Compared {
            point,
            flows,
            differences,
            drops,
            has_ingress,
            aligned_ps,
            end_ps,
            unpaired,
            unpaired_packets,
        });
        let Passage { losses, loss, .. } = passage;
        AtVantage { same, only_simulated, only_measured, copies, losses, loss }
    }

    /// The flows at a vantage, by connection. Flows of the capture that have a partner are removed from
    /// `measured`.
    fn flows(&self, sightings: &[Sighting], measured: &mut MeasuredFlows) -> Vec<FlowAt> {
        let mut simulated: FxHashMap<u32, Vec<Transmission>> = FxHashMap::default();
        for (place, sighting) in sightings.iter().enumerate() {
            let Some(at_ps) = sighting.at_ps else { continue };
            let segment = &self.segments[sighting.key as usize];
            let transmission = Transmission::simulated(segment, at_ps, place as u64);
            simulated.entry(sighting.fid).or_default().push(transmission);
        }
        let mut flows = Vec::new();
        for (place, connection) in self.connections.simulated().iter().enumerate() {
            for side in 0..2 {
                let fid = connection.fids[side];
                let mut ours = fid.and_then(|fid| simulated.remove(&fid)).unwrap_or_default();
                ours.sort_by_key(|packet| (packet.at_ps, sightings[packet.tag as usize].pid));
                let theirs = connection.pair().and_then(|pair| {
                    let flow = measured.take(&pair.names()[side]?)?;
                    Some(flow.into_transmissions(pair.initial(side), pair.window_scale(side)))
                });
                let theirs = theirs.unwrap_or_default();
                if !ours.is_empty() || !theirs.is_empty() {
                    flows.push(FlowAt::new((fid.unwrap_or(u32::MAX), place, side), ours, theirs));
                }
            }
        }
        flows
    }

    /// Subtracts the clock difference from the measured times. Returns it unless the capture shares the clock
    /// of the run.
    fn align(&mut self, flows: &mut [FlowAt], has_own_clock: bool) -> Option<i64> {
        let first = || {
            let same = flows.iter().flat_map(|flow| {
                flow.same
                    .iter()
                    .map(|(ours, theirs)| (flow.measured[*theirs].at_ps, flow.simulated[*ours].at_ps))
            });
            same.min().map(|(measured, simulated)| measured - simulated)
        };
        let ahead = match &mut self.clock {
            _ if has_own_clock => first(),
            Clock::Same => return None,
            Clock::Ahead(ahead) => {
                *ahead = ahead.or_else(first);
                *ahead
            }
        }?;
        let measured = flows.iter_mut().flat_map(|flow| &mut flow.measured);
        measured.for_each(|packet| packet.at_ps -= ahead);
        Some(ahead)
    }

    /// The losses between ingress and egress. At an ingress, the packets are stored for later.
    fn passage(
        &mut self,
        point: CapturePoint,
        sightings: &[Sighting],
        flows: &[FlowAt],
        end_ps: i64,
    ) -> Passage {
        if point.is_egress {
            let measured = flows.iter().flat_map(|flow| &flow.measured);
            let ingress = self.ingress.get(&point.device);
            return ingress.map(|ingress| ingress.passage(measured, sightings, end_ps)).unwrap_or_default();
        }
        let ingress = self.ingress.entry(point.device).or_default();
        for flow in flows {
            let pid = |packet: &Transmission| sightings[packet.tag as usize].pid;
            let simulated = flow.simulated.iter().map(pid);
            let same = flow.same.iter().map(|(ours, theirs)| (pid(&flow.simulated[*ours]), *theirs));
            ingress.add(flow.fid, simulated, &flow.measured, same);
        }
        Passage::default()
    }

    /// The result for each vantage, in order of comparison.
    pub fn finish(self) -> Vec<VantageTransmissions> {
        let summaries: Vec<TransmissionComparison> =
            self.vantages.iter().map(|compared| self.summarize(compared)).collect();
        let compared = self.vantages.into_iter().zip(summaries);
        let finished = compared.map(|(Compared { point, flows, .. }, summary)| {
            let sides = flows.iter().map(|flow| (flow.fid, [&flow.simulated[..], &flow.measured[..]]));
            let goodput = Goodput::new(sides);
            VantageTransmissions { number: point.number, summary, goodput, flows }
        });
        finished.collect()
    }

    fn summarize(&self, compared: &Compared) -> TransmissionComparison {
        let Compared { point, flows, differences, drops, end_ps, .. } = compared;
        let mut connections =
            ConnectionCounts { only_measured: compared.unpaired, ..ConnectionCounts::default() };
        let mut counted = None;
        let of_flow = |(flow, difference): (&FlowAt, &Option<Place>)| {
            let connection = &self.connections.simulated()[flow.connection];
            let pair = connection.pair();
            if counted != Some(flow.connection) {
                counted = Some(flow.connection);
                match pair.map(|pair| pair.by) {
                    Some(PairedBy::Ports) => connections.by_ports += 1,
                    Some(PairedBy::Order) => connections.by_order += 1,
                    None => connections.only_simulated += 1,
                }
                let is_guessed = |pair: &Pair| (0..2).any(|side| pair.is_guessed(side));
                connections.without_syn += u64::from(pair.is_some_and(is_guessed));
            }
            let pair = pair.filter(|_| !flow.measured.is_empty());
            let measured = pair.and_then(|pair| Some((pair.names()[flow.side]?.0.to_string(), pair.by)));
            let drops = drops.get(&flow.fid).copied();
            FlowTransmissions::new(flow, self.name(flow), measured, (*end_ps, *difference), drops)
        };
        let flows_said: Vec<FlowTransmissions> = flows.iter().zip(differences).map(of_flow).collect();
        let sum = |of: fn(&FlowTransmissions) -> u64| flows_said.iter().map(of).sum::<u64>();
        let late =
            |packets: &[Transmission]| packets.iter().filter(|packet| packet.at_ps > *end_ps).count() as u64;
        TransmissionComparison {
            tolerance_s: point.tolerance_ps as f64 / 1e12,
            aligned_s: compared.aligned_ps.map(|ps| ps as f64 / 1e12),
            connections,
            matched: sum(|flow| flow.matched),
            only_simulated: sum(|flow| flow.only_simulated),
            only_measured: sum(|flow| flow.only_measured) + compared.unpaired_packets,
            after_end: ByOrigin {
                simulated: flows.iter().map(|flow| late(&flow.simulated)).sum(),
                measured: flows.iter().map(|flow| late(&flow.measured)).sum(),
            },
            segmented: flows.iter().map(FlowAt::segmented).sum(),
            retransmissions: ByOrigin {
                simulated: sum(|flow| flow.simulated.retransmissions),
                measured: sum(|flow| flow.measured.retransmissions),
            },
            drops: compared.has_ingress.then(|| ByOrigin {
                simulated: sum(|flow| flow.simulated.drops.unwrap_or(0)),
                measured: sum(|flow| flow.measured.drops.unwrap_or(0)),
            }),
            flows: flows_said,
            first_divergence: self.divergence(flows, differences),
        }
    }

    /// The flow as simulated.
    fn name(&self, flow: &FlowAt) -> String {
        let key = self.connections.simulated()[flow.connection].key;
        let key = if flow.side == 0 { Some(key) } else { key.reverse() };
        key.map_or(String::new(), |key| key.to_string())
    }

    /// The first difference of all flows, with its context.
    fn divergence(&self, flows: &[FlowAt], differences: &[Option<Place>]) -> Option<Divergence> {
        let found = flows.iter().zip(differences).filter_map(|(flow, place)| Some((flow, (*place)?)));
        let (flow, place) = found.min_by_key(|(flow, place)| (place.at_ps, flow.fid))?;
        let all = || self.vantages.iter().flat_map(|compared| &compared.flows);
        let of_connection = |side: usize| {
            all().filter(move |other| other.connection == flow.connection && other.side == side)
        };
        // This side sends the data, unless only the other side does.
        let sends = |side: usize| of_connection(side).any(|flow| flow.has_payload);
        let sender = if sends(flow.side) || !sends(1 - flow.side) { flow.side } else { 1 - flow.side };
        let simulated = |side: usize| of_connection(side).flat_map(|flow| &flow.simulated);
        let measured = |side: usize| of_connection(side).flat_map(|flow| &flow.measured);
        let at =
            |packets: &[Transmission]| packets.get(place.index).map_or(place.at_ps, |packet| packet.at_ps);
        let states = [
            SenderState::at(at(&flow.simulated), simulated(sender), simulated(1 - sender)),
            SenderState::at(at(&flow.measured), measured(sender), measured(1 - sender)),
        ];
        let fid = self.connections.simulated()[flow.connection].fids[sender];
        let transport = fid.and_then(|fid| self.senders.around(fid, place.sent_ps));
        Some(Divergence {
            at_s: place.at_ps as f64 / 1e12,
            fid: flow.fid,
            flow: self.name(flow),
            difference: place.difference,
            simulated: DivergedSide::new(&flow.simulated, place.index, states[0], transport),
            measured: DivergedSide::new(&flow.measured, place.index, states[1], None),
        })
    }
}
