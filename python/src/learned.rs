//! Learned PTMs: training, where it is built, and evaluation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::prelude::*;
use taunet::config::Document;
use taunet::learn::data::{Dataset, load};
use taunet::learn::evaluate::{Evaluation, evaluate as evaluated};
use taunet::learn::spec::TrainingFile;
use taunet::ptm::neural::{Model, Output};
#[cfg(feature = "train")]
use taunet::write::{NewFile, Target};

use crate::busy::{Watch, busy};
use crate::failure::{Failure, json};

/// The data of a training.
struct Data {
    file: TrainingFile,
    sources: Vec<Dataset>,
    contexts: Vec<String>,
}

impl Data {
    /// Reads the data that a training file names, or the text of one, whose paths are relative to the current
    /// folder.
    fn read(wanted: &Wanted, watch: &Watch) -> Result<Self, Failure> {
        let (mut document, place) = match &wanted.text {
            Some(text) => (Document::parse("the dict", text)?, Path::new("")),
            None => (Document::read(&wanted.path)?, wanted.path.as_path()),
        };
        document.set_from_shell(&wanted.set)?;
        let mut file = TrainingFile::from_document(&document, place)?;
        if !wanted.only.is_empty() {
            file.only(&wanted.only).map_err(Failure::Argument)?;
        }
        if let Some(name) = &wanted.leave_out {
            file.leave_out(name).map_err(Failure::Argument)?;
        }
        file.find_data(&document)?;
        let (sources, contexts) = load(&file, |name| {
            watch.show(None, format!("reading {name}"));
            watch.go_on()
        })?;
        Ok(Data { file, sources, contexts })
    }

    fn warnings(&self) -> Vec<String> {
        self.sources.iter().flat_map(|source| source.warnings.clone()).collect()
    }

    fn evaluate(
        &self,
        model: &Arc<Model>,
        outputs: &[Output],
        watch: &Watch,
    ) -> Result<Vec<Evaluation>, Failure> {
        watch.show(None, "evaluating");
        let Data { file, sources, contexts } = self;
        Ok(evaluated(model, &file.split, sources, contexts, outputs, || watch.go_on())?)
    }
}

/// Which data: those of a file, or of a text instead; changes to it; names.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Wanted {
    path: PathBuf,
    text: Option<String>,
    set: Vec<String>,
    only: Vec<String>,
    leave_out: Option<String>,
}

/// Whether this module can train.
#[pyfunction]
pub fn trains() -> bool {
    cfg!(feature = "train")
}

/// Evaluates a model: the figures as JSON, and warnings.
#[pyfunction]
#[pyo3(signature = (wanted, model, outputs, *, progress))]
pub fn evaluate(
    py: Python<'_>,
    wanted: Wanted,
    model: PathBuf,
    outputs: Vec<String>,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<(String, Vec<String>)> {
    let outputs: Vec<Output> =
        Output::ALL.into_iter().filter(|output| outputs.iter().any(|name| name == output.name())).collect();
    busy(py, progress, move |watch| {
        let model = Model::load(&model).map_err(|error| Failure::Input(error.to_string()))?;
        let data = Data::read(&wanted, watch)?;
        let evaluations = data.evaluate(&Arc::new(model), &outputs, watch)?;
        Ok((json(&evaluations)?, data.warnings()))
    })
}

/// Trains a model and writes it, its card and its page: the card and the figures as JSON, and warnings.
#[pyfunction]
#[pyo3(signature = (wanted, out, *, gpu, resume, force, progress))]
pub fn train(
    py: Python<'_>,
    wanted: Wanted,
    out: PathBuf,
    gpu: bool,
    resume: bool,
    force: bool,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<(String, String, Vec<String>)> {
    busy(py, progress, move |watch| trained(&wanted, &out, gpu, resume, force, watch))
}

#[cfg(not(feature = "train"))]
fn trained(
    _: &Wanted,
    _: &Path,
    _: bool,
    _: bool,
    _: bool,
    _: &Watch,
) -> Result<(String, String, Vec<String>), Failure> {
    Err(Failure::Failed("this taunet was built without training".to_owned()))
}

#[cfg(feature = "train")]
fn trained(
    wanted: &Wanted,
    out: &Path,
    gpu: bool,
    resume: bool,
    force: bool,
    watch: &Watch,
) -> Result<(String, String, Vec<String>), Failure> {
    use taunet::learn::evaluate::{dots, scores};
    use taunet::learn::passes::Progress;
    use taunet::learn::train::{Processor, Run, train};
    use taunet::report::training_page;

    let (card_file, page_file) = (out.with_extension("toml"), out.with_extension("html"));
    if card_file == wanted.path || out == wanted.path {
        return Err(Failure::Argument(format!(
            "out: the model's card would replace the training file {}: give the model another name",
            wanted.path.display()
        )));
    }
    for path in [out, &card_file, &page_file] {
        check_free(path, force)?;
    }
    let data = Data::read(wanted, watch)?;
    let Data { file, sources, contexts } = &data;
    let checkpoint = out.with_extension("checkpoint");
    let device = if gpu { Processor::Gpu } else { Processor::Cpu };
    let run = Run { device, checkpoint: Some(&checkpoint), resume };
    let (mut pass, most) = (0, f64::from(file.training.epochs.max(1)));
    let (mut card, bytes) = train(file, sources, contexts, &run, "taunet.train".to_owned(), |progress| {
        match progress {
            Progress::Batch(done, of, loss) => {
                let part = done as f64 / of.max(1) as f64;
                watch.show(
                    Some((f64::from(pass) + part) / most),
                    format!("pass {}: loss {loss:.5}", pass + 1),
                );
            }
            Progress::Epoch(epoch) => pass = epoch.number,
        }
        watch.go_on()
    })?;
    write(out, &bytes)?;
    write(&card_file, card.to_toml().as_bytes())?;
    // It is no longer needed; a file that stays does no harm.
    let _ = std::fs::remove_file(&checkpoint);
    let model =
        Model::from_bytes(card.clone(), &bytes).map_err(|error| Failure::Failed(error.to_string()))?;
    let evaluations = data.evaluate(&Arc::new(model), &Output::ALL, watch)?;
    card.scores = scores(&evaluations);
    write(&card_file, card.to_toml().as_bytes())?;
    write(&page_file, training_page(out, &card, &dots(&evaluations)).as_bytes())?;
    Ok((json(&card)?, json(&evaluations)?, data.warnings()))
}

/// Checks that a file can be written.
#[cfg(feature = "train")]
fn check_free(path: &Path, force: bool) -> Result<(), Failure> {
    let target = Target::of(path).map_err(|error| failed(path, &error))?;
    if target.replaces() && !force {
        return Err(Failure::Argument(format!(
            "{} exists: choose another file, or replace it with force=True",
            path.display()
        )));
    }
    Ok(())
}

#[cfg(feature = "train")]
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    NewFile::write(path, bytes, true).map_err(|error| failed(path, &error))
}

#[cfg(feature = "train")]
fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot write {}: {error}", path.display()))
}
