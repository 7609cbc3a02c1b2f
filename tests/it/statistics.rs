//! The statistics of the engines equal those counted by an observer of every hop.

use std::collections::BTreeMap;

use proptest::prelude::*;

use taunet::engine::{Engine, EngineError, Observed, Observer};
use taunet::packet::{CE, DropReason, Tau};
use taunet::statistics::{End, EndedPacket, FlowStatistics, PortStatistics, Statistics};
use taunet::units::Time;

use crate::random_networks::{Log, Network, networks};

/// The packets that have ended; it asks for everything else or for nothing.
#[derive(Default)]
struct Watcher {
    watches: bool,
    ended: Vec<EndedPacket>,
}

impl Observer for Watcher {
    fn watches(&self) -> bool {
        self.watches
    }
    fn ended(&mut self, packets: &[EndedPacket]) -> Observed {
        self.ended.extend(packets);
        Ok(())
    }
}

/// What a log says of each packet, by pid.
struct Ways {
    injected: BTreeMap<u64, (Tau, u32, u64)>,
    /// The devices passed, and the ECN field behind the last of them.
    passed: BTreeMap<u64, (u32, u8)>,
    /// The port and flow of each mark.
    marks: Vec<(usize, usize)>,
}

fn ways(log: &Log) -> Ways {
    let injected: BTreeMap<u64, _> = log.injected.iter().map(|entry| (entry.0.packet.pid, *entry)).collect();
    let mut passed: BTreeMap<u64, _> =
        injected.iter().map(|(pid, (tau, ..))| (*pid, (0, tau.packet.ecn))).collect();
    let mut marks = Vec::new();
    // Sorted by packet, and those of a packet in the order of its way.
    for hop in &log.hops {
        let (hops, ecn) = passed.get_mut(&hop.packet.pid).unwrap();
        if hop.packet.ecn == CE && *ecn != CE {
            marks.push((hop.port.index(), hop.packet.fid as usize));
        }
        (*hops, *ecn) = (*hops + 1, hop.packet.ecn);
    }
    Ways { injected, passed, marks }
}

/// Pid, end, source, record, injection, hops, ECN field, and what became of a packet.
type Row = (u64, Time, u32, u64, Time, u32, u8, End);

/// The packets of a log, in the order in which they end, then those still inside.
fn rows(log: &Log, ways: &Ways) -> Vec<Row> {
    let row = |pid: u64, at: Time, end: End| {
        let ((tau, source, record), (hops, ecn)) = (ways.injected[&pid], ways.passed[&pid]);
        (pid, at, source, record, tau.timestamp, hops, ecn, end)
    };
    let mut rows: Vec<(Time, _)> = Vec::new();
    for (tau, _) in &log.delivered {
        rows.push((tau.timestamp, row(tau.packet.pid, tau.timestamp, End::Delivered)));
    }
    for drop in &log.dropped {
        rows.push((drop.at, row(drop.tau.packet.pid, drop.tau.timestamp, End::Dropped(drop.reason))));
    }
    rows.sort_by_key(|(at, row)| (*at, row.0));
    let mut rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    let ended: std::collections::BTreeSet<u64> = rows.iter().map(|row| row.0).collect();
    for (pid, (tau, ..)) in &ways.injected {
        if !ended.contains(pid) {
            rows.push(row(*pid, tau.timestamp, End::Inside));
        }
    }
    rows
}

fn check_port(port: usize, statistics: &PortStatistics, log: &Log, ways: &Ways) {
    let hops: Vec<_> = log.hops.iter().filter(|hop| hop.port.index() == port).collect();
    let mut waiting: Vec<u64> = hops.iter().map(|hop| hop.egress.since(hop.joined).as_ps()).collect();
    let mut sojourn: Vec<u64> = hops.iter().map(|hop| hop.egress.since(hop.ingress).as_ps()).collect();
    assert_eq!(statistics.packets, hops.len() as u64);
    assert_eq!(statistics.bytes, hops.iter().map(|hop| u64::from(hop.packet.length)).sum::<u64>());
    assert_eq!(statistics.waiting_mean(), mean(&waiting));
    assert_eq!(statistics.sojourn_mean(), mean(&sojourn));
    assert_eq!(statistics.waiting_max().as_ps(), waiting.iter().copied().max().unwrap_or(0));
    assert_eq!(statistics.sojourn_max().as_ps(), sojourn.iter().copied().max().unwrap_or(0));
    if hops.len() <= 128 {
        assert_eq!(statistics.waiting().map(|found| found.p90), percentile(&mut waiting, 0.9));
        assert_eq!(statistics.sojourn().map(|found| found.p999), percentile(&mut sojourn, 0.999));
    }
    let here = |drop: &&taunet::engine::Dropped| drop.port.is_some_and(|at| at.index() == port);
    for reason in DropReason::ALL {
        let lost = log.dropped.iter().filter(here).filter(|drop| drop.reason == reason).count();
        assert_eq!(statistics.dropped(reason), lost as u64);
    }
    let waits = log.waiting.iter().filter(|(at, _)| at.index() == port).count() as u64;
    let passed_before = statistics.dropped(DropReason::LostOnLink);
    let lost = statistics.dropped_in_all() - passed_before;
    assert_eq!(statistics.joined, statistics.packets + lost + waits);
    assert_eq!(statistics.marked, ways.marks.iter().filter(|(at, _)| *at == port).count() as u64);
}

