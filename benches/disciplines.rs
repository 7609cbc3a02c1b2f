//! Packets per second through each queueing discipline alone, by `Ptm::forward_trace`.
//!
//! `cargo bench --bench disciplines`. To add a discipline, add a line to `DISCIPLINES`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand::Rng;
use taunet::flow::Flows;
use taunet::packet::{FlowKey, Packet, Tau};
use taunet::ptm::{Place, Ptm};
use taunet::random;
use taunet::topology::Topology;
use taunet::units::Time;

/// Name and PTM in TOML. Packets have DSCPs and ingress ports from 0 to 3, and destination ports of 64 flows.
const DISCIPLINES: &[(&str, &str)] = &[
    ("fifo", r#"kind = "fifo""#),
    ("fifo-behind-server", r#"kind = "priority", class = [{}]"#),
    ("token-bucket", r#"kind = "token-bucket", rate = "900 Mbps", burst = "10 kB""#),
    (
        "priority-dscp",
        r#"kind = "priority", class = [{ match = { dscp = 1 } }, { match = { dscp = 2 } }, { match = { dscp = 3 } }, {}]"#,
    ),
    (
        "priority-ports",
        r#"kind = "priority", class = [{ match = { destination_ports = "0-15" } }, { match = { destination_ports = "16-31" } }, { match = { destination_ports = "32-47" } }, {}]"#,
    ),
    (
        "wrr",
        r#"kind = "wrr", class = [{ match = { dscp = 1 }, weight = 4 }, { match = { dscp = 2 }, weight = 3 }, { match = { dscp = 3 }, weight = 2 }, {}]"#,
    ),
    (
        "drr",
        r#"kind = "drr", class = [{ match = { dscp = 1 }, quantum = "6000 B" }, { match = { dscp = 2 }, quantum = "4500 B" }, { match = { dscp = 3 }, quantum = "3000 B" }, {}]"#,
    ),
    ("drr-per-flow", r#"kind = "drr", classes = "per-flow""#),
    (
        "wfq",
        r#"kind = "wfq", class = [{ match = { dscp = 1 }, weight = 4 }, { match = { dscp = 2 }, weight = 3 }, { match = { dscp = 3 }, weight = 2 }, {}]"#,
    ),
    (
        "ets",
        r#"kind = "ets", class = [{ match = { dscp = 1 } }, { match = { dscp = 2 }, quantum = "4500 B" }, { match = { dscp = 3 }, quantum = "3000 B" }, { quantum = "1514 B" }]"#,
    ),
    ("wfq-per-flow", r#"kind = "wfq", classes = "per-flow""#),
    ("red", r#"kind = "red", min = "1 MB", max = "3 MB""#),
    ("codel", r#"kind = "codel""#),
    ("fq-codel", r#"kind = "fq-codel""#),
    ("cake", r#"kind = "cake""#),
    ("sfq", r#"kind = "sfq", limit = 8000"#),
    ("fq", r#"kind = "fq""#),
    ("pie", r#"kind = "pie""#),
    ("fq-pie", r#"kind = "fq-pie""#),
    (
        "htb",
        r#"kind = "htb", class = [{ rate = "900 Mbps", class = [{ match = { dscp = 1 }, rate = "100 Mbps", ceil = "900 Mbps" }, { match = { dscp = 2 }, rate = "100 Mbps", ceil = "900 Mbps" }, { rate = "100 Mbps", ceil = "900 Mbps" }] }]"#,
    ),
    ("netem", r#"kind = "netem", delay = "1 ms", rate = "950 Mbps", limit = 1000000"#),
    (
        "netem-jitter",
        r#"kind = "netem", delay = "1 ms", jitter = "500 us", distribution = "normal", limit = 1000000"#,
    ),
];

const PACKETS: u64 = 100_000;

fn build(ptm: &str) -> Box<dyn Ptm> {
    let text = format!(
        "name = \"bench\"\nlink = [{{ between = [\"a:0\", \"b:0\"], bandwidth = \"1 Gbps\" }}]\n\
         device = [{{ name = \"a\", kind = \"host\", ptm = {{ {ptm} }} }}, {{ name = \"b\", kind = \"host\" }}]"
    );
    let topology = Topology::from_toml("bench.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    let port = topology.ports().next().expect("two ports").1;
    let link = topology.link(port.egress).link;
    port.ptm.build(&Place { link, seed: 1, port: "a:0", start: taunet::units::Timestamp::default() })
}

/// Poisson arrivals at 90 % of 1 Gbps, 64 to 1514 bytes, 64 flows.
fn ingress() -> (Vec<Tau>, Flows) {
    let mut flows = Flows::default();
    let address = "10.0.0.1".parse().expect("an address");
    for port in 0..64 {
        flows.add(FlowKey::Ip {
            source: address,
            destination: address,
            protocol: 17,
            ports: Some((1, port)),
        });
    }
    let mut random = random::stream(1, "bench", "disciplines");
    let mut now = 0.0;
    let taus = (0..PACKETS)
        .map(|pid| {
            let bits = random.next_u64();
            let uniform = ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            now += -libm::log(uniform) * 789.0 * 8_000.0 / 0.9; // mean length 789 B; 8,000 ps per byte
            let (fid, class) = ((bits & 63) as u32, (bits >> 6 & 3) as u8);
            let length = 64 + (bits >> 8) as u32 % 1451;
            let packet = Packet { pid, fid, length, dscp: class, in_port: class.into(), ..Packet::default() };
            Tau { timestamp: Time::from_ps(now as u64), packet }
        })
        .collect();
    (taus, flows)
}

fn disciplines(criterion: &mut Criterion) {
    let (taus, flows) = ingress();
    let mut group = criterion.benchmark_group("disciplines");
    group.throughput(Throughput::Elements(PACKETS)).sample_size(20);
    let (mut departures, mut losses) = (Vec::with_capacity(taus.len()), Vec::new());
    for (name, ptm) in DISCIPLINES {
        departures.clear();
        group.bench_function(*name, |bencher| {
            bencher.iter_batched_ref(
                || build(ptm),
                |ptm| {
                    departures.clear();
                    ptm.forward_trace(&taus, &flows, Time::NEVER, &mut departures, &mut losses);
                },
                BatchSize::LargeInput,
            );
        });
        let left_out = departures.is_empty(); // by the command line's filter
        assert!(left_out || departures.len() == taus.len() && losses.is_empty(), "{name}");
    }
    group.finish();
}

criterion_group!(benches, disciplines);
criterion_main!(benches);
