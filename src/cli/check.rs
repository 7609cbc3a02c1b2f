//! `taunet check TOML...`

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::error::print_config;
use super::{CliError, Global, Output};
use crate::config::{ConfigError, Document, Registry};
use crate::learn::spec::{ArchitectureKind, DataFile, PartOfData, TrainingFile};
use crate::scenario::Scenario;
use crate::topology::Topology;

/// Check topology, scenario and training files
///
/// A file is a topology when it has [[device]] or [[link]] tables, a scenario when it names a
/// `topology` or has [[traffic]] or [[measured]] tables, and a training file when it has [[data]]
/// tables. Every mistake is shown with its line. Of a training file, every scenario is checked that
/// it names; none is simulated.
#[derive(Debug, Args)]
pub struct Check {
    /// The files
    #[arg(required = true, value_name = "TOML")]
    files: Vec<PathBuf>,
    /// Set one value of each scenario and training file, such as traffic.0.capture=a.pcap
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
        if bad { Err(CliError::Told) } else { Ok(()) }
    }
}

fn check(path: &Path, overrides: &[String], registry: &Registry) -> Result<Checked, ConfigError> {
    const SCENARIO: &[&str] = &["topology", "traffic", "measured", "accept", "seed", "until"];
    let mut document = Document::read(path)?.with(registry);
    if document.describes_topology() {
        return Ok(Checked::Topology(summary(&Topology::from_document(&document)?)));
    }
    let is_training = document.describes_training();
    if !is_training && !SCENARIO.iter().any(|key| document.has_key(key)) {
        return Err(document.neither());
    }
    document.set_all(overrides)?;
    if is_training {
        let file = TrainingFile::from_document(&document, path)?;
        file.find_data(&document)?;
        return Ok(Checked::Training {
            architecture: file.architecture,
            classes: file.class.len(),
            data: file.data.iter().map(|data| data_summary(data.get_ref())).collect(),
        });
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
        // A link of the file is two of the graph: one per direction.
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
