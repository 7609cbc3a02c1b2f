//! Packet transmissions per CPU-second of both engines on the shared workload, compared with a minimal
//! reference.
//!
//! The workload: every link 1 Gbps and 10 us, packets of 1000 B, unlimited FIFOs, Poisson arrivals from
//! splitmix64 streams.
//! - `line1`: host - 4 switches - host, one flow at 70 % load.
//! - `ft4`, `ft8`, `ft16`, `ft32`: k-ary fat trees, each host at 50 % of its link, a uniformly random
//!   destination per packet, D-mod-k routing.
//!
//! The reference is a minimal discrete-event simulator: one `BinaryHeap` entry per packet, the Lindley
//! recursion of a port, a routing table; it records nothing and supports no other rules. Every run is a
//! separate process, so CPU time and peak memory are those of the run alone.
//!
//! `cargo bench --bench engine` runs everything; `-- --workload ft4 --packets 2000000 --rounds 5 --threads 1`
//! runs less. `--no-delay` skips the run that measures the delays. `--runner stream --arrivals FILE` writes
//! the arrivals of packets at nodes instead. `peers/` has the same workload in other simulators.

mod arrivals;
mod network;
mod workload;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::process::Command;

use taunet::engine::{
    self, Dropped, Engine, Injected, Injection, InjectionPoint, Observed, Observer, Settings, Unwatched,
};
use taunet::packet::{FlowKey, Packet, Tau};
use taunet::topology::DeviceId;
use taunet::traffic::{Emission, Source, TrafficError};
use taunet::units::Time;
use workload::{HOP_NS, Random, TRANSMISSION_NS, Workload};

/// The programs that run the workload.
const RUNNERS: [&str; 3] = ["reference", "event", "stream"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let number = |name: &str, default: u64| option(name).map_or(default, |text| text.parse().expect(name));
    let (threads, rounds) = (number("--threads", 1), number("--rounds", 5));
    if let Some(runner) = option("--runner") {
        let workload = Workload::named(&option("--workload").expect("--workload"), runner == "reference");
        let packets = number("--packets", 2_000_000);
        if let Some(path) = option("--arrivals") {
            return write_arrivals(&path, &runner, &workload, packets, threads as usize);
        }
        return one(&runner, &workload, packets, threads as usize);
    }
    let workloads =
        option("--workload").map_or(vec!["line1", "ft4", "ft8", "ft16"], |name| vec![&*name.leak()]);
    for workload in workloads {
        let packets = number("--packets", 2_000_000);
        let mut rates: Vec<Vec<f64>> = vec![Vec::new(); RUNNERS.len()];
        for round in 0..rounds {
            for (runner, rates) in RUNNERS.iter().zip(&mut rates) {
                let line = in_own_process(runner, workload, packets, threads);
                if round + 1 == rounds {
                    println!("{line}");
                }
                rates.push(field(&line, "mhops_per_cpu_s"));
            }
        }
        for (runner, own) in RUNNERS.iter().zip(&rates).skip(1) {
            let mut ratios: Vec<f64> =
                own.iter().zip(&rates[0]).map(|(own, reference)| own / reference).collect();
            ratios.sort_by(f64::total_cmp);
            let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
            println!(
                "ratio={runner}/reference workload={workload} median={:.2} least={least:.2} most={most:.2}",
                ratios[ratios.len() / 2]
            );
        }
    }
}

