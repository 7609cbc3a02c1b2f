//! Captures: reading pcap and pcapng files, parsing their frames, telling flows apart, and the
//! statistics and tables of `taunet inspect`.
//!
//! A capture passes through these stages, each streaming: memory does not grow with the file.
//!
//! 1. `compression`: gzip, Zstandard and xz are recognized by content and decompressed.
//! 2. `format`: classic pcap and pcapng become records. It is the only file that names `pcap-file`.
//! 3. [`Reader`]: a [`Record`] at a time, in file order; of all packets, or of one interface or direction.
//! 4. [`Frame`]: the header fields of a record's bytes; `frame/parse.rs` is the only file that
//!    names `etherparse`.
//! 5. [`Sorted`]: an [`Observation`] at a time, in time order inside the reorder window.
//! 6. [`FlowTable`], [`Statistics`], [`Table`]: what one wants to know of them. [`RttEstimator`] reads
//!    [`TcpSegment`]s: round-trip times of one capture alone.
//!
//! # What grows
//!
//! Three things grow with what a capture holds and not with its length (the interfaces of a pcapng file apart, which are
//! few): [`FlowTable`] with the number of distinct flows, [`Statistics`] with that and the number of distinct IP sources, and
//! [`RttEstimator`] with the number of TCP connections. For the first two, a million flows, each of
//! its own source, take 200 MB; a thousand take nothing worth mentioning.
//!
//! # Damaged files
//!
//! A damaged file gives the records before the damage, then a [`CaptureError`] with the byte offset.
//! With [`Options::lenient`] the error becomes a warning and the capture ends there.

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

/// How to read a capture, and which of its packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Damage ends the capture with a warning instead of an error; a record out of order beyond
    /// [`Options::reorder_window`] is taken at the latest time so far; records of a pcapng
    /// interface with an unsupported link type are left out.
    pub lenient: bool,
    /// Read at most this many packets.
    pub max_packets: Option<u64>,
    /// [`Sorted`] accepts a record whose timestamp is at most this much before the latest one.
    pub reorder_window: Span,
    /// Only the packets of this interface count.
    pub interface: Option<InterfaceName>,
    /// Only the packets of this direction count.
    pub direction: Option<CaptureDirection>,
}

impl Default for Options {
    /// Strict, every packet, a reorder window of one second.
    fn default() -> Self {
        Options {
            lenient: false,
            max_packets: None,
            reorder_window: Span::from_ps(crate::units::PS_PER_S),
            interface: None,
            direction: None,
        }
    }
}
