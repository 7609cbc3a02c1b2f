//! The workloads of the bench `tcp`: a topology, and a scenario of a given simulated duration in
//! milliseconds.

use std::fmt::{self, Write as _};

/// A network and its connections.
pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// How long it is simulated, in milliseconds.
    pub lengths: [u32; 3],
    /// How long beside another simulator.
    pub beside_peer: u32,
    /// What is measured.
    pub mode: Mode,
    /// The topology file.
    pub topology: fn() -> Result<String, fmt::Error>,
    /// The scenario file, for so many milliseconds.
    pub scenario: fn(u32) -> Result<String, fmt::Error>,
}

/// The parts of a run.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    /// The engine alone.
    Bare,
    /// As `taunet run` does it, with all tables but `packets`.
    WithRecords,
}

/// All workloads; the first is the default.
pub const WORKLOADS: [Workload; 4] = [
    Workload {
        name: "cubic",
        about: "40 CUBIC flows through 10 Gbps, 20 of them on through 1 Gbps",
        lengths: [1_000, 2_000, 4_000],
        beside_peer: 1_000,
        mode: Mode::Bare,
        topology: two_bottlenecks,
        scenario: two_bottlenecks_of_cubic,
    },
    Workload {
        name: "dctcp",
        about: "ns-3's dctcp-example: 40 DCTCP flows, RED at 10 Gbps and 1 Gbps",
        lengths: [2_000, 5_000, 10_000],
        beside_peer: 2_000,
        mode: Mode::Bare,
        topology: dctcp_example_network,
        scenario: dctcp_example,
    },
    Workload {
        name: "fat-tree",
        about: "web search over DCTCP at 0.3 of the bisection: fat tree of 128 hosts, 100 Gbps, 3 us",
        lengths: [4, 8, 16],
        beside_peer: 4,
        mode: Mode::Bare,
        topology: fat_tree,
        scenario: web_search,
    },
    Workload {
        name: "short-flows",
        about: "a million flows of 2 kB per second among 16 hosts at 10 Gbps, with the records of `taunet run`",
        lengths: [250, 500, 1_000],
        beside_peer: 250,
        mode: Mode::WithRecords,
        topology: star,
        scenario: short_flows,
    },
];

/// Flows of `cubic` and `dctcp`; half of them pass both bottlenecks.
const FLOWS: usize = 40;

/// Links of 10 Gbps and 10 us except one of 1 Gbps, and drop-tail queues of 500 packets.
fn two_bottlenecks() -> Result<String, fmt::Error> {
    let mut text =
        "name = \"two-bottlenecks\"\n[defaults.link]\nbandwidth = \"10 Gbps\"\ndelay = \"10 us\"\n"
            .to_owned();
    for router in 1..=3 {
        writeln!(text, "[[device]]\nname = \"r{router}\"\nkind = \"switch\"")?;
        writeln!(text, "ptm = {{ kind = \"fifo\", buffer = \"500 packets\" }}")?;
    }
    for flow in 0..FLOWS {
        for (name, net) in [("s", 1), ("d", 2)] {
            let address = format!("10.0.{net}.{}", flow + 1);
            writeln!(
                text,
                "[[device]]\nname = \"{name}{flow}\"\nkind = \"host\"\naddresses = [\"{address}\"]"
            )?;
        }
    }
    writeln!(text, "[[link]]\nbetween = [\"r1:0\", \"r2:0\"]")?;
    writeln!(text, "[[link]]\nbetween = [\"r2:1\", \"r3:0\"]\nbandwidth = \"1 Gbps\"")?;
    for flow in 0..FLOWS {
        writeln!(text, "[[link]]\nbetween = [\"s{flow}:0\", \"r1:{}\"]", flow + 1)?;
        let (router, port) = if flow < FLOWS / 2 { (2, flow + 2) } else { (3, flow) };
        writeln!(text, "[[link]]\nbetween = [\"r{router}:{port}\", \"d{flow}:0\"]")?;
    }
    Ok(text)
}

