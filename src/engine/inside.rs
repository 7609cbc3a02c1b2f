//! The packets of a source that are in the network, as statistics need them.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use rustc_hash::FxHashMap;

use super::chunks::Chunks;
use crate::packet::{Packet, Tau};
use crate::statistics::{End, EndedPacket};
use crate::topology::DeviceId;
use crate::units::Time;

/// The number of packets at which the table first checks how many have ended.
const FEW: usize = 4_096;

/// The number of packets per chunk.
const CHUNK: usize = 512;

/// The packets of one source, by number, from the oldest in the network to the newest. One thread holds a
/// packet at a time, so relaxed atomics are sufficient.
#[derive(Debug)]
pub(super) struct Inside {
    /// The number of the first packet.
    first: u64,
    /// The time at which each entered; [`ENDED`] after its end.
    at: Chunks<AtomicU64, CHUNK>,
    /// The ECN field of each, as left by the last port on its path so far.
    ecn: Chunks<AtomicU8, CHUNK>,
    /// The number of devices that each has passed, if every packet is recorded; otherwise empty.
    hops: Chunks<AtomicU32, CHUNK>,
    /// Further fields of the same packets.
    details: Chunks<Details, CHUNK>,
    /// The packets that have been in the network much longer than most.
    old: FxHashMap<u64, Old>,
    /// The number of packets at which the table next checks how many have ended.
    ask_at: usize,
}

/// The same fields of a packet in `old`.
type Old = (AtomicU64, AtomicU8, Option<(AtomicU32, Details)>);

/// A time that no run reaches.
const ENDED: u64 = u64::MAX;

/// Further fields for the table of packets.
#[derive(Debug, Clone, Copy)]
struct Details {
    /// Its number in the source's input.
    record: u64,
    fid: u32,
    length: u32,
}

/// A packet in the network.
#[derive(Clone, Copy)]
pub(super) struct InsidePacket<'a> {
    at: &'a AtomicU64,
    place: Place<'a>,
}

/// The place of the remaining fields.
#[derive(Clone, Copy)]
enum Place<'a> {
    Recent(&'a Inside, usize),
    Old(&'a Old),
}

impl Default for Inside {
    fn default() -> Self {
        Inside {
            first: 0,
            at: Chunks::default(),
            ecn: Chunks::default(),
            hops: Chunks::default(),
            details: Chunks::default(),
            old: FxHashMap::default(),
            ask_at: FEW,
        }
    }
}

impl Inside {
    /// Adds the next packet of the source. `record` is its number in the source's input, if every packet is
    /// recorded.
    #[inline]
    pub fn enter(&mut self, tau: &Tau, record: Option<u64>) {
        let Packet { fid, length, ecn, .. } = tau.packet;
        self.at.push(AtomicU64::new(tau.timestamp.as_ps()));
        self.ecn.push(AtomicU8::new(ecn));
        if let Some(record) = record {
            self.hops.push(AtomicU32::new(0));
            self.details.push(Details { record, fid, length });
        }
    }

    /// Finds a packet in the network.
    #[inline]
    pub fn packet(&self, number: u64) -> Option<InsidePacket<'_>> {
        match number.checked_sub(self.first) {
            Some(place) => {
                let place = place as usize;
                Some(InsidePacket { at: self.at.get(place)?, place: Place::Recent(self, place) })
            }
            None => {
                let old = self.old.get(&number)?;
                Some(InsidePacket { at: &old.0, place: Place::Old(old) })
            }
        }
    }

    /// Removes the packets that have ended.
    pub fn forget(&mut self) {
        let count = self.at.forget_while(has_ended);
        self.ecn.forget(count);
        self.hops.forget(count);
        self.details.forget(count);
        self.first += count as u64;
        if !self.old.is_empty() {
            self.old.retain(|_, (at, ..)| !has_ended(at));
        }
        if self.at.len() > self.ask_at {
            let inside = self.at.iter().filter(|at| !has_ended(at)).count();
            if inside < self.at.len() / 8 {
                self.age();
            }
            self.ask_at = (2 * self.at.len()).max(FEW);
        }
    }

    /// Moves the packets in the network to `old`.
    fn age(&mut self) {
        for place in 0..self.at.len() {
            if let (Some(at), Some(ecn)) = (self.at.get(place), self.ecn.get(place))
                && !has_ended(at)
            {
                let of_packet = self.hops.get(place).zip(self.details.get(place));
                let of_packet =
                    of_packet.map(|(hops, details)| (AtomicU32::new(hops.load(Relaxed)), *details));
                let (at, ecn) = (AtomicU64::new(at.load(Relaxed)), AtomicU8::new(ecn.load(Relaxed)));
                self.old.insert(self.first + place as u64, (at, ecn, of_packet));
            }
        }
        self.first += self.at.len() as u64;
        self.at.clear();
        self.ecn.clear();
        self.hops.clear();
        self.details.clear();
    }

    /// The packets still in the network, by number.
    pub fn left(&self) -> impl Iterator<Item = (u64, InsidePacket<'_>)> {
        let numbers = self.old.keys().copied().chain((self.first..).take(self.at.len()));
        let found = numbers.filter_map(|number| Some((number, self.packet(number)?)));
        found.filter(|(_, packet)| !has_ended(packet.at))
    }
}

