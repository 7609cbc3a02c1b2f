//! `taunet check TOML...`

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::error::print_config;
use super::{CliError, Global, Output};
use crate::config::{ConfigError, Document, FileKind, Registry};
use crate::learn::spec::{ArchitectureKind, DataFile, PartOfData, TrainingFile};
use crate::scenario::Scenario;
use crate::sweep::Sweep;
use crate::topology::Topology;
use crate::tune::Tune;

/// Check topology, scenario, training, sweep and tune files
///
/// A topology has [[device]] or [[link]] tables or [generate]. A scenario has the key `topology`, or
/// [[traffic]] or [[measured]] tables. A training file has [[data]] tables, a sweep the key
/// `scenario` and [vary], a tune file [objective] and [bounds]. Every mistake is shown with its line. The
/// scenarios that such files name are checked too. Nothing is simulated.
#[derive(Debug, Args)]
pub struct Check {
    /// The files
    #[arg(required = true, value_name = "TOML")]
    files: Vec<PathBuf>,
    /// Set one value: of each scenario and training file, such as traffic.0.capture=a.pcap; of a topology,
    /// such as topology.link.0.bandwidth="10 Mbps". A path in the value is relative to the current directory
    #[arg(long = "set", value_name = "PATH.TO.KEY=VALUE")]
    overrides: Vec<String>,
}

