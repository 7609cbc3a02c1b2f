//! [`RttEstimator`]: round-trip times from the TCP connections of a single capture.
//!
//! A capture point splits every round trip in two. A packet from A passes the point on its way to B, and B's
//! answer passes it on its way back. The time between is the round trip *from the capture point to B*,
//! including B's own delay. Data from B gives the round trip to A. In a capture at a server's port, the round
//! trip towards the client measures the network, and the one towards the server measures its TCP
//! implementation.
//!
//! # The two methods
//!
//! **Sequence and acknowledgement numbers** ([`RttMethod::Ack`], and [`RttMethod::Handshake`] for the answer
//! to a SYN). A segment that takes sequence space is kept until the first acknowledgement that covers its
//! end. It gives a sample if both conditions hold:
//!
//! - The acknowledgement ends exactly where the segment ends, as Wireshark (`tcp.analysis.ack_rtt`) and
//!   tcptrace also require. One that ends elsewhere answers something else, such as a part of a segment that
//!   segmentation offload splits after the capture point.
//! - No byte of the segment had been sent before or was sent again (Karn's rule, RFC 6298, section 3), and
//!   nothing before it in sequence was sent after it (tcptrace's second condition: the acknowledgement may
//!   have waited for that).
//!
//! If one acknowledgement covers several segments, only the newest gives a sample: the older ones have waited
//! for the receiver to acknowledge every second segment. A byte that is sent again after its acknowledgement
//! is a keep-alive (RFC 9293, section 3.8.4) and gives no sample.
//!
//! **Timestamps** ([`RttMethod::Timestamp`]; RFC 7323). The first segment with a TSval is kept until the
//! other side first echoes it, as in pping. Unlike pping, a TSval is used only on a segment that takes
//! sequence space, and an echo only on a segment that acknowledges new data (RFC 7323, section 4.1). This
//! excludes the times when an application is idle. An echoed TSval identifies which copy of a retransmitted
//! segment arrived, so Karn's rule is not needed, unless both copies were sent within one tick of the
//! sender's clock.
//!
//! # Limits
//!
//! A receiver may delay an acknowledgement by up to 500 ms (RFC 9293, section 3.8.6.3; 40 ms and more on
//! Linux). A sample includes this delay, because a single capture cannot distinguish it from network delay.
//! The smallest samples are the best estimate of the path itself. A delayed acknowledgement echoes the
//! timestamp of the *oldest* segment it covers, and many segments may share one TSval, so timestamp samples
//! are larger. If a capture holds every packet twice, every segment looks like a retransmission, and the
//! first method gives no samples.
//!
//! # Sources
//!
//! - P. Karn and C. Partridge, "Improving Round-Trip Time Estimates in Reliable Transport Protocols", SIGCOMM
//!   1987; RFC 6298, section 3.
//! - tcptrace's manual, "RTT stats": both conditions on retransmissions.
//! - Wireshark's `epan/dissectors/packet-tcp.c` for `tcp.analysis.ack_rtt`.
//! - K. Nichols, pping (Pollere), for timestamps.
//! - B. Veal, K. Li, D. Lowenthal, "New Methods for Passive Estimation of TCP Round-Trip Times", PAM 2005,
//!   for timestamps seen from a point inside the path.

mod flight;
mod summary;
mod table;

pub use summary::{ConnectionRtts, RttQuantiles, SideRtts};
pub use table::RttTable;

use std::net::SocketAddr;

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::{Histogram, TcpSegment};
use crate::units::{Span, Timestamp};
use flight::{Acknowledged, Flight};

/// Quantiles of round-trip times have a relative error of at most 1/512.
const PRECISION: u32 = 8;

/// The method that measured a round-trip time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RttMethod {
    /// From a SYN to its acknowledgement.
    Handshake,
    /// From data, or a FIN, to its acknowledgement.
    Ack,
    /// From a TSval to its first echo.
    Timestamp,
}

impl RttMethod {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            RttMethod::Handshake => "handshake",
            RttMethod::Ack => "ack",
            RttMethod::Timestamp => "timestamp",
        }
    }
}

/// One round trip: from the capture point to `responder` and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rtt {
    /// The number of the connection, from 0.
    pub connection: u32,
    /// The sender of the answered segment.
    pub sender: SocketAddr,
    /// The host that answered.
    pub responder: SocketAddr,
    /// The method that measured it.
    pub method: RttMethod,
    /// Time when the answer passed the capture point.
    pub at: Timestamp,
    /// The round-trip time.
    pub rtt: Span,
    /// The record index of the answered segment.
    pub sent_record: u64,
    /// The record index of the answer.
    pub answer_record: u64,
}

/// Counts of segments and acknowledgements of the data of one side, by the reason why they gave no sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct RttCounts {
    /// Segments seen.
    pub segments: u64,
    /// Segments with data, a SYN or a FIN.
    pub data_segments: u64,
    /// Data segments that carry bytes sent before: retransmissions and reordered segments.
    pub retransmitted_segments: u64,
    /// Keep-alive segments: at most one byte, acknowledged before.
    pub keepalives: u64,
    /// Acknowledgements of segments that were sent twice, or that may have waited for such a segment (Karn's
    /// rule).
    pub ambiguous_acknowledgements: u64,
    /// Acknowledgements that end inside a segment or beyond all captured data.
    pub inexact_acknowledgements: u64,
    /// Segments whose acknowledgement also covers a newer one.
    pub covered_with_newer: u64,
    /// Answers with a timestamp before that of their segment, or more than 213 days after it: the capture's
    /// clock was wrong.
    pub impossible: u64,
    /// Segments and TSvals dropped without an answer, because at most 4096 of each are kept.
    pub forgotten: u64,
}