fn has_ended(at: &AtomicU64) -> bool {
    at.load(Relaxed) == ENDED
}

impl<'a> InsidePacket<'a> {
    fn ecn(&self) -> Option<&'a AtomicU8> {
        match self.place {
            Place::Recent(inside, place) => inside.ecn.get(place),
            Place::Old((_, ecn, _)) => Some(ecn),
        }
    }

    fn hops(&self) -> Option<&'a AtomicU32> {
        match self.place {
            Place::Recent(inside, place) => inside.hops.get(place),
            Place::Old((_, _, of_packet)) => of_packet.as_ref().map(|(hops, _)| hops),
        }
    }

    fn details(&self) -> Option<&'a Details> {
        match self.place {
            Place::Recent(inside, place) => inside.details.get(place),
            Place::Old((_, _, of_packet)) => of_packet.as_ref().map(|(_, details)| details),
        }
    }

    /// The time of its injection.
    #[inline]
    pub fn injected(&self) -> Time {
        Time::from_ps(self.at.load(Relaxed))
    }

    /// Records that it passed a device.
    #[inline]
    pub fn pass(&self) {
        if let Some(hops) = self.hops() {
            hops.store(hops.load(Relaxed) + 1, Relaxed);
        }
    }

    /// Sets the ECN field that a port left. Returns the previous value.
    #[inline]
    pub fn leave(&self, ecn: u8) -> u8 {
        let Some(kept) = self.ecn() else { return ecn };
        let before = kept.load(Relaxed);
        kept.store(ecn, Relaxed);
        before
    }

    /// Marks the packet as ended.
    #[inline]
    pub fn end(&self) {
        self.at.store(ENDED, Relaxed);
    }

    /// The row of an ended packet, if every packet is recorded. `tau` is where and when it ended, as
    /// [`EndedPacket`] defines it.
    pub fn row(&self, tau: &Tau, source: u32, device: Option<DeviceId>, end: End) -> Option<EndedPacket> {
        let details = self.details()?;
        // If a queue marked the packet and then dropped it, the mark left no port and does not count.
        let packet = Packet { ecn: self.ecn()?.load(Relaxed), ..tau.packet };
        let (record, hops, injected) = (details.record, self.hops()?.load(Relaxed), self.injected());
        Some(EndedPacket { tau: Tau { packet, ..*tau }, source, record, injected, hops, device, end })
    }

    /// The row of a packet still in the network when the run ends.
    pub fn row_inside(&self, pid: u64, source: u32) -> Option<EndedPacket> {
        let Details { fid, length, .. } = *self.details()?;
        let packet = Packet { pid, fid, length, ..Packet::default() };
        self.row(&Tau { timestamp: self.injected(), packet }, source, None, End::Inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Packets enter and end in any order, some very late, and can always be found by number.
        #[test]
        fn every_packet_inside_is_found(ends in prop::collection::vec(0..100u64, 1..200), few in 1..20usize) {
            let mut inside = Inside { ask_at: few, ..Inside::default() };
            let mut left: Vec<u64> = Vec::new();
            for (number, end) in (0..).zip(ends) {
                let packet = Packet { pid: number, length: number as u32, ..Packet::default() };
                inside.enter(&Tau { timestamp: Time::from_ps(number), packet }, Some(7 * number));
                left.push(number);
                // Some end at once, some never.
                for place in (0..left.len()).rev().filter(|place| (*place as u64 + end).is_multiple_of(3) && end > 9) {
                    inside.packet(left.remove(place)).unwrap().end();
                }
                inside.forget();
                for number in &left {
                    let row = inside.packet(*number).unwrap().row_inside(*number, 0).unwrap();
                    prop_assert_eq!((row.injected.as_ps(), row.record), (*number, 7 * number));
                }
            }
            let mut rest: Vec<u64> = inside.left().map(|(number, _)| number).collect();
            rest.sort_unstable();
            prop_assert_eq!(rest, left);
        }
    }

    #[test]
    fn what_stays_forever_keeps_nothing_else() {
        let mut inside = Inside::default();
        for number in 0..1_000_000 {
            inside.enter(&Tau::default(), None);
            if number > 0 {
                inside.packet(number).unwrap().end();
            }
            inside.forget();
        }
        assert!(inside.at.len() < 4 * FEW && inside.old.len() == 1);
        assert_eq!(inside.packet(0).map(|packet| packet.injected()), Some(Time::ZERO));
    }
}
