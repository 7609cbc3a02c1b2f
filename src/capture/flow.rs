//! [`FlowTable`]: assigns flow ids in order of first appearance.

use std::collections::VecDeque;

use indexmap::IndexSet;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::Frame;
use crate::packet::FlowKey;

/// Number of fragmented packets whose flow is remembered. The oldest is forgotten first.
const MAX_FRAGMENTED: usize = 65_536;

/// Assigns a flow id (`fid`) to every [`FlowKey`], in order of first appearance from 0.
///
/// Only the first fragment of an IP packet carries ports. A later fragment is assigned to the same flow if it
/// follows the first one within the next 65,536 fragmented packets. Otherwise it belongs to a flow without
/// ports.
///
/// # Examples
///
/// ```
/// use taunet::capture::{FlowTable, Frame, LinkType};
///
/// let mut flows = FlowTable::new();
/// let arp = Frame::parse(LinkType::ETHERNET, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6], 60);
/// assert_eq!((flows.fid(&arp), flows.fid(&arp)), (0, 0));
/// assert_eq!(flows.key(0).unwrap().to_string(), "02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff 0x0806");
/// ```
///
/// # Complexity
///
/// Constant time per frame. Memory grows with the number of flows.
#[derive(Debug, Default)]
pub struct FlowTable {
    keys: IndexSet<FlowKey, FxBuildHasher>,
    /// The flow of the first fragment, by datagram ([`Fragment::datagram`](super::frame::Fragment)).
    fragmented: FxHashMap<u64, u32>,
    fragmented_order: VecDeque<u64>,
}

impl FlowTable {
    /// Creates a table without flows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the flow id of a frame. Frames must be given in time order for fragments to join their flow.
    #[inline]
    pub fn fid(&mut self, frame: &Frame) -> u32 {
        if let Some(fragment) = frame.fragment
            && fragment.offset > 0
            && let Some(&fid) = self.fragmented.get(&fragment.datagram)
        {
            return fid;
        }
        let (index, _) = self.keys.insert_full(frame.flow_key());
        let fid = u32::try_from(index).unwrap_or(u32::MAX);
        if let Some(fragment) = frame.fragment.filter(|fragment| fragment.offset == 0) {
            self.remember(fragment.datagram, fid);
        }
        fid
    }

    fn remember(&mut self, key: u64, fid: u32) {
        if self.fragmented.insert(key, fid).is_some() {
            return;
        }
        self.fragmented_order.push_back(key);
        if self.fragmented_order.len() > MAX_FRAGMENTED
            && let Some(oldest) = self.fragmented_order.pop_front()
        {
            self.fragmented.remove(&oldest);
        }
    }

    /// The flows in order of flow id.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &FlowKey> {
        self.keys.iter()
    }

    /// The flow with this id.
    pub fn key(&self, fid: u32) -> Option<&FlowKey> {
        self.keys.get_index(fid as usize)
    }

    /// The number of flows.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no flows.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::frame::Fragment;

    fn fragment(identification: u32, offset: u16, ports: Option<(u16, u16)>) -> Frame {
        let datagram = identification.into();
        Frame {
            fragment: Some(Fragment { datagram, offset, length: 1480, is_last: offset > 0 }),
            source: Some([10, 0, 0, 1].into()),
            destination: Some([10, 0, 0, 2].into()),
            protocol: Some(17),
            identification: Some(identification),
            more_fragments: Some(offset == 0),
            fragment_offset: Some(offset),
            source_port: ports.map(|(source, _)| source),
            destination_port: ports.map(|(_, destination)| destination),
            ..Frame::default()
        }
    }

    #[test]
    fn later_fragments_join_the_flow_of_their_first() {
        let mut flows = FlowTable::new();
        assert_eq!(flows.fid(&fragment(1, 0, Some((5, 6)))), 0);
        assert_eq!(flows.fid(&fragment(2, 0, Some((5, 7)))), 1);
        assert_eq!(flows.fid(&fragment(1, 185, None)), 0);
        assert_eq!(flows.fid(&fragment(2, 185, None)), 1);
        assert_eq!(flows.fid(&fragment(3, 185, None)), 2, "its first fragment is not known");
        assert_eq!(flows.len(), 3);
        assert_eq!(flows.keys().len(), 3);
    }

    #[test]
    fn fragmented_packets_are_forgotten_in_order() {
        let mut flows = FlowTable::new();
        for identification in 0..=MAX_FRAGMENTED as u32 {
            flows.fid(&fragment(identification, 0, Some((5, 6))));
        }
        assert_eq!(flows.fragmented.len(), MAX_FRAGMENTED);
        assert_eq!(flows.fid(&fragment(1, 185, None)), 0);
        assert_eq!(flows.fid(&fragment(0, 185, None)), 1);
    }
}
