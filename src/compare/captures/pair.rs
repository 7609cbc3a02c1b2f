//! Packets of two captures: in both, or in one only.

/// A packet in both captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Time in the first capture, in picoseconds since the start.
    pub first_ps: i64,
    /// Time in the second capture, in picoseconds since the start: by its own clock, or corrected
    /// ([`CompareOptions::clock`](super::CompareOptions::clock)).
    pub second_ps: i64,
    /// Its flow.
    pub fid: u32,
}

/// A packet in one capture only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpaired {
    /// Its time, in picoseconds since the start, by the clock of its capture.
    pub at_ps: i64,
    /// Its flow.
    pub fid: u32,
    /// Whether TCP proves that the packet passed the other capture point, which missed it.
    pub is_missed: bool,
}

/// The direction of the packets of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the first capture to the second.
    Forward,
    /// From the second to the first.
    Backward,
    /// Unknown; treated as forward.
    Unknown,
}
