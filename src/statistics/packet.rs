//! [`EndedPacket`]: what became of a packet.

use crate::packet::{DropReason, Tau};
use crate::topology::DeviceId;
use crate::units::Time;

/// How a packet's way ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It arrived.
    Delivered,
    /// It was lost.
    Dropped(DropReason),
    /// The run ended before it did.
    Inside,
}

/// A packet and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedPacket {
    /// The packet and the instant of its end: of a delivered packet, its arrival; of a dropped one, its ingress at the
    /// device that lost it; of one still inside, its injection. Its ECN field is as the last port that it passed left it.
    pub tau: Tau,
    /// The number of its source.
    pub source: u32,
    /// Its number in the source.
    pub record: u64,
    /// When it was injected.
    pub injected: Time,
    /// The devices that it passed.
    pub hops: u32,
    /// The device where it ended; none for a packet still inside.
    pub device: Option<DeviceId>,
    /// What became of it.
    pub end: End,
}
