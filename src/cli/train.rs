//! `taunet train FILE -o MODEL`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::error::to_stderr;
use super::interrupt::Interrupt;
#[cfg(feature = "train")]
use super::progress::TrainingBar;
use super::text::count;
use super::write::{check_free, write_bytes};
use super::{CliError, Global, Output};
use crate::config::{Document, FileKind};
use crate::learn::LearnError;
use crate::learn::csv::write_device;
use crate::learn::data::{Dataset, load};
use crate::learn::evaluate::{Evaluation, dots, evaluate, scores};
use crate::learn::spec::TrainingFile;
use crate::learn::train::Processor;
use crate::ptm::neural::{Model, Output as NeuralOutput};
use crate::report::training_page;

/// Train a model of a device on captures, scenarios or tables, for `ptm = { kind = "neural" }`
///
/// Reads a training file, which names the data and the architecture. Writes the weights (.safetensors), the
/// model's card (.toml) and a report (.html). Prints the accuracy on each part of the data, with the model's
/// output as a sample, a median and a mean. With --evaluate it trains nothing and prints the same for an
/// existing model.
#[derive(Debug, Args)]
pub struct Train {
    /// The training file
    file: PathBuf,
    /// The model to write: the file of its weights
    #[arg(short, long, value_name = "MODEL", required_unless_present_any = ["evaluate", "export"])]
    out: Option<PathBuf>,
    /// Train nothing: print the accuracy of this model on the data
    #[arg(long, value_name = "MODEL", conflicts_with = "out")]
    evaluate: Option<PathBuf>,
    /// Train nothing: write each source of data to this folder as a CSV table in DeepQueueNet's format
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["out", "evaluate", "leave_out", "resume"])]
    export: Option<PathBuf>,
    /// Train on all other data, and test on these
    #[arg(long, value_name = "NAME")]
    leave_out: Option<String>,
    /// Use only the data of this name; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Set one value of the training file, such as training.epochs=10; a path in it is relative to the
    /// current directory
    #[arg(long = "set", value_name = "PATH.TO.KEY=VALUE")]
    overrides: Vec<String>,
    /// Evaluate only this output of the model; may be given several times [default: all]
    #[arg(long = "output", value_enum, value_name = "OUTPUT")]
    outputs: Vec<NeuralOutput>,
    /// Where to train
    #[arg(long, value_enum, default_value_t = Processor::Cpu)]
    device: Processor,
    /// Continue an interrupted training from its checkpoint, MODEL with the extension .checkpoint
    #[arg(long, conflicts_with = "evaluate")]
    resume: bool,
    /// Replace earlier files
    #[arg(long)]
    force: bool,
}

fn told(error: LearnError) -> CliError {
    match error {
        LearnError::Interrupted => CliError::interrupted(),
        LearnError::Config(error) => CliError::Config(error),
        error if error.is_bad_input() => CliError::Usage(error.to_string()),
        error => CliError::Failed(Box::new(error)),
    }
}

impl Train {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), CliError> {
        let mut document = Document::read(&self.file)?;
        document.must_be(FileKind::Training)?;
        document.set_from_shell(&self.overrides)?;
        let mut file = TrainingFile::from_document(&document, &self.file)?;
        if !self.only.is_empty() {
            file.only(&self.only).map_err(CliError::Usage)?;
        }
        if let Some(name) = &self.leave_out {
            file.leave_out(name).map_err(CliError::Usage)?;
        }
        if let Some(out) = &self.out {
            let card = out.with_extension("toml");
            if card == self.file || *out == self.file {
                return Err(CliError::Usage(format!(
                    "the model's card would replace the training file {}: give the model another name",
                    self.file.display()
                )));
            }
            for path in [out.clone(), card, out.with_extension("html")] {
                check_free(&path, self.force)?;
            }
        }
        let tables = self.export.as_deref().map(|folder| self.tables(&file, folder)).transpose()?;
        file.find_data(&document)?;
        let interrupt = Interrupt::watch();
        let says = global.verbose || global.draws_progress();
        let say = |text: &str| {
            if says {
                to_stderr(text);
            }
        };
        let (sources, contexts) = load(&file, |name| {
            say(&format!("reading {name}"));
            interrupt.as_control_flow()
        })
        .map_err(told)?;
        sources.iter().for_each(|source| global.warn(&source.warnings));
        if let Some(tables) = tables {
            return self.export(sources, &tables, global, output);
        }
        let model = match (&self.evaluate, &self.out) {
            (Some(path), _) => Model::load(path).map_err(|error| CliError::Usage(error.to_string()))?,
            (None, Some(out)) => self.train(&file, &sources, &contexts, out, global, &interrupt)?,
            (None, None) => unreachable!("clap asks for one of them"),
        };
        let model = Arc::new(model);
        say("evaluating");
        let outputs = match &self.outputs[..] {
            [] => &NeuralOutput::ALL,
            outputs => outputs,
        };
        let evaluations =
            evaluate(&model, &file.split, &sources, &contexts, outputs, || interrupt.as_control_flow())
                .map_err(|error| match (error, &self.out) {
                    (LearnError::Interrupted, Some(out)) => CliError::Interrupted(format!(
                        "{} is written, but its scores are not: --evaluate prints them",
                        out.display()
                    )),
                    (error, _) => told(error),
                })?;
        if let Some(out) = &self.out {
            let mut card = model.card.clone();
            card.scores = scores(&evaluations);
            write_bytes(&out.with_extension("toml"), card.to_toml().as_bytes(), true)?;
            let page = training_page(out, &card, &dots(&evaluations));
            write_bytes(&out.with_extension("html"), page.as_bytes(), true)?;
        }
        if global.json {
            return output.json(&evaluations);
        }
        if !global.quiet {
            print(&evaluations, output)?;
        }
        Ok(())
    }

    /// The files to export to, after a check that they may be written; the folder is created.
    fn tables(&self, file: &TrainingFile, folder: &Path) -> Result<Vec<PathBuf>, CliError> {
        let failed = |error| CliError::Failed(format!("cannot create {}: {error}", folder.display()).into());
        let tables = file.tables(folder).map_err(CliError::Usage)?;
        std::fs::create_dir_all(folder).map_err(failed)?;
        tables.iter().try_for_each(|path| check_free(path, self.force))?;
        Ok(tables)
    }

    /// Writes each source to its table.
    fn export(
        &self,
        sources: Vec<Dataset>,
        tables: &[PathBuf],
        global: &Global,
        output: &mut Output,
    ) -> Result<(), CliError> {
        let mut written = Vec::new();
        for (source, path) in sources.into_iter().zip(tables) {
            let ports: Vec<_> = (0..=u16::MAX).zip(source.traces).collect();
            let mut text = Vec::new();
            write_device(&mut text, &ports).map_err(|error| CliError::Failed(Box::new(error)))?;
            write_bytes(path, &text, self.force)?;
            let visits = || ports.iter().flat_map(|(_, trace)| &trace.visits);
            written.push(Exported {
                data: source.name,
                file: path.clone(),
                ports: ports.len(),
                packets: visits().count() as u64,
                lost: visits().filter(|visit| visit.start.is_none()).count() as u64,
            });
        }
        if global.json {
            return output.json(&written);
        }
        for Exported { file, ports, packets, lost, .. } in written.iter().filter(|_| !global.quiet) {
            let (packets, lost) = (count(*packets), count(*lost));
            output.line(format_args!(
                "{}: {packets} packets, {lost} of them lost; ports: {ports}",
                file.display()
            ))?;
        }
        Ok(())
    }
}

