//! The unanswered segments of one side of a connection.

use std::collections::VecDeque;

use super::RttCounts;
use crate::capture::TcpSegment;
use crate::units::Timestamp;

/// Maximum number of segments, and of TSvals, that wait for their answer. This covers windows of 5 MB and
/// more of full-sized segments.
const MAX_WAITING: usize = 4_096;
/// A segment at this distance from the others, in bytes, does not belong to their stream. Windows are below
/// 2^30 (RFC 7323, section 2.3).
const FAR: u32 = 1 << 30;

/// The fields of a segment that are needed when its answer arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// Time when it passed the capture point.
    pub(super) at: Timestamp,
    /// Its record index.
    pub(super) record: u64,
    /// Whether it has a SYN.
    pub(super) syn: bool,
}

/// The result of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acknowledged {
    /// It acknowledges nothing new.
    Nothing,
    /// It acknowledges new data, without a sample.
    Advance,
    /// It acknowledges exactly this segment, without ambiguity.
    Sample(Sent),
}

#[derive(Debug)]
struct Range {
    end: u32,
    /// Whether its acknowledgement may be for data sent later.
    ambiguous: bool,
    sent: Sent,
}

/// The segments in flight in one direction.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// Ordered by sequence number. The end of each range is above that of the one before.
    ranges: VecDeque<Range>,
    /// One beyond the highest sequence number sent.
    next: Option<u32>,
    /// The highest acknowledgement.
    acknowledged: Option<u32>,
    /// The sequence number of the SYN.
    opened: Option<u32>,
    /// For each TSval, the segment that carried it first.
    stamps: VecDeque<(u32, Sent)>,
    /// The highest TSval kept so far.
    latest_stamp: Option<u32>,
}

/// Whether `a` comes after `b` in 32-bit sequence arithmetic (RFC 7323, section 5.2).
fn after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}

impl Flight {
    /// Whether this side's SYN had this sequence number.
    pub(super) fn opened_with(&self, sequence: u32) -> bool {
        self.opened == Some(sequence)
    }

    /// Records a segment that passes the capture point.
    pub(super) fn send(&mut self, at: Timestamp, record: u64, segment: &TcpSegment, counts: &mut RttCounts) {
        // A reset takes no sequence space, even if it carries text.
        let length = if segment.rst { 0 } else { segment.sequence_length() };
        if length == 0 {
            let below = self.next.map(|next| next.wrapping_sub(1));
            counts.keepalives += u64::from(!segment.rst && below == Some(segment.sequence));
            return;
        }
        counts.data_segments += 1;
        if segment.syn {
            self.opened = Some(segment.sequence);
        }
        let sent = Sent { at, record, syn: segment.syn };
        let (start, end) = (segment.sequence, segment.sequence.wrapping_add(length));
        if self.next.is_some_and(|next| start.wrapping_sub(next).wrapping_add(FAR) > 2 * FAR) {
            *self = Flight { opened: self.opened, ..Flight::default() };
        }
        let next = *self.next.get_or_insert(start);
        if after(next, start) {
            let keeps_alive = length == 1
                && !segment.syn
                && !segment.fin
                && start == next.wrapping_sub(1)
                && self.acknowledged == Some(next);
            if keeps_alive {
                counts.keepalives += 1;
                return;
            }
            counts.retransmitted_segments += 1;
            // Data acknowledged before does not delay an acknowledgement.
            if self.acknowledged.is_none_or(|acknowledged| after(end, acknowledged)) {
                for range in self.ranges.iter_mut().filter(|range| after(range.end, start)) {
                    range.ambiguous = true;
                }
            }
        }
        if after(end, next) {
            // New data in a segment that also repeats old data is as ambiguous as the old data.
            self.ranges.push_back(Range { end, ambiguous: after(next, start), sent });
            self.next = Some(end);
            if self.ranges.len() > MAX_WAITING {
                self.ranges.pop_front();
                counts.forgotten += 1;
            }
        }
        if let Some(timestamps) = segment.timestamps {
            self.stamp(timestamps.value, sent, counts);
        }
    }

    fn stamp(&mut self, value: u32, sent: Sent, counts: &mut RttCounts) {
        if self.latest_stamp.is_some_and(|latest| !after(value, latest)) {
            return;
        }
        self.latest_stamp = Some(value);
        self.stamps.push_back((value, sent));
        if self.stamps.len() > MAX_WAITING {
            self.stamps.pop_front();
            counts.forgotten += 1;
        }
    }

    /// Handles an acknowledgement by the other side of everything before `number`.
    pub(super) fn acknowledge(&mut self, number: u32, counts: &mut RttCounts) -> Acknowledged {
        if self.acknowledged.is_some_and(|before| !after(number, before)) {
            return Acknowledged::Nothing;
        }
        let Some(next) = self.next else {
            // Nothing of this side has been captured yet: the first acknowledgement gives its position.
            self.acknowledged = Some(number);
            return Acknowledged::Nothing;
        };
        if number.wrapping_sub(next).wrapping_add(FAR) > 2 * FAR {
            return Acknowledged::Nothing;
        }
        let is_first = self.acknowledged.replace(number).is_none();
        let mut newest: Option<Range> = None;
        while self.ranges.front().is_some_and(|range| !after(range.end, number)) {
            counts.covered_with_newer += u64::from(newest.is_some());
            newest = self.ranges.pop_front();
        }
        if after(number, next) {
            self.next = Some(number);
        }
        match newest {
            Some(Range { end, ambiguous: false, sent }) if end == number => Acknowledged::Sample(sent),
            Some(Range { end, .. }) if end == number => {
                counts.ambiguous_acknowledgements += 1;
                Acknowledged::Advance
            }
            // If the start of the connection was not captured, its first acknowledgement may be an old one.
            None if is_first => Acknowledged::Nothing,
            _ => {
                counts.inexact_acknowledgements += 1;
                Acknowledged::Advance
            }
        }
    }

    /// Handles an echoed TSval. Returns the segment that carried it first, if this is the first echo.
    pub(super) fn echo(&mut self, value: u32) -> Option<Sent> {
        while let Some(&(front, sent)) = self.stamps.front() {
            if after(front, value) {
                return None;
            }
            self.stamps.pop_front();
            if front == value {
                return Some(sent);
            }
        }
        None
    }
}
