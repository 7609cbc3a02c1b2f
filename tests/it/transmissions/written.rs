//! A simulation against captures written from it: for any initial sequence numbers, order and copies, all
//! transmissions are the same.

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use etherparse::{PacketBuilder, TcpOptionElement};
use proptest::prelude::*;
use taunet::capture::{LinkType, Resolution, Writer};
use taunet::compare::TransmissionComparison;
use taunet::engine::{Hop, Injected, Observed, Observer};
use taunet::packet::FlowKey;
use taunet::scenario::Scenario;
use taunet::table::NoTables;
use taunet::topology::DeviceId;
use taunet::transport::{Flags, Segment};
use taunet::units::Timestamp;

/// A multiple of 4.096 s, so that the ticks of the kernel's timers fall as they do in 1970.
const START_NS: i128 = 1_765_376_000_000_000_000;

/// A packet of the client with that port, or to it, at a vantage: 0 ingress, 1 behind the queue, 2 on the way back.
struct Passing {
    at_ns: i128,
    vantage: usize,
    port: u16,
    pid: u64,
    segment: Segment,
}

/// What passes the router.
struct Seen {
    router: DeviceId,
    keys: Vec<FlowKey>,
    sent: HashMap<u64, Segment>,
    passing: Vec<Passing>,
}

impl Observer for &mut Seen {
    fn flow(&mut self, _fid: u32, key: &FlowKey) -> Observed {
        self.keys.push(*key);
        Ok(())
    }

    fn injected(&mut self, injected: &Injected<'_>) -> Observed {
        let packet = injected.tau.packet;
        self.sent.insert(packet.pid, *injected.segment.unwrap());
        let vantage = if self.is_of_data(packet.fid).1 { 0 } else { 2 };
        self.see(injected.tau.timestamp.as_ps(), vantage, packet.fid, packet.pid);
        Ok(())
    }

    fn hop(&mut self, hop: &Hop) -> Observed {
        if hop.device == self.router && self.is_of_data(hop.packet.fid).1 {
            self.see(hop.egress.as_ps(), 1, hop.packet.fid, hop.packet.pid);
        }
        Ok(())
    }
}

impl Seen {
    /// The client's port, and whether the flow is the client's.
    fn is_of_data(&self, fid: u32) -> (u16, bool) {
        let FlowKey::Ip { ports: Some((from, to)), .. } = self.keys[fid as usize] else { panic!("{fid}") };
        if to == 5_001 { (from, true) } else { (to, false) }
    }

    fn see(&mut self, at_ps: u64, vantage: usize, fid: u32, pid: u64) {
        let (at_ns, port) = (i128::from(at_ps / 1_000), self.is_of_data(fid).0);
        self.passing.push(Passing { at_ns, vantage, port, pid, segment: self.sent[&pid] });
    }
}

/// How captures are written.
#[derive(Debug, Clone, Copy)]
struct Writing {
    /// Initial sequence numbers: of the client, and of the server.
    initial: [u32; 2],
    /// Other ports.
    ports: u16,
    /// Packets stand in the file up to so far from their order.
    disorder_ns: i128,
    /// Of so many packets, one is there twice.
    copies: u64,
}

impl Writing {
    fn frame(&self, passing: &Passing) -> Vec<u8> {
        let Passing { segment, port, vantage, pid, .. } = passing;
        let forward = *vantage != 2;
        // A SYN of another connection begins elsewhere.
        let initial = self.initial.map(|number| number.wrapping_add(u32::from(*port) * 77_777));
        let [own, other] = if forward { initial } else { [initial[1], initial[0]] };
        let port = port.wrapping_add(self.ports);
        let number = |initial: u32, position: u64| initial.wrapping_add(position as u32);
        let (addresses, ports) = match forward {
            true => (([10, 9, 1, 1], [10, 9, 200, 2]), (port, 6_001)),
            false => (([10, 9, 200, 2], [10, 9, 1, 1]), (6_001, port)),
        };
        let is_syn = segment.flags.has(Flags::SYN);
        let window = if is_syn { segment.window } else { segment.window >> 7 };
        let mut ip =
            etherparse::Ipv4Header::new(0, 64, etherparse::IpNumber::TCP, addresses.0, addresses.1).unwrap();
        ip.identification = (*pid as u16).wrapping_mul(2) | 1;
        let mut builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ip(etherparse::IpHeaders::Ipv4(ip, Default::default()))
            .tcp(ports.0, ports.1, number(own, segment.seq), window as u16);
        if segment.flags.has(Flags::ACK) {
            builder = builder.ack(number(other, segment.ack));
        }
        if is_syn {
            builder = builder.syn();
        }
        if segment.flags.has(Flags::FIN) {
            builder = builder.fin();
        }
        let mut options = vec![TcpOptionElement::Timestamp(segment.timestamp as u32, segment.echo as u32)];
        if is_syn {
            options.push(TcpOptionElement::WindowScale(7));
        }
        let mut blocks = segment.blocks().map(|block| (number(other, block.start), number(other, block.end)));
        if let Some(first) = blocks.next() {
            options.push(TcpOptionElement::SelectiveAcknowledgement(
                first,
                [blocks.next(), blocks.next(), None],
            ));
        }
        let mut bytes = Vec::new();
        builder.options(&options).unwrap().write(&mut bytes, &vec![7; segment.payload() as usize]).unwrap();
        bytes
    }

