//! Captures: reads pcap and pcapng files, parses their frames, identifies flows, and computes the statistics
//! and tables of `taunet inspect`.
//!
//! A capture passes through these stages. Each one streams: memory does not grow with the length of the file.
//!
//! 1. `compression` recognizes gzip, Zstandard and xz by content and decompresses them.
//! 2. `format` reads records from classic pcap and pcapng. Only this file names `pcap-file`.
//! 3. [`Reader`] gives one [`Record`] at a time, in file order: of all packets, or of one interface or
//!    direction.
//! 4. [`Frame`] holds the header fields of a record. Only `frame/parse.rs` names `etherparse`.
//! 5. [`Sorted`] gives one [`Observation`] at a time, in time order within the reorder window.
//! 6. [`FlowTable`], [`Statistics`] and [`Table`] evaluate the packets. [`RttEstimator`] computes round-trip
//!    times of a single capture from its [`TcpSegment`]s.
//!
//! # Memory
//!
//! Three stages grow with the content of a capture: [`FlowTable`] with the number of distinct flows,
//! [`Statistics`] also with the number of distinct IP sources, and [`RttEstimator`] with the number of TCP
//! connections. The first two need 200 MB for a million flows with a million sources. The list of interfaces
//! of a pcapng file also grows, but it is short.
//!
//! # Damaged files
//!
//! A damaged file yields the records before the damage, then a [`CaptureError`] with the byte offset.
//! [`Options::lenient`] turns this error into a warning, and the capture ends there.

mod compression;
mod error;
mod flow;
mod format;
mod frame;
mod headers;
mod histogram;
mod input;
mod link_type;
mod pcapng;
mod reader;
mod record;
mod rtt;
mod selection;
mod selector;
mod sorted;
pub(crate) mod standard_input;
mod statistics;
mod table;
mod tcp;
mod twice;
mod writer;

pub use error::{CaptureError, WriteError};
pub use flow::FlowTable;
pub use frame::{Encapsulation, Encapsulations, Frame, MatchFields, Unread};
pub(crate) use frame::{Fragment, UnreadCounts};
pub use headers::headers;
pub use histogram::Histogram;
pub(crate) use histogram::{bucket_of, place_of};
pub use link_type::LinkType;
pub use pcapng::PcapngWriter;
pub use reader::Reader;
pub use record::Record;
pub use rtt::{
    ConnectionRtts, Rtt, RttCounts, RttEstimator, RttMethod, RttQuantiles, RttTable, SideRtts, Signs,
};
pub use selection::{CaptureDirection, CaptureKeys, InterfaceCount, InterfaceName};
pub use sorted::{Observation, Sorted};
pub use statistics::{
    FlowSummary, GapSummary, ProtocolSummary, SizeSummary, Statistics, Summary, TimeOrderSummary,
};
pub use table::Table;
pub use tcp::{TcpSack, TcpSegment, TcpTimestamps};
pub use writer::{Resolution, Writer};

use crate::units::Span;

/// Options for reading a capture, and the selection of its packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Damage ends the capture with a warning instead of an error. A record out of order beyond
    /// [`Options::reorder_window`] gets the latest time so far. Records of a pcapng interface with an
    /// unsupported link type are skipped.
    pub lenient: bool,
    /// Maximum number of packets to read.
    pub max_packets: Option<u64>,
    /// [`Sorted`] accepts a record whose timestamp is at most this much before the latest one.
    pub reorder_window: Span,
    /// How many captures are read at the same time: they share the memory of [`Sorted`].
    pub captures_at_once: usize,
    /// Reads only the packets of this interface.
    pub interface: Option<InterfaceName>,
    /// Reads only the packets of this direction.
    pub direction: Option<CaptureDirection>,
}

impl Default for Options {
    /// Strict, all packets, a reorder window of one second.
    fn default() -> Self {
        Options {
            lenient: false,
            max_packets: None,
            reorder_window: Span::from_ps(crate::units::PS_PER_S),
            captures_at_once: 1,
            interface: None,
            direction: None,
        }
    }
}
