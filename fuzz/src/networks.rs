//! Random valid networks with traffic and connections: the engines agree, no packet is lost untold.

use std::ops::ControlFlow;
use std::path::Path;

use arbitrary::{Result, Unstructured};
use taunet::config::Document;
use taunet::engine::{Engine, EngineError, Outcome, Unwatched};
use taunet::run::RunError;
use taunet::scenario::Scenario;
use taunet::table::NoTables;

/// A topology that documents name.
pub const LINE: &str = r#"
name = "line"
device = [{ name = "a", kind = "host" }, { name = "r1", kind = "switch" }, { name = "b", kind = "host" }]
link = [
    { between = ["a:0", "r1:0"], bandwidth = "1 Gbps" },
    { between = ["r1:1", "b:0"], bandwidth = "1 Gbps", delay = "1 ms" },
]
"#;

/// A scenario that sweeps and tune files name.
pub const SCENARIO: &str = r#"
name = "s"
topology = "line.toml"
until = "1 s"
[[traffic]]
kind = "poisson"
from = "a"
to = "b"
size = "1000 B"
rate = "1 Mbps"
"#;

const DISCIPLINES: [&str; 22] = [
    r#"{ kind = "fifo" }"#,
    r#"{ kind = "fifo", buffer = "4 packets" }"#,
    r#"{ kind = "token-bucket", rate = "20 Mbps", burst = "3000 B", buffer = "20 kB", release_slack = "30 us" }"#,
    r#"{ kind = "token-bucket", rate = "20 Mbps", burst = "3000 B", overhead = "24 B", linklayer = "atm", ptm = { kind = "fq-codel", target = "100 us", interval = "1 ms", limit = 30, flows = 8 } }"#,
    r#"{ kind = "red", min = "2 packets", max = "8 packets", max_p = 0.2, weight = 0.1, buffer = "20 packets" }"#,
    r#"{ kind = "red", min = "2 packets", max = "9 packets", adaptive = true, ecn = true }"#,
    r#"{ kind = "codel", target = "100 us", interval = "1 ms", buffer = "30 packets", ecn = true }"#,
    r#"{ kind = "fq-codel", target = "100 us", interval = "1 ms", limit = 30, flows = 4 }"#,
    r#"{ kind = "cake", bandwidth = "20 Mbps", rtt = "1 ms", diffserv = "besteffort", memory_limit = "30 kB" }"#,
    r#"{ kind = "cake", bandwidth = "unlimited", rtt = "5 ms" }"#,
    r#"{ kind = "pie", target = "200 us", t_update = "500 us", buffer = "30 packets" }"#,
    r#"{ kind = "fq-pie", target = "200 us", t_update = "500 us", limit = 30, flows = 4 }"#,
    r#"{ kind = "priority", buffer = "20 packets", class = [{ match = { dscp = ["0-20"] } }, { match = { destination = "10.0.0.1" } }, {}] }"#,
    r#"{ kind = "priority", at_one_instant = "class", class = [{ match = { dscp = ["0-20"] }, ptm = { kind = "codel", target = "100 us", interval = "1 ms" } }, { buffer = "9 packets" }] }"#,
    r#"{ kind = "drr", class = [{ match = { dscp = ["0-20"] }, quantum = "600 B" }, { buffer = "6 packets" }] }"#,
    r#"{ kind = "wrr", classes = "per-flow", buffer = "30 kB" }"#,
    r#"{ kind = "wfq", class = [{ match = { dscp = ["0-20"] }, weight = 3 }, { buffer = "6 packets" }] }"#,
    r#"{ kind = "htb", class = [{ name = "a", match = { dscp = ["0-20"] }, rate = "5 Mbps", ceil = "20 Mbps" }, { name = "b", rate = "10 Mbps", ceil = "20 Mbps", prio = 1, buffer = "8 kB" }], release_slack = "30 us" }"#,
    r#"{ kind = "ets", class = [{ match = { dscp = ["0-20"] }, buffer = "6 packets" }, { match = { dscp = ["21-40"] }, quantum = "600 B" }, { quantum = "3000 B" }] }"#,
    r#"{ kind = "sfq", limit = 12, depth = 5, flows = 6, divisor = 8, quantum = "700 B", perturb = "3 ms" }"#,
    r#"{ kind = "fq", flow_limit = 6, initial_quantum = "800 B", max_rate = "8 Mbps", refill_delay = "1 ms", same_queue = [] }"#,
    r#"{ kind = "netem", delay = "200 us", loss = 0.05, rate = "15 Mbps", limit = 20 }"#,
];