/// Runs this program again for one runner, and returns its line.
fn in_own_process(runner: &str, workload: &str, packets: u64, threads: u64) -> String {
    let output = Command::new(std::env::current_exe().expect("the path of this program"))
        .args(["--runner", runner, "--workload", workload])
        .args(["--packets", &packets.to_string(), "--threads", &threads.to_string()])
        .args(std::env::args().filter(|argument| argument == "--no-delay"))
        .output()
        .expect("this program starts again");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn field(line: &str, name: &str) -> f64 {
    let value = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.expect("the line has the field").parse().expect("a number")
}

/// Runs one workload with one runner, and prints its line.
fn one(runner: &str, workload: &Workload, packets: u64, threads: usize) {
    let each = packets / workload.senders.len() as u64;
    let clock = cpu_seconds();
    let wall = std::time::Instant::now();
    let result = match runner {
        "reference" => reference(workload, each),
        "event" => simulate(workload, each, Engine::Event, threads),
        "stream" => simulate(workload, each, Engine::Stream, threads),
        other => panic!("unknown runner {other}: {RUNNERS:?}"),
    };
    let (cpu, wall, peak) = (cpu_seconds() - clock, wall.elapsed().as_secs_f64(), peak_rss_mib());
    let mean_delay_us = match runner {
        "reference" => result.delay_sum_ns as f64 / result.packets as f64 / 1e3,
        _ if std::env::args().any(|argument| argument == "--no-delay") => f64::NAN,
        _ => watched_mean_delay_us(workload, each),
    };
    println!(
        "engine={runner} workload={} packets={} hops={} cpu_s={cpu:.4} wall_s={wall:.4} mhops_per_cpu_s={:.3} \
         mean_delay_us={:.4} peak_rss_mib={:.1} fingerprint={}",
        workload.name,
        result.packets,
        result.hops,
        result.hops as f64 / cpu / 1e6,
        mean_delay_us,
        peak,
        result.fingerprint,
    );
}

fn write_arrivals(path: &str, runner: &str, workload: &Workload, packets: u64, threads: usize) {
    let engine = match runner {
        "event" => Engine::Event,
        "stream" => Engine::Stream,
        other => panic!("{other} keeps no arrivals: event or stream"),
    };
    let injections = injections(workload, packets / workload.senders.len() as u64);
    let settings = Settings { engine, threads, ..Settings::default() };
    arrivals::write(path, workload, injections, settings).expect("the arrivals are written");
}

struct Result {
    packets: u64,
    hops: u64,
    delay_sum_ns: u128,
    fingerprint: String,
}

/// One heap entry per packet.
fn reference(workload: &Workload, each: u64) -> Result {
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    struct Event {
        time: u64,
        packet: u32,
        node: u32,
        destination: u32,
        sent: u64,
    }
    struct Sender {
        random: Random,
        time: u64,
        left: u64,
        next: u32,
        host: u32,
    }
    const EMISSION: u32 = 1 << 31;
    let mut heap = BinaryHeap::new();
    let mut free = vec![0u64; workload.to.len()];
    let mut senders: Vec<Sender> = Vec::new();
    for (index, &host) in workload.senders.iter().enumerate() {
        let mut random = Random::new(host);
        let time = random.gap(workload.mean_gap_ns);
        let next = index as u32 * each as u32;
        let destination = workload.destination(host, &mut random);
        heap.push(Reverse(Event {
            time,
            packet: next,
            node: EMISSION | index as u32,
            destination,
            sent: time,
        }));
        senders.push(Sender { random, time, left: each, next, host });
    }
    let (mut packets, mut hops, mut delay_sum_ns) = (0, 0, 0u128);
    while let Some(Reverse(mut event)) = heap.pop() {
        if event.node & EMISSION != 0 {
            let node = event.node;
            let sender = &mut senders[(node & !EMISSION) as usize];
            event.node = sender.host;
            sender.left -= 1;
            sender.next += 1;
            if sender.left > 0 {
                sender.time += sender.random.gap(workload.mean_gap_ns);
                let destination = workload.destination(sender.host, &mut sender.random);
                let (time, packet) = (sender.time, sender.next);
                heap.push(Reverse(Event { time, packet, node, destination, sent: time }));
            }
        }
        let port = workload.route[event.node as usize * workload.hosts + event.destination as usize];
        if port == u32::MAX {
            packets += 1;
            delay_sum_ns += u128::from(event.time - event.sent);
            continue;
        }
        let departure = event.time.max(free[port as usize]) + TRANSMISSION_NS;
        free[port as usize] = departure;
        hops += 1;
        event.time = departure + HOP_NS;
        event.node = workload.to[port as usize];
        heap.push(Reverse(event));
    }
    Result { packets, hops, delay_sum_ns, fingerprint: "none".to_owned() }
}

/// A sender of the workload as a source of taunet.
struct Sender {
    random: Random,
    host: u32,
    time_ns: u64,
    mean_gap_ns: f64,
    left: u64,
    sent: u64,
    hosts: u64,
    only: Option<u32>,
}

impl Source for Sender {
    #[inline(always)]
    fn next_emission(&mut self) -> std::result::Result<Option<Emission>, TrafficError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.time_ns += self.random.gap(self.mean_gap_ns);
        let fid = self.only.unwrap_or_else(|| self.random.other_host(self.host, self.hosts));
        let packet = Packet { fid, length: 1000, trp: 17, ttl: 64, ..Packet::default() };
        let record = self.sent;
        self.sent += 1;
        Ok(Some(Emission {
            tau: Tau { timestamp: Time::from_ps(self.time_ns * 1000), packet },
            record,
            match_key: None,
        }))
    }

    fn flow(&self, fid: u32) -> FlowKey {
        let (source, destination) = (workload::address(self.host), workload::address(fid));
        FlowKey::Ip { source, destination, protocol: 17, ports: Some((9, 9)) }
    }
}

