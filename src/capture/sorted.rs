//! [`Sorted`]: the packets of a capture in time order.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::path::Path;

use rustc_hash::FxHashMap;

use super::twice::Twice;
use super::{CaptureError, Frame, MatchFields, Options, Reader, TcpSegment, UnreadCounts};
use crate::units::{Elapsed, Span, Timestamp};

/// Maximum number of packets held for reordering per capture: about 50 MB.
const MAX_HELD: usize = 262_144;
/// Memory of the packets held by all captures that are read at the same time, in bytes.
const MEMORY: usize = 256_000_000;
/// Number of packets that each capture may hold, however many there are.
const LEAST_HELD: usize = 1_024;

/// A captured packet, parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Index of its record in the capture, from 0.
    pub record: u64,
    /// When it was captured.
    pub timestamp: Timestamp,
    /// Length of the frame on the wire, in bytes (the record's original length).
    pub length: u32,
    /// The header fields.
    pub frame: Frame,
}

/// The packets of a capture in time order. Packets of equal time keep their file order.
///
/// Writers with several queues or interfaces leave timestamps slightly out of order. A record is accepted up
/// to [`Options::reorder_window`] before the latest one, so every packet is held until the capture has
/// advanced by this much. At most 262,144 packets are held per capture, and 256 MB by all captures that are
/// read at the same time. If a window contains more, it is shortened, with a warning.
///
/// # Examples
///
/// ```
/// use taunet::capture::{Options, Sorted};
///
/// let mut sorted = Sorted::open("tests/captures/eth_micro_full.pcap".as_ref(), &Options::default())?;
/// let mut latest = None;
/// while let Some(observation) = sorted.next_observation()? {
///     assert!(latest <= Some(observation.timestamp));
///     latest = Some(observation.timestamp);
/// }
/// # Ok::<(), taunet::capture::CaptureError>(())
/// ```
#[derive(Debug)]
pub struct Sorted {
    reader: Reader,
    window: Span,
    /// Maximum number of packets held.
    most_held: usize,
    /// Whether the window had more.
    is_shortened: bool,
    lenient: bool,
    /// The records that were not earlier than the one before, in time order.
    in_order: VecDeque<Observation>,
    /// The other records.
    late: BinaryHeap<Reverse<ByTime>>,
    latest: Option<Timestamp>,
    /// Time of the last packet returned. Earlier packets are no longer accepted.
    given: Option<Timestamp>,
    ended: bool,
    /// Returned after the packets before it.
    error: Option<CaptureError>,
    warnings: Vec<CaptureError>,
    reordered: u64,
    largest_step_back: Elapsed,
    beyond_window: u64,
    unread: UnreadCounts,
    twice: Twice,
    /// TCP segments of the packets held, by record; `None` if they are not kept.
    segments: Option<FxHashMap<u64, TcpSegment>>,
}

impl Sorted {
    /// Opens a capture and reads its header.
    ///
    /// # Errors
    ///
    /// As for [`Reader::open`].
    pub fn open(path: &Path, options: &Options) -> Result<Self, CaptureError> {
        Ok(Self::new(Reader::open(path, options)?, options))
    }

    /// Sorts the remaining records of `reader`.
    pub fn new(reader: Reader, options: &Options) -> Self {
        Sorted {
            reader,
            window: options.reorder_window,
            most_held: most_held(options),
            is_shortened: false,
            lenient: options.lenient,
            in_order: VecDeque::new(),
            late: BinaryHeap::new(),
            latest: None,
            given: None,
            ended: false,
            error: None,
            warnings: Vec::new(),
            reordered: 0,
            largest_step_back: Elapsed::default(),
            beyond_window: 0,
            unread: UnreadCounts::default(),
            twice: Twice::default(),
            segments: None,
        }
    }

    /// Keeps the TCP fields that a [`Frame`] lacks, for [`take_segment`](Sorted::take_segment). Must be
    /// called before the first packet is read.
    #[must_use]
    pub fn with_segments(mut self) -> Self {
        self.segments = Some(FxHashMap::default());
        self
    }