/// The flows start within 40 ms.
fn two_bottlenecks_of_cubic(milliseconds: u32) -> Result<String, fmt::Error> {
    let mut text = format!("name = \"tcp\"\ntopology = \"topology.toml\"\nuntil = \"{milliseconds} ms\"\n");
    for flow in 0..FLOWS {
        writeln!(
            text,
            "[[traffic]]\nkind = \"bulk\"\nfrom = \"s{flow}\"\nto = \"d{flow}\"\nstart = \"{flow} ms\""
        )?;
    }
    Ok(text)
}

fn dctcp_example_network() -> Result<String, fmt::Error> {
    Ok(include_str!("../topologies/dctcp-example.toml").to_owned())
}

/// The flows of `scenarios/dctcp-example.toml`; they start within a second.
fn dctcp_example(milliseconds: u32) -> Result<String, fmt::Error> {
    let mut text = format!("name = \"tcp\"\ntopology = \"topology.toml\"\nuntil = \"{milliseconds} ms\"\n");
    writeln!(text, "transport = {{ kind = \"tcp\", congestion_control = \"dctcp\" }}")?;
    for flow in 0..FLOWS {
        let (from, to, start) = match flow {
            0..10 => (format!("s1-{flow}"), "r1".to_owned(), 105 * flow),
            10..20 => (format!("s3-{}", flow - 10), "r1".to_owned(), 50 + 105 * (flow - 10)),
            _ => (format!("s2-{}", flow - 20), format!("r2-{}", flow - 20), 55 * (flow - 20)),
        };
        writeln!(
            text,
            "[[traffic]]\nkind = \"bulk\"\nfrom = \"{from}\"\nto = \"{to}\"\nstart = \"{start} ms\""
        )?;
    }
    Ok(text)
}

/// Packets are marked above 30 kB per 10 Gbps, as in the paper on HPCC (SIGCOMM 2019).
fn fat_tree() -> Result<String, fmt::Error> {
    Ok("name = \"fat-tree\"\n[forwarding]\nmultipath = \"ecmp\"\n[generate]\nkind = \"fat-tree\"\nk = 8\n\
        [defaults.link]\nbandwidth = \"100 Gbps\"\ndelay = \"3 us\"\n\
        [defaults.switch.ptm]\nkind = \"red\"\nmin = \"300 kB\"\nmax = \"300 kB\"\nmax_p = 1.0\nweight = 1.0\necn = true\n\
        hard_drop = false\nbuffer = \"4 MB\"\n"
        .to_owned())
}

fn web_search(milliseconds: u32) -> Result<String, fmt::Error> {
    Ok(format!(
        "name = \"tcp\"\ntopology = \"topology.toml\"\nuntil = \"{milliseconds} ms\"\n\
         transport = {{ kind = \"tcp\", congestion_control = \"dctcp\" }}\n\
         [[traffic]]\nkind = \"flows\"\nmatrix = \"uniform\"\nsize = \"web-search\"\n\
         rate = {{ load = 0.3, of = \"bisection\" }}\n"
    ))
}

fn star() -> Result<String, fmt::Error> {
    Ok("name = \"star\"\n[generate]\nkind = \"star\"\nhosts = 16\n\
        [defaults.link]\nbandwidth = \"10 Gbps\"\ndelay = \"1 us\"\n"
        .to_owned())
}

/// The last flows have 10 ms to finish.
fn short_flows(milliseconds: u32) -> Result<String, fmt::Error> {
    Ok(format!(
        "name = \"tcp\"\ntopology = \"topology.toml\"\nuntil = \"{} ms\"\n[record]\npackets = false\n\
         [[traffic]]\nkind = \"flows\"\nmatrix = \"uniform\"\nsize = \"2 kB\"\nrate = \"62500 flows/s\"\ncount = {}\n",
        2 * milliseconds + 10,
        milliseconds * 125 / 2
    ))
}
