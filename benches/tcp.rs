//! Closed loops: packet transmissions (data and acknowledgements) per CPU-second, CPU-seconds per simulated
//! second, and memory.
//!
//! ```sh
//! cargo bench --bench tcp                                   # the workload `cubic`, three lengths, five rounds
//! cargo bench --bench tcp -- --workload dctcp --rounds 3    # another; `all` for every one of `closed_loops.rs`
//! cargo bench --bench tcp -- --workload dctcp --peer ./dctcp
//! ```
//!
//! `--peer PROGRAM` also runs the workload in another simulator, alternately. The program
//! (`peers/ns3/tcp.cc`, `dctcp.cc`) takes the number of simulated seconds. Every run is a separate process,
//! so CPU time and peak memory are those of the run alone.

mod closed_loops;
mod usage;

use std::error::Error;
use std::ops::ControlFlow;
use std::process::Command;

use closed_loops::{Mode, WORKLOADS, Workload};
use taunet::capture::Options;
use taunet::config::Document;
use taunet::engine::Unwatched;
use taunet::run::{RunOptions, run};
use taunet::scenario::Scenario;
use taunet::table::Format;
use usage::{Usage, measure, median};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let chosen = option("--workload").unwrap_or_else(|| WORKLOADS[0].name.to_owned());
    let workloads = || WORKLOADS.iter().filter(|workload| chosen == "all" || chosen == workload.name);
    if workloads().next().is_none() {
        let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        return Err(format!("no workload `{chosen}`: there are {}, and all", names.join(", ")).into());
    }
    if let Some(seconds) = option("--seconds") {
        let milliseconds = (seconds.parse::<f64>()? * 1e3).round() as u32;
        for workload in workloads() {
            println!("{}", simulate(workload, milliseconds)?);
        }
        return Ok(());
    }
    let rounds: usize = option("--rounds").map_or(Ok(5), |rounds| rounds.parse())?;
    for workload in workloads() {
        table(workload, rounds)?;
        if let Some(peer) = option("--peer") {
            beside(workload, &peer, rounds.min(3))?;
        }
    }
    Ok(())
}

/// Command for one run of this program.
fn own(workload: &Workload, milliseconds: u32) -> Result<Command, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--workload", workload.name, "--seconds"]).arg((f64::from(milliseconds) / 1e3).to_string());
    Ok(command)
}

/// Prints a row per length.
fn table(workload: &Workload, rounds: usize) -> Result<(), Box<dyn Error>> {
    println!("\n{}: {}\n", workload.name, workload.about);
    println!(
        "| simulated | transmissions | wall | CPU | transmissions per CPU-second | CPU per simulated second | memory |"
    );
    println!("|---|---|---|---|---|---|---|");
    for milliseconds in workload.lengths {
        let counted = own(workload, milliseconds)?.output()?;
        let transmissions: f64 = String::from_utf8(counted.stdout)?.trim().parse()?;
        let runs = (0..rounds).map(|_| measure(&mut own(workload, milliseconds)?));
        let usages = runs.collect::<Result<Vec<Usage>, _>>()?;
        let (cpu, wall) = (median(&usages, |usage| usage.cpu_s), median(&usages, |usage| usage.wall_s));
        println!(
            "| {} s | {:.2} M | {wall:.2} s | {cpu:.2} s | {:.2} M | {:.3} s | {:.0} MiB |",
            f64::from(milliseconds) / 1e3,
            transmissions / 1e6,
            transmissions / 1e6 / cpu,
            cpu * 1e3 / f64::from(milliseconds),
            median(&usages, |usage| usage.peak_rss_mib),
        );
    }
    Ok(())
}

/// Prints the CPU time that another simulator takes for the same runs, alternately.
fn beside(workload: &Workload, peer: &str, rounds: usize) -> Result<(), Box<dyn Error>> {
    let seconds = f64::from(workload.beside_peer) / 1e3;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(measure(&mut own(workload, workload.beside_peer)?)?);
        theirs.push(measure(Command::new(peer).arg(seconds.to_string()))?);
    }
    let [ours, theirs] = [ours, theirs].map(|usages| median(&usages, |usage| usage.cpu_s));
    println!(
        "\n{seconds} s: {ours:.2} s of CPU; {peer}: {theirs:.2} s, {:.1} times as much ({rounds} rounds)",
        theirs / ours
    );
    Ok(())
}

/// Runs a workload and returns the number of packet transmissions.
fn simulate(workload: &Workload, milliseconds: u32) -> Result<u64, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("topology.toml"), (workload.topology)()?)?;
    let path = folder.path().join("scenario.toml");
    let document = Document::parse("scenario.toml", &(workload.scenario)(milliseconds)?)?;
    let scenario = Scenario::from_document(&document, &path, None)?;
    if workload.mode == Mode::Bare {
        return Ok(scenario.open(&Default::default())?.simulation(Unwatched)?.finish()?.outcome.hops);
    }
    let options = RunOptions {
        out: folder.path().join("out"),
        replace: false,
        format: Format::Parquet,
        capture: Options::default(),
        overrides: Vec::new(),
        engine: None,
        threads: 1,
    };
    let summary = run(&scenario, &options, |_| ControlFlow::Continue(()))?;
    let unfinished: u64 = summary.tcp.iter().map(|entry| entry.unfinished).sum();
    if unfinished > 0 {
        return Err(format!("{unfinished} flows have not finished").into());
    }
    Ok(summary.hops)
}
