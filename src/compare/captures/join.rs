//! [`join_captures`]: finds the packets that two captures share.

use std::path::Path;

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::cut::Cut;
use super::pair::{Pair, Unpaired, Way};
use super::survey::{Survey, survey};
use super::{CompareError, CompareOptions, passage, ps_since};
use crate::capture::{FlowTable, Frame, Observation, Sorted, standard_input};
use crate::compare::clocks::Clocks;
use crate::compare::matching::join::{Join, Seen, Side, Verdict};
use crate::compare::matching::tcp::{Leftover, Leftovers, Streams};
use crate::compare::matching::translation::{Recognized, Translation, Votes};
use crate::scenario::CaptureClock;
use crate::units::Timestamp;

const TCP_ACK: u8 = 0x10;

/// Counts of matched and unmatched packets. Every packet of a capture is either matched, ambiguous, in this
/// capture only, a copy, segmented, an excluded fragment, or without key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct JoinCounts {
    /// Packets without a match key, of both captures: without IP, or with fewer captured bytes than are
    /// compared of the others.
    pub without_key: u64,
    /// Of those, IP packets.
    pub cut_short: u64,
    /// Packets in both captures.
    pub matched: u64,
    /// Of those, packets from the second capture to the first.
    pub matched_backward: u64,
    /// Packets of the first capture that cannot be distinguished from others; excluded.
    pub ambiguous: u64,
    /// The same for the second capture.
    pub ambiguous_second: u64,
    /// Packets in the first capture only.
    pub only_first: u64,
    /// Packets in the second capture only.
    pub only_second: u64,
    /// Copies of a frame within a millisecond in the first capture, as mirror ports produce; excluded.
    pub copies_first: u64,
    /// The same for the second capture.
    pub copies_second: u64,
    /// Frames of the first capture whose TCP bytes are segmented differently in the second (segmentation
    /// offload); excluded from delays.
    pub segmented_first: u64,
    /// The same for the second capture.
    pub segmented_second: u64,
    /// Fragments of the first capture whose datagrams are whole or fragmented differently in the second. The
    /// last fragment represents the packet; these fragments are excluded.
    pub fragments_first: u64,
    /// The same for the second capture.
    pub fragments_second: u64,
    /// Of the packets in the second capture only, those that the first capture missed, as TCP proves.
    pub missed_by_first: u64,
    /// Of the packets in the first capture only, those that the second capture missed, as TCP proves.
    pub missed_by_second: u64,
    /// Flows with other addresses, ports or sequence numbers in the second capture; `None` without
    /// [`CompareOptions::nat`].
    pub translated_flows: Option<u64>,
}

/// The joined packets of two captures.
#[derive(Debug)]
pub struct Joined {
    /// Time of the first packet. All times are relative to it.
    pub start: Timestamp,
    /// The flows of both captures, with the keys of the second.
    pub flows: FlowTable,
    /// The direction, by flow id.
    ways: Vec<Way>,
    /// The packets in both captures, by the time of the first capture.
    pub pairs: Vec<Pair>,
    /// The packets in the first capture only, approximately in time order.
    pub only_first: Vec<Unpaired>,
    /// The packets in the second capture only, approximately in time order.
    pub only_second: Vec<Unpaired>,
    /// Packets in the first capture.
    pub packets_first: u64,
    /// Packets in the second capture.
    pub packets_second: u64,
    /// Counts of matched and unmatched packets.
    pub counts: JoinCounts,
    /// The relation of the two clocks; `None` without pairs.
    pub clocks: Option<Clocks>,
    /// Warnings about the captures.
    pub warnings: Vec<String>,
}

impl Joined {
    /// The direction of the packets of a flow.
    pub fn way(&self, fid: u32) -> Way {
        self.ways.get(fid as usize).copied().unwrap_or(Way::Unknown)
    }
}