/// What a file is, or what is wrong with it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
enum Checked {
    Topology(TopologySummary),
    Scenario {
        name: String,
        topology: TopologySummary,
        traffic: usize,
        measured: usize,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
    Training {
        architecture: ArchitectureKind,
        classes: usize,
        data: Vec<DataSummary>,
    },
    Sweep {
        name: String,
        points: usize,
        replications: usize,
    },
    Tune {
        name: String,
        parameters: usize,
        replications: usize,
    },
    Bad {
        errors: Vec<Mistake>,
    },
}

#[derive(Debug, Serialize)]
struct TopologySummary {
    name: String,
    devices: usize,
    ports: usize,
    links: usize,
}

#[derive(Debug, Serialize)]
struct DataSummary {
    name: String,
    part: PartOfData,
    context: Option<String>,
    files: Vec<PathBuf>,
    ports: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Mistake {
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
    help: Option<String>,
}

#[derive(Debug, Serialize)]
struct CheckedFile {
    file: PathBuf,
    #[serde(flatten)]
    checked: Checked,
}

impl Check {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        let mut results = Vec::new();
        let mut bad = false;
        let mut only_topologies = true;
        for file in self.files {
            let checked = match check(&file, &self.overrides, &global.registry) {
                Ok(checked) => checked,
                Err(error) => {
                    bad = true;
                    if !global.json {
                        // Results and errors come in the order of the arguments.
                        output.flush()?;
                        print_config(&error);
                    }
                    Checked::Bad { errors: error.iter().map(mistake).collect() }
                }
            };
            only_topologies &= matches!(checked, Checked::Topology(_));
            if let Checked::Scenario { warnings, .. } = &checked {
                output.flush()?;
                global.warn(warnings);
            }
            if global.json {
                results.push(CheckedFile { file, checked });
            } else if let (Some(line), false) = (described(&checked), global.quiet) {
                output.line(format_args!("{}: {line}", file.display()))?;
            }
        }
        if global.json {
            output.json(&results)?;
        }
        output.flush()?;
        let of_topology = |text: &&String| text.trim_start().starts_with("topology.");
        if let (true, Some(text)) = (only_topologies, self.overrides.iter().find(|text| !of_topology(text))) {
            return Err(CliError::Usage(format!(
                "--set {text} changes nothing: no file here is a scenario or a training file; in a topology, write --set \
                 topology.KEY=VALUE"
            )));
        }
        if bad { Err(CliError::Told) } else { Ok(()) }
    }
}

/// Combinations of values of a sweep whose scenarios are checked.
const CHECKED_POINTS: usize = 1_000;

fn check(path: &Path, overrides: &[String], registry: &Registry) -> Result<Checked, ConfigError> {
    let mut document = Document::read(path)?.with(registry);
    match document.kind() {
        None => return Err(document.neither()),
        Some(FileKind::Topology) => {
            document.set_below("topology", overrides)?;
            return Ok(Checked::Topology(summary(&Topology::from_document(&document)?)));
        }
        Some(FileKind::Training) => {
            document.set_from_shell(overrides)?;
            let file = TrainingFile::from_document(&document, path)?;
            file.find_data(&document)?;
            return Ok(Checked::Training {
                architecture: file.architecture,
                classes: file.class.len(),
                data: file.data.iter().map(|data| data_summary(data.get_ref())).collect(),
            });
        }
        Some(FileKind::Sweep) => {
            let sweep = Sweep::load(path, overrides)?;
            for job in sweep.jobs_of(0).take(CHECKED_POINTS) {
                sweep.scenario(&job, registry)?;
            }
            let (points, replications) = (sweep.points.len(), sweep.seeds.len());
            return Ok(Checked::Sweep { name: sweep.name, points, replications });
        }
        Some(FileKind::Tune) => {
            let tune = Tune::load(path, overrides)?;
            let middle = tune.middle();
            for job in middle.jobs_of(0) {
                middle.scenario(&job, registry)?;
            }
            let (parameters, replications) = (tune.bounds.len(), tune.replications());
            return Ok(Checked::Tune { name: tune.name().to_owned(), parameters, replications });
        }
        Some(FileKind::Scenario) => document.set_from_shell(overrides)?,
    }
    let scenario = Scenario::from_document(&document, path, None)?;
    Ok(Checked::Scenario {
        topology: summary(&scenario.topology),
        warnings: scenario.warnings(),
        name: scenario.name,
        traffic: scenario.traffic.len(),
        measured: scenario.measured.len(),
    })
}

fn summary(topology: &Topology) -> TopologySummary {
    TopologySummary {
        name: topology.name().to_owned(),
        devices: topology.devices().len(),
        ports: topology.ports().len(),
        // A link of the file is two links of the graph, one per direction.
        links: topology.links().len() / 2,
    }
}

fn data_summary(data: &DataFile) -> DataSummary {
    DataSummary {
        name: data.title(),
        part: data.part,
        context: data.context.clone(),
        files: data.files().map(|path| path.get_ref().clone()).collect(),
        ports: data.ports.iter().map(|port| port.get_ref().to_string()).collect(),
    }
}

fn described(checked: &Checked) -> Option<String> {
    let network = |summary: &TopologySummary| {
        let TopologySummary { devices, ports, links, .. } = *summary;
        format!("{}, {}, {}", count(devices, "device"), count(ports, "port"), count(links, "link"))
    };
    match checked {
        Checked::Topology(summary) => Some(format!("topology `{}`: {}", summary.name, network(summary))),
        Checked::Scenario { name, topology, traffic, measured, .. } => Some(format!(
            "scenario `{name}`: {}; {}, {}",
            network(topology),
            count(*traffic, "traffic source"),
            count(*measured, "measured capture"),
        )),
        Checked::Training { architecture, classes, data } => {
            let mut text = format!("training of `{}`: ", architecture.name());
            text += &match classes {
                0 => "one queue".to_owned(),
                1 => "1 class".to_owned(),
                several => format!("{several} classes"),
            };
            text += &format!("; {}", count(data.len(), "data source"));
            for part in [PartOfData::Train, PartOfData::ByTime, PartOfData::Test] {
                let of_part = data.iter().filter(|data| data.part == part);
                let names: Vec<String> = of_part.map(|data| format!("`{}`", data.name)).collect();
                if !names.is_empty() {
                    text += &format!("; {} {}", part.name(), names.join(", "));
                }
            }
            Some(text)
        }
        Checked::Sweep { name, points, replications } => Some(format!(
            "sweep `{name}`: {}, {} each",
            match points {
                1 => "1 combination of values".to_owned(),
                several => format!("{several} combinations of values"),
            },
            count(*replications, "replication")
        )),
        Checked::Tune { name, parameters, replications } => Some(format!(
            "tune file `{name}`: {}, {} of each point",
            count(*parameters, "parameter"),
            count(*replications, "run")
        )),
        Checked::Bad { .. } => None,
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn mistake(error: &ConfigError) -> Mistake {
    let (line, column) = error.line_column().unzip();
    Mistake {
        file: error.source_text().name.clone(),
        line,
        column,
        message: error.message().to_owned(),
        help: error.help().map(str::to_owned),
    }
}
