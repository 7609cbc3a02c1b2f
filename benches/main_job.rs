//! The two main jobs: `taunet inspect` of a capture, and `taunet run` of a replay through two routers, which
//! writes its tables and compares them with a measured capture.
//!
//! ```sh
//! taskset -c 0 cargo bench --bench main_job            # one core; or: ... -- PACKETS RUNS
//! ```
//!
//! Prints one line per job with the medians of several runs, with the files in the page cache. Linux only:
//! the figures come from /proc.

#[path = "lookalike.rs"]
mod lookalike;
mod usage;

use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::process::Command;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taunet::capture::{LinkType, Resolution, Writer};
use taunet::units::Timestamp;
use usage::{measure, median};

const TOPOLOGY: &str = r#"
name = "two-routers"
[defaults.link]
bandwidth = "unlimited"
delay = "0 s"
[[device]]
name = "client"
kind = "host"
addresses = ["10.9.1.0/24"]
[[device]]
name = "r1"
kind = "router"
processing = "2 us"
[[device]]
name = "r2"
kind = "router"
processing = "2 us"
[[device]]
name = "server"
kind = "host"
addresses = ["10.9.200.0/24"]
[[link]]
between = ["client:0", "r1:0"]
[[link]]
between = ["r1:1", "r2:0"]
ptm = { kind = "token-bucket", rate = "700 Mbps", burst = "3000 B", buffer = "10 MB", release_slack = "5 us" }
[[link]]
between = ["r2:1", "server:0"]
ptm = { kind = "token-bucket", rate = "600 Mbps", burst = "3000 B", buffer = "10 MB", release_slack = "5 us" }
"#;

const SCENARIO: &str = r#"
name = "two-routers"
topology = "topology.toml"
[[traffic]]
kind = "replay"
capture = "in.pcap"
at = { port = "r1:0", direction = "ingress" }
[[measured]]
capture = "out.pcap"
at = { port = "r2:1", direction = "egress" }
"#;

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo passes `--bench` too.
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let packets = numbers.next().unwrap_or(1_000_000);
    let runs = numbers.next().unwrap_or(5);
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let text = |name: &str| at(name).display().to_string();
    lookalike::write(BufWriter::new(File::create(at("lookalike.pcap"))?), packets, 1)?;
    write_replay(&at("in.pcap"), &at("out.pcap"), packets)?;
    fs::write(at("topology.toml"), TOPOLOGY)?;
    fs::write(at("scenario.toml"), SCENARIO)?;

    report("inspect", packets, runs, &["inspect", &text("lookalike.pcap")])?;
    let out = text("run");
    report("run", packets, runs, &["run", &text("scenario.toml"), "--out", &out, "--force"])?;
    Ok(())
}

/// Poisson arrivals of UDP packets at 87 % of 600 Mbps, and their departures from a FIFO of that rate.
fn write_replay(ingress: &Path, egress: &Path, packets: u64) -> Result<(), Box<dyn Error>> {
    const START_NS: i128 = 1_700_000_000_000_000_000;
    const FLOWS: u64 = 200;
    const MEAN_GAP_NS: f64 = 10_000.0;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let create = |path: &Path| -> Result<_, Box<dyn Error>> {
        let file = BufWriter::new(File::create(path)?);
        Ok(Writer::new(file, Resolution::Nanoseconds, LinkType::ETHERNET, 96)?)
    };
    let (mut sent, mut received) = (create(ingress)?, create(egress)?);
    let (mut now, mut free) = (0.0f64, 0.0f64);
    for number in 0..packets {
        now += -libm::log(1.0 - random.random::<f64>()) * MEAN_GAP_NS;
        let length = [64u32, 64, 576, 576, 1_514][random.random_range(0..5)];
        free = free.max(now) + f64::from(length) * 8.0 / 0.6;
        let frame = frame(length, number, random.random_range(0..FLOWS));
        sent.write(Timestamp::from_ns(START_NS + now as i128), length, &frame)?;
        received.write(Timestamp::from_ns(START_NS + free as i128), length, &frame)?;
    }
    sent.finish()?;
    received.finish()?;
    Ok(())
}

/// Ethernet, IPv4 and UDP headers, and a payload that starts with the packet's number.
fn frame(length: u32, number: u64, flow: u64) -> [u8; 50] {
    let mut frame = [0; 50];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&(length as u16 - 14).to_be_bytes());
    frame[18..20].copy_from_slice(&(number as u16).to_be_bytes());
    frame[22] = 64;
    frame[23] = 17;
    frame[26..30].copy_from_slice(&[10, 9, 1, 1]);
    frame[30..34].copy_from_slice(&[10, 9, 200, 2]);
    frame[34..36].copy_from_slice(&(10_000 + flow as u16).to_be_bytes());
    frame[36..38].copy_from_slice(&5_120u16.to_be_bytes());
    frame[38..40].copy_from_slice(&(length as u16 - 34).to_be_bytes());
    frame[42..50].copy_from_slice(&number.to_be_bytes());
    frame
}

fn report(job: &str, packets: u64, runs: u64, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let run = || measure(Command::new(env!("CARGO_BIN_EXE_taunet")).args(arguments));
    run()?; // fills the page cache
    let usages = (0..runs).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
    println!(
        "job={job} packets={packets} runs={runs} wall_s={:.3} cpu_s={:.3} peak_rss_mib={:.1}",
        median(&usages, |usage| usage.wall_s),
        median(&usages, |usage| usage.cpu_s),
        median(&usages, |usage| usage.peak_rss_mib)
    );
    Ok(())
}
