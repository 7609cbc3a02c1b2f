//! When each packet of the workload reaches each node, as a file: to compare simulators packet by packet.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;

use taunet::engine::{Dropped, Hop, Injected, Injection, Observer, Settings, Simulation};
use taunet::packet::{FlowKey, Packet, Tau};
use taunet::topology::DeviceId;
use taunet::units::Time;

use crate::workload::Workload;

const PS_PER_NS: u64 = 1000;

/// Runs the workload and writes a row per packet and node: `host,seq,node,arrival_ns`. The first node of a packet is the
/// host that sends it, the last its destination.
pub fn write(
    path: &str,
    workload: &Workload,
    injections: Vec<Injection>,
    settings: Settings,
) -> io::Result<()> {
    let topology = workload.topology();
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "host,seq,node,arrival_ns")?;
    let mut arrivals = Arrivals { senders: &workload.senders, file, failure: None };
    Simulation::new(&topology, injections, settings)
        .run(&mut arrivals, |_| ControlFlow::Continue(()))
        .expect("the workload runs");
    arrivals.failure.map_or(Ok(()), Err)?;
    arrivals.file.flush()
}

struct Arrivals<'w> {
    senders: &'w [u32],
    file: BufWriter<File>,
    failure: Option<io::Error>,
}

impl Arrivals<'_> {
    fn reached(&mut self, packet: &Packet, node: DeviceId, at: Time) {
        // A packet's id is its number at its sender, times the senders, plus the number of the sender.
        let senders = self.senders.len() as u64;
        let (host, sequence) = (self.senders[(packet.pid % senders) as usize], packet.pid / senders);
        assert!(at.as_ps().is_multiple_of(PS_PER_NS), "the workload is in whole nanoseconds: {at}");
        let arrival_ns = at.as_ps() / PS_PER_NS;
        if self.failure.is_none() {
            self.failure = writeln!(self.file, "{host},{sequence},{},{arrival_ns}", node.index()).err();
        }
    }
}

impl Observer for Arrivals<'_> {
    fn flow(&mut self, _fid: u32, _key: FlowKey) {}
    fn injected(&mut self, _injected: &Injected<'_>) {}
    fn hop(&mut self, hop: &Hop) {
        self.reached(&hop.packet, hop.device, hop.ingress);
    }
    fn delivered(&mut self, tau: &Tau, host: DeviceId) {
        self.reached(&tau.packet, host, tau.timestamp);
    }
    fn dropped(&mut self, drop: &Dropped) {
        panic!("a packet of the workload is lost: {}", drop.reason);
    }
}
