//! [`Join`]: joins two time-ordered streams of packets into pairs, in memory bounded by the feasible delays.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::assign::{Assigned, Feasible, Plausible, assign};

/// A second observation of a frame on one side within this time is a copy, as a mirror port produces: 1 ms.
pub(crate) const COPY_WITHIN_PS: i64 = 1_000_000_000;
/// Number of packets of one key from which on the settled ones are separated from the others.
const MANY: usize = 64;
/// Maximum number of packets held per key. Beyond it, all are ambiguous.
const MOST: usize = 262_144;

/// One of the two captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    First,
    Second,
}

/// A packet in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// Its match key.
    pub(crate) key: u64,
    /// Its time in picoseconds; for the second side, converted approximately to the first clock.
    pub(crate) at_ps: i64,
    /// Its number on its side.
    pub(crate) order: u64,
    /// The position of its TCP payload in the stream of its flow.
    pub(crate) position: i64,
    /// Bytes of TCP payload.
    pub(crate) payload: u32,
    /// Its flow.
    pub(crate) fid: u32,
    /// Its time to live or hop limit; 0 if unknown.
    pub(crate) ttl: u8,
    /// Whether the same key twice within a millisecond means a copy of the frame.
    pub(crate) copies_show: bool,
    /// Identifies the fragmentation of the datagram that this packet represents; 0 for a packet as captured.
    pub(crate) cut: u64,
    /// Whether it is a fragment.
    pub(crate) is_fragment: bool,
    /// Whether little in it distinguishes it from other packets of its flow.
    pub(crate) is_plain: bool,
}

/// The verdict about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is on both sides.
    Pair(Seen, Seen),
    /// It is on one side only.
    Only(Side, Seen),
    /// It is on this side, and cannot be distinguished from others.
    Ambiguous(Side, Seen),
    /// It is the copy of a frame on the same side.
    Copy(Side, Seen),
}

/// The packets that share a key.
#[derive(Debug, Default)]
struct Group {
    key: u64,
    /// Time of the latest packet.
    latest_ps: i64,
    first: Option<Seen>,
    second: Option<Seen>,
    /// The other packets, in time order.
    more: Vec<(Side, Seen)>,
    /// Some packets were not kept, so the others cannot be assigned.
    is_torn: bool,
}

/// Joins two streams of packets, each in time order, and pushed in the time order of both.
///
/// A packet is held until no later packet can have a feasible delay to it, or to one that it may be confused
/// with.
#[derive(Debug)]
pub(crate) struct Join {
    /// Maximum time between two observations of the same packet.
    reach_ps: i64,
    plausible: Plausible,
    /// Delays of the packets that are not plain.
    sure: Plausible,
    /// The group of each key.
    places: FxHashMap<u64, u32>,
    groups: Vec<Group>,
    free: Vec<u32>,
    /// Time when each group can be settled, approximately in order.
    due: VecDeque<(i64, u32)>,
    scratch: [Vec<Seen>; 2],
}

impl Join {
    /// Creates a join of packets at most `reach_ps` apart.
    pub(crate) fn new(reach_ps: i64) -> Self {
        let within = Feasible { least_ps: -reach_ps, greatest_ps: reach_ps };
        Join {
            reach_ps,
            plausible: Plausible::new(within),
            sure: Plausible::new(within),
            places: FxHashMap::default(),
            groups: Vec::new(),
            free: Vec::new(),
            due: VecDeque::new(),
            scratch: Default::default(),
        }
    }

    /// Adds a packet.
    #[inline]
    pub(crate) fn push(&mut self, side: Side, seen: Seen, tell: &mut impl FnMut(Verdict)) {
        self.settle(seen.at_ps, tell);
        let place = match self.places.get(&seen.key) {
            Some(place) => *place,
            None => self.new_group(&seen),
        };
        let group = &mut self.groups[place as usize];
        if seen.copies_show && group.copies(side, seen.at_ps) {
            tell(Verdict::Copy(side, seen));
            return;
        }
        group.latest_ps = seen.at_ps;
        let own = match side {
            Side::First => &mut group.first,
            Side::Second => &mut group.second,
        };
        if own.is_none() && group.more.is_empty() {
            *own = Some(seen);
        } else if group.more.len() < MOST {
            group.more.push((side, seen));
        } else {
            group.is_torn = true;
            tell(Verdict::Ambiguous(side, seen));
        }
    }

