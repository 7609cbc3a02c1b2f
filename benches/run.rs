//! `taunet run` as a whole, as a user experiences it: on networks of several shapes, and a replay.
//!
//! Every run is a separate process: the bare engine (nothing recorded or written), the default records
//! (flows, ports, summary, report), and these with `packets.parquet`; on both engines, with one and with two
//! threads. The processes of a workload alternate, and the medians of the rounds are printed.
//!
//! ```sh
//! cargo bench --bench run                                      # all; on one core: taskset -c 0 ... -- --threads 1
//! cargo bench --bench run -- --workload fat-tree-8 --rounds 5 --engine stream --threads 1
//! cargo bench --bench run -- --other /path/to/an/older/taunet  # beside another binary, in the same rounds
//! ```
//!
//! Linux only: the figures come from /proc.

mod usage;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use taunet::capture::Options;
use taunet::engine::{Engine, Unwatched};
use taunet::scenario::Scenario;
use usage::{Usage, measure, median};

/// A network, its traffic, and how many packets each source sends.
struct Workload {
    name: &'static str,
    topology: String,
    traffic: String,
}

const LINKS: &str = "[defaults.link]\nbandwidth = \"1 Gbps\"\ndelay = \"10 us\"\n";

fn workloads() -> Vec<Workload> {
    let poisson = |load: &str, packets: u64| {
        format!(
            "kind = \"poisson\"\nmatrix = \"uniform\"\nrate = {{ load = {load} }}\nsize = \"1000 B\"\npackets = {packets}\n"
        )
    };
    let generated = |name, generate: &str, forwarding: &str, load: &str, packets| Workload {
        name,
        topology: format!("name = \"{name}\"\n{forwarding}[generate]\n{generate}\n{LINKS}"),
        traffic: poisson(load, packets),
    };
    let modulo = "[forwarding]\nmultipath = \"d-mod-k\"\n";
    let geant =
        fs::canonicalize("topologies/geant.toml").map_or(String::new(), |path| path.display().to_string());
    vec![
        generated("line", "kind = \"line\"\nswitches = 4\nhosts = 1", "", "0.7", 500_000),
        generated("fat-tree-4", "kind = \"fat-tree\"\nk = 4", modulo, "0.4", 100_000),
        // By the lowest port: a few links are overloaded, and most packets are inside for long.
        generated("fat-tree-8", "kind = \"fat-tree\"\nk = 8", "", "0.4", 20_000),
        generated("fat-tree-8-d-mod-k", "kind = \"fat-tree\"\nk = 8", modulo, "0.4", 20_000),
        generated("fat-tree-16", "kind = \"fat-tree\"\nk = 16", modulo, "0.4", 2_000),
        generated("torus-8x8", "kind = \"torus\"\ndimensions = [8, 8]\nhosts = 1", "", "0.1", 20_000),
        generated("ring-32", "kind = \"ring\"\nswitches = 32\nhosts = 1", "", "0.1", 20_000),
        generated("waxman-100", "kind = \"waxman\"\nswitches = 100\nhosts = 1", "", "0.02", 20_000),
        generated(
            "leaf-spine",
            "kind = \"leaf-spine\"\nleaves = 8\nspines = 4\nhosts = 8",
            modulo,
            "0.4",
            20_000,
        ),
        Workload { name: "geant", topology: geant, traffic: poisson("0.02", 50_000) },
    ]
}

