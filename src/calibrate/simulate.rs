//! Runs a model on the recorded arrivals with the engine, and scores it against the measurement.

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use super::CalibrateError;
use super::model::{DEVICE, EGRESS_PORT, Model};
use super::transit::{Fate, Joined, Transit};
use crate::compare::{Agreement, Confusion, DelaySummary, Delays, agreement};
use crate::engine::{Hop, Injection, InjectionPoint, Observed, Observer, Settings, simulate};
use crate::packet::{FlowKey, Tau};
use crate::topology::PortId;
use crate::traffic::{Emission, Source, TrafficError};
use crate::units::{ByteCount, Time, Timestamp};

/// The recorded arrivals, replayed from memory.
pub(super) struct Replays {
    /// Per ingress capture: its packets, as indexes of transits.
    by_capture: Vec<Arc<Vec<usize>>>,
    transits: Arc<Vec<Transit>>,
    flows: Arc<Vec<FlowKey>>,
    start: Timestamp,
}

impl Replays {
    pub fn new(joined: &Joined, captures: usize) -> Self {
        let mut by_capture = vec![Vec::new(); captures];
        for (index, transit) in joined.transits.iter().enumerate() {
            by_capture[usize::from(transit.capture)].push(index);
        }
        Replays {
            by_capture: by_capture.into_iter().map(Arc::new).collect(),
            transits: Arc::new(joined.transits.clone()),
            flows: Arc::new(joined.flows.clone()),
            start: joined.start,
        }
    }

    /// The departure of each transit according to the model, in picoseconds; `None` for a lost packet.
    ///
    /// # Errors
    /// The model is inconsistent, or the simulation fails.
    pub fn simulate(&self, model: &Model) -> Result<Vec<Option<i64>>, CalibrateError> {
        let topology = model.topology(self.by_capture.len())?;
        let device = topology.device_named(DEVICE).expect("the model names its device");
        let port = |number: u16| -> PortId {
            let ports = &topology.device(device).ports;
            *ports.iter().find(|port| topology.port(**port).number == number).expect("a port of the model")
        };
        let egress = port(EGRESS_PORT);
        let injections: Vec<Injection> = self
            .by_capture
            .iter()
            .enumerate()
            .map(|(capture, indices)| Injection {
                source: Box::new(FromMemory {
                    indices: Arc::clone(indices),
                    transits: Arc::clone(&self.transits),
                    flows: Arc::clone(&self.flows),
                    next: 0,
                }),
                at: InjectionPoint::Ingress(port(capture as u16 + 1)),
            })
            .collect();
        let mut departures = Departures {
            captures: self.by_capture.len() as u64,
            by_capture: &self.by_capture,
            egress,
            at_ps: vec![None; self.transits.len()],
        };
        let settings = Settings { threads: 1, start: self.start, ..Settings::default() };
        simulate(topology, injections, settings, &mut departures)?;
        if let Some(limit) = model.path_limit {
            for at in departures.at_ps.iter_mut().flatten() {
                *at -= limit.delay_ps as i64;
            }
        }
        if model.is_seen_at_far_end() {
            let link = model.link();
            for (at, transit) in departures.at_ps.iter_mut().zip(self.transits.iter()) {
                let transmission = link.transmission_time(ByteCount::new(transit.packet.length.into()));
                *at = at.map(|at| at + transmission.as_ps() as i64);
            }
        }
        Ok(departures.at_ps)
    }

    /// Scores simulated departures over the packets that arrive in `window`, in picoseconds.
    pub fn score(&self, simulated: &[Option<i64>], window: Range<i64>) -> Score {
        let mut delays = Delays::default();
        let mut lost = Confusion::default();
        for (transit, simulated) in self.transits.iter().zip(simulated) {
            if !window.contains(&transit.arrival_ps) {
                continue;
            }
            match (transit.fate, simulated) {
                (Fate::Departed(measured), Some(simulated)) => {
                    delays.simulated.push(simulated - transit.arrival_ps);
                    delays.measured.push(measured - transit.arrival_ps);
                    lost.neither += 1;
                }
                (Fate::Departed(_), None) => lost.only_simulated += 1,
                (Fate::Lost, Some(_)) => lost.only_measured += 1,
                (Fate::Lost, None) => lost.both += 1,
                (Fate::Unknown, _) => {}
            }
        }
        Score::of(&delays, lost)
    }
}