    fn new_group(&mut self, seen: &Seen) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.groups.push(Group::default());
            (self.groups.len() - 1) as u32
        });
        self.groups[place as usize].key = seen.key;
        self.places.insert(seen.key, place);
        self.due.push_back((seen.at_ps + self.reach_ps, place));
        place
    }

    /// Settles the packets that nothing after `now_ps` can change.
    #[inline]
    fn settle(&mut self, now_ps: i64, tell: &mut impl FnMut(Verdict)) {
        while let Some(&(due_ps, place)) = self.due.front()
            && due_ps < now_ps
        {
            self.due.pop_front();
            let group = &mut self.groups[place as usize];
            let until_ps = group.latest_ps + self.reach_ps;
            if until_ps < now_ps {
                self.close(place, tell);
            } else {
                if group.more.len() >= MANY && !group.is_torn {
                    self.cut(place, now_ps - self.reach_ps, tell);
                }
                self.due.push_back((until_ps, place));
            }
        }
    }

    /// Settles the remaining packets.
    pub(crate) fn finish(mut self, mut tell: impl FnMut(Verdict)) {
        // Packets with a unique key come first: they determine the plausible delays.
        let (simple, others): (Vec<_>, Vec<_>) =
            self.due.drain(..).partition(|(_, place)| self.groups[*place as usize].more.is_empty());
        for (_, place) in simple.into_iter().chain(others) {
            self.close(place, &mut tell);
        }
    }

    /// Number of packets held.
    #[cfg(test)]
    fn held(&self) -> usize {
        let of = |group: &Group| {
            usize::from(group.first.is_some()) + usize::from(group.second.is_some()) + group.more.len()
        };
        self.groups.iter().map(of).sum()
    }

    fn close(&mut self, place: u32, tell: &mut impl FnMut(Verdict)) {
        let group = &mut self.groups[place as usize];
        self.places.remove(&group.key);
        self.free.push(place);
        if group.more.is_empty() {
            match (group.first.take(), group.second.take()) {
                (Some(first), Some(second)) if (second.at_ps - first.at_ps).abs() <= self.reach_ps => {
                    let delay_ps = second.at_ps - first.at_ps;
                    if !first.is_plain {
                        self.sure.saw(delay_ps);
                    } else if !self.sure.delays().has(delay_ps) {
                        // A plain packet may be repeated exactly where a capture begins or ends.
                        tell(Verdict::Ambiguous(Side::First, first));
                        tell(Verdict::Ambiguous(Side::Second, second));
                        return;
                    }
                    self.plausible.saw(delay_ps);
                    tell(Verdict::Pair(first, second));
                }
                (first, second) => {
                    first.into_iter().for_each(|seen| tell(Verdict::Only(Side::First, seen)));
                    second.into_iter().for_each(|seen| tell(Verdict::Only(Side::Second, seen)));
                }
            }
            return;
        }
        let packets = group.take();
        if std::mem::take(&mut group.is_torn) {
            packets.into_iter().for_each(|(side, seen)| tell(Verdict::Ambiguous(side, seen)));
        } else {
            self.assign(packets, i64::MAX, tell);
        }
    }

    /// Settles the packets of a long group before `before_ps` that no newer packet concerns.
    fn cut(&mut self, place: u32, before_ps: i64, tell: &mut impl FnMut(Verdict)) {
        let packets = self.groups[place as usize].take();
        let rest = self.assign(packets, before_ps, tell);
        self.groups[place as usize].more = rest;
    }

    /// Assigns the packets of one key. Returns those that packets after `before_ps` may be confused with.
    fn assign(
        &mut self,
        packets: Vec<(Side, Seen)>,
        before_ps: i64,
        tell: &mut impl FnMut(Verdict),
    ) -> Vec<(Side, Seen)> {
        let [first, second] = &mut self.scratch;
        first.clear();
        second.clear();
        for (side, seen) in packets {
            match side {
                Side::First => first.push(seen),
                Side::Second => second.push(seen),
            }
        }
        let instants = |seen: &[Seen]| seen.iter().map(|seen| seen.at_ps).collect::<Vec<_>>();
        let (first_ps, second_ps) = (instants(first), instants(second));
        let mut rest = Vec::new();
        assign(&first_ps, &second_ps, self.plausible.delays(), |assigned| {
            let keep = |i: std::ops::Range<usize>, j: std::ops::Range<usize>| {
                let newest = |seen: &[Seen]| seen.last().map_or(i64::MIN, |seen| seen.at_ps);
                newest(&first[i]).max(newest(&second[j])) >= before_ps
            };
            match assigned {
                Assigned::Pair(i, j) if !keep(i..i + 1, j..j + 1) => tell(Verdict::Pair(first[i], second[j])),
                Assigned::Pair(i, j) => rest.extend([(Side::First, first[i]), (Side::Second, second[j])]),
                Assigned::OnlyFirst(i) if !keep(i..i + 1, 0..0) => tell(Verdict::Only(Side::First, first[i])),
                Assigned::OnlyFirst(i) => rest.push((Side::First, first[i])),
                Assigned::OnlySecond(j) if !keep(0..0, j..j + 1) => {
                    tell(Verdict::Only(Side::Second, second[j]));
                }
                Assigned::OnlySecond(j) => rest.push((Side::Second, second[j])),
                Assigned::Ambiguous(i, j) => {
                    let is_kept = keep(i.clone(), j.clone());
                    let firsts = first[i].iter().map(|seen| (Side::First, *seen));
                    let seconds = second[j].iter().map(|seen| (Side::Second, *seen));
                    for (side, seen) in firsts.chain(seconds) {
                        match is_kept {
                            true => rest.push((side, seen)),
                            false => tell(Verdict::Ambiguous(side, seen)),
                        }
                    }
                }
            }
        });
        rest.sort_by_key(|(_, seen)| seen.at_ps);
        rest
    }
}