fn simulate(workload: &Workload, each: u64, engine: Engine, threads: usize) -> Result {
    let topology = workload.topology();
    let settings = Settings { engine, threads, ..Settings::default() };
    let outcome = engine::simulate(topology, injections(workload, each), settings, Unwatched);
    let outcome = outcome.expect("the workload runs");
    Result {
        packets: outcome.packets.delivered,
        hops: outcome.hops,
        delay_sum_ns: 0,
        fingerprint: outcome.fingerprint.to_string(),
    }
}

fn injections(workload: &Workload, each: u64) -> Vec<Injection> {
    let sender = |host: u32| Sender {
        random: Random::new(host),
        host,
        time_ns: 0,
        mean_gap_ns: workload.mean_gap_ns,
        left: each,
        sent: 0,
        hosts: workload.hosts as u64,
        only: workload.only_destination,
    };
    let injection = |&host: &u32| Injection {
        source: Box::new(sender(host)),
        at: InjectionPoint::Host(DeviceId::new(host as usize)),
    };
    workload.senders.iter().map(injection).collect()
}

/// The mean one-way delay, from a run of its own that is not timed.
fn watched_mean_delay_us(workload: &Workload, each: u64) -> f64 {
    let topology = workload.topology();
    let mut delays = Delays::default();
    engine::simulate(topology, injections(workload, each), Settings::default(), &mut delays)
        .expect("the workload runs");
    delays.sum_ps as f64 / delays.delivered as f64 / 1e6
}

/// Adds up one-way delays as arrivals minus injections, because every packet arrives.
#[derive(Default)]
struct Delays {
    sum_ps: i128,
    delivered: u64,
}

impl Observer for Delays {
    fn injected(&mut self, injected: &Injected<'_>) -> Observed {
        self.sum_ps -= i128::from(injected.tau.timestamp.as_ps());
        Ok(())
    }
    fn delivered(&mut self, tau: &Tau, _host: DeviceId) -> Observed {
        self.sum_ps += i128::from(tau.timestamp.as_ps());
        self.delivered += 1;
        Ok(())
    }
    fn dropped(&mut self, drop: &Dropped) -> Observed {
        panic!("a packet of the workload is lost: {}", drop.reason)
    }
}

/// CPU seconds of the process: of the main thread to the nanosecond, or of all threads to 10 ms if there are
/// several.
fn cpu_seconds() -> f64 {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let number = |word: Option<&str>| word.and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
    let main = number(read("/proc/self/schedstat").split(' ').next()) / 1e9;
    // utime and stime are the 14th and 15th field, in hundredths of a second; the name before them may hold spaces.
    let stat = read("/proc/self/stat");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let all = (number(fields.get(11).copied()) + number(fields.get(12).copied())) / 100.0;
    if all > main + 0.05 { all } else { main }
}

fn peak_rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
