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
#[path = "two_routers.rs"]
mod two_routers;
mod usage;

use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::process::Command;

use two_routers::{TOPOLOGY, write_replay};
use usage::{measure, median};

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
    write_replay(&[at("in.pcap")], &at("out.pcap"), packets)?;
    fs::write(at("topology.toml"), TOPOLOGY)?;
    fs::write(at("scenario.toml"), SCENARIO)?;

    report("inspect", packets, runs, &["inspect", &text("lookalike.pcap")])?;
    let out = text("run");
    report("run", packets, runs, &["run", &text("scenario.toml"), "--out", &out, "--force"])?;
    Ok(())
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