const FORWARD: [&str; 6] = [
    "",
    "",
    "loss = 0.05",
    r#"jitter = { distribution = "uniform", max = "300 us", order = "keep" }"#,
    r#"jitter = { distribution = "exponential", mean = "100 us", order = "break" }"#,
    r#"loss = 0.3, jitter = { distribution = "uniform", max = "3 ms", order = "break" }"#,
];

const TRANSPORTS: [&str; 8] = [
    r#"{ kind = "tcp" }"#,
    r#"{ kind = "tcp", congestion_control = "reno" }"#,
    r#"{ kind = "tcp", congestion_control = "bbr" }"#,
    r#"{ kind = "tcp", congestion_control = "dctcp" }"#,
    r#"{ kind = "tcp", recovery = "rfc6582" }"#,
    r#"{ kind = "tcp", ecn = true, initial_window = 1 }"#,
    r#"{ kind = "tcp", receive_buffer = "8 kB" }"#,
    r#"{ kind = "tcp", send_buffer = "16 kB" }"#,
];

/// Sources of packets, without their ends.
const OPEN: [&str; 6] = [
    "kind = \"cbr\"\nsize = \"1000 B\"\ninterval = \"100 us\"\npackets = 60",
    "kind = \"poisson\"\nsize = { min = \"64 B\", max = \"1500 B\" }\nrate = \"30 Mbps\"",
    "kind = \"poisson\"\nsize = \"200 B\"\nrate = \"2000 packets/s\"\necn = \"ect0\"\ndscp = 26",
    "kind = \"on-off\"\nsize = \"700 B\"\nrate = \"20 Mbps\"\non = { mean = \"2 ms\", distribution = \"pareto\", shape = 1.5 }\noff = { mean = \"1 ms\" }",
    "kind = \"markovian\"\nsize = \"200 B\"\nmmpp_per_s = { rates = [9000, 500], generator = [[-50, 50], [50, -50]] }\nrate = \"5 Mbps\"",
    "kind = \"cbr\"\nsize = \"64 B\"\nrate = \"5 Mbps\"\nstart = \"3 ms\"\nflows = 3",
];

/// Connections, without their ends.
const CLOSED: [&str; 6] = [
    "kind = \"bulk\"",
    "kind = \"bulk\"\nbytes = \"20 kB\"\nflows = 2\nstagger = \"1 ms\"",
    "kind = \"bulk\"\nrate = \"5 Mbps\"\non = { mean = \"5 ms\" }\noff = { mean = \"5 ms\" }",
    "kind = \"flows\"\nsize = \"google-rpc\"\ninterval = \"4 ms\"",
    "kind = \"flows\"\nsize = \"8 kB\"\nrate = { load = 0.3 }\ncount = 5",
    "kind = \"bulk\"\nbytes = \"1 B\"\nstart = \"2 ms\"",
];

