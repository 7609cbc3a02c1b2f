//! [`EndedPacket`]: the fate of a packet.

use crate::packet::{DropReason, Tau};
use crate::topology::DeviceId;
use crate::units::Time;

/// The fate of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It arrived.
    Delivered,
    /// It was lost.
    Dropped(DropReason),
    /// The run ended while it was inside the network.
    Inside,
}

/// A packet and its fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedPacket {
    /// The packet and its final time: for a delivered packet, its arrival; for a dropped one, its ingress at
    /// the device that lost it; for one still inside, its injection. Its ECN field is that after the last
    /// port passed.
    pub tau: Tau,
    /// The number of its source.
    pub source: u32,
    /// Its number within the source.
    pub record: u64,
    /// Time of injection.
    pub injected: Time,
    /// Number of devices passed.
    pub hops: u32,
    /// The device where it ended; `None` for a packet still inside.
    pub device: Option<DeviceId>,
    /// Its fate.
    pub end: End,
}