impl Group {
    /// Whether a packet of this side at `at_ps` is a copy of an earlier one.
    fn copies(&self, side: Side, at_ps: i64) -> bool {
        let own = match side {
            Side::First => self.first,
            Side::Second => self.second,
        };
        let more = self.more.iter().rev().take(8).filter(|(of, _)| *of == side).map(|(_, seen)| *seen);
        more.chain(own).any(|seen| at_ps - seen.at_ps <= COPY_WITHIN_PS)
    }

    /// All packets, in time order on either side.
    fn take(&mut self) -> Vec<(Side, Seen)> {
        let first = self.first.take().map(|seen| (Side::First, seen));
        let second = self.second.take().map(|seen| (Side::Second, seen));
        let mut all: Vec<_> = first.into_iter().chain(second).collect();
        all.append(&mut self.more);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000_000;
    const REACH_PS: i64 = 100 * MS;

    fn seen(key: u64, at_ps: i64, order: u64) -> Seen {
        Seen { key, at_ps, order, copies_show: true, ..Seen::default() }
    }

    /// Pushes both sides in time order. Returns the verdicts and the maximum number of packets held.
    fn joined(first: &[Seen], second: &[Seen]) -> (Vec<Verdict>, usize) {
        let sides = [(Side::First, first), (Side::Second, second)];
        let mut all: Vec<(Side, Seen)> =
            sides.iter().flat_map(|(side, seen)| seen.iter().map(|seen| (*side, *seen))).collect();
        all.sort_by_key(|(_, seen)| seen.at_ps);
        let (mut join, mut verdicts, mut most) = (Join::new(REACH_PS), Vec::new(), 0);
        for (side, seen) in all {
            join.push(side, seen, &mut |verdict| verdicts.push(verdict));
            most = most.max(join.held());
        }
        join.finish(|verdict| verdicts.push(verdict));
        (verdicts, most)
    }

    #[test]
    fn memory_is_bounded_by_the_reach() {
        let first: Vec<Seen> = (0..20_000).map(|number| seen(number, number as i64 * MS, number)).collect();
        let second: Vec<Seen> = first.iter().map(|one| Seen { at_ps: one.at_ps + 5 * MS, ..*one }).collect();
        let (verdicts, most) = joined(&first, &second);
        assert_eq!(verdicts.len(), 20_000);
        assert!(most < 2 * 220, "{most}");
    }

    #[test]
    fn one_key_for_all_is_cut_into_pieces() {
        // one packet per 10 ms, all alike, between others that show the delay of the path
        let first: Vec<Seen> = (0..50_000)
            .map(|number| seen(if number % 10 == 0 { 7 } else { 1000 + number }, number as i64 * MS, number))
            .collect();
        let second: Vec<Seen> = first.iter().map(|one| Seen { at_ps: one.at_ps + 2 * MS, ..*one }).collect();
        let (verdicts, most) = joined(&first, &second);
        let pairs =
            verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Pair(a, b) if a.order == b.order));
        assert_eq!(pairs.count(), 50_000);
        assert!(most < 1_000, "{most}");
    }

    #[test]
    fn plain_packets_take_as_long_as_others() {
        let mut first: Vec<Seen> = (0..1000).map(|number| seen(number, number as i64 * MS, number)).collect();
        let mut second: Vec<Seen> =
            first.iter().map(|one| Seen { at_ps: one.at_ps + 2 * MS, ..*one }).collect();
        // a keep-alive just before the first capture ends, and the next one before the second does
        first.push(Seen { is_plain: true, ..seen(7777, 999 * MS, 1000) });
        second.push(Seen { is_plain: true, ..seen(7777, 1060 * MS, 1001) });
        second.sort_by_key(|seen| seen.at_ps);
        let (verdicts, _) = joined(&first, &second);
        let count = |is: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| is(verdict)).count();
        assert_eq!(count(|verdict| matches!(verdict, Verdict::Pair(..))), 1000);
        assert_eq!(count(|verdict| matches!(verdict, Verdict::Ambiguous(..))), 2);
    }

    #[test]
    fn copies_are_told_and_packets_out_of_reach_are_not_joined() {
        let first = [seen(1, 0, 0), seen(2, MS, 1)];
        let second = [seen(1, 2 * MS, 0), seen(1, 2 * MS + 1000, 1), seen(2, 200 * MS, 2)];
        let (verdicts, _) = joined(&first, &second);
        assert!(verdicts.contains(&Verdict::Copy(Side::Second, second[1])));
        assert!(verdicts.contains(&Verdict::Pair(first[0], second[0])));
        assert!(verdicts.contains(&Verdict::Only(Side::First, first[1])));
        assert!(verdicts.contains(&Verdict::Only(Side::Second, second[2])));
    }

    /// A packet of a random stream: time since the one before, its key (few are reused), its delay, and what
    /// happens to it.
    fn packets() -> impl Strategy<Value = Vec<(i64, Option<u64>, i64, u8)>> {
        let key = prop_oneof![4 => Just(None), 1 => (0..8u64).prop_map(Some)];
        prop::collection::vec((0..3 * MS, key, MS..40 * MS, any::<u8>()), 1..1200)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Packets are lost, reordered (not within one key), duplicated within a short time, and share keys.
        /// No packet is ever matched to another, and every packet is accounted for.
        #[test]
        fn no_packet_is_taken_for_another(packets in packets()) {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            let mut latest: FxHashMap<u64, i64> = FxHashMap::default();
            let mut sent: FxHashMap<u64, i64> = FxHashMap::default();
            let (mut now, mut unique_arrived) = (0, 0);
            for (number, (gap, shared, delay, fate)) in packets.iter().enumerate() {
                now += gap;
                let order = number as u64;
                let key = shared.unwrap_or(100 + order);
                // The same frame twice within a short time is a copy, not a separate packet.
                if sent.insert(key, now).is_some_and(|before| now - before <= 2 * COPY_WITHIN_PS) {
                    continue;
                }
                first.push(seen(key, now, order));
                if fate % 10 == 0 {
                    continue;
                }
                let at = (now + delay).max(latest.get(&key).map_or(i64::MIN, |latest| latest + 3 * COPY_WITHIN_PS));
                if at - now > 60 * MS {
                    continue;
                }
                latest.insert(key, at);
                second.push(seen(key, at, order));
                unique_arrived += usize::from(shared.is_none());
                if fate % 10 == 1 {
                    second.push(seen(key, at + COPY_WITHIN_PS / 2, u64::MAX));
                }
            }
            second.sort_by_key(|seen| seen.at_ps);
            let (verdicts, _) = joined(&first, &second);
            let mut unique = 0;
            for verdict in &verdicts {
                if let Verdict::Pair(a, b) = verdict {
                    prop_assert_eq!(a.order, b.order);
                    unique += usize::from(a.key >= 100);
                }
                if let Verdict::Copy(side, copy) = verdict {
                    prop_assert_eq!((*side, copy.order), (Side::Second, u64::MAX));
                }
            }
            prop_assert_eq!(unique, unique_arrived, "whoever has a key of its own is found");
            let told = verdicts.iter().map(|verdict| if matches!(verdict, Verdict::Pair(..)) { 2 } else { 1 });
            prop_assert_eq!(told.sum::<usize>(), first.len() + second.len());
        }
    }
}