/// A network, its traffic, and a run of it in every way.
pub fn networks(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let Ok((network, traffic, is_closed)) = written(&mut bytes) else { return };
    let parse = |name, text| Document::parse(name, text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let document = parse("s.toml", &traffic);
    let topology = parse("net.toml", &network);
    // Not every choice is valid: fair queueing needs a rate, TCP a delay.
    let Ok(scenario) = Scenario::from_document_on(&document, Path::new("s.toml"), None, &topology) else {
        return;
    };
    let run = |engine, threads| simulate(&scenario, engine, threads);
    let event = match run(Engine::Event, 1) {
        Ok(outcome) => outcome,
        Err(RunError::Engine(EngineError::InstantLoop { .. })) => return,
        Err(error) => panic!("{error}\n{network}\n{traffic}"),
    };
    let packets = event.packets;
    assert_eq!(
        packets.injected,
        packets.delivered + packets.dropped + packets.inside,
        "{packets:?}\n{network}\n{traffic}"
    );
    assert_eq!(run(Engine::Event, 1).ok(), Some(event), "a second run\n{network}\n{traffic}");
    if is_closed {
        return;
    }
    for threads in [1, 2, 3] {
        match run(Engine::Stream, threads) {
            // Only where links without delay can form a cycle.
            Err(RunError::Engine(EngineError::InstantCycle { .. })) => {}
            other => assert_eq!(other.ok(), Some(event), "{threads} threads\n{network}\n{traffic}"),
        }
    }
}

fn simulate(scenario: &Scenario, engine: Engine, threads: usize) -> std::result::Result<Outcome, RunError> {
    let mut open = scenario.open(&Default::default())?;
    (open.settings.engine, open.settings.threads) = (engine, threads);
    Ok(open.run(&NoTables, Unwatched, |_| ControlFlow::Continue(()))?.outcome)
}

/// The topology, the scenario, and whether it has connections.
fn written(bytes: &mut Unstructured<'_>) -> Result<(String, String, bool)> {
    let switches = bytes.int_in_range(1..=5)?;
    let hosts = bytes.int_in_range(2..=5)?;
    let mut network = format!(
        "name = \"net\"\nforwarding = {{ multipath = \"{}\", weight = \"{}\" }}\n",
        bytes.choose(&["lowest-port", "ecmp", "d-mod-k", "spray"])?,
        bytes.choose(&["hops", "delay", "inverse-capacity"])?,
    );
    let name = |device: usize| match device.checked_sub(switches) {
        None => format!("s{device}"),
        Some(host) => format!("h{host}"),
    };
    for device in 0..switches + hosts {
        let kind = if device >= switches { "host" } else { *bytes.choose(&["switch", "router"])? };
        network += &format!("[[device]]\nname = \"{}\"\nkind = \"{kind}\"\n", name(device));
        if device >= switches {
            network += &format!("addresses = [\"10.0.0.{}\"]\n", device - switches);
        }
        network += &format!("processing = \"{}\"\n", bytes.choose(&["0 s", "0 s", "3 us"])?);
        network += &format!("ptm = {}\n", bytes.choose(&DISCIPLINES)?);
    }
    let mut links: Vec<(usize, usize)> = Vec::new();
    for switch in 1..switches {
        links.push((bytes.int_in_range(0..=switch - 1)?, switch));
    }
    for _ in 0..bytes.int_in_range(0..=3)? {
        let (a, b) = (bytes.int_in_range(0..=switches - 1)?, bytes.int_in_range(0..=switches - 1)?);
        if a != b {
            links.push((a, b));
        }
    }
    for host in switches..switches + hosts {
        links.push((bytes.int_in_range(0..=switches - 1)?, host));
    }
    let mut ports = vec![0; switches + hosts];
    for (a, b) in links {
        network += &format!(
            "[[link]]\nbetween = [\"{}:{}\", \"{}:{}\"]\nbandwidth = \"{}\"\ndelay = \"{}\"\nforward = {{ {} }}\n",
            name(a),
            ports[a],
            name(b),
            ports[b],
            bytes.choose(&["10 Mbps", "100 Mbps", "37 Mbps", "1 Gbps", "unlimited"])?,
            bytes.choose(&["0 s", "1 us", "50 us", "1 ms"])?,
            bytes.choose(&FORWARD)?,
        );
        ports[a] += 1;
        ports[b] += 1;
    }
    let mut is_closed = false;
    let mut traffic = format!(
        "name = \"s\"\ntopology = \"net.toml\"\nseed = {}\nuntil = \"{} us\"\n",
        bytes.int_in_range(0..=u32::MAX)?,
        bytes.int_in_range(1..=40_000)?,
    );
    for _ in 0..bytes.int_in_range(1..=4)? {
        let from = bytes.int_in_range(0..=hosts - 1)?;
        let to = (from + bytes.int_in_range(1..=hosts - 1)?) % hosts;
        traffic += &format!("[[traffic]]\nfrom = \"h{from}\"\nto = \"h{to}\"\n");
        if bytes.arbitrary()? {
            is_closed = true;
            traffic += &format!("{}\ntransport = {}\n", bytes.choose(&CLOSED)?, bytes.choose(&TRANSPORTS)?);
        } else {
            traffic += &format!("{}\n", bytes.choose(&OPEN)?);
        }
    }
    Ok((network, traffic, is_closed))
}
