//! Why a capture cannot be read, or a table or capture not be written.

use std::io;
use std::path::PathBuf;

use super::LinkType;
use crate::units::{Span, Timestamp};

/// What helps with damage.
const LENIENT: &str = "; --lenient takes what stands before";
/// What helps with packets of one interface of several.
const LENIENT_OTHERS: &str = "; --lenient leaves such packets out";

/// What helps with records out of order.
const OUT_OF_ORDER: &str = "; give a longer --reorder-window (in a scenario `reorder_window`), sort the file with \
    `reordercap IN OUT`, leave out a record with a wrong time with `editcap IN OUT NUMBER` (from 1), or take late records \
    at the latest time with --lenient";

/// Why a capture, or a part of it, cannot be read.
///
/// Byte offsets count from 0 in the decompressed capture, which is the file itself unless it is
/// compressed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be opened.
    #[error("cannot open {}: {error}", path.display())]
    Open {
        /// the file
        path: PathBuf,
        /// what the operating system says
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
        /// bytes of the capture that could be read
        offset: u64,
        /// what the operating system or the decompressor says
        error: io::Error,
    },
    /// The file holds nothing.
    #[error("{} is empty; a capture starts with a pcap or pcapng header", path.display())]
    Empty {
        /// the file
        path: PathBuf,
    },
    /// The file is of another kind.
    #[error(
        "{} is not a capture: it starts with the bytes {found}; expected pcap or pcapng, \
         plain or compressed with gzip, zstd or xz; `editcap -F pcap IN OUT` converts other formats of captures",
        path.display()
    )]
    NotACapture {
        /// the file
        path: PathBuf,
        /// its first bytes, in hexadecimal
        found: String,
    },
    /// The file is of a version of its format that nobody has specified.
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
        /// what would be right
        expected: &'static str,
    },
    /// Frames of this link type cannot be parsed.
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
        "{} is cut off: the {what} at byte {offset} needs {needed} bytes, and {present} are there{}",
        path.display(),
        if *offset > 0 { LENIENT } else { "" }
    )]
    CutOff {
        /// the file
        path: PathBuf,
        /// byte offset of the header, record or block
        offset: u64,
        /// what is cut off
        what: &'static str,
        /// its length in bytes
        needed: u64,
        /// the bytes that are there
        present: u64,
    },
    /// A record or block claims a length that none has.
    #[error(
        "{} is damaged: the {what} at byte {offset} claims {claimed} bytes; at most {limit} are possible{LENIENT}",
        path.display()
    )]
    AbsurdLength {
        /// the file
        path: PathBuf,
        /// byte offset of the record or block
        offset: u64,
        /// what claims it
        what: &'static str,
        /// the length claimed, in bytes
        claimed: u64,
        /// the largest length that is accepted, in bytes
        limit: u64,
    },
    /// The file contradicts its format.
    #[error("{} is damaged at byte {offset}: {what}{}", path.display(), if *offset > 0 { LENIENT } else { "" })]
    Damaged {
        /// the file
        path: PathBuf,
        /// byte offset of the record or block
        offset: u64,
        /// the contradiction
        what: String,
    },
    /// A record is further back in time than the reorder window allows.
    #[error(
        "record {record} of {} is out of order: its time is {timestamp}, and {latest} has been before it; \
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
        /// the latest timestamp before it
        latest: Timestamp,
        /// the reorder window
        window: Span,
        /// the largest number of packets that are held for reordering
        limit: usize,
    },
    /// The file has no packet of the chosen interface or direction.
    #[error("{} has no {wanted}; it has {found}", path.display())]
    NotInCapture {
        /// the file
        path: PathBuf,
        /// what was chosen
        wanted: String,
        /// what there is
        found: String,
    },
    /// What can be read once would have to be read again.
    #[error("{} can be read only once, and a second reading is needed ({why}): save it to a file first", path.display())]
    ReadTwice {
        /// the capture
        path: PathBuf,
        /// what needs it
        why: &'static str,
    },
    /// Standard input is a terminal.
    #[error("standard input is a terminal: pipe a capture into it, as in `tcpdump -w - | taunet inspect -`")]
    Terminal,
}

impl CaptureError {
    /// The same for a warning that [`super::Options::lenient`] has made of it.
    pub(super) fn without_remedy(&self) -> String {
        let text = self.to_string();
        let fault =
            [LENIENT, LENIENT_OTHERS, OUT_OF_ORDER].iter().find_map(|remedy| text.strip_suffix(remedy));
        fault.unwrap_or(&text).to_owned()
    }
}

/// Why a packet cannot be written to a capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The sink failed.
    #[error("cannot write the capture: {0}")]
    Write(#[from] io::Error),
    /// Classic pcap holds the years 1970 to 2106, pcapng those to 2554.
    #[error("cannot write the time {timestamp}: pcap holds 1970-01-01 to 2106-02-07, pcapng to 2554-07-21")]
    TimeOutOfRange {
        /// the timestamp
        timestamp: Timestamp,
    },
    /// The captured bytes are more than the frame had.
    #[error("cannot write {captured} captured bytes of a frame of {original} bytes")]
    LongerThanOriginal {
        /// captured bytes given
        captured: usize,
        /// original length given
        original: u32,
    },
}