/// Joins two captures packet by packet: each packet of the first with its observation in the second.
///
/// Both files are read in parallel, once; with [`CompareOptions::nat`] twice. A packet is held until no later
/// packet can match it or be confused with it.
///
/// # Errors
/// A capture cannot be read, the captures are more than 26 days apart, or a file must be read twice but is a
/// pipe.
///
/// # Complexity
/// O(n) in the packets of both captures, and a sort of the matched ones. Memory: 24 bytes per matched or
/// unmatched packet, and about 150 bytes for each packet of both captures within twice
/// [`CompareOptions::max_delay`].
pub fn join_captures(first: &Path, second: &Path, options: &CompareOptions) -> Result<Joined, CompareError> {
    if options.nat {
        [first, second].iter().try_for_each(|path| {
            standard_input::check_twice(path, "address translation is learned in the first pass")
        })?;
    }
    let mut both = Both::open(first, second, options)?;
    let translation = match options.nat {
        true => {
            let (translation, flows) = learn(both, options)?;
            both = Both::open(first, second, options)?;
            Some((translation, flows))
        }
        false => None,
    };
    let survey = both.survey;
    let reach_ps = reach_ps(options);
    let mut join = Join::new(reach_ps);
    let mut joining = Joining::new(reach_ps);
    let mut flows = FlowTable::new();
    let mut own_flows = FlowTable::new();
    while let Some((side, observation)) = both.next()? {
        let Placed { order, at_ps, observation: Observation { mut frame, .. } } = observation;
        let is_known = match (&translation, side) {
            (Some((translation, _)), Side::First) => translation.apply(own_flows.fid(&frame), &mut frame),
            _ => true,
        };
        let fid = flows.fid(&frame);
        joining.streams.know(fid, || *flows.key(fid).expect("a flow that was just counted"));
        let (position, payload) = joining.tcp(side, fid, &frame);
        let placed = Seen { at_ps, order, position, payload, fid, ..Seen::default() };
        let seen = if is_known { survey.seen(side, &frame, placed) } else { None };
        let Some(seen) = seen else {
            joining.counts.without_key += 1;
            joining.counts.cut_short += u64::from(frame.source.is_some());
            continue;
        };
        join.push(side, seen, &mut |verdict| joining.take(verdict, at_ps));
        if let Some((frame, placed)) = joining.cut.add(side, &frame, at_ps, &mut flows)
            && let Some(seen) = survey.seen(side, &frame, placed)
        {
            join.push(side, seen, &mut |verdict| joining.take(verdict, at_ps));
        }
        joining.settle(at_ps);
    }
    let end_ps = i64::MAX / 2;
    join.finish(|verdict| joining.take(verdict, end_ps));
    joining.settle(i64::MAX);
    let mut joined = joining.into_joined(both, flows);
    joined.counts.translated_flows = translation.map(|(translation, flows)| translation.changed(&flows));
    joined.set_clocks(options);
    Ok(joined)
}

fn reach_ps(options: &CompareOptions) -> i64 {
    i64::try_from(options.max_delay.as_ps()).unwrap_or(i64::MAX).min(super::REACH_PS / 8)
}

/// Learns the mapping of flows from packets with a unique payload.
fn learn(mut both: Both, options: &CompareOptions) -> Result<(Translation, FlowTable), CompareError> {
    let fields = both.survey.fields;
    let mut flows = [FlowTable::new(), FlowTable::new()];
    let mut votes = Votes::default();
    let mut join = Join::new(reach_ps(options));
    let mut vote = |verdict: Verdict| {
        if let Verdict::Pair(first, second) = verdict {
            let recognized = |seen: &Seen| Recognized {
                fid: seen.fid,
                sequence: (seen.position >> 32) as u32,
                acknowledgement: seen.position as u32,
            };
            votes.add(recognized(&first), recognized(&second));
        }
    };
    while let Some((side, Placed { order, at_ps, observation })) = both.next()? {
        let frame = &observation.frame;
        let fid = flows[side as usize].fid(frame);
        let is_silent = frame.tcp_flags.is_some_and(|flags| flags & TCP_ACK == 0);
        let Some(key) = frame.translated_key(&fields).filter(|_| !is_silent) else { continue };
        let numbers = [frame.tcp_sequence, frame.tcp_acknowledgement].map(|number| number.unwrap_or(0));
        let position = i64::from(numbers[0]) << 32 | i64::from(numbers[1]);
        let seen = Seen { key, at_ps, order, position, fid, ..Seen::default() };
        join.push(side, seen, &mut vote);
    }
    join.finish(&mut vote);
    let [first, second] = flows;
    Ok((votes.decide(&first, &second), first))
}