    /// The TCP segment of the record returned last, if it has one and segments are kept. A caller that keeps
    /// segments must take each of them.
    pub fn take_segment(&mut self, record: u64) -> Option<TcpSegment> {
        self.segments.as_mut()?.remove(&record)
    }

    /// The next packet, or `None` at the end.
    ///
    /// # Errors
    ///
    /// As for [`Reader::next_record`], or a record is out of order beyond the window. The packets before the
    /// error are returned first. With [`Options::lenient`], such a record gets the latest time so far, with a
    /// warning for the first one.
    ///
    /// # Complexity
    ///
    /// O(1) for a packet in order, O(log n) for one out of order, with n such packets in the window.
    pub fn next_observation(&mut self) -> Result<Option<Observation>, CaptureError> {
        loop {
            if let Some(next) = self.next_time() {
                let held = self.in_order.len() + self.late.len();
                let is_due = self.ended || self.latest.is_some_and(|latest| next + self.window < latest);
                if is_due || held >= self.most_held {
                    self.is_shortened |= !is_due;
                    let observation = self.pop();
                    self.given = observation.map(|observation| observation.timestamp).or(self.given);
                    return Ok(observation);
                }
            } else if self.ended {
                return self.error.take().map_or(Ok(None), Err);
            }
            if let Err(error) = self.read() {
                self.ended = true;
                self.error = Some(error);
            }
        }
    }

    /// The next packets, without taking them, in no particular order: at least `packets`, if the capture has
    /// that many and they can be held.
    pub fn look_ahead(&mut self, packets: usize) -> impl Iterator<Item = &Observation> {
        while !self.ended && self.in_order.len() + self.late.len() < packets.min(self.most_held) {
            if let Err(error) = self.read() {
                self.ended = true;
                self.error = Some(error);
            }
        }
        self.in_order.iter().chain(self.late.iter().map(|Reverse(ByTime(observation))| observation))
    }

    /// The fields available for match keys, from the next packets and the snap length of the file.
    pub fn match_fields(&mut self) -> MatchFields {
        /// Number of packets in the sample.
        const SAMPLE: usize = 32_768;
        self.look_ahead(SAMPLE).for_each(drop);
        let snap_length = self.reader.snap_length();
        MatchFields::of(self.look_ahead(SAMPLE).map(|observation| &observation.frame), snap_length)
    }

    /// Reads one record from the file.
    fn read(&mut self) -> Result<(), CaptureError> {
        let Some(record) = self.reader.next_record()? else {
            self.ended = true;
            return Ok(());
        };
        let (frame, offsets) =
            Frame::parse_with_offsets(record.link_type, record.bytes, record.original_length);
        if let Some(segments) = &mut self.segments
            && let Some(segment) = TcpSegment::of_frame(&frame, &offsets, record.bytes)
        {
            segments.insert(record.index, segment);
        }
        let mut observation = Observation {
            record: record.index,
            timestamp: record.timestamp,
            length: record.original_length,
            frame,
        };
        self.unread.add(&observation.frame);
        self.twice.add(&record, &observation.frame);
        let timestamp = observation.timestamp;
        let Some(latest) = self.latest.filter(|&latest| timestamp < latest) else {
            self.latest = Some(timestamp);
            self.in_order.push_back(observation);
            return Ok(());
        };
        self.reordered += 1;
        self.largest_step_back = self.largest_step_back.max(latest.since(timestamp));
        let is_too_late = timestamp + self.window < latest || Some(timestamp) < self.given;
        if is_too_late {
            self.beyond_window += 1;
            let error = CaptureError::OutOfOrder {
                path: self.reader.path().to_owned(),
                record: observation.record,
                timestamp,
                latest,
                window: self.window,
                limit: self.most_held,
            };
            if !self.lenient {
                return Err(error);
            }
            if self.beyond_window == 1 {
                self.warnings.push(error);
            }
            observation.timestamp = latest;
            self.in_order.push_back(observation);
        } else {
            self.late.push(Reverse(ByTime(observation)));
        }
        Ok(())
    }

