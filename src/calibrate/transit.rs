//! The packets of the captures, each with its arrival at the device and its departure or loss.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{CalibrateError, CalibrateOptions};
use crate::capture::{FlowTable, MatchFields, Sorted};
use crate::compare::{Measurement, Recorded, Sighting, match_packets, ps_since, refuse_nat64};
use crate::packet::{CE, FlowKey, Packet};
use crate::units::{PS_PER_S, Timestamp};

/// The fate of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// In the egress capture at this time, in picoseconds since the start.
    Departed(i64),
    /// Not in the egress capture, which has packets that arrived before and after it.
    Lost,
    /// Cannot be identified uniquely, or arrived while the egress capture was not running.
    Unknown,
}

/// A packet on its way through the device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transit {
    /// The number of its ingress capture.
    pub capture: u16,
    /// Its flow, over all captures.
    pub fid: u32,
    /// Its length and header fields, for the engine.
    pub packet: Packet,
    /// Time in the ingress capture, in picoseconds since the start.
    pub arrival_ps: i64,
    /// Its fate.
    pub fate: Fate,
    /// Whether it was marked with a congestion mark on its way.
    pub marked: bool,
}

/// All packets of the recording, by arrival.
#[derive(Debug)]
pub(super) struct Joined {
    pub transits: Vec<Transit>,
    pub flows: Vec<FlowKey>,
    /// Arrival of the first packet; times are relative to it.
    pub start: Timestamp,
    /// Packets that the egress capture has twice, except copies by a mirror port.
    pub duplicated: u64,
    /// Packets of the egress capture that are in no ingress capture.
    pub only_egress: u64,
    /// Packets in the egress capture.
    pub egress: u64,
    /// Matched packets that leave before they arrive.
    pub negative: u64,
    /// The minimum delay, in picoseconds.
    pub least_delay_ps: i64,
    /// Whether the device decrements the time to live.
    pub routes: bool,
    /// Warnings from reading.
    pub remarks: Vec<String>,
}

/// Reads the captures and joins them.
///
/// # Errors
/// A capture cannot be read, no packet is in both, or packets leave before they arrive.
pub(super) fn join(options: &CalibrateOptions) -> Result<Joined, CalibrateError> {
    let captures = (0..options.ingress.len()).map(|number| options.open_ingress(number));
    let mut captures = captures.collect::<Result<Vec<_>, _>>()?;
    let mut egress = options.open_egress()?;
    // Captures of one path may contain different numbers of bytes per packet: keys cover what all of them
    // contain.
    captures.iter_mut().try_for_each(|ingress| refuse_nat64(ingress, &mut egress))?;
    let both = captures.iter_mut().chain([&mut egress]);
    let fields = both.map(Sorted::match_fields).fold(MatchFields::ALL, MatchFields::and);
    let mut flows = FlowTable::new();
    let mut read = Vec::new();
    let mut remarks = Vec::new();
    for (capture, sorted) in captures.iter_mut().enumerate() {
        let before = read.len();
        let capture = u16::try_from(capture).map_err(|_| CalibrateError::TooManyCaptures)?;
        while let Some(observation) = sorted.next_observation()? {
            let fid = flows.fid(&observation.frame);
            read.push((capture, fid, observation));
        }
        if read.len() == before {
            remarks.push(format!("{} holds no packets", sorted.reader().path().display()));
        }
    }
    let start = read.iter().map(|(_, _, observation)| observation.timestamp).min();
    let Some(start) = start else {
        return Err(CalibrateError::Empty { path: options.ingress[0].clone(), packets: 0 });
    };
    read.sort_by_key(|(capture, _, observation)| (observation.timestamp, *capture, observation.record));
    let mut transits = Vec::with_capacity(read.len());
    let mut keys = Vec::with_capacity(read.len());
    for (capture, fid, observation) in read {
        let frame = &observation.frame;
        keys.push(frame.match_key_over(&fields).zip(Some(frame.ttl)));
        transits.push(Transit {
            capture,
            fid,
            packet: Packet {
                fid,
                length: observation.length,
                trp: frame.protocol.unwrap_or(u8::MAX),
                ttl: u8::MAX,
                dscp: frame.dscp.unwrap_or(0),
                tag: frame.vlan_tag(),
                ecn: frame.ecn.unwrap_or(0),
                ..Packet::default()
            },
            arrival_ps: ps_since(start, &observation, &captures[usize::from(capture)])?,
            fate: Fate::Unknown,
            marked: false,
        });
    }
    if keys.iter().all(Option::is_none) {
        let packets = keys.len() as u64;
        return Err(CalibrateError::Empty { path: options.ingress[0].clone(), packets });
    }
    let egress = Egress::read(egress, start, &fields, keys.iter().flatten().map(|(key, _)| *key))?;
    let matching = match_fates(&mut transits, &keys, &egress);
    remarks.extend(captures.iter().flat_map(Sorted::remarks).chain(egress.remarks));
    let joined = Joined {
        transits,
        flows: flows.keys().copied().collect(),
        start,
        duplicated: matching.duplicated,
        only_egress: matching.only_egress,
        egress: egress.measurements.len() as u64,
        negative: matching.negative,
        least_delay_ps: matching.least_delay_ps,
        routes: matching.routes,
        remarks,
    };
    check(joined, matching.matched)
}