/// Two captures, read packet by packet in time order.
struct Both {
    captures: [Sorted; 2],
    next: [Option<Placed>; 2],
    /// Number of packets read.
    read: [u64; 2],
    start: Timestamp,
    survey: Survey,
}

/// A packet with its order and time.
#[derive(Debug, Clone, Copy)]
struct Placed {
    order: u64,
    /// Time by the first clock, approximately.
    at_ps: i64,
    observation: Observation,
}

impl Both {
    fn open(first: &Path, second: &Path, options: &CompareOptions) -> Result<Self, CompareError> {
        let [of_first, of_second] = &options.each();
        let mut captures = [Sorted::open(first, of_first)?, Sorted::open(second, of_second)?];
        let [first, second] = &mut captures;
        let survey = survey((first, of_first), (second, of_second), options.nat)?;
        let mut both =
            Both { captures, next: [None, None], read: [0, 0], start: Timestamp::default(), survey };
        let first = both.captures[0].next_observation()?;
        let second = both.captures[1].next_observation()?;
        both.start = first.or(second).map_or(Timestamp::default(), |observation| observation.timestamp);
        both.next = [both.placed(0, first)?, both.placed(1, second)?];
        Ok(both)
    }

    fn placed(
        &mut self,
        side: usize,
        observation: Option<Observation>,
    ) -> Result<Option<Placed>, CompareError> {
        let Some(observation) = observation else { return Ok(None) };
        let at_ps = ps_since(self.start, &observation, &self.captures[side])?;
        let order = self.read[side];
        self.read[side] += 1;
        Ok(Some(Placed {
            order,
            at_ps: if side == 1 { at_ps - self.usual_ps() } else { at_ps },
            observation,
        }))
    }

    /// The usual difference, which is subtracted from the second clock.
    fn usual_ps(&self) -> i64 {
        let reach = i128::from(super::REACH_PS);
        self.survey.usual_ps.clamp(-reach, reach) as i64
    }

    fn next(&mut self) -> Result<Option<(Side, Placed)>, CompareError> {
        let side = match &self.next {
            [Some(first), Some(second)] if second.at_ps < first.at_ps => Side::Second,
            [Some(_), _] => Side::First,
            [None, Some(_)] => Side::Second,
            [None, None] => return Ok(None),
        };
        let after = self.captures[side as usize].next_observation()?;
        let after = self.placed(side as usize, after)?;
        let next = std::mem::replace(&mut self.next[side as usize], after);
        Ok(next.map(|next| (side, next)))
    }
}

/// The state of joining.
struct Joining {
    counts: JoinCounts,
    streams: Streams,
    leftovers: Leftovers,
    cut: Cut,
    pairs: Vec<Pair>,
    only: [Vec<Unpaired>; 2],
    /// By flow id: number of packets whose time to live decreased from the first capture to the second, minus
    /// those where it increased.
    hops: Vec<i64>,
    /// Packets in one capture only whose bytes the other capture never contains: by side, their place in
    /// `only`, and whether the receiver acknowledged them.
    unseen: Vec<(Side, usize, bool)>,
    /// By flow id: times of the first and the last matched packet.
    spans: Vec<Option<(i64, i64)>>,
}

