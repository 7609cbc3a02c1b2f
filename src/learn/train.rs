//! Trains a model: determines the characteristics of a port from the data, then trains the networks.

use std::collections::BTreeMap;
#[cfg(feature = "train")]
use std::ops::ControlFlow;
use std::path::Path;

use super::LearnError;
use super::data::Dataset;
#[cfg(feature = "train")]
use super::passes::{self, Bookmark, Passes, Progress};
use super::samples::{Samples, View, lateness, limits};
use super::shares::shares;
#[cfg(feature = "train")]
use super::spec::{ArchitectureKind, TrainingPlan};
use super::spec::{Part, TrainingFile};
use super::trace::Trace;
use crate::ptm::neural::card::{DataCard, FORMAT, TrainingCard};
#[cfg(feature = "train")]
use crate::ptm::neural::deepqueuenet::DeepQueueNetCard;
use crate::ptm::neural::residual::{Context, Limits, Pace, Ranges, ResidualCard};
use crate::ptm::neural::{Architecture, Card, Tensors, sha256};

/// A lateness below this, in service times, counts as none.
const NO_LATENESS: f64 = 1e-6;

/// The characteristics of the data before training, determined from the training part alone.
pub struct Prepared {
    /// The parameters of inference.
    pub card: ResidualCard,
    /// The samples of each trace, in the order of the sources, clipped to the ranges.
    pub samples: Vec<Samples>,
    /// The feature ranges of the training part.
    pub ranges: Ranges,
}

/// Determines the characteristics of the data for the `residual` architecture.
///
/// # Errors
/// There is nothing to train on, or its packets are not in order.
pub fn prepare(
    file: &TrainingFile,
    sources: &[Dataset],
    contexts: &[String],
) -> Result<Prepared, LearnError> {
    let classes = file.class.len().max(1);
    let traces = || sources.iter().flat_map(|source| source.traces.iter().map(move |trace| (source, trace)));
    let training = |source: &Dataset, trace: &Trace| Part::Train.of(trace, source.part, &file.split);
    let (mut bytes, mut packets) = (0.0, 0.0);
    for (source, trace) in traces() {
        let range = training(source, trace);
        packets += range.len() as f64;
        bytes += trace.visits[range].iter().map(|visit| f64::from(visit.packet.length)).sum::<f64>();
    }
    if packets == 0.0 {
        return Err(LearnError::NothingToTrainOn);
    }
    let mean_length = bytes / packets;
    let found = sources.iter().find_map(|source| source.pace);
    let pace = file.pace.or(found).unwrap_or(Pace::Link);
    let context = contexts.iter().enumerate().map(|(number, name)| {
        let of_device: Vec<(&Trace, usize)> = traces()
            .filter(|(_, trace)| trace.context == number)
            .map(|(source, trace)| (trace, training(source, trace).end))
            .collect();
        Context { name: name.clone(), class: shares(&of_device, classes, mean_length) }
    });
    let context: Vec<Context> = context.collect();
    let view = |shares| View { pace: &pace, mean_length, shares, lateness_unit: 1.0, limits: None };
    let mut late = Vec::new();
    let mut lateness_range = [0.0f64; 2];
    let mut most: Option<Limits> = None;
    for (source, trace) in traces() {
        let range = training(source, trace);
        let shares = &context[trace.context].class;
        let order = trace.starts();
        let found = lateness(trace, &view(shares));
        for (_, found) in order.iter().zip(&found).filter(|(index, _)| range.contains(*index)) {
            lateness_range = [lateness_range[0].min(*found), lateness_range[1].max(*found)];
            late.extend(Some(*found).filter(|late| *late > NO_LATENESS));
        }
        if trace.visits[range.clone()].iter().any(|visit| visit.start.is_none()) {
            let found = limits(trace, &view(shares), range.end);
            let most = most.get_or_insert_with(|| Limits { port: 0.0, class: vec![0.0; classes] });
            most.port = most.port.max(found.port);
            for (most, found) in most.class.iter_mut().zip(&found.class) {
                *most = most.max(*found);
            }
        }
    }
    let middle = late.len() / 2;
    let lateness_unit = match late.is_empty() {
        true => NO_LATENESS,
        false => *late.select_nth_unstable_by(middle, f64::total_cmp).1,
    };
    let mut samples = traces()
        .map(|(_, trace)| {
            let shares = &context[trace.context].class;
            Samples::of(trace, &View { lateness_unit, limits: most.as_ref(), ..view(shares) })
        })
        .collect::<Vec<_>>();
    for ((_, trace), samples) in traces().zip(&samples) {
        if samples.overtaking * 20 > samples.packet.len() as u64 {
            return Err(LearnError::Overtaking {
                name: trace.name.clone(),
                packets: samples.overtaking,
                of: samples.packet.len() as u64,
            });
        }
    }
    let mut ranges = Ranges::new(classes);
    for ((source, trace), samples) in traces().zip(&samples) {
        let part = samples.part(&training(source, trace));
        samples.widen(&part, classes, &mut ranges);
    }
    samples.iter_mut().for_each(|samples| samples.hold(&ranges));
    let (hidden, recurrent) = (file.training.hidden, file.training.recurrent);
    let card = ResidualCard {
        pace,
        mean_length,
        lateness_unit,
        lateness_range,
        hidden,
        recurrent,
        limits: most,
        context,
    };
    Ok(Prepared { card, samples, ranges })
}

