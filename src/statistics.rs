//! The statistics of a run: of its ports, its flows and its packets.

mod flow;
mod packet;
mod port;
mod quantiles;
mod sketch;

use std::collections::BTreeMap;

pub use flow::{Delivery, FlowStatistics};
pub use packet::{End, EndedPacket};
pub(crate) use port::Passed;
pub use port::PortStatistics;
pub use quantiles::{Percentiles, Quantiles};
pub use sketch::Sketch;

use crate::packet::DropReason;
use crate::topology::{DeviceId, PortId};

/// The statistics of a whole run.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// By `fid`.
    pub flows: Vec<FlowStatistics>,
    /// By number of the egress port.
    pub ports: Vec<PortStatistics>,
    /// Packets lost, by device, egress port (`None` if lost before a port was selected) and reason.
    pub drops: BTreeMap<(DeviceId, Option<PortId>, DropReason), u64>,
}
