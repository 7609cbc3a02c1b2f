//! The engine: the fate of packets, compared with theory and hand-made examples, and properties on random
//! networks.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use taunet::engine::{
    Dropped, Engine, EngineError, Hop, Injected, Injection, InjectionPoint, Observed, Observer, Outcome,
    Settings, simulate,
};
use taunet::flow::Flows;
use taunet::link::Link;
use taunet::packet::{DropReason, FlowKey, Packet, Tau};
use taunet::pfm::Pfm;
use taunet::ptm::{
    Buffer, FifoSpec, FqCodelSpec, LossSpec, NetemSpec, Place, PtmSpec, SlotSpec, TokenBucketSpec,
};
use taunet::topology::{DeviceId, DeviceKind, DeviceSpec, LinkSpec, PortId, PortName, RouteSpec, Topology};
use taunet::traffic::{Emission, Source, TrafficError};
use taunet::units::{ByteCount, Probability, Span, Time, Timestamp};

/// A source that sends what it is told to: `(picoseconds, bytes, flow)`.
struct Script {
    flows: Vec<FlowKey>,
    emissions: std::vec::IntoIter<Emission>,
}

fn flow(from: &str, to: &str) -> FlowKey {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    FlowKey::Ip { source: address(from), destination: address(to), protocol: 17, ports: None }
}

fn script(flows: &[FlowKey], packets: &[(u64, u32, u32)], ttl: u8) -> Box<dyn Source> {
    let mut known: Vec<FlowKey> = Vec::new();
    let emissions: Vec<Emission> = packets
        .iter()
        .zip(0..)
        .map(|(&(at, length, number), record)| {
            let key = flows[number as usize];
            let fid = known.iter().position(|other| *other == key).unwrap_or_else(|| {
                known.push(key);
                known.len() - 1
            }) as u32;
            let packet = Packet { fid, length, ttl, trp: 17, ..Packet::default() };
            Emission { tau: Tau { timestamp: Time::from_ps(at), packet }, record, match_key: Some(record) }
        })
        .collect();
    Box::new(Script { flows: known, emissions: emissions.into_iter() })
}

impl Source for Script {
    fn next_emission(&mut self) -> Result<Option<Emission>, TrafficError> {
        Ok(self.emissions.next())
    }
    fn flow(&self, fid: u32) -> FlowKey {
        self.flows[fid as usize]
    }
}

/// Writes down all that happens.
#[derive(Debug, Default, PartialEq)]
struct Log {
    flows: Vec<FlowKey>,
    injected: Vec<Tau>,
    hops: Vec<Hop>,
    delivered: Vec<Tau>,
    dropped: Vec<(u64, DeviceId, Option<PortId>, DropReason)>,
}

impl Log {
    /// Into an order that does not depend on the engine.
    fn sort(&mut self) {
        self.injected.sort_by_key(|tau| tau.packet.pid);
        self.hops.sort_by_key(|hop| (hop.packet.pid, hop.egress, hop.device));
        self.delivered.sort_by_key(|tau| tau.packet.pid);
        self.dropped.sort_by_key(|dropped| dropped.0);
    }
}

impl Observer for Log {
    fn flow(&mut self, fid: u32, key: &FlowKey) -> Observed {
        assert_eq!(fid as usize, self.flows.len());
        self.flows.push(*key);
        Ok(())
    }
    fn injected(&mut self, injected: &Injected<'_>) -> Observed {
        self.injected.push(injected.tau);
        Ok(())
    }
    fn hop(&mut self, hop: &Hop) -> Observed {
        self.hops.push(*hop);
        Ok(())
    }
    fn delivered(&mut self, tau: &Tau, _host: DeviceId) -> Observed {
        self.delivered.push(*tau);
        Ok(())
    }
    fn dropped(&mut self, drop: &Dropped) -> Observed {
        self.dropped.push((drop.tau.packet.pid, drop.device, drop.port, drop.reason));
        Ok(())
    }
}