/// The card of a model.
pub fn card(
    file: &TrainingFile,
    sources: &[Dataset],
    architecture: Architecture,
    training: TrainingCard,
    tensors: &Tensors,
    command: String,
) -> (Card, Vec<u8>) {
    let bytes = tensors.to_bytes();
    let data = sources.iter().map(|source| DataCard {
        name: source.name.clone(),
        files: source.files.clone(),
        packets: source.traces.iter().map(|trace| trace.visits.len() as u64).sum(),
        part: source.part.name().to_owned(),
    });
    let card = Card {
        format: FORMAT,
        taunet: env!("CARGO_PKG_VERSION").to_owned(),
        command,
        seed: file.seed,
        weights_sha256: sha256(&bytes),
        architecture,
        class: file.class.clone(),
        training,
        data: data.collect(),
        scores: BTreeMap::new(),
    };
    (card, bytes)
}

/// The processor for training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Processor {
    /// On the processor
    #[default]
    Cpu,
    /// On a graphics processor; in a taunet built with the feature `train-gpu`
    Gpu,
}

#[cfg(feature = "train")]
impl Processor {
    fn open(self) -> Result<burn::tensor::Device, LearnError> {
        match self {
            Processor::Cpu => Ok(burn::tensor::Device::flex()),
            #[cfg(feature = "train-gpu")]
            Processor::Gpu => graphics(),
            #[cfg(not(feature = "train-gpu"))]
            Processor::Gpu => Err(LearnError::Device(
                "this taunet was built without support for graphics processors: build it with `--features train-gpu`"
                    .to_owned(),
            )),
        }
    }
}

/// The graphics processor. If there is none, the framework panics at the first tensor.
#[cfg(feature = "train-gpu")]
fn graphics() -> Result<burn::tensor::Device, LearnError> {
    let device = burn::tensor::Device::wgpu(burn::tensor::DeviceKind::DefaultDevice);
    let tried = crate::foreign::contain(|| {
        burn::tensor::Tensor::<1>::from_floats([1.0], &device).into_data();
    });
    tried.map(|()| device).map_err(|_| {
        LearnError::Device(
            "no graphics processor was found: install its driver, or train with `--device cpu`".to_owned(),
        )
    })
}

/// The environment of a training.
#[derive(Debug, Clone, Copy, Default)]
pub struct Run<'a> {
    /// The processor.
    pub device: Processor,
    /// The checkpoint file.
    pub checkpoint: Option<&'a Path>,
    /// Whether to resume from the checkpoint.
    pub resume: bool,
}

