//! The assignment of flows to queues by a set-associative hash, and of hosts to their counters.

use std::net::IpAddr;

use super::Isolation;
use crate::flow::{Flows, address_hash};
use crate::packet::FlowKey;
use crate::random::Draws;

/// The queues of a tin.
pub(super) const QUEUES: usize = 1_024;

/// The queues of a set.
const WAYS: usize = 8;

/// The possible places of `hash`: those of its set, its own first.
fn places(hash: u32) -> impl Iterator<Item = usize> {
    let own = hash as usize % QUEUES;
    let set = own - own % WAYS;
    (0..WAYS).map(move |way| set + (own + way) % WAYS)
}

/// The hashes of a flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlowHashes {
    /// Of the key that has its own queue.
    pub queue: u32,
    pub source: u32,
    pub destination: u32,
    /// Whether the flow is ARP, which has no code point and counts as network control.
    pub is_arp: bool,
}

/// The hashes of all flows; the hash differs between seeds and ports.
pub(super) struct Hashes {
    draws: Draws,
    isolation: Isolation,
    by_flow: Vec<Option<FlowHashes>>,
}

/// The EtherType of ARP.
const ARP: u16 = 0x0806;

impl Hashes {
    pub fn new(draws: Draws, isolation: Isolation) -> Self {
        Hashes { draws, isolation, by_flow: Vec::new() }
    }

    /// The hashes of the flow `fid`.
    #[inline]
    pub fn of(&mut self, fid: u32, flows: &Flows) -> FlowHashes {
        let index = fid as usize;
        if index >= self.by_flow.len() {
            self.by_flow.resize(index + 1, None);
        }
        if let Some(hashes) = self.by_flow[index] {
            return hashes;
        }
        let hashes = self.work_out(fid, flows);
        self.by_flow[index] = Some(hashes);
        hashes
    }

    fn work_out(&self, fid: u32, flows: &Flows) -> FlowHashes {
        let of_address = |address: IpAddr| self.draws.bits(address_hash(address)) as u32;
        let (source, destination, is_arp) = match flows.key(fid) {
            Some(FlowKey::Ip { source, destination, .. }) => {
                (of_address(source), of_address(destination), false)
            }
            Some(FlowKey::Link { ether_type, .. }) => (0, 0, ether_type == Some(ARP)),
            None => (0, 0, false),
        };
        let queue = match self.isolation {
            Isolation::Flowblind => 0,
            Isolation::Srchost => source,
            Isolation::Dsthost => destination,
            Isolation::Hosts => source ^ destination,
            _ => self.draws.bits(flows.hash(fid)) as u32,
        };
        FlowHashes { queue, source, destination, is_arp }
    }
}

/// The result of a search for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The place is already used by this flow.
    Kept(usize),
    /// The place was free.
    Free(usize),
    /// All places of the set are used by other flows; this one is shared.
    Shared(usize),
}

/// The hash to which each place belongs.
pub(super) struct Tags(Vec<u32>);

impl Tags {
    pub fn new() -> Self {
        Tags(vec![0; QUEUES])
    }

    /// Finds and reserves a place for `hash`: the one that it already has, else the first free one, else its
    /// own.
    ///
    /// # Source
    /// Linux 6.1 `net/sched/sch_cake.c` (`cake_hash`).
    pub fn find(&mut self, hash: u32, is_in_use: impl Fn(usize) -> bool) -> Found {
        let known = places(hash).find(|place| self.0[*place] == hash);
        let free = known.or_else(|| places(hash).find(|place| !is_in_use(*place)));
        let place = free.unwrap_or(hash as usize % QUEUES);
        self.0[place] = hash;
        match (known, free) {
            (Some(place), _) if is_in_use(place) => Found::Kept(place),
            (_, Some(place)) => Found::Free(place),
            (_, None) => Found::Shared(place),
        }
    }
}

/// The number of bulk flows of each source, or of each destination.
pub(super) struct Hosts {
    tags: Vec<u32>,
    bulk_flows: Vec<u16>,
}

impl Hosts {
    pub fn new() -> Self {
        Hosts { tags: vec![0; QUEUES], bulk_flows: vec![0; QUEUES] }
    }

    /// Finds and reserves a place for a host: the one that it already has, else the first without bulk flows,
    /// else its own.
    pub fn find(&mut self, hash: u32) -> u16 {
        let known = places(hash).find(|place| self.tags[*place] == hash);
        let place = known.or_else(|| places(hash).find(|place| self.bulk_flows[*place] == 0));
        let place = place.unwrap_or(hash as usize % QUEUES);
        self.tags[place] = hash;
        place as u16
    }

    pub fn bulk_flows(&self, place: u16) -> u16 {
        self.bulk_flows[place as usize]
    }

    pub fn add(&mut self, place: u16) {
        let flows = &mut self.bulk_flows[place as usize];
        *flows = (*flows + 1).min(QUEUES as u16);
    }

    pub fn remove(&mut self, place: u16) {
        let flows = &mut self.bulk_flows[place as usize];
        *flows = flows.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_flows_of_a_set_need_eight_queues() {
        let mut tags = Tags::new();
        let mut used = [false; QUEUES];
        // The own place of each is 1029 % 1024 = 5, in the first set.
        let hashes: Vec<u32> = (1..=9).map(|n| 5 + 1_024 * n).collect();
        for (hash, expected) in hashes.iter().zip([5, 6, 7, 0, 1, 2, 3, 4]) {
            assert_eq!(tags.find(*hash, |place| used[place]), Found::Free(expected));
            used[expected] = true;
        }
        assert_eq!(tags.find(hashes[2], |place| used[place]), Found::Kept(7));
        assert_eq!(tags.find(hashes[8], |place| used[place]), Found::Shared(5));
        assert_eq!(tags.find(hashes[8], |place| used[place]), Found::Kept(5), "it has the place now");
        used[7] = false;
        assert_eq!(tags.find(hashes[0], |place| used[place]), Found::Free(7));
    }

    #[test]
    fn a_host_keeps_its_place_and_one_without_bulk_flows_may_lose_it() {
        let mut hosts = Hosts::new();
        let [a, b] = [1_024 + 7, 2_048 + 7];
        assert_eq!(hosts.find(a), 7);
        hosts.add(7);
        assert_eq!((hosts.find(b), hosts.find(a)), (0, 7));
        hosts.remove(7);
        assert_eq!(hosts.find(3_072 + 7), 7);
        assert_eq!(hosts.find(a), 7, "the other one has no bulk flows either");
    }
}