fn run(
    topology: &Topology,
    injections: Vec<Injection>,
    until: Option<Time>,
) -> Result<(Outcome, Log), EngineError> {
    run_on(Engine::Event, 1, topology, injections, until)
}

fn run_on(
    engine: Engine,
    threads: usize,
    topology: &Topology,
    injections: Vec<Injection>,
    until: Option<Time>,
) -> Result<(Outcome, Log), EngineError> {
    let mut log = Log::default();
    let settings = Settings { until, engine, threads, seed: 1, ..Settings::default() };
    let outcome = simulate(topology.clone(), injections, settings, &mut log)?;
    Ok((outcome, log))
}

fn host(name: &str, prefix: &str) -> DeviceSpec {
    DeviceSpec { addresses: vec![prefix.parse().unwrap()], ..DeviceSpec::new(name, DeviceKind::Host) }
}

fn link(a: (&str, u16), b: (&str, u16), bandwidth: &str, delay: &str) -> LinkSpec {
    let timing = Link::with_delay(bandwidth.parse().unwrap(), delay.parse().unwrap());
    LinkSpec::new(PortName::new(a.0, a.1), PortName::new(b.0, b.1), timing)
}

/// a - r1 - r2 - b, every link 8 Mbps (1 us a byte) and 1 ms.
fn line(kind: DeviceKind) -> Topology {
    let devices = vec![
        host("a", "10.0.0.1/32"),
        DeviceSpec::new("r1", kind),
        DeviceSpec::new("r2", kind),
        host("b", "10.0.0.2/32"),
    ];
    let links = vec![
        link(("a", 0), ("r1", 0), "8 Mbps", "1 ms"),
        link(("r1", 1), ("r2", 0), "8 Mbps", "1 ms"),
        link(("r2", 1), ("b", 0), "8 Mbps", "1 ms"),
    ];
    Topology::new("line", devices, links).unwrap()
}

fn at_host(topology: &Topology, name: &str, source: Box<dyn Source>) -> Injection {
    Injection { source, at: InjectionPoint::Host(topology.device_named(name).unwrap()) }
}

const US: u64 = 1_000_000;
const MS: u64 = 1_000 * US;

#[test]
fn a_packet_takes_transmission_and_propagation_on_every_link() {
    let topology = line(DeviceKind::Router);
    let to_b = [flow("10.0.0.1", "10.0.0.2")];
    let source = script(&to_b, &[(0, 100, 0), (0, 100, 0)], 64);
    let (outcome, log) = run(&topology, vec![at_host(&topology, "a", source)], None).unwrap();
    let arrivals: Vec<u64> = log.delivered.iter().map(|tau| tau.timestamp.as_ps() / US).collect();
    assert_eq!(arrivals, [3_300, 3_400], "three links of 100 us + 1 ms; the second waits once");
    assert_eq!((outcome.hops, outcome.packets.delivered), (6, 2));
    assert_eq!(log.delivered[0].packet.ttl, 62, "two routers took one each");
}

#[test]
fn the_reasons_to_drop() {
    let topology = line(DeviceKind::Router);
    let r1 = topology.device_named("r1").unwrap();
    let reason = |topology: &Topology, to: &str, ttl: u8| {
        let source = script(&[flow("10.0.0.1", to)], &[(0, 100, 0)], ttl);
        let at = InjectionPoint::Ingress(topology.device(topology.device_named("r1").unwrap()).ports[0]);
        let (outcome, log) = run(topology, vec![Injection { source, at }], None).unwrap();
        assert_eq!(outcome.packets.injected, 1);
        log.dropped.first().map(|&(_, device, port, reason)| (device, port, reason))
    };
    assert_eq!(reason(&topology, "10.9.9.9", 64), Some((r1, None, DropReason::NoRoute)));
    assert_eq!(reason(&topology, "10.0.0.2", 1), Some((r1, None, DropReason::TtlExpired)));
    assert_eq!(
        reason(&topology, "10.9.9.9", 1),
        Some((r1, None, DropReason::NoRoute)),
        "the route comes first"
    );
    let r2 = topology.device_named("r2").unwrap();
    assert_eq!(reason(&topology, "10.0.0.2", 2), Some((r2, None, DropReason::TtlExpired)));
    assert_eq!(reason(&topology, "10.0.0.2", 3), None);
    assert_eq!(
        reason(&line(DeviceKind::Switch), "10.0.0.2", 0),
        None,
        "a switch leaves the time to live alone"
    );
}

