//! TCP as in Linux 6.1, packet for packet.
//!
//! `docs/tcp.md` lists each rule with the kernel function that it follows.
//!
//! A [`Socket`] is one end of a connection. Its sending and receiving state is in separate files; its
//! behaviour is in the files below [`socket`]:
//!
//! | file | content |
//! |---|---|
//! | `reassembly`, `window`, `acks` | the receiving side: bytes, window, when to acknowledge |
//! | `buffers`, `page`, `rtt` | the sending side: buffers, their memory, the round-trip time |
//! | `delivery` | the delivery rate, if the congestion control needs it |
//! | `socket` | a connection from its SYN to its last FIN |
//! | `socket/process` | writing and reading by the application |
//! | `socket/output` | sending |
//! | `socket/input` | processing of arriving segments |
//! | `socket/ecn` | explicit congestion notification |
//! | `socket/acknowledged` | an acknowledgement: SACK, RACK, the congestion window |
//! | `socket/state`, `socket/recovery` | states of loss recovery, and their transitions |
//! | `socket/retransmission` | retransmissions and their timer |
//! | `socket/pacing` | pacing, if the congestion control sets a rate |
//! | `socket/newreno` | NewReno by the RFCs, instead of Linux's recovery |

mod acks;
mod buffers;
mod delivery;
mod page;
mod reassembly;
mod rtt;
pub mod socket;
mod window;

pub(super) use buffers::OVERHEAD as SEGMENT_OVERHEAD;
pub use page::Page;
pub use socket::{Context, Phase, Socket};

use schemars::JsonSchema;
use serde::Deserialize;

use super::congestion::Algorithm;

/// The parameters of one end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// The congestion control.
    pub algorithm: Algorithm,
    /// How losses are detected and repaired; the same at both ends.
    pub recovery: LossRecovery,
    /// Whether this end requests ECN. An algorithm that requires ECN always does. The accepting end always
    /// agrees.
    pub ecn: bool,
    /// The maximum segment size: bytes of payload, with timestamps.
    pub mss: u32,
    /// The initial congestion window, in segments.
    pub initial_window: u32,
    /// The receive buffer, in bytes of memory (`tcp_rmem`).
    pub receive_buffer: BufferLimits,
    /// The send buffer, in bytes of memory (`tcp_wmem`). It starts with space for twice the initial window.
    pub send_buffer: BufferLimits,
    /// The maximum number of acknowledgements that a receiver compresses into one (`tcp_comp_sack_nr`).
    pub compressed_acks: u32,
}

/// How a sender detects and repairs losses, as named in a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LossRecovery {
    /// As in Linux: SACK, RACK-TLP (RFC 8985), proportional rate reduction (RFC 6937), F-RTO (RFC 5682).
    #[default]
    Rack,
    /// NewReno (RFC 6582) on RFC 5681, without SACK and timestamps, with an immediate acknowledgement of each
    /// segment: textbook TCP, for comparisons with other simulators. The congestion control is Reno.
    Rfc6582,
}

/// The initial and the maximum size of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferLimits {
    /// The initial size.
    pub initial: u32,
    /// The maximum size.
    pub most: u32,
}

/// The IP protocol number of TCP.
pub const PROTOCOL: u8 = 6;

/// The bytes of the timestamp option, padded.
pub(crate) const TIMESTAMPS: u32 = 12;

impl Parameters {
    /// The defaults of Linux for this segment size.
    pub fn new(algorithm: Algorithm, mss: u32) -> Self {
        Parameters {
            algorithm,
            recovery: LossRecovery::Rack,
            ecn: algorithm.needs_ecn(),
            mss,
            initial_window: 10,
            receive_buffer: BufferLimits { initial: 131_072, most: 6_291_456 },
            send_buffer: BufferLimits { initial: 16_384, most: 4_194_304 },
            compressed_acks: 44,
        }
    }

    /// The window announced in the first segment: whole segments, in 16 bits. The opening end does not know
    /// yet whether timestamps will reduce them.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_select_initial_window`.
    pub fn first_window(&self, asks: bool) -> u32 {
        let full = self.receive_buffer.initial - (self.receive_buffer.initial >> 1);
        let has_timestamps = self.recovery == LossRecovery::Rack;
        let segment = if asks && has_timestamps { self.mss + TIMESTAMPS } else { self.mss };
        full.min(65_535) / segment * segment
    }
}