    /// Writes the capture of a vantage; gives how many copies are in it.
    fn write(&self, path: &Path, passing: &[Passing], vantage: usize) -> u64 {
        let here = passing.iter().filter(|passing| passing.vantage == vantage);
        let mut copies = 0;
        let mut records = Vec::new();
        for (place, passing) in here.enumerate() {
            let frame = self.frame(passing);
            // Packets of one instant keep their order.
            let off = if self.disorder_ns == 0 { 0 } else { passing.at_ns * 7_919 % self.disorder_ns };
            records.push((passing.at_ns + off, passing.at_ns, frame.clone()));
            if self.copies > 0 && place as u64 % self.copies == 1 {
                copies += 1;
                records.push((passing.at_ns + off, passing.at_ns + 900, frame));
            }
        }
        records.sort_by_key(|(order, ..)| *order);
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, Resolution::Nanoseconds, LinkType::ETHERNET, 96).unwrap();
        for (_, at_ns, frame) in records {
            let length = frame.len() as u32;
            writer
                .write(Timestamp::from_ns(START_NS + at_ns), length, &frame[..frame.len().min(96)])
                .unwrap();
        }
        fs::write(path, file).unwrap();
        copies
    }
}

const SCENARIO: &str = r#"
name = "s"
topology = "net.toml"

[[traffic]]
kind = "bulk"
from = "s1"
to = "server"
bytes = "300 kB"
flows = 3
stagger = "50 ms"
"#;

/// What the simulation shows against captures that were written from it, and how many copies these have.
fn compared(writing: Writing) -> ([TransmissionComparison; 3], u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("net.toml"), super::topology("20000 B", "20 ms")).unwrap();
    fs::write(path("s.toml"), SCENARIO).unwrap();
    let scenario = Scenario::load(&path("s.toml"), &[], None).unwrap();
    let mut seen = Seen {
        router: scenario.topology.device_named("r").unwrap(),
        keys: Vec::new(),
        sent: HashMap::new(),
        passing: Vec::new(),
    };
    let open = scenario.open(&Default::default()).unwrap();
    open.simulation(&mut seen).unwrap().finish().unwrap();
    let mut entries = SCENARIO.to_owned();
    let mut copies = 0;
    for (vantage, (port, direction)) in
        [("r:1", "ingress"), ("r:0", "egress"), ("r:0", "ingress")].into_iter().enumerate()
    {
        copies += writing.write(&path(&format!("{vantage}.pcap")), &seen.passing, vantage);
        entries += &format!(
            "[[measured]]\ncapture = \"{vantage}.pcap\"\nat = {{ port = \"{port}\", direction = \"{direction}\" }}\n\
             tolerance = \"1 ns\"\n"
        );
    }
    fs::write(path("s.toml"), entries).unwrap();
    let scenario = Scenario::load(&path("s.toml"), &[], None).unwrap();
    let open = scenario.open(&Default::default()).unwrap();
    let results = open.run(&NoTables, taunet::engine::Unwatched, |_| ControlFlow::Continue(())).unwrap();
    let measured = results.summary.measured;
    let found = measured.iter().map(|measured| measured.counts.copies).sum();
    let each: Vec<_> = measured.into_iter().map(|measured| measured.tcp.unwrap()).collect();
    (each.try_into().unwrap(), copies, found)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn identity_does_not_depend_on_how_a_capture_was_written(
        client in any::<u32>(),
        server in any::<u32>(),
        near_the_end in any::<bool>(),
        ports in any::<u16>(),
        disorder_ns in prop_oneof![Just(0), 1_000_000..400_000_000i128],
        copies in prop_oneof![Just(0), 2..9u64],
    ) {
        let client = if near_the_end { u32::MAX - client % 400_000 } else { client };
        let (found, copies, left_out) = compared(Writing { initial: [client, server], ports, disorder_ns, copies });
        prop_assert_eq!(copies, left_out);
        for tcp in &found {
            prop_assert!(tcp.first_divergence.is_none(), "{:#?}", tcp.first_divergence);
            prop_assert_eq!((tcp.only_simulated, tcp.only_measured), (0, 0));
            prop_assert!(tcp.matched > 100 && tcp.flows.len() == 3);
            prop_assert_eq!(tcp.connections.by_order + tcp.connections.by_ports, 3);
        }
        prop_assert!(found[0].retransmissions.simulated > 0);
        prop_assert_eq!(found[0].retransmissions.simulated, found[0].retransmissions.measured);
        prop_assert!(found[1].drops.is_some_and(|drops| drops.simulated == drops.measured && drops.simulated > 0));
    }
}