impl Replays {
    /// The difference between simulated and measured distributions of each flow's delays, divided by the mean
    /// delay, plus the difference in the number of losses per flow, divided by the number of packets. It does
    /// not compare individual packets, because a discipline with random numbers decides differently each
    /// time.
    pub fn cost_by_flow(&self, simulated: &[Option<i64>], window: Range<i64>) -> f64 {
        let mut flows: Vec<FlowDelays> = vec![FlowDelays::default(); self.flows.len()];
        for (transit, simulated) in self.transits.iter().zip(simulated) {
            if !window.contains(&transit.arrival_ps) || transit.fate == Fate::Unknown {
                continue;
            }
            let flow = &mut flows[transit.fid as usize];
            flow.simulated.extend(simulated.map(|at| at - transit.arrival_ps));
            match transit.fate {
                Fate::Departed(at) => flow.measured.push(at - transit.arrival_ps),
                _ => flow.lost += 1,
            }
            flow.packets += 1;
        }
        let (mut apart, mut mean, mut wrong, mut packets) = (0.0, 0.0, 0.0, 0.0);
        for flow in &mut flows {
            apart += flow.apart();
            mean += flow.measured.iter().map(|delay| *delay as f64).sum::<f64>();
            let lost = flow.packets - flow.simulated.len() as i64;
            wrong += (lost - flow.lost).abs() as f64;
            packets += flow.packets as f64;
        }
        apart / mean.max(1.0) + wrong / packets.max(1.0)
    }
}

/// The delays of one flow, in picoseconds.
#[derive(Debug, Clone, Default)]
struct FlowDelays {
    simulated: Vec<i64>,
    measured: Vec<i64>,
    lost: i64,
    packets: i64,
}

impl FlowDelays {
    /// The Wasserstein distance of both, times the number of measured packets; sorts them.
    fn apart(&mut self) -> f64 {
        self.simulated.sort_unstable();
        self.measured.sort_unstable();
        if self.simulated.is_empty() {
            return self.measured.iter().map(|delay| *delay as f64).sum();
        }
        let count = self.measured.len();
        let at = |place: usize| self.simulated[(2 * place + 1) * self.simulated.len() / (2 * count)];
        (0..count).map(|place| (at(place) - self.measured[place]).abs() as f64).sum()
    }
}

/// The accuracy of simulated or computed delays against the measured ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// Packets with a simulated and a measured delay.
    pub packets: u64,
    /// Simulated delays, in seconds.
    pub simulated_s: Option<DelaySummary>,
    /// Measured delays, in seconds.
    pub measured_s: Option<DelaySummary>,
    /// The metrics; absent without packets.
    #[serde(flatten)]
    pub agreement: Option<Agreement>,
    /// Losses in the simulation against losses in reality.
    pub loss: Confusion,
}

impl Score {
    pub(super) fn of(delays: &Delays, loss: Confusion) -> Self {
        let agreed = agreement(delays);
        Score {
            packets: delays.measured.len() as u64,
            simulated_s: agreed.map(|(simulated, _, _)| simulated),
            measured_s: agreed.map(|(_, measured, _)| measured),
            agreement: agreed.map(|(_, _, agreement)| agreement),
            loss,
        }
    }

    /// W1 divided by the mean measured delay.
    pub fn w1_normalized(&self) -> Option<f64> {
        self.agreement?.w1_normalized
    }

    /// The cost by which candidates are chosen: the mean error of a packet's delay divided by the mean delay,
    /// plus the fraction of the packets whose loss is wrong.
    pub(super) fn cost(&self) -> f64 {
        let (Some(agreement), Some(measured)) = (self.agreement, self.measured_s) else {
            return f64::INFINITY;
        };
        let all = self.packets + self.loss.only_simulated + self.loss.only_measured + self.loss.both;
        let wrong = (self.loss.only_simulated + self.loss.only_measured) as f64 / all.max(1) as f64;
        agreement.mae_s / measured.mean.max(f64::MIN_POSITIVE) + wrong
    }
}

/// The packets of one ingress capture.
struct FromMemory {
    indices: Arc<Vec<usize>>,
    transits: Arc<Vec<Transit>>,
    flows: Arc<Vec<FlowKey>>,
    next: usize,
}

impl Source for FromMemory {
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError> {
        let Some(index) = self.indices.get(self.next) else { return Ok(None) };
        let transit = &self.transits[*index];
        let record = self.next as u64;
        self.next += 1;
        let timestamp = Time::from_ps(transit.arrival_ps.unsigned_abs());
        Ok(Some(Emission { tau: Tau { timestamp, packet: transit.packet }, record, match_key: None }))
    }

    fn flow(&self, fid: u32) -> FlowKey {
        self.flows[fid as usize]
    }
}

/// Records when packets leave by the egress port.
struct Departures<'r> {
    captures: u64,
    by_capture: &'r [Arc<Vec<usize>>],
    egress: PortId,
    at_ps: Vec<Option<i64>>,
}

impl Observer for Departures<'_> {
    fn hop(&mut self, hop: &Hop) -> Observed {
        if hop.port == self.egress {
            // A packet id is the number of the packet in its source, times the number of sources, plus the
            // number of the source.
            let (record, capture) = (hop.packet.pid / self.captures, hop.packet.pid % self.captures);
            let index = self.by_capture[capture as usize][record as usize];
            self.at_ps[index] = i64::try_from(hop.egress.as_ps()).ok();
        }
        Ok(())
    }
}