    /// The time of the next packet held.
    fn next_time(&self) -> Option<Timestamp> {
        let in_order = self.in_order.front().map(|observation| observation.timestamp);
        let late = self.late.peek().map(|Reverse(ByTime(observation))| observation.timestamp);
        match (in_order, late) {
            (Some(in_order), Some(late)) => Some(in_order.min(late)),
            (in_order, late) => in_order.or(late),
        }
    }

    fn pop(&mut self) -> Option<Observation> {
        let key = |observation: &Observation| (observation.timestamp, observation.record);
        let late_is_first = match (self.in_order.front(), self.late.peek()) {
            (Some(in_order), Some(Reverse(ByTime(late)))) => key(late) < key(in_order),
            (in_order, _) => in_order.is_none(),
        };
        if late_is_first {
            self.late.pop().map(|Reverse(ByTime(observation))| observation)
        } else {
            self.in_order.pop_front()
        }
    }

    /// Records so far with a time before that of an earlier record.
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// The maximum time by which a record so far was before the latest one.
    pub fn largest_step_back(&self) -> Elapsed {
        self.largest_step_back
    }

    /// Records so far that were out of order beyond the window and got the latest time
    /// ([`Options::lenient`]).
    pub fn beyond_window(&self) -> u64 {
        self.beyond_window
    }

    /// All warnings about the records read so far: accepted damage, reordered packets, unread content.
    pub fn remarks(&self) -> Vec<String> {
        let out_of_order = (self.reordered > 0).then(|| {
            format!(
                "{}: {} packets were out of order, by at most {}, and were sorted",
                self.reader.path().display(),
                self.reordered,
                self.largest_step_back
            )
        });
        let shortened = self.is_shortened.then(|| {
            format!(
                "{}: the reorder window of {} has more than {} packets, which is as many as are held: a packet that is \
                 further out of order is refused",
                self.reader.path().display(),
                self.window,
                self.most_held
            )
        });
        let unread = self.unread.remarks(self.reader.path());
        let beyond = self.warnings.iter().map(CaptureError::without_remedy);
        let remarks = self
            .reader
            .remarks()
            .into_iter()
            .chain(beyond)
            .chain(out_of_order)
            .chain(shortened)
            .chain(unread);
        remarks.chain(self.passing_twice()).collect()
    }

    /// A warning if packets read so far appear twice.
    pub fn passing_twice(&self) -> Option<String> {
        self.twice.remark(self.reader.path())
    }

    /// Reads up to the first packet, and checks that it comes before any error.
    ///
    /// # Errors
    /// The first error, if no packet comes before it.
    pub fn check_start(&mut self) -> Result<(), CaptureError> {
        self.look_ahead(1).for_each(drop);
        match self.in_order.is_empty() && self.late.is_empty() {
            true => self.error.take().map_or(Ok(()), Err),
            false => Ok(()),
        }
    }

    /// Damage that [`Options::lenient`] has accepted so far.
    pub fn warnings(&self) -> impl Iterator<Item = &CaptureError> {
        self.reader.warnings().iter().chain(&self.warnings)
    }

    /// The underlying reader, for progress and counts.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// How many packets a capture may hold.
fn most_held(options: &Options) -> usize {
    let share = MEMORY / size_of::<Observation>() / options.captures_at_once.max(1);
    share.clamp(LEAST_HELD, MAX_HELD)
}

/// Ordered by time, then by position in the file.
#[derive(Debug)]
struct ByTime(Observation);

impl ByTime {
    fn key(&self) -> (Timestamp, u64) {
        (self.0.timestamp, self.0.record)
    }
}

impl Ord for ByTime {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for ByTime {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByTime {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ByTime {}
