//! The TCP packets of a capture, by flow, with positions that neither wrap nor start at random.

use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::transmission::Transmission;
use crate::capture::TcpSegment;
use crate::compare::matching::join::COPY_WITHIN_PS;
use crate::packet::FlowKey;

/// A connection of a capture: the flow of the side that opened it, and the number of earlier connections of
/// this flow.
pub type ConnectionName = (FlowKey, u32);

/// The TCP packets of a capture that belong to connections.
#[derive(Debug, Default)]
pub struct MeasuredFlows {
    flows: IndexMap<(FlowKey, u32), MeasuredFlow, FxBuildHasher>,
    /// Number of connections of a flow that ended with the SYN of another one.
    ended: FxHashMap<FlowKey, u32>,
    /// By match key: time of the latest packet.
    seen: FxHashMap<u64, i64>,
    /// Copies of a frame, which are excluded.
    pub copies: u64,
}

/// One direction of a connection in a capture.
#[derive(Debug, Default)]
pub struct MeasuredFlow {
    sequences: Numbers,
    acknowledgements: Numbers,
    /// Whether its SYN was captured: `Some(true)` if it opens the connection, `Some(false)` if it answers.
    opens: Option<bool>,
    /// The sequence number of the SYN.
    syn: Option<u32>,
    window_scale: Option<u8>,
    has_payload: bool,
    transmissions: Vec<Transmission>,
}

/// Converts 32-bit numbers that wrap into positions that do not, counted from the first number.
#[derive(Debug, Default)]
struct Numbers {
    first: Option<u32>,
    /// A number and its position.
    latest: Option<(u32, i64)>,
}

impl Numbers {
    fn position(&mut self, number: u32) -> i64 {
        self.first.get_or_insert(number);
        let (latest, at) = self.latest.unwrap_or((number, 0));
        let position = at + i64::from(number.wrapping_sub(latest) as i32);
        if position >= at {
            self.latest = Some((number, position));
        }
        position
    }

    /// Distance of the first number from `initial`.
    fn offset(&self, initial: u32) -> i64 {
        self.first.map_or(0, |first| i64::from(first.wrapping_sub(initial) as i32))
    }
}

impl MeasuredFlows {
    /// Adds the next packet of the capture: its flow, its match key if it has one, and whether it has an
    /// identification.
    pub fn add(
        &mut self,
        flow: FlowKey,
        segment: &TcpSegment,
        at_ps: i64,
        (key, is_identified): (Option<u64>, bool),
    ) {
        if let Some(key) = key {
            let before = self.seen.insert(key, at_ps);
            let can_be_copy = is_identified || segment.sequence_length() > 0;
            if can_be_copy && before.is_some_and(|before| at_ps - before <= COPY_WITHIN_PS) {
                self.copies += 1;
                return;
            }
        }
        let mut number = self.ended.get(&flow).copied().unwrap_or(0);
        if segment.syn {
            let known = self.flows.get(&(flow, number));
            if known.is_some_and(|known| known.syn != Some(segment.sequence)) {
                number += 1;
                self.ended.insert(flow, number);
            }
        }
        self.flows.entry((flow, number)).or_default().add(segment, at_ps, key);
    }

    /// The flows, ordered by their first packets.
    pub fn iter(&self) -> impl Iterator<Item = (&ConnectionName, &MeasuredFlow)> {
        self.flows.iter()
    }

    /// The flow with this key of the connection with this number.
    pub fn get(&self, name: &ConnectionName) -> Option<&MeasuredFlow> {
        self.flows.get(name)
    }

    /// Removes and returns that flow.
    pub fn take(&mut self, name: &ConnectionName) -> Option<MeasuredFlow> {
        self.flows.get_mut(name).map(std::mem::take)
    }
}

impl MeasuredFlow {
    fn add(&mut self, segment: &TcpSegment, at_ps: i64, key: Option<u64>) {
        let start = self.sequences.position(segment.sequence);
        let acknowledgement = segment.acknowledgement.map(|number| self.acknowledgements.position(number));
        if segment.syn {
            self.opens = Some(segment.acknowledgement.is_none());
            self.syn = Some(segment.sequence);
            self.window_scale = segment.window_scale;
        }
        self.has_payload |= segment.payload_length > 0;
        // The window of a SYN is never scaled (RFC 7323, section 2.2).
        let scale = if segment.syn { 0 } else { self.window_scale.unwrap_or(0).min(14) };
        let sack = segment.sack.map(|sack| {
            let relative = |number: u32| {
                let (from, at) = self.acknowledgements.latest.unwrap_or((number, 0));
                at + i64::from(number.wrapping_sub(from) as i32)
            };
            sack.blocks().iter().map(|(start, end)| (relative(*start), relative(*end))).collect()
        });
        self.transmissions.push(Transmission {
            at_ps,
            start,
            end: start + i64::from(segment.sequence_length()),
            control: u8::from(segment.syn) + u8::from(segment.fin),
            acknowledgement,
            window: segment.window.map(|window| u64::from(window) << scale),
            sack,
            ece: segment.ece,
            cwr: segment.cwr,
            tag: key.unwrap_or(0),
            ..Transmission::default()
        });
    }