/// The egress capture.
struct Egress {
    measurements: Vec<Measurement>,
    /// The time to live of the first packets.
    ttl: FxHashMap<u64, Option<u8>>,
    /// The packets with a congestion mark.
    marked: FxHashSet<u64>,
    remarks: Vec<String>,
}

/// Number of packets from which the decrement of the time to live is determined.
const TTL_SAMPLE: usize = 1 << 12;

impl Egress {
    /// Reads the egress capture. A datagram with one of the `known` keys that left in fragments is
    /// represented by its last fragment.
    fn read(
        mut capture: Sorted,
        start: Timestamp,
        fields: &MatchFields,
        known: impl Iterator<Item = u64>,
    ) -> Result<Self, CalibrateError> {
        let (mut recorded, mut ttl) = (Recorded::new(*fields), FxHashMap::default());
        let mut marked = FxHashSet::default();
        let mut packets = 0;
        while let Some(observation) = capture.next_observation()? {
            packets += 1;
            let Some(key) = observation.frame.match_key_over(fields) else { continue };
            let whole = recorded.add(&observation.frame, key, ps_since(start, &observation, &capture)?);
            for (frame, key) in [Some((observation.frame, key)), whole].into_iter().flatten() {
                if frame.ecn == Some(CE) {
                    marked.insert(key);
                }
                if ttl.len() < TTL_SAMPLE {
                    ttl.insert(key, frame.ttl);
                }
            }
        }
        let (measurements, fragments) = recorded.finish(known);
        let mut remarks = capture.remarks();
        if fragments > 0 {
            remarks.push(format!(
                "{}: datagrams left in fragments, of which the last counts and {fragments} others do not; lengths are \
                 those at ingress, so that the headers of fragments are missing from rates",
                capture.reader().path().display()
            ));
        }
        if measurements.is_empty() {
            return Err(CalibrateError::Empty { path: capture.reader().path().to_owned(), packets });
        }
        Ok(Egress { measurements, ttl, marked, remarks })
    }
}

/// The result of matching.
struct Matching {
    matched: u64,
    only_egress: u64,
    duplicated: u64,
    negative: u64,
    least_delay_ps: i64,
    routes: bool,
}

/// Determines the fate of every packet. Only this function depends on how packets are matched.
fn match_fates(transits: &mut [Transit], keys: &[Option<(u64, Option<u8>)>], egress: &Egress) -> Matching {
    let sightings = transits.iter().zip(keys).enumerate().filter_map(|(index, (transit, key))| {
        let (key, _) = (*key)?;
        let at = transit.arrival_ps;
        Some(Sighting {
            key,
            pid: index as u64,
            fid: transit.fid,
            length: transit.packet.length,
            injected_here: true,
            injected_ps: at,
            from_ps: at,
            at_ps: Some(at),
        })
    });
    let mut times: FxHashMap<u64, (u32, u32)> = FxHashMap::default();
    for (key, _) in keys.iter().flatten() {
        times.entry(*key).or_default().0 += 1;
    }
    for measurement in &egress.measurements {
        times.entry(measurement.key).or_default().1 += 1;
    }
    let (matched, counts, _, _) = match_packets(sightings.collect(), egress.measurements.clone());
    let first = matched.iter().map(|packet| packet.sighting.injected_ps).min().unwrap_or(i64::MAX);
    let last = matched.iter().map(|packet| packet.sighting.injected_ps).max().unwrap_or(i64::MIN);
    for (transit, key) in transits.iter_mut().zip(keys) {
        let alone =
            key.is_some_and(|(key, _)| times.get(&key).is_some_and(|&(sent, seen)| sent == 1 && seen == 0));
        if alone && (first..=last).contains(&transit.arrival_ps) {
            transit.fate = Fate::Lost;
        }
    }
    let (mut negative, mut least_delay_ps, mut hops) = (0, i64::MAX, 0i64);
    for packet in &matched {
        let index = packet.sighting.pid as usize;
        transits[index].fate = Fate::Departed(packet.measured_ps);
        transits[index].marked = transits[index].packet.ecn != CE
            && keys[index].is_some_and(|(key, _)| egress.marked.contains(&key));
        let delay = packet.measured_ps - packet.sighting.injected_ps;
        negative += u64::from(delay < 0);
        least_delay_ps = least_delay_ps.min(delay);
        if let Some((key, Some(before))) = keys[index]
            && let Some(Some(after)) = egress.ttl.get(&key)
        {
            hops += if before.checked_sub(1) == Some(*after) { 1 } else { -1 };
        }
    }
    Matching {
        matched: counts.matched,
        only_egress: counts.only_measured,
        duplicated: times.values().filter(|times| **times == (1, 2)).count() as u64,
        negative,
        least_delay_ps,
        routes: hops > 0,
    }
}

/// Checks that the captures can belong to one device.
fn check(joined: Joined, matched: u64) -> Result<Joined, CalibrateError> {
    let ingress = joined.transits.len() as u64;
    if matched == 0 {
        return Err(CalibrateError::NothingShared { ingress, egress: joined.egress });
    }
    if 2 * joined.negative > matched {
        return Err(CalibrateError::LeavesBeforeItArrives {
            negative: joined.negative,
            matched,
            least_s: joined.least_delay_ps as f64 / PS_PER_S as f64,
        });
    }
    Ok(joined)
}
