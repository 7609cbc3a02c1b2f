//! Errors of reading a capture, and of writing a table or a capture.

use std::io;
use std::path::PathBuf;

use super::LinkType;
use crate::units::{Span, Timestamp};

/// Remedy for damage.
const LENIENT: &str = "; --lenient reads the packets before it";
/// Remedy for packets of one interface among several.
const LENIENT_OTHERS: &str = "; --lenient skips such packets";

/// Remedy for records out of order.
const OUT_OF_ORDER: &str = "; give a longer --reorder-window (in a scenario `reorder_window`), sort the file with \
    `reordercap IN OUT`, leave out a record with a wrong time with `editcap IN OUT NUMBER` (from 1), or take late records \
    at the latest time with --lenient";

/// Errors of reading a capture.
///
/// Byte offsets count from 0 in the decompressed capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The path is that of a directory.
    #[error("{} is a directory, not a capture: name a file in it", .0.display())]
    Directory(PathBuf),
    /// The file cannot be opened.
    #[error("cannot open {}: {error}", path.display())]
    Open {
        /// the file
        path: PathBuf,
        /// the error of the operating system
        error: io::Error,
    },
    /// Reading or decompressing failed.
    #[error(
        "cannot read {} after byte {offset} of the capture: {error}{}",
        path.display(),
        if *offset > 0 { LENIENT } else { "" }
    )]
    Read {
        /// the file
        path: PathBuf,
        /// number of bytes read before the error
        offset: u64,
        /// the error of the operating system or the decompressor
        error: io::Error,
    },
    /// The file is empty.
    #[error("{} is empty; a capture starts with a pcap or pcapng header", path.display())]
    Empty {
        /// the file
        path: PathBuf,
    },
    /// The file is not a capture.
    #[error(
        "{} is not a capture: it starts with {found}; expected pcap or pcapng, \
         plain or compressed with gzip, zstd or xz; `editcap -F pcap IN OUT` converts other formats of captures",
        path.display()
    )]
    NotACapture {
        /// the file
        path: PathBuf,
        /// its first bytes, in words
        found: String,
    },
    /// The file has an unknown version of its format.
    #[error(
        "{} is {format} version {major}.{minor} at byte {offset}; expected {expected}; `editcap -F {format} IN OUT` may \
         convert it",
        path.display()
    )]
    UnknownVersion {
        /// the file
        path: PathBuf,
        /// byte offset of the header
        offset: u64,
        /// pcap or pcapng
        format: &'static str,
        /// major version
        major: u16,
        /// minor version
        minor: u16,
        /// the expected version
        expected: &'static str,
    },
    /// Frames of this link type are not supported.
    #[error(
        "{} has link type {link_type} (at byte {offset}), which is not supported; supported are {}; {}{}",
        path.display(),
        LinkType::SUPPORTED,
        link_type.remedy(),
        if *offset > 0 { LENIENT_OTHERS } else { "" }
    )]
    UnsupportedLinkType {
        /// the file
        path: PathBuf,
        /// byte offset of the file header (pcap) or the first such packet (pcapng)
        offset: u64,
        /// the link type
        link_type: LinkType,
    },
    /// The file ends inside a header, record or block.
    #[error(
        "{} is cut off: the {what} at byte {offset} needs {needed} bytes, but only {present} follow{}",
        path.display(),
        if *offset > 0 { LENIENT } else { "" }
    )]
    CutOff {
        /// the file
        path: PathBuf,
        /// byte offset of the header, record or block
        offset: u64,
        /// the truncated item
        what: &'static str,
        /// its length in bytes
        needed: u64,
        /// number of bytes present
        present: u64,
    },
    /// A record or block claims an impossible length.
    #[error(
        "{} is damaged: the {what} at byte {offset} claims {claimed} bytes; the maximum is {limit}{LENIENT}",
        path.display()
    )]
    AbsurdLength {
        /// the file
        path: PathBuf,
        /// byte offset of the record or block
        offset: u64,
        /// the item that claims it
        what: &'static str,
        /// the length claimed, in bytes
        claimed: u64,
        /// largest accepted length, in bytes
        limit: u64,
    },
    /// The file contradicts its format.
    #[error("{} is damaged at byte {offset}: {what}{}", path.display(), if *offset > 0 { LENIENT } else { "" })]
    Damaged {
        /// the file
        path: PathBuf,
        /// byte offset of the record or block
        offset: u64,
        /// description of the contradiction
        what: String,
    },
    /// A record is further back in time than the reorder window allows.
    #[error(
        "record {record} of {} is out of order: its time is {timestamp}, after a record at {latest}; \
         the reorder window is {window} (and {limit} packets){OUT_OF_ORDER}",
        path.display()
    )]
    OutOfOrder {
        /// the file
        path: PathBuf,
        /// index of the record, from 0
        record: u64,
        /// its timestamp
        timestamp: Timestamp,
        /// the latest timestamp of the records before it
        latest: Timestamp,
        /// the reorder window
        window: Span,
        /// maximum number of packets held for reordering
        limit: usize,
    },
    /// The file has no packet of the selected interface or direction.
    #[error("{} has no {wanted}; it has {found}", path.display())]
    NotInCapture {
        /// the file
        path: PathBuf,
        /// the selection
        wanted: String,
        /// the interfaces and directions of the file
        found: String,
    },
    /// An input that can be read only once would have to be read twice.
    #[error("{} can be read only once, but must be read twice ({why}): save it to a file first", path.display())]
    ReadTwice {
        /// the capture
        path: PathBuf,
        /// reason for the second reading
        why: &'static str,
    },
    /// Standard input is a terminal.
    #[error("standard input is a terminal: pipe a capture into it, as in `tcpdump -w - | taunet inspect -`")]
    Terminal,
}

impl CaptureError {
    /// The message without its remedy, for the warning that [`super::Options::lenient`] makes of it.
    pub(super) fn without_remedy(&self) -> String {
        let text = self.to_string();
        let fault =
            [LENIENT, LENIENT_OTHERS, OUT_OF_ORDER].iter().find_map(|remedy| text.strip_suffix(remedy));
        fault.unwrap_or(&text).to_owned()
    }
}

/// Errors of writing a packet to a capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The sink failed.
    #[error("cannot write the capture: {0}")]
    Write(#[from] io::Error),
    /// Classic pcap holds the years 1970 to 2106, pcapng 1970 to 2554.
    #[error("cannot write the time {timestamp}: pcap holds 1970-01-01 to 2106-02-07, pcapng to 2554-07-21")]
    TimeOutOfRange {
        /// the timestamp
        timestamp: Timestamp,
    },
    /// There are more captured bytes than the frame has.
    #[error("cannot write {captured} captured bytes of a frame of {original} bytes")]
    LongerThanOriginal {
        /// captured bytes given
        captured: usize,
        /// original length given
        original: u32,
    },
}