#[test]
fn a_full_buffer_is_recorded_with_its_place() {
    let ptm = PtmSpec::Fifo(FifoSpec { buffer: Some(Buffer::Packets(1)) });
    let devices = vec![host("a", "10.0.0.1/32"), host("b", "10.0.0.2/32")];
    let mut only = link(("a", 0), ("b", 0), "8 Mbps", "0 s");
    only.ptm[0] = Some(ptm);
    let topology = Topology::new("pair", devices, vec![only]).unwrap();
    let source = script(&[flow("10.0.0.1", "10.0.0.2")], &[(0, 100, 0); 4], 64);
    let (outcome, log) = run(&topology, vec![at_host(&topology, "a", source)], None).unwrap();
    let a = topology.device_named("a").unwrap();
    let port = topology.device(a).ports[0];
    assert_eq!(log.dropped, [2, 3].map(|pid| (pid, a, Some(port), DropReason::BufferFull)));
    assert_eq!(outcome.packets.delivered, 2);
}

#[test]
fn the_longest_prefix_and_the_static_route_win() {
    // a - r1 - b (10.0.0.0/8) and r1 - c (10.1.0.0/16); what goes to 10.1.2.0/24 is sent to b's side all the same.
    let mut r1 = DeviceSpec::new("r1", DeviceKind::Router);
    r1.routes = vec![RouteSpec { destination: "10.1.2.0/24".parse().unwrap(), port: 1 }];
    let devices = vec![host("a", "192.0.2.1/32"), r1, host("b", "10.0.0.0/8"), host("c", "10.1.0.0/16")];
    let links = vec![
        link(("a", 0), ("r1", 0), "8 Mbps", "0 s"),
        link(("r1", 1), ("b", 0), "8 Mbps", "0 s"),
        link(("r1", 2), ("c", 0), "8 Mbps", "0 s"),
    ];
    let topology = Topology::new("star", devices, links).unwrap();
    let flows = ["10.9.9.9", "10.1.1.1", "10.1.2.3"].map(|to| flow("192.0.2.1", to));
    let source = script(&flows, &[(0, 100, 0), (1, 100, 1), (2, 100, 2)], 64);
    let (_, log) = run(&topology, vec![at_host(&topology, "a", source)], None).unwrap();
    let r1 = topology.device_named("r1").unwrap();
    let taken: Vec<String> =
        log.hops.iter().filter(|hop| hop.device == r1).map(|hop| topology.port_name(hop.port)).collect();
    assert_eq!(taken, ["r1:1", "r1:2", "r1:1"]);
    // c's packet that was sent to b is not for b, and a host forwards nothing.
    assert_eq!(log.dropped.len(), 1);
    assert_eq!(log.dropped[0].3, DropReason::NoRoute);
}

#[test]
fn a_cycle_of_static_routes_ends_by_ttl_at_routers_and_is_refused_at_switches() {
    let cycle = |kind: DeviceKind| {
        let sent_to = |name: &str, port| {
            let destination = "10.0.0.2/32".parse().unwrap();
            DeviceSpec { routes: vec![RouteSpec { destination, port }], ..DeviceSpec::new(name, kind) }
        };
        let devices =
            vec![host("a", "10.0.0.1/32"), sent_to("s1", 1), sent_to("s2", 0), host("b", "10.0.0.2/32")];
        let links = vec![
            link(("a", 0), ("s1", 0), "8 Mbps", "0 s"),
            link(("s1", 1), ("s2", 0), "8 Mbps", "0 s"),
            link(("s2", 1), ("b", 0), "8 Mbps", "0 s"),
        ];
        let topology = Topology::new("cycle", devices, links).unwrap();
        let source = script(&[flow("10.0.0.1", "10.0.0.2")], &[(0, 100, 0)], 9);
        run(&topology, vec![at_host(&topology, "a", source)], None)
            .map(|(outcome, log)| (outcome, log.dropped[0].3))
    };
    let (outcome, reason) = cycle(DeviceKind::Router).unwrap();
    assert_eq!((outcome.hops, reason), (9, DropReason::TtlExpired));
    let Err(EngineError::EndlessPath { ports, .. }) = cycle(DeviceKind::Switch) else {
        panic!("it never ends")
    };
    assert_eq!(ports, "a:0 > s1:1 > s2:0");
}