/// The records that are written.
#[derive(Clone, Copy, PartialEq)]
enum Records {
    /// Nothing: the engine alone.
    Bare,
    Default,
    Packets,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, scenario, engine, threads] = &arguments[..]
        && mode == "--bare"
    {
        return bare(Path::new(scenario), engine, threads.parse()?);
    }
    let option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let rounds: usize = option("--rounds").map_or(Ok(3), |text| text.parse())?;
    let other = option("--other");
    let folder = tempfile::tempdir()?;
    for workload in workloads() {
        if option("--workload").is_some_and(|name| name != workload.name) {
            continue;
        }
        let scenarios = workload.write(folder.path())?;
        let mut runs: Vec<(String, Command)> = Vec::new();
        for engine in ["stream", "event", "auto"] {
            for threads in ["1", "2"] {
                let skips = |name: &str, value: &str| option(name).is_some_and(|wanted| wanted != value);
                if skips("--engine", engine)
                    || skips("--threads", threads)
                    || (engine == "event" && threads == "2")
                {
                    continue;
                }
                for records in [Records::Bare, Records::Default, Records::Packets] {
                    let label = |binary: &str| {
                        format!(
                            "binary={binary} engine={engine} threads={threads} records={}",
                            records.name()
                        )
                    };
                    let scenario = &scenarios[usize::from(records == Records::Packets)];
                    let out = folder.path().join("out");
                    let run = |binary: &str| {
                        let mut command = Command::new(binary);
                        command.arg("run").arg(scenario).args(["--engine", engine, "--threads", threads]);
                        command.args(["--force", "--quiet", "--out"]).arg(&out);
                        command
                    };
                    if records == Records::Bare {
                        let mut command = Command::new(std::env::current_exe()?);
                        command.arg("--bare").arg(scenario).args([engine, threads]);
                        runs.push((label("this"), command));
                        continue;
                    }
                    runs.push((label("this"), run(env!("CARGO_BIN_EXE_taunet"))));
                    if let Some(other) = &other {
                        runs.push((label("other"), run(other)));
                    }
                }
            }
        }
        let mut usages: Vec<Vec<Usage>> = vec![Vec::new(); runs.len()];
        for _ in 0..rounds {
            for ((_, command), usages) in runs.iter_mut().zip(&mut usages) {
                usages.push(measure(command)?);
            }
        }
        for ((label, _), usages) in runs.iter().zip(&usages) {
            println!(
                "workload={} {label} cpu_s={:.2} wall_s={:.3} peak_rss_mib={:.0}",
                workload.name,
                median(usages, |usage| usage.cpu_s),
                median(usages, |usage| usage.wall_s),
                median(usages, |usage| usage.peak_rss_mib),
            );
        }
    }
    Ok(())
}

impl Workload {
    /// Writes the scenario without and with the table of packets.
    fn write(&self, folder: &Path) -> Result<[PathBuf; 2], Box<dyn Error>> {
        let topology = match self.topology.ends_with(".toml") {
            true => self.topology.clone(),
            false => {
                let path = folder.join(format!("{}-topology.toml", self.name));
                fs::write(&path, &self.topology)?;
                path.display().to_string()
            }
        };
        let scenario = |packets: bool| -> Result<PathBuf, Box<dyn Error>> {
            let path = folder.join(format!("{}-{packets}.toml", self.name));
            let text = format!(
                "name = \"{}\"\ntopology = '{topology}'\n[record]\npackets = {packets}\n[[traffic]]\n{}",
                self.name, self.traffic
            );
            fs::write(&path, text)?;
            Ok(path)
        };
        Ok([scenario(false)?, scenario(true)?])
    }
}

impl Records {
    fn name(self) -> &'static str {
        match self {
            Records::Bare => "bare",
            Records::Default => "default",
            Records::Packets => "packets",
        }
    }
}

/// The engine alone on a scenario.
fn bare(scenario: &Path, engine: &str, threads: usize) -> Result<(), Box<dyn Error>> {
    let mut open = Scenario::load(scenario, &[], None)?.open(&Options::default())?;
    open.settings.threads = threads;
    open.settings.engine = match engine {
        "stream" => Engine::Stream,
        "event" => Engine::Event,
        _ => Engine::Auto,
    };
    let finished = open.simulation(Unwatched)?.finish()?;
    println!("{}", finished.outcome.fingerprint);
    Ok(())
}
