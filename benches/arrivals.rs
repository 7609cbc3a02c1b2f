//! Writes the arrival of each packet of the workload at each node to a file, to compare simulators packet by
//! packet.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use taunet::engine::{Dropped, Hop, Injection, Observed, Observer, Settings, simulate};
use taunet::packet::{Packet, Tau};
use taunet::topology::DeviceId;
use taunet::units::Time;

use crate::workload::Workload;

const PS_PER_NS: u64 = 1000;

/// Runs the workload and writes a row per packet and node: `host,seq,node,arrival_ns`. The first node of a
/// packet is the sending host, the last its destination.
pub fn write(
    path: &str,
    workload: &Workload,
    injections: Vec<Injection>,
    settings: Settings,
) -> io::Result<()> {
    let topology = workload.topology();
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "host,seq,node,arrival_ns")?;
    let mut arrivals = Arrivals { senders: &workload.senders, file };
    simulate(topology, injections, settings, &mut arrivals).expect("the workload runs");
    arrivals.file.flush()
}

struct Arrivals<'w> {
    senders: &'w [u32],
    file: BufWriter<File>,
}

impl Arrivals<'_> {
    fn reached(&mut self, packet: &Packet, node: DeviceId, at: Time) -> Observed {
        // A packet's id is its number at its sender, times the senders, plus the number of the sender.
        let senders = self.senders.len() as u64;
        let (host, sequence) = (self.senders[(packet.pid % senders) as usize], packet.pid / senders);
        assert!(at.as_ps().is_multiple_of(PS_PER_NS), "the workload is in whole nanoseconds: {at}");
        let arrival_ns = at.as_ps() / PS_PER_NS;
        Ok(writeln!(self.file, "{host},{sequence},{},{arrival_ns}", node.index())?)
    }
}

impl Observer for Arrivals<'_> {
    fn hop(&mut self, hop: &Hop) -> Observed {
        self.reached(&hop.packet, hop.device, hop.ingress)
    }
    fn delivered(&mut self, tau: &Tau, host: DeviceId) -> Observed {
        self.reached(&tau.packet, host, tau.timestamp)
    }
    fn dropped(&mut self, drop: &Dropped) -> Observed {
        panic!("a packet of the workload is lost: {}", drop.reason)
    }
}