#[test]
fn until_leaves_packets_inside_and_nothing_after_it() {
    let topology = line(DeviceKind::Router);
    let flows = [flow("10.0.0.1", "10.0.0.2")];
    for until in [0, 50 * US, 100 * US, 1_100 * US, 3_300 * US, 3_350 * US, 9 * MS] {
        let source = script(&flows, &[(0, 100, 0), (0, 100, 0), (5 * MS, 100, 0)], 64);
        let limit = Time::from_ps(until);
        let (outcome, log) = run(&topology, vec![at_host(&topology, "a", source)], Some(limit)).unwrap();
        let packets = outcome.packets;
        assert_eq!(packets.injected, packets.delivered + packets.inside, "conserved until {until}");
        assert_eq!(packets.injected, if until >= 5 * MS { 3 } else { 2 });
        assert!(log.hops.iter().all(|hop| hop.egress <= limit));
        assert!(log.delivered.iter().all(|tau| tau.timestamp <= limit));
    }
}

#[test]
fn a_host_takes_its_packets_at_once_whatever_its_processing() {
    let mut b = host("b", "10.0.0.2/32");
    b.processing = Span::from_ps(1_000 * MS);
    let devices = vec![host("a", "10.0.0.1/32"), b];
    let topology = Topology::new("pair", devices, vec![link(("a", 0), ("b", 0), "8 Mbps", "1 ms")]).unwrap();
    let source = script(&[flow("10.0.0.1", "10.0.0.2")], &[(0, 100, 0)], 64);
    let until = Time::from_ps(2 * MS);
    let (outcome, log) = run(&topology, vec![at_host(&topology, "a", source)], Some(until)).unwrap();
    assert_eq!((outcome.packets.delivered, outcome.end), (1, until.min(Time::from_ps(1_100 * US))));
    assert_eq!(log.delivered[0].timestamp, Time::from_ps(1_100 * US));
}

#[test]
fn time_runs_over_as_an_error() {
    let mut topology = line(DeviceKind::Router);
    let devices = vec![host("a", "10.0.0.1/32"), host("b", "10.0.0.2/32")];
    let slow = link(("a", 0), ("b", 0), "1 bps", "0 s");
    topology = Topology::new(topology.name(), devices, vec![slow]).unwrap();
    let source = script(&[flow("10.0.0.1", "10.0.0.2")], &[(0, 3_000_000, 0); 3], 64);
    let error = run(&topology, vec![at_host(&topology, "a", source)], None).err().unwrap();
    assert!(matches!(error, EngineError::TimeOverflow), "{error}");
}

#[test]
fn an_injection_at_an_egress_starts_onto_the_link_in_order_of_time() {
    let topology = line(DeviceKind::Router);
    let r1 = topology.device_named("r1").unwrap();
    let egress = topology.device(r1).ports[1];
    let flows = [flow("10.0.0.1", "10.0.0.2")];
    // The PTM of a knows early that its second packet starts at 1000 us.
    let through = script(&flows, &[(0, 1_000, 0), (0, 1_000, 0)], 64);
    let onto = script(&flows, &[(2_500 * US, 10, 0)], 64);
    let injections = vec![
        at_host(&topology, "a", through),
        Injection { source: onto, at: InjectionPoint::Egress(egress) },
    ];
    let (outcome, log) = run(&topology, injections, None).unwrap();
    assert_eq!(outcome.packets.delivered, 3);
    assert!(log.delivered.is_sorted_by_key(|tau| tau.timestamp));
}