fn check_flow(fid: usize, statistics: &FlowStatistics, log: &Log, ways: &Ways) {
    let of_flow = |tau: &Tau| tau.packet.fid as usize == fid;
    let sent: Vec<_> = ways.injected.values().filter(|(tau, ..)| of_flow(tau)).collect();
    assert_eq!(statistics.key, log.flows[fid]);
    assert_eq!(statistics.injected, sent.len() as u64);
    assert_eq!(
        statistics.injected_bytes,
        sent.iter().map(|(tau, ..)| u64::from(tau.packet.length)).sum::<u64>()
    );
    assert_eq!(statistics.dropped, log.dropped.iter().filter(|drop| of_flow(&drop.tau)).count() as u64);
    assert_eq!(statistics.marked, ways.marks.iter().filter(|(_, of)| *of == fid).count() as u64);
    let mut arrived: Vec<&Tau> =
        log.delivered.iter().map(|(tau, _)| tau).filter(|tau| of_flow(tau)).collect();
    arrived.sort_by_key(|tau| (tau.timestamp, tau.packet.pid));
    let injected = |tau: &Tau| ways.injected[&tau.packet.pid].0.timestamp;
    let mut delays: Vec<u64> = arrived.iter().map(|tau| tau.timestamp.since(injected(tau)).as_ps()).collect();
    let delivery = &statistics.delivery;
    assert_eq!(delivery.packets(), arrived.len() as u64);
    assert_eq!(delivery.delay_mean(), mean(&delays));
    assert_eq!(delivery.delay_min(), delays.iter().copied().min());
    assert_eq!(delivery.delay_max(), delays.iter().copied().max());
    let steps = delays.windows(2).map(|pair| pair[1] as i64 - pair[0] as i64);
    assert_eq!(delivery.variation(), steps.clone().min().zip(steps.clone().max()));
    let steps: Vec<u64> = steps.map(i64::unsigned_abs).collect();
    assert_eq!(delivery.jitter(), mean(&steps));
    let mut latest = (Time::ZERO, 0);
    let late = arrived.iter().filter(|tau| {
        let sent = (injected(tau), tau.packet.pid);
        let late = sent < latest;
        latest = latest.max(sent);
        late
    });
    assert_eq!(delivery.reordered(), late.count() as u64);
    if delays.len() <= 64 {
        assert_eq!(delivery.delays().map(|found| found.p50), percentile(&mut delays, 0.5));
    }
}

fn mean(values: &[u64]) -> Option<f64> {
    let sum: u128 = values.iter().map(|value| u128::from(*value)).sum();
    (!values.is_empty()).then(|| sum as f64 / values.len() as f64)
}

fn percentile(values: &mut [u64], part: f64) -> Option<u64> {
    values.sort_unstable();
    values.get(((part * values.len() as f64).ceil() as usize).max(1) - 1).copied()
}

fn check(network: &Network, log: &Log, ways: &Ways, watches: bool, engine: Engine, threads: usize) {
    let watcher = Watcher { watches, ..Watcher::default() };
    let finished = match network.run_kept(watcher, engine, threads) {
        Err(EngineError::InstantCycle { .. }) => return,
        other => other.unwrap(),
    };
    let Statistics { flows, ports, drops } = finished.statistics.unwrap();
    assert_eq!(flows.len(), log.flows.len());
    flows.iter().enumerate().for_each(|(fid, flow)| check_flow(fid, flow, log, ways));
    ports.iter().enumerate().for_each(|(port, statistics)| check_port(port, statistics, log, ways));
    assert_eq!(drops.values().sum::<u64>(), log.dropped.len() as u64);
    let told: Vec<Row> = finished
        .observer
        .ended
        .iter()
        .map(|row| {
            let packet = row.tau.packet;
            (
                packet.pid,
                row.tau.timestamp,
                row.source,
                row.record,
                row.injected,
                row.hops,
                packet.ecn,
                row.end,
            )
        })
        .collect();
    let expected = rows(log, ways);
    let differ = told.iter().zip(&expected).find(|(told, expected)| told != expected);
    assert_eq!(differ, None, "{engine:?}, {threads} threads, watches: {watches}");
    assert_eq!(told.len(), expected.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn they_are_what_an_observer_counts(network in networks()) {
        let (_, mut log) = network.run(Engine::Event, 1).unwrap();
        log.sort();
        let ways = ways(&log);
        for watches in [false, true] {
            check(&network, &log, &ways, watches, Engine::Event, 1);
            check(&network, &log, &ways, watches, Engine::Stream, 1);
            check(&network, &log, &ways, watches, Engine::Stream, 3);
        }
    }
}
