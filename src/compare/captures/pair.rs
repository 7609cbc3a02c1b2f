//! Packets of two captures: in both, or in one alone.

/// A packet that both captures saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// When the first saw it, in picoseconds since the start.
    pub first_ps: i64,
    /// When the second saw it, in picoseconds since the start: by its clock as it is, or corrected
    /// ([`CompareOptions::clock`](super::CompareOptions::clock)).
    pub second_ps: i64,
    /// Its flow.
    pub fid: u32,
}

/// A packet that one capture alone saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpaired {
    /// When, in picoseconds since the start, by the clock of the capture that saw it.
    pub at_ps: i64,
    /// Its flow.
    pub fid: u32,
    /// TCP proves that it passed the other capture, which missed it.
    pub is_missed: bool,
}

/// Which way the packets of a flow go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the first capture to the second.
    Forward,
    /// From the second to the first.
    Backward,
    /// Nothing tells: taken as forward.
    Unknown,
}