/// Poisson arrivals of packets of 1000 bytes at the load `rho` of an 8 Mbps link: the mean wait is that of M/D/1.
#[test]
fn the_mean_wait_of_an_m_d_1_queue() {
    let rho = 0.7;
    let service = 1_000.0 * US as f64;
    let devices = vec![host("a", "10.0.0.1/32"), host("b", "10.0.0.2/32")];
    let topology = Topology::new("md1", devices, vec![link(("a", 0), ("b", 0), "8 Mbps", "0 s")]).unwrap();
    let means: Vec<f64> = (0..10)
        .map(|seed| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut now = 0.0;
            let packets: Vec<(u64, u32, u32)> = (0..100_000)
                .map(|_| {
                    now += -libm::log(1.0 - random.random::<f64>()) * service / rho;
                    (now as u64, 1_000, 0)
                })
                .collect();
            let source = script(&[flow("10.0.0.1", "10.0.0.2")], &packets, 64);
            let (_, log) = run(&topology, vec![at_host(&topology, "a", source)], None).unwrap();
            let waits = log.hops.iter().map(|hop| hop.egress.since(hop.joined).as_ps() as f64);
            waits.sum::<f64>() / log.hops.len() as f64
        })
        .collect();
    let n = means.len() as f64;
    let mean = means.iter().sum::<f64>() / n;
    let deviation = (means.iter().map(|m| (m - mean) * (m - mean)).sum::<f64>() / (n - 1.0)).sqrt();
    let theory = rho * service / (2.0 * (1.0 - rho));
    // Student's t, 9 degrees of freedom, 99 %.
    let interval = 3.25 * deviation / n.sqrt();
    assert!((mean - theory).abs() < interval, "{mean} is not {theory} within {interval}");
    assert!(interval < 0.02 * theory, "the interval {interval} says little");
}

/// A random tree of switches and routers with a host at each, and traffic between random hosts.
#[derive(Debug, Clone)]
struct Network {
    parents: Vec<usize>,
    rates: Vec<u64>,
    delays: Vec<u64>,
    routers: Vec<bool>,
    ptms: Vec<PtmSpec>,
    processing: Vec<u64>,
    packets: Vec<(u64, u32, usize, usize)>,
}

fn networks() -> impl Strategy<Value = Network> {
    let ptm = prop_oneof![
        Just(PtmSpec::default()),
        (0..5u64).prop_map(|packets| PtmSpec::Fifo(FifoSpec { buffer: Some(Buffer::Packets(packets)) })),
        (1_000..9_000u64, 0..30_000_000u64).prop_map(|(bytes, slack)| {
            PtmSpec::TokenBucket(TokenBucketSpec {
                release_slack: Span::from_ps(slack),
                ..TokenBucketSpec::new(
                    "6 Mbps".parse().unwrap(),
                    ByteCount::new(2_000),
                    Some(Buffer::Bytes(ByteCount::new(bytes))),
                )
            })
        }),
        (0..3_000u64, 0..3_000u64, any::<bool>(), any::<bool>()).prop_map(
            |(delay, jitter, paced, inside)| {
                PtmSpec::Netem(Box::new(NetemSpec {
                    limit: 20,
                    delay: Span::from_ps((delay + 1) * US),
                    jitter: Span::from_ps(jitter * US),
                    loss: LossSpec::Random(Probability::new(0.05).unwrap()),
                    reorder: Probability::new(0.1).unwrap(),
                    rate: paced.then(|| "6 Mbps".parse().unwrap()),
                    slot: paced.then(|| SlotSpec {
                        min_delay: Some(Span::from_ps(US)),
                        max_delay: Some(Span::from_ps(MS)),
                        packets: 2.try_into().ok(),
                        ..SlotSpec::default()
                    }),
                    ptm: inside.then(|| Box::new(PtmSpec::FqCodel(FqCodelSpec::default()))),
                    ..NetemSpec::default()
                }))
            }
        ),
    ];
    let packet = (0..40u64, 64..1_500u32, 0..6usize, 0..6usize);
    (2..6usize).prop_flat_map(move |devices| {
        (
            prop::collection::vec(0..devices, devices),
            prop::collection::vec(1..100u64, devices),
            prop::collection::vec(0..3u64, devices),
            prop::collection::vec(any::<bool>(), devices),
            prop::collection::vec(ptm.clone(), devices),
            prop::collection::vec(0..3u64, devices),
            prop::collection::vec(packet.clone(), 1..120),
        )
            .prop_map(|(parents, rates, delays, routers, ptms, processing, packets)| Network {
                parents,
                rates,
                delays,
                routers,
                ptms,
                processing,
                packets,
            })
    })
}