impl Joining {
    fn new(reach_ps: i64) -> Self {
        Joining {
            counts: JoinCounts::default(),
            streams: Streams::default(),
            leftovers: Leftovers::new(reach_ps),
            cut: Cut::new(reach_ps),
            pairs: Vec::new(),
            only: [Vec::new(), Vec::new()],
            hops: Vec::new(),
            unseen: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// The position and the length of the TCP payload of a frame.
    #[inline]
    fn tcp(&mut self, side: Side, fid: u32, frame: &Frame) -> (i64, u32) {
        let Some(sequence) = frame.tcp_sequence else { return (0, 0) };
        let position = self.streams.position(fid, sequence);
        let payload = frame.tcp_payload().unwrap_or(0);
        if payload > 0 {
            self.streams.saw(side, fid, position, payload);
        }
        if let (Some(number), Some(TCP_ACK)) =
            (frame.tcp_acknowledgement, frame.tcp_flags.map(|flags| flags & TCP_ACK))
        {
            self.streams.acknowledge(fid, number);
        }
        (position, payload)
    }

    fn take(&mut self, verdict: Verdict, now_ps: i64) {
        let Some(verdict) = self.cut.take(verdict) else { return };
        match verdict {
            Verdict::Pair(first, second) => {
                let fid = first.fid as usize;
                if self.hops.len() <= fid {
                    self.spans.resize(fid + 1, None);
                    self.hops.resize(fid + 1, 0);
                }
                let (from, to) = self.spans[fid].unwrap_or((first.at_ps, first.at_ps));
                self.spans[fid] = Some((from.min(first.at_ps), to.max(first.at_ps)));
                if first.ttl > 0 && second.ttl > 0 {
                    self.hops[fid] += i64::from(first.ttl > second.ttl) - i64::from(first.ttl < second.ttl);
                }
                self.pairs.push(Pair { first_ps: first.at_ps, second_ps: second.at_ps, fid: first.fid });
            }
            Verdict::Only(side, seen) if seen.payload > 0 => {
                self.leftovers.add(side, seen, now_ps.min(i64::MAX / 2));
            }
            Verdict::Only(side, seen) => {
                let only = Unpaired { at_ps: seen.at_ps, fid: seen.fid, is_missed: false };
                self.only[side as usize].push(only);
            }
            Verdict::Ambiguous(Side::First, _) => self.counts.ambiguous += 1,
            Verdict::Ambiguous(Side::Second, _) => self.counts.ambiguous_second += 1,
            Verdict::Copy(Side::First, _) => self.counts.copies_first += 1,
            Verdict::Copy(Side::Second, _) => self.counts.copies_second += 1,
        }
    }

    #[inline]
    fn settle(&mut self, now_ps: i64) {
        let Joining { leftovers, streams, counts, only, unseen, .. } = self;
        leftovers.settle(now_ps, streams, |left| {
            let Leftover { side, seen, is_segmented, is_unseen, is_acknowledged } = left;
            match side {
                _ if !is_segmented => {
                    let only = &mut only[side as usize];
                    if is_unseen {
                        unseen.push((side, only.len(), is_acknowledged));
                    }
                    only.push(Unpaired { at_ps: seen.at_ps, fid: seen.fid, is_missed: false });
                }
                Side::First => counts.segmented_first += 1,
                Side::Second => counts.segmented_second += 1,
            }
        });
    }

    fn into_joined(mut self, both: Both, flows: FlowTable) -> Joined {
        self.pairs.sort_unstable_by_key(|pair| (pair.first_ps, pair.second_ps));
        let ways = self.ways(flows.len());
        let way = |fid: u32| ways.get(fid as usize).copied().unwrap_or(Way::Unknown);
        for (side, place, is_acknowledged) in std::mem::take(&mut self.unseen) {
            let packet = &mut self.only[side as usize][place];
            // Both captures were running, and the flow passed both points.
            let span = self.spans.get(packet.fid as usize).copied().flatten();
            let is_within = span.is_some_and(|(from, to)| (from..=to).contains(&packet.at_ps));
            let is_towards = matches!(
                (side, way(packet.fid)),
                (Side::First, Way::Forward | Way::Unknown) | (Side::Second, Way::Backward)
            );
            // On the way to the other capture point, the packet may have been lost; coming from there, it
            // must have passed it.
            packet.is_missed = is_within && (is_acknowledged || !is_towards);
        }
        [self.counts.fragments_first, self.counts.fragments_second] = self.cut.finish(&flows, &mut self.only);
        let usual_ps = both.usual_ps();
        self.pairs.iter_mut().for_each(|pair| pair.second_ps += usual_ps);
        self.only[1].iter_mut().for_each(|packet| packet.at_ps += usual_ps);
        let missed = |only: &[Unpaired]| only.iter().filter(|packet| packet.is_missed).count() as u64;
        let mut counts = self.counts;
        counts.matched = self.pairs.len() as u64;
        counts.matched_backward =
            self.pairs.iter().filter(|pair| way(pair.fid) == Way::Backward).count() as u64;
        (counts.only_first, counts.only_second) = (self.only[0].len() as u64, self.only[1].len() as u64);
        (counts.missed_by_second, counts.missed_by_first) = (missed(&self.only[0]), missed(&self.only[1]));
        let [only_first, only_second] = self.only;
        Joined {
            start: both.start,
            flows,
            ways,
            pairs: self.pairs,
            only_first,
            only_second,
            packets_first: both.read[0],
            packets_second: both.read[1],
            counts,
            clocks: None,
            warnings: both.captures.iter().flat_map(Sorted::remarks).collect(),
        }
    }

    /// The direction of the packets of each flow. The time to live decreases on the way. If no router
    /// decrements it, the two directions of a connection lie on opposite sides of the clock offset.
    fn ways(&self, flows: usize) -> Vec<Way> {
        /// Maximum time between packets of opposite directions that are compared: 1 s.
        const NEAR_PS: i64 = 1_000_000_000_000;
        /// Minimum number of such packets.
        const ENOUGH: i64 = 8;
        let of = |votes: i64| match votes.signum() {
            1 => Way::Forward,
            -1 => Way::Backward,
            _ => Way::Unknown,
        };
        let mut ways: Vec<Way> = (0..flows).map(|fid| of(self.hops.get(fid).copied().unwrap_or(0))).collect();
        // Per flow: how often its delay is above that of its reverse, minus how often below; and the number
        // of comparisons.
        let mut votes: FxHashMap<u32, (i64, i64)> = FxHashMap::default();
        let mut latest: FxHashMap<u32, (i64, i64)> = FxHashMap::default();
        for pair in self.pairs.iter().filter(|pair| ways[pair.fid as usize] == Way::Unknown) {
            let Some(reverse) = self.streams.reverse(pair.fid) else { continue };
            let apparent = pair.second_ps - pair.first_ps;
            latest.insert(pair.fid, (pair.first_ps, apparent));
            if let Some((at_ps, other)) = latest.get(&reverse)
                && pair.first_ps - at_ps <= NEAR_PS
            {
                let vote = votes.entry(pair.fid).or_default();
                *vote = (vote.0 + (apparent - other).signum(), vote.1 + 1);
            }
        }
        for (fid, (above, near)) in votes {
            if near >= ENOUGH && above.abs() * 10 >= near * 8 {
                ways[fid as usize] = of(above);
            }
        }
        for fid in 0..flows as u32 {
            if ways[fid as usize] == Way::Unknown
                && let Some(reverse) = self.streams.reverse(fid)
            {
                ways[fid as usize] = match ways[reverse as usize] {
                    Way::Forward => Way::Backward,
                    Way::Backward => Way::Forward,
                    Way::Unknown => Way::Unknown,
                };
            }
        }
        ways
    }
}

impl Joined {
    /// Estimates the relation of the clocks, and corrects the times of the second capture if requested.
    fn set_clocks(&mut self, options: &CompareOptions) {
        let passages = |is_backward: bool| -> Vec<_> {
            let pairs = self.pairs.iter();
            pairs.filter(|pair| (self.way(pair.fid) == Way::Backward) == is_backward).map(passage).collect()
        };
        let (forward, backward) = (passages(false), passages(true));
        let least_delay_ps = i64::try_from(options.min_delay.as_ps()).unwrap_or(i64::MAX);
        self.clocks = Clocks::estimate(&forward, &backward, least_delay_ps);
        if let (Some(clocks), CaptureClock::Skewed) = (&self.clocks, options.clock) {
            for pair in &mut self.pairs {
                pair.second_ps = clocks.corrected_ps(pair.first_ps, pair.second_ps);
            }
        }
    }
}