    /// Time of its first packet.
    pub fn first_ps(&self) -> i64 {
        self.transmissions.first().map_or(i64::MAX, |first| first.at_ps)
    }

    /// The sequence number of its SYN, if it was captured.
    pub fn syn(&self) -> Option<u32> {
        self.syn
    }

    /// The window scale in its SYN, if present.
    pub fn window_scale(&self) -> Option<u8> {
        self.window_scale
    }

    /// Whether its side opened the connection. Without a SYN, this is the side that sends payload.
    pub fn opens(&self) -> bool {
        self.opens.unwrap_or(self.has_payload)
    }

    /// The sequence number of its first packet.
    pub fn first_sequence(&self) -> Option<u32> {
        self.sequences.first
    }

    /// Its first acknowledgement number.
    pub fn first_acknowledgement(&self) -> Option<u32> {
        self.acknowledgements.first
    }

    /// Number of its packets.
    pub fn packets(&self) -> usize {
        self.transmissions.len()
    }

    /// Its packets, with positions relative to the initial numbers of its own direction and of the other one.
    /// If its SYN was not captured, windows are scaled by `window_scale`.
    pub fn into_transmissions(self, [own, other]: [u32; 2], window_scale: Option<u8>) -> Vec<Transmission> {
        let (start, acknowledged) = (self.sequences.offset(own), self.acknowledgements.offset(other));
        let scale = if self.window_scale.is_none() { window_scale.unwrap_or(0).min(14) } else { 0 };
        let mut transmissions = self.transmissions;
        for transmission in &mut transmissions {
            transmission.start += start;
            transmission.end += start;
            transmission.acknowledgement = transmission.acknowledgement.map(|number| number + acknowledged);
            transmission.window = transmission.window.map(|window| window << scale);
            for (from, to) in transmission.sack.iter_mut().flatten() {
                (*from, *to) = (*from + acknowledged, *to + acknowledged);
            }
        }
        transmissions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> FlowKey {
        let (source, destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        FlowKey::Ip { source, destination, protocol: 6, ports: Some((1, 2)) }
    }

    fn segment(sequence: u32, payload_length: u32, syn: bool) -> TcpSegment {
        TcpSegment {
            source: "10.0.0.1:1".parse().unwrap(),
            destination: "10.0.0.2:2".parse().unwrap(),
            sequence,
            acknowledgement: (!syn).then_some(u32::MAX),
            syn,
            fin: false,
            rst: false,
            ece: false,
            cwr: false,
            payload_length,
            window: Some(10),
            window_scale: syn.then_some(3),
            sack: Some(Default::default()),
            timestamps: None,
        }
    }

    #[test]
    fn positions_count_from_the_syn_and_do_not_wrap() {
        let initial = u32::MAX - 1;
        let mut flows = MeasuredFlows::default();
        for (at_ps, sequence, payload) in
            [(0, initial, 0), (1, initial.wrapping_add(1), 10), (2, initial.wrapping_add(11), 5)]
        {
            flows.add(flow(), &segment(sequence, payload, at_ps == 0), at_ps, (None, false));
        }
        let taken = flows.take(&(flow(), 0)).unwrap();
        assert_eq!((taken.syn(), taken.opens(), taken.packets()), (Some(initial), true, 3));
        let found = taken.into_transmissions([initial, u32::MAX - 1], None);
        let ranges: Vec<_> =
            found.iter().map(|one| (one.start, one.end, one.acknowledgement, one.window)).collect();
        assert_eq!(ranges, [(0, 1, None, Some(10)), (1, 11, Some(1), Some(80)), (11, 16, Some(1), Some(80))]);
    }

    #[test]
    fn a_copy_is_left_out_and_another_syn_is_another_connection() {
        let mut flows = MeasuredFlows::default();
        let mut add = |sequence, payload, syn, at_ps, key| {
            flows.add(flow(), &segment(sequence, payload, syn), at_ps, (Some(key), false));
        };
        add(5, 0, true, 0, 1);
        add(6, 9, false, 1, 2);
        add(6, 9, false, 2, 2);
        // Equal acknowledgements without an identification may be two packets.
        add(15, 0, false, 3, 3);
        add(15, 0, false, 4, 3);
        add(900, 0, true, 5, 4);
        assert_eq!(flows.copies, 1);
        let packets: Vec<_> = flows.iter().map(|((_, number), flow)| (*number, flow.packets())).collect();
        assert_eq!(packets, [(0, 4), (1, 1)]);
    }
}