/// A table that was written.
#[derive(Serialize)]
struct Exported {
    data: String,
    file: PathBuf,
    ports: usize,
    packets: u64,
    lost: u64,
}

#[cfg(not(feature = "train"))]
impl Train {
    fn train(
        &self,
        _file: &TrainingFile,
        _sources: &[Dataset],
        _contexts: &[String],
        _out: &Path,
        _global: &Global,
        _interrupt: &Interrupt,
    ) -> Result<Model, CliError> {
        Err(CliError::Usage(
            "this taunet was built without training: build it with `cargo install --path . --features train`; --evaluate \
             works without"
                .to_owned(),
        ))
    }
}

#[cfg(feature = "train")]
impl Train {
    fn train(
        &self,
        file: &TrainingFile,
        sources: &[Dataset],
        contexts: &[String],
        out: &Path,
        global: &Global,
        interrupt: &Interrupt,
    ) -> Result<Model, CliError> {
        use crate::learn::train::{Run, train};

        let arguments = std::env::args().skip(1);
        let command = arguments.fold("taunet".to_owned(), |text, argument| format!("{text} {argument}"));
        let checkpoint = out.with_extension("checkpoint");
        let mut bar = TrainingBar::new(global, file.training.epochs);
        let run = Run { device: self.device, checkpoint: Some(&checkpoint), resume: self.resume };
        let progress = |progress| {
            bar.show(progress);
            interrupt.as_control_flow()
        };
        let trained = train(file, sources, contexts, &run, command, progress);
        bar.clear();
        let (card, bytes) = trained.map_err(|error| match error {
            LearnError::Interrupted if checkpoint.exists() => CliError::Interrupted(format!(
                "the passes so far are in {}: --resume continues from there",
                checkpoint.display()
            )),
            error => told(error),
        })?;
        write_bytes(out, &bytes, true)?;
        write_bytes(&out.with_extension("toml"), card.to_toml().as_bytes(), true)?;
        // It is no longer needed; a file that stays does no harm.
        let _ = std::fs::remove_file(&checkpoint);
        Model::from_bytes(card, &bytes).map_err(|error| CliError::Failed(Box::new(error)))
    }
}

fn print(evaluations: &[Evaluation], output: &mut Output) -> Result<(), CliError> {
    let width = evaluations.iter().map(|evaluation| evaluation.data.len()).max().unwrap_or(4).max(4);
    output.line(format_args!(
        "{:width$}  {:10}  {:6}  {:>9}  {:>8}  {:>8}  {:>10}  {:>10}  {:>13}  {:>9}",
        "data",
        "part",
        "output",
        "packets",
        "pearson",
        "w1_norm",
        "mae [us]",
        "mean [us]",
        "lost (truth)",
        "packets/s"
    ))?;
    for evaluation in evaluations {
        let Evaluation { data, part, output: way, score, packets_per_s, .. } = evaluation;
        let figure =
            |value: Option<f64>, digits| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        output.line(format_args!(
            "{data:width$}  {part:10}  {way:6}  {:>9}  {:>8}  {:>8}  {:>10.2}  {:>10.2}  {:>13}  {:>9}",
            count(score.packets),
            figure(score.pearson, 5),
            figure(score.w1_normalized, 5),
            score.mae_us,
            score.mean_us,
            format!("{} ({})", score.lost_simulated, score.lost),
            count(packets_per_s.round() as u64),
        ))?;
    }
    Ok(())
}