impl Network {
    fn topology(&self) -> Topology {
        let devices = self.parents.len();
        let mut specs = Vec::new();
        for index in 0..devices {
            let kind = if self.routers[index] { DeviceKind::Router } else { DeviceKind::Switch };
            specs.push(DeviceSpec {
                ptm: self.ptms[index].clone(),
                processing: Span::from_ps(self.processing[index] * US),
                ..DeviceSpec::new(format!("d{index}"), kind)
            });
            specs.push(host(&format!("h{index}"), &format!("10.0.0.{index}/32")));
        }
        let timing = |index: usize| {
            let rate = format!("{} Mbps", self.rates[index]).parse().unwrap();
            Link::with_delay(rate, Span::from_ps(self.delays[index] * 100 * US))
        };
        let mut links = Vec::new();
        for index in 0..devices {
            let device = format!("d{index}");
            links.push(LinkSpec::new(
                PortName::new(format!("h{index}"), 0),
                PortName::new(&device, 0),
                timing(index),
            ));
            if index > 0 {
                let parent = self.parents[index] % index;
                let (up, down) =
                    (PortName::new(&device, 1), PortName::new(format!("d{parent}"), 10 + index as u16));
                links.push(LinkSpec::new(up, down, timing(index)));
            }
        }
        Topology::new("tree", specs, links).unwrap()
    }

    fn injections(&self, topology: &Topology) -> Vec<Injection> {
        let devices = self.parents.len();
        (0..devices)
            .map(|from| {
                let flows: Vec<FlowKey> =
                    (0..devices).map(|to| flow(&format!("10.0.0.{from}"), &format!("10.0.0.{to}"))).collect();
                let mut now = 0;
                let packets: Vec<(u64, u32, u32)> = self
                    .packets
                    .iter()
                    .filter(|(_, _, source, to)| source % devices == from && to % devices != from)
                    .map(|&(gap, length, _, to)| {
                        now += gap * 10 * US;
                        (now, length, (to % devices) as u32)
                    })
                    .collect();
                at_host(topology, &format!("h{from}"), script(&flows, &packets, 64))
            })
            .collect()
    }
}

