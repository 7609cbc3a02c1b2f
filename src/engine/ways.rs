//! The paths of connections through the empty network, and their minimum duration.

use super::network::Network;
use crate::topology::DeviceId;
use crate::transport::ConnectionRecord;
use crate::transport::ideal::{self, Way};

impl Network {
    /// Sets the ideal completion time in the record of a finished connection.
    pub fn with_ideal(&self, record: ConnectionRecord) -> ConnectionRecord {
        let wanted = record.opened_here && record.finished().is_some() && record.is_whole();
        let (Some(there), true) = (self.pfm.destination(record.fid), wanted) else { return record };
        let back = record.key.reverse().and_then(|key| self.flows.find(&key));
        let Some((back, here)) = back.and_then(|fid| Some((fid, self.pfm.destination(fid)?))) else {
            return record;
        };
        let (way, back) = (self.way(record.fid, here), self.way(back, there));
        let segments = (record.segment.into(), record.options.into());
        let ideal = ideal::completion(&way, &back, record.acknowledged, segments);
        ConnectionRecord { ideal, ..record }
    }

    /// The links of a flow from a host on, with the processing delays behind them; the first path if there
    /// are several.
    fn way(&self, fid: u32, host: DeviceId) -> Way {
        let mut device = host;
        let ports = self.pfm.path(&self.flows, fid, host).ports;
        let mut links = Vec::new();
        for port in ports {
            if self.topology.port(port).device == device {
                let link = self.topology.link(self.topology.port(port).egress);
                device = self.topology.port(link.to).device;
                links.push((&link.link, self.topology.device(device).processing));
            }
        }
        Way::new(links)
    }
}
