//! Closed loops: packet transmissions (data and acknowledgements) per CPU-second, CPU-seconds per simulated second, and memory.
//!
//! The workload: 40 CUBIC flows through a bottleneck of 10 Gbps, of which 20 go on through one of 1 Gbps; every link 10 us, segments of
//! 1448 B, drop-tail queues of 500 packets, every host's own link 10 Gbps. The flows start within 40 ms.
//!
//! `cargo bench --bench tcp` runs 1, 2 and 4 simulated seconds; `-- --rounds 5` more often, `--peer PROGRAM` the same in another
//! simulator, whose program (`peers/ns3/tcp.cc`) takes the simulated seconds and prints the transmissions. Every run is a
//! process of its own, so that CPU time and peak memory are its own.

mod usage;

use std::error::Error;
use std::fmt::Write as _;
use std::process::Command;

use taunet::config::Document;
use taunet::engine::Unwatched;
use taunet::scenario::Scenario;
use usage::{Usage, measure, median};

/// Flows; half of them go through both bottlenecks.
const FLOWS: usize = 40;

/// Simulated seconds.
const SECONDS: [u32; 3] = [1, 2, 4];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    if let Some(seconds) = option("--seconds") {
        println!("{}", simulate(seconds.parse()?)?);
        return Ok(());
    }
    let rounds: usize = option("--rounds").map_or(Ok(5), |rounds| rounds.parse())?;
    let own = std::env::current_exe()?;
    println!(
        "| simulated | transmissions | wall | CPU | transmissions per CPU-second | CPU per simulated second | memory |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut per_second = 0.0;
    for seconds in SECONDS {
        let transmissions = simulate(seconds)? as f64;
        let run = || measure(Command::new(&own).arg("--seconds").arg(seconds.to_string()));
        let usages = (0..rounds).map(|_| run()).collect::<Result<Vec<Usage>, _>>()?;
        let (cpu, peak) = (median(&usages, |usage| usage.cpu_s), median(&usages, |usage| usage.peak_rss_mib));
        let wall = median(&usages, |usage| usage.wall_s);
        per_second = cpu / f64::from(seconds);
        println!(
            "| {seconds} s | {:.2} M | {wall:.2} s | {cpu:.2} s | {:.2} M | {per_second:.3} s | {peak:.0} MiB |",
            transmissions / 1e6,
            transmissions / 1e6 / cpu,
        );
    }
    if let Some(peer) = option("--peer") {
        let usages = (0..rounds.min(3)).map(|_| measure(Command::new(&peer).arg("1")));
        let usages = usages.collect::<Result<Vec<Usage>, _>>()?;
        let cpu = median(&usages, |usage| usage.cpu_s);
        println!("\n{peer}: {cpu:.2} s of CPU for a simulated second: {:.1} times as much", cpu / per_second);
    }
    Ok(())
}

/// Runs the workload, and gives the packet transmissions.
fn simulate(seconds: u32) -> Result<u64, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("topology.toml"), topology()?)?;
    let path = folder.path().join("scenario.toml");
    let document = Document::parse("scenario.toml", &scenario(seconds)?)?;
    let scenario = Scenario::from_document(&document, &path, None)?;
    let finished = scenario.open(&Default::default())?.simulation(Unwatched)?.finish()?;
    Ok(finished.outcome.hops)
}

fn topology() -> Result<String, Box<dyn Error>> {
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

fn scenario(seconds: u32) -> Result<String, Box<dyn Error>> {
    let mut text = format!("name = \"tcp\"\ntopology = \"topology.toml\"\nuntil = \"{seconds} s\"\n");
    for flow in 0..FLOWS {
        writeln!(
            text,
            "[[traffic]]\nkind = \"bulk\"\nfrom = \"s{flow}\"\nto = \"d{flow}\"\nstart = \"{flow} ms\""
        )?;
    }
    Ok(text)
}