#[cfg(feature = "train")]
impl<'a> Run<'a> {
    fn bookmark(&self, key: &'a str) -> Option<Bookmark<'a>> {
        self.checkpoint.map(|path| Bookmark { path, key, resume: self.resume })
    }
}

/// A hash of data and settings, without the duration.
#[cfg(feature = "train")]
fn key(file: &TrainingFile, sources: &[Dataset]) -> String {
    let data: Vec<_> = sources.iter().map(|source| (&source.name, source.part, &source.files)).collect();
    let plan = TrainingPlan { epochs: 0, ..file.training };
    sha256(
        format!("{:?}", (file.architecture, file.seed, &file.class, file.pace, file.split, plan, data))
            .as_bytes(),
    )
}

/// Trains a model of the architecture that the file names. Returns its card, without scores, and the bytes of
/// its weights. `command` is what the card names as its origin.
///
/// # Errors
/// There is nothing to train on, or `progress` interrupts the training before the end of the first pass.
#[cfg(feature = "train")]
pub fn train(
    file: &TrainingFile,
    sources: &[Dataset],
    contexts: &[String],
    run: &Run<'_>,
    command: String,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<(Card, Vec<u8>), LearnError> {
    let (architecture, training, tensors) = match file.architecture {
        ArchitectureKind::Residual => {
            let (card, training, tensors) = train_residual(file, sources, contexts, run, progress)?;
            (Architecture::Residual(card), training, tensors)
        }
        ArchitectureKind::DeepQueueNet => {
            let (card, training, tensors) = train_deepqueuenet(file, sources, run, progress)?;
            (Architecture::DeepQueueNet(card), training, tensors)
        }
    };
    Ok(card(file, sources, architecture, training, &tensors, command))
}

/// Trains the `residual` architecture.
///
/// # Errors
/// There is nothing to train on, or `progress` interrupts the training before the end of the first pass.
#[cfg(feature = "train")]
pub fn train_residual(
    file: &TrainingFile,
    sources: &[Dataset],
    contexts: &[String],
    run: &Run<'_>,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<(ResidualCard, TrainingCard, Tensors), LearnError> {
    use super::residual::{Part as Samples, Plan, Training};

    let clock = std::time::Instant::now();
    let Prepared { card, samples, ranges } = prepare(file, sources, contexts)?;
    let part = |part: Part| -> Vec<Samples<'_>> {
        let traces = sources.iter().flat_map(|source| source.traces.iter().map(move |trace| (source, trace)));
        traces
            .zip(&samples)
            .map(|((source, trace), samples)| Samples {
                samples,
                context: trace.context,
                ranges: samples.part(&part.of(trace, source.part, &file.split)),
            })
            .collect()
    };
    let plan = Plan { streams: file.training.streams, steps: file.training.steps };
    let (training, validation) = (part(Part::Train), part(Part::Validation));
    let classes = file.class.len().max(1);
    let mut training =
        Training::new(&card, classes, &plan, file.seed, run.device.open()?, [&training, &validation]);
    let key = key(file, sources);
    let trained = passes::train(&mut training, &passes_of(file), run.bookmark(&key), progress)?;
    let training = how_it_went(&trained, trained.tensors.count(), clock);
    let mut tensors = trained.tensors;
    ranges.insert(classes, &mut tensors);
    Ok((card, training, tensors))
}

/// Trains the `deepqueuenet` architecture.
///
/// # Errors
/// There is nothing to train on, or `progress` interrupts the training.
#[cfg(feature = "train")]
pub fn train_deepqueuenet(
    file: &TrainingFile,
    sources: &[Dataset],
    run: &Run<'_>,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<(DeepQueueNetCard, TrainingCard, Tensors), LearnError> {
    use super::deepqueuenet::Training;

    let clock = std::time::Instant::now();
    let cut = |part: Part| -> Vec<Trace> {
        let traces = sources.iter().flat_map(|source| source.traces.iter().map(move |trace| (source, trace)));
        let traces = traces.map(|(source, trace)| trace.cut(part.of(trace, source.part, &file.split)));
        traces.filter(|trace| !trace.visits.is_empty()).collect()
    };
    let pace = file.pace.or(sources.iter().find_map(|source| source.pace));
    let mut training = Training::new(
        &cut(Part::Train),
        &cut(Part::Validation),
        file.class.len(),
        pace.and_then(|pace| pace.rate()),
        file.seed,
        file.training.windows_per_epoch,
        run.device.open()?,
    )?;
    let key = key(file, sources);
    let trained = passes::train(&mut training, &passes_of(file), run.bookmark(&key), progress)?;
    let parameters = trained.tensors.count();
    let (card, tensors) = training.corrected(trained.tensors.clone());
    Ok((card, how_it_went(&trained, parameters, clock), tensors))
}

#[cfg(feature = "train")]
fn passes_of(file: &TrainingFile) -> Passes {
    let TrainingPlan { epochs, patience, learning_rate, .. } = file.training;
    // The values of the publication for its network.
    let (most_falls, usual_rate) = match file.architecture {
        ArchitectureKind::Residual => (4, 3e-3),
        ArchitectureKind::DeepQueueNet => (0, 1e-3),
    };
    Passes { most: epochs, patience, most_falls, learning_rate: learning_rate.unwrap_or(usual_rate) }
}

#[cfg(feature = "train")]
fn how_it_went(trained: &passes::Trained, parameters: u64, clock: std::time::Instant) -> TrainingCard {
    let best = trained.epochs.iter().rfind(|epoch| epoch.best);
    TrainingCard {
        epochs: best.map_or(0, |epoch| epoch.number),
        epochs_in_all: trained.epochs.len() as u32,
        parameters,
        seconds: clock.elapsed().as_secs_f64(),
        loss: trained.epochs.iter().map(|epoch| epoch.loss).collect(),
        validation_loss: trained.epochs.iter().map(|epoch| epoch.validation_loss).collect(),
    }
}