/// One device alone, from ingress to egress: the PFM picks each packet's port, the processing delay passes, and the port's PTM
/// says when it leaves. `forward_trace`, which the DeepQueueNet notebook left to be written.
fn forward_trace(
    topology: &Topology,
    id: DeviceId,
    pfm: &Pfm,
    flows: &Flows,
    ingress: &[Tau],
) -> Vec<(u64, Time)> {
    let device = topology.device(id);
    let mut joining: BTreeMap<PortId, Vec<Tau>> = BTreeMap::new();
    for tau in ingress {
        let mut packet = tau.packet;
        let port = pfm.forward(flows, id, &mut packet).unwrap();
        let timestamp = tau.timestamp + device.processing;
        joining.entry(port).or_default().push(Tau { timestamp, packet });
    }
    let (mut departures, mut losses) = (Vec::new(), Vec::new());
    for (port, joining) in joining {
        let link = topology.link(topology.port(port).egress).link;
        let place = Place { link, seed: 1, port: &topology.port_name(port), start: Timestamp::default() };
        let mut ptm = topology.port(port).ptm.build(&place);
        ptm.forward_trace(&joining, flows, Time::NEVER, &mut departures, &mut losses);
    }
    departures.iter().map(|departure| (departure.tau.packet.pid, departure.start)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The engine itself checks that packets are conserved, per flow.
    #[test]
    fn packets_move_forward_in_time_and_in_order(network in networks()) {
        let topology = network.topology();
        let (outcome, log) = run(&topology, network.injections(&topology), None).unwrap();
        prop_assert_eq!(outcome.packets.inside, 0);
        prop_assert_eq!(outcome.packets.injected, (log.delivered.len() + log.dropped.len()) as u64);
        let mut reached: BTreeMap<u64, Time> = log.injected.iter().map(|tau| (tau.packet.pid, tau.timestamp)).collect();
        let mut free: BTreeMap<PortId, Time> = BTreeMap::new();
        for hop in &log.hops {
            let link = topology.link(topology.port(hop.port).egress).link;
            let processing = topology.device(hop.device).processing;
            prop_assert_eq!(hop.ingress, reached[&hop.packet.pid], "a packet is where its last link left it");
            prop_assert_eq!(hop.joined, hop.ingress + processing);
            prop_assert!(hop.egress >= hop.joined);
            prop_assert!(free.get(&hop.port).is_none_or(|free| hop.egress >= *free), "one packet at a time");
            let transmitted = hop.egress + link.transmission_time(hop.packet.byte_count());
            free.insert(hop.port, transmitted);
            reached.insert(hop.packet.pid, transmitted + link.propagation_delay());
        }
        for tau in &log.delivered {
            prop_assert_eq!(tau.timestamp, reached[&tau.packet.pid]);
        }
    }

    #[test]
    fn both_engines_do_the_same(network in networks(), until in prop_oneof![Just(None), (0..200 * MS).prop_map(Some)]) {
        let topology = network.topology();
        let until = until.map(Time::from_ps);
        let (event, mut event_log) = run(&topology, network.injections(&topology), until).unwrap();
        for threads in [1, 2, 3] {
            let injections = network.injections(&topology);
            let (stream, mut log) = run_on(Engine::Stream, threads, &topology, injections, until).unwrap();
            prop_assert_eq!(&stream, &event);
            prop_assert_eq!(&log.flows, &event_log.flows);
            log.sort();
            event_log.sort();
            prop_assert_eq!(&log, &event_log);
        }
    }

    /// Each device alone, given what it received, sends what it sent in the network.
    #[test]
    fn forward_trace_does_what_the_engine_does(network in networks()) {
        let topology = network.topology();
        let (_, log) = run(&topology, network.injections(&topology), None).unwrap();
        let mut pfm = Pfm::new(topology.clone(), 1);
        let mut flows = Flows::default();
        for key in &log.flows {
            flows.add(*key);
            pfm.add_flow(key);
        }
        let devices = network.parents.len();
        for index in 0..devices {
            let id = topology.device_named(&format!("d{index}")).unwrap();
            let mut ingress: Vec<Tau> = log
                .hops
                .iter()
                .filter(|hop| hop.device == id)
                .map(|hop| {
                    let mut packet = hop.packet;
                    packet.ttl += u8::from(network.routers[index]);
                    Tau { timestamp: hop.ingress, packet }
                })
                .collect();
            ingress.sort_by_key(|tau| (tau.timestamp, tau.packet.in_port, tau.packet.pid));
            let lost = log.dropped.iter().any(|(_, device, _, _)| *device == id);
            prop_assume!(!lost);
            let mut got = forward_trace(&topology, id, &pfm, &flows, &ingress);
            let mut expected: Vec<(u64, Time)> = log
                .hops
                .iter()
                .filter(|hop| hop.device == id)
                .map(|hop| (hop.packet.pid, hop.egress))
                .collect();
            got.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(got, expected);
        }
    }
}