/// How side A of a connection was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Signs {
    /// A sent the SYN.
    Opened,
    /// A was seen first; the start of the connection was not captured.
    Midway,
}

/// The state of one connection.
#[derive(Debug)]
struct Connection {
    a: SocketAddr,
    b: SocketAddr,
    signs: Signs,
    first: Timestamp,
    last: Timestamp,
    /// The data of A and the data of B.
    sides: [Side; 2],
}

/// The data of one side and its answers.
#[derive(Debug)]
struct Side {
    flight: Flight,
    counts: RttCounts,
    by_ack: Histogram,
    by_timestamp: Histogram,
}

impl Side {
    fn new() -> Self {
        Side {
            flight: Flight::default(),
            counts: RttCounts::default(),
            by_ack: Histogram::new(PRECISION),
            by_timestamp: Histogram::new(PRECISION),
        }
    }
}

/// Measures round-trip times from the TCP segments of a capture.
///
/// Memory grows with the number of connections. It is bounded per connection: at most 4096 segments and 4096
/// TSvals without an answer per side, and four histograms of a few kilobytes each.
///
/// # Examples
///
/// ```
/// use taunet::capture::{Options, Reader, RttEstimator, TcpSegment};
///
/// let mut reader = Reader::open("tests/captures/eth_micro_full.pcap".as_ref(), &Options::default())?;
/// let mut estimator = RttEstimator::new();
/// while let Some(record) = reader.next_record()? {
///     let segment = TcpSegment::parse(record.link_type, record.bytes, record.original_length);
///     for rtt in segment.iter().flat_map(|segment| estimator.add(record.timestamp, record.index, segment)) {
///         println!("{} answered after {}", rtt.responder, rtt.rtt);
///     }
/// }
/// # Ok::<(), taunet::capture::CaptureError>(())
/// ```
#[derive(Debug, Default)]
pub struct RttEstimator {
    connections: Vec<Connection>,
    /// The latest connection between two endpoints, with the lower endpoint first.
    latest: FxHashMap<(SocketAddr, SocketAddr), u32>,
}

impl RttEstimator {
    /// Creates an estimator without segments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next segment in file order. Returns the round trips that it completes: by its
    /// acknowledgement, and by the timestamp that it echoes.
    ///
    /// # Complexity
    /// Constant on average. A retransmission is linear in the number of segments in flight.
    pub fn add(
        &mut self,
        at: Timestamp,
        record: u64,
        segment: &TcpSegment,
    ) -> impl Iterator<Item = Rtt> + use<> {
        let number = self.connection(at, segment);
        let connection = &mut self.connections[number as usize];
        connection.last = connection.last.max(at);
        let from_a = segment.source == connection.a;
        let [a, b] = &mut connection.sides;
        let (own, other) = if from_a { (a, b) } else { (b, a) };

        let mut found = [None; 2];
        if let Some(acknowledgement) = segment.acknowledgement {
            let acknowledged = other.flight.acknowledge(acknowledgement, &mut other.counts);
            let echo = segment.timestamps.and_then(|timestamps| other.flight.echo(timestamps.echo_reply));
            let advances = acknowledged != Acknowledged::Nothing;
            let by_ack = match acknowledged {
                Acknowledged::Sample(sent) => {
                    Some((if sent.syn { RttMethod::Handshake } else { RttMethod::Ack }, sent))
                }
                _ => None,
            };
            let by_echo = echo.filter(|_| advances).map(|sent| (RttMethod::Timestamp, sent));
            for (place, (method, sent)) in
                found.iter_mut().zip([by_ack, by_echo]).filter_map(|(place, it)| Some((place, it?)))
            {
                let Ok(ps) = u64::try_from(at.as_ps() - sent.at.as_ps()) else {
                    other.counts.impossible += 1;
                    continue;
                };
                let histogram =
                    if method == RttMethod::Timestamp { &mut other.by_timestamp } else { &mut other.by_ack };
                histogram.record(ps.into());
                *place = Some(Rtt {
                    connection: number,
                    sender: segment.destination,
                    responder: segment.source,
                    method,
                    at,
                    rtt: Span::from_ps(ps),
                    sent_record: sent.record,
                    answer_record: record,
                });
            }
        }
        own.counts.segments += 1;
        own.flight.send(at, record, segment, &mut own.counts);
        found.into_iter().flatten()
    }

    /// The connection of a segment: the latest between its endpoints, or a new one if the segment opens it.
    fn connection(&mut self, at: Timestamp, segment: &TcpSegment) -> u32 {
        let (source, destination) = (segment.source, segment.destination);
        let key = (source.min(destination), source.max(destination));
        let opens = segment.syn && segment.acknowledgement.is_none();
        let next = u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
        let number = self.latest.entry(key).or_insert(next);
        if let Some(known) = self.connections.get(*number as usize) {
            let side = &known.sides[usize::from(source != known.a)];
            if !opens || side.flight.opened_with(segment.sequence) || side.counts.segments == 0 {
                return *number;
            }
            *number = next;
        }
        let answers = segment.syn && !opens;
        let (a, b) = if answers { (destination, source) } else { (source, destination) };
        self.connections.push(Connection {
            a,
            b,
            signs: if segment.syn { Signs::Opened } else { Signs::Midway },
            first: at,
            last: at,
            sides: [Side::new(), Side::new()],
        });
        next
    }
}
