//! Memory and speed with many packets: a replay through two routers with every packet recorded, a merge of 32
//! captures, and comparisons. Prints the memory over time, which should be flat.
//!
//! ```sh
//! taskset -c 0 cargo bench --bench long_run -- --job run --packets 100000000 --folder /large/disk
//! cargo bench --bench long_run -- --job merge              # 10,000,000 packets in 32 captures
//! cargo bench --bench long_run -- --job compare            # two captures
//! cargo bench --bench long_run -- --job measured           # a run against a measured capture
//! cargo bench --bench long_run -- --job run --binary /path/to/another/taunet
//! ```
//!
//! A hundred million packets take 13 GB in the folder while they run. Linux only: the figures come from /proc.

#[path = "two_routers.rs"]
mod two_routers;
#[allow(dead_code, reason = "medians are for other benches")]
mod usage;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use two_routers::{TOPOLOGY, write_replay};
use usage::{Usage, watch};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let packets = option("--packets").map_or(Ok(10_000_000), |text| text.parse())?;
    let binary = option("--binary").unwrap_or_else(|| env!("CARGO_BIN_EXE_taunet").to_owned());
    let folder = option("--folder").map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    let at = |name: &str| folder.path().join(name);
    let text = |name: &str| at(name).display().to_string();
    for job in ["run", "merge", "compare", "measured"] {
        if option("--job").is_some_and(|wanted| wanted != job) {
            continue;
        }
        let captures = if job == "merge" { 32 } else { 1 };
        let ingress: Vec<PathBuf> = (0..captures).map(|number| at(&format!("in{number}.pcap"))).collect();
        write_replay(&ingress, &at("out.pcap"), packets)?;
        if job == "run" {
            // Room for its tables.
            fs::remove_file(at("out.pcap"))?;
        }
        fs::write(at("topology.toml"), TOPOLOGY)?;
        fs::write(at("scenario.toml"), scenario(captures, job == "measured"))?;
        let mut command = Command::new(&binary);
        match job {
            "compare" => command.args(["compare", &text("in0.pcap"), &text("out.pcap")]),
            _ => command.args([
                "run",
                &text("scenario.toml"),
                "--out",
                &text("out"),
                "--force",
                "--threads",
                "1",
            ]),
        };
        report(job, packets, &mut command)?;
    }
    Ok(())
}

/// Replays of so many captures, with every packet recorded.
fn scenario(captures: usize, is_measured: bool) -> String {
    let mut text = "name = \"long\"\ntopology = \"topology.toml\"\n[record]\npackets = true\n".to_owned();
    for number in 0..captures {
        text += &format!(
            "[[traffic]]\nkind = \"replay\"\ncapture = \"in{number}.pcap\"\nat = {{ port = \"r1:0\", direction = \"ingress\" }}\n"
        );
    }
    if is_measured {
        text += "[[measured]]\ncapture = \"out.pcap\"\nat = { port = \"r2:1\", direction = \"egress\" }\n";
    }
    text
}

/// Runs the command and prints the most memory in each of twenty parts of its time.
fn report(job: &str, packets: u64, command: &mut Command) -> Result<(), Box<dyn Error>> {
    let mut seen: Vec<(f64, f64)> = Vec::new();
    let Usage { wall_s, cpu_s, peak_rss_mib } = watch(command, |at_s, rss_mib| seen.push((at_s, rss_mib)))?;
    for number in 1..=20 {
        let (from, until) = (wall_s * f64::from(number - 1) / 20.0, wall_s * f64::from(number) / 20.0);
        let within = seen.iter().filter(|(at_s, _)| (from..until).contains(at_s));
        if let Some(most) = within.map(|(_, rss_mib)| *rss_mib).max_by(f64::total_cmp) {
            println!("job={job} until_s={until:.1} rss_mib={most:.0}");
        }
    }
    println!(
        "job={job} packets={packets} wall_s={wall_s:.1} cpu_s={cpu_s:.1} peak_rss_mib={peak_rss_mib:.0} packets_per_s={:.0}",
        packets as f64 / wall_s
    );
    Ok(())
}
