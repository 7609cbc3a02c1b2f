//! From data to a model: what a port is like, the training, and the scores.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::LearnError;
use super::data::Source;
use super::evaluate::{Comparison, Evaluation, starts};
use super::samples::{Samples, View, lateness, limits};
use super::shares::shares;
use super::spec::{Part, Split, TrainingFile};
use super::trace::Trace;
use crate::ptm::PtmSpec;
use crate::ptm::neural::card::{DataCard, FORMAT, ScoreCard, TrainingCard};
use crate::ptm::neural::residual::{Context, Limits, Pace, ResidualCard};
use crate::ptm::neural::{Architecture, Card, Model, ModelFile, NeuralSpec, Output, Tensors, sha256};

/// A lateness below this, in service times, is none.
const NO_LATENESS: f64 = 1e-6;

/// Dots of a chart.
const MOST_DOTS: usize = 3_000;

/// What is known of the data before any network is trained: read off the part to train on alone.
pub struct Prepared {
    /// What inference needs.
    pub card: ResidualCard,
    /// Of each trace, in the order of the sources: its samples.
    pub samples: Vec<Samples>,
}

/// Looks at the data for the `residual` architecture.
///
/// # Errors
/// There is nothing to train on, or its packets are not in order.
pub fn prepare(file: &TrainingFile, sources: &[Source], contexts: &[String]) -> Result<Prepared, LearnError> {
    let classes = file.class.len().max(1);
    let traces = || sources.iter().flat_map(|source| source.traces.iter().map(move |trace| (source, trace)));
    let training = |source: &Source, trace: &Trace| Part::Train.of(trace, source.part, &file.split);
    let (mut bytes, mut packets) = (0.0, 0.0);
    for (source, trace) in traces() {
        let range = training(source, trace);
        packets += range.len() as f64;
        bytes += trace.passages[range].iter().map(|passage| f64::from(passage.packet.length)).sum::<f64>();
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
    let mut most: Option<Limits> = None;
    for (source, trace) in traces() {
        let range = training(source, trace);
        let shares = &context[trace.context].class;
        let order = trace.starts();
        let found = lateness(trace, &view(shares));
        let of_part = order.iter().zip(&found).filter(|(index, _)| range.contains(*index));
        late.extend(of_part.map(|(_, late)| *late).filter(|late| *late > NO_LATENESS));
        if trace.passages[range.clone()].iter().any(|passage| passage.start.is_none()) {
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
    let samples = traces()
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
    let (hidden, recurrent) = (file.training.hidden, file.training.recurrent);
    let card = ResidualCard { pace, mean_length, lateness_unit, hidden, recurrent, limits: most, context };
    Ok(Prepared { card, samples })
}

/// The card of a model.
pub fn card(
    file: &TrainingFile,
    sources: &[Source],
    architecture: Architecture,
    training: TrainingCard,
    tensors: &Tensors,
    command: String,
) -> (Card, Vec<u8>) {
    let bytes = tensors.to_bytes();
    let data = sources.iter().map(|source| DataCard {
        name: source.name.clone(),
        files: source.files.clone(),
        packets: source.traces.iter().map(|trace| trace.passages.len() as u64).sum(),
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

/// How good a model is on every source and part, in every way to run it; `contexts` are the names of the devices.
///
/// # Errors
/// `progress` breaks it off, or the model cannot be at the port of a trace.
pub fn evaluate(
    model: &Arc<Model>,
    split: &Split,
    sources: &[Source],
    contexts: &[String],
    mut progress: impl FnMut() -> ControlFlow<()>,
) -> Result<Vec<Evaluation>, LearnError> {
    let outputs = [(Output::Sample, "sample"), (Output::Median, "median"), (Output::Mean, "mean")];
    let several = matches!(&model.card.architecture, Architecture::Residual(card) if card.context.len() > 1);
    let mut evaluations = Vec::new();
    for (output, way) in outputs {
        for source in sources {
            let mut parts = Part::ALL.map(|part| (part, Comparison::default()));
            let (mut packets, mut seconds) = (0, 0.0);
            for trace in &source.traces {
                if progress().is_break() {
                    return Err(LearnError::Interrupted);
                }
                let spec = PtmSpec::Neural(NeuralSpec {
                    model: ModelFile::of(Arc::clone(model)),
                    output,
                    rate: None,
                    context: several.then(|| contexts[trace.context].clone()),
                    class: Vec::new(),
                });
                spec.check(&trace.link).map_err(|error| LearnError::Unfit(trace.name.clone(), error))?;
                let (simulated, took) = starts(trace, &spec, 1);
                packets += trace.passages.len();
                seconds += took;
                for (part, comparison) in &mut parts {
                    comparison.add(trace, &simulated, part.of(trace, source.part, split));
                }
            }
            for (part, comparison) in parts {
                if comparison.delays.measured.is_empty() {
                    continue;
                }
                evaluations.push(Evaluation {
                    data: source.name.clone(),
                    part: part.name(),
                    output: way,
                    score: comparison.score(),
                    packets_per_s: packets as f64 / f64::max(seconds, 1e-9),
                    some: comparison.some(MOST_DOTS, format!("{}, {}", source.name, part.name())),
                });
            }
        }
    }
    Ok(evaluations)
}

/// The scores for a card: one for each source, part and way to run the model.
pub fn scores(evaluations: &[Evaluation]) -> BTreeMap<String, ScoreCard> {
    let name = |of: &Evaluation| format!("{} {} {}", of.data, of.part, of.output);
    evaluations.iter().map(|evaluation| (name(evaluation), evaluation.score)).collect()
}

/// Where networks are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
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
            Processor::Gpu => Ok(burn::tensor::Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(not(feature = "train-gpu"))]
            Processor::Gpu => Err(LearnError::Device(
                "this taunet was built without graphics processors: build it with `--features train-gpu`"
                    .to_owned(),
            )),
        }
    }
}

/// How a training is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Run<'a> {
    /// Where.
    pub device: Processor,
    /// The file to write where it stands.
    pub checkpoint: Option<&'a Path>,
    /// Whether to go on from there.
    pub resume: bool,
}

/// What is trained on what, and how, in one number; but for how long.
#[cfg(feature = "train")]
fn key(file: &TrainingFile, sources: &[Source]) -> String {
    let data: Vec<_> = sources.iter().map(|source| (&source.name, source.part, &source.files)).collect();
    let plan = super::spec::TrainingPlan { epochs: 0, ..file.training };
    sha256(
        format!("{:?}", (file.architecture, file.seed, &file.class, file.pace, file.split, plan, data))
            .as_bytes(),
    )
}

/// Trains the `residual` architecture.
///
/// # Errors
/// There is nothing to train on, or `progress` breaks it off before the first pass.
#[cfg(feature = "train")]
pub fn train_residual(
    file: &TrainingFile,
    sources: &[Source],
    contexts: &[String],
    run: &Run<'_>,
    mut progress: impl FnMut(super::residual::Progress) -> ControlFlow<()>,
) -> Result<(ResidualCard, TrainingCard, Tensors), LearnError> {
    use super::residual::{Part as Samples, Plan, Training};

    let clock = std::time::Instant::now();
    let Prepared { card, samples } = prepare(file, sources, contexts)?;
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
    let plan = file.training;
    let plan = Plan {
        epochs: plan.epochs,
        patience: plan.patience,
        streams: plan.streams,
        steps: plan.steps,
        learning_rate: plan.learning_rate,
    };
    let device = run.device.open()?;
    let key = key(file, sources);
    let checkpoint = run.checkpoint.map(|path| (path, key.as_str()));
    let training = Training::new(&card, file.class.len().max(1), plan, file.seed, device);
    let trained =
        training.run(&part(Part::Train), &part(Part::Validation), checkpoint, run.resume, &mut progress)?;
    let best = trained.epochs.iter().rfind(|epoch| epoch.best);
    let training = TrainingCard {
        epochs: best.map_or(0, |epoch| epoch.number),
        epochs_in_all: trained.epochs.len() as u32,
        parameters: trained.tensors.count(),
        seconds: clock.elapsed().as_secs_f64(),
        loss: trained.epochs.iter().map(|epoch| epoch.loss).collect(),
        validation_loss: trained.epochs.iter().map(|epoch| epoch.validation_loss).collect(),
    };
    Ok((card, training, trained.tensors))
}

/// Trains the `deepqueuenet` architecture.
///
/// # Errors
/// There is nothing to train on, or `progress` breaks it off.
#[cfg(feature = "train")]
pub fn train_deepqueuenet(
    file: &TrainingFile,
    sources: &[Source],
    mut progress: impl FnMut(super::residual::Progress) -> ControlFlow<()>,
) -> Result<(crate::ptm::neural::deepqueuenet::DeepQueueNetCard, TrainingCard, Tensors), LearnError> {
    use super::checkpoint::Epoch;
    use super::deepqueuenet::{Budget, train};
    use super::residual::Progress;

    let cut = |part: Part| -> Vec<Trace> {
        let traces = sources.iter().flat_map(|source| source.traces.iter().map(move |trace| (source, trace)));
        let traces = traces.map(|(source, trace)| trace.cut(part.of(trace, source.part, &file.split)));
        traces.filter(|trace| !trace.passages.is_empty()).collect()
    };
    let plan = &file.training;
    let budget =
        Budget { epochs: plan.epochs, windows_per_epoch: plan.windows_per_epoch, patience: plan.patience };
    let pace = file.pace.or(sources.iter().find_map(|source| source.pace));
    let mut interrupted = false;
    let mut least = f64::INFINITY;
    let trained = train(
        &cut(Part::Train),
        &cut(Part::Validation),
        file.class.len(),
        pace.and_then(|pace| pace.rate()),
        file.seed,
        &budget,
        &mut |epoch| {
            let best = epoch.validation_loss < least;
            least = least.min(epoch.validation_loss);
            let (number, loss, validation_loss) = (epoch.number, epoch.loss, epoch.validation_loss);
            let flow = progress(Progress::Epoch(Epoch { number, loss, validation_loss, best }));
            interrupted |= flow.is_break();
            flow
        },
    )?;
    match interrupted {
        true => Err(LearnError::Interrupted),
        false => Ok((trained.card, trained.training, trained.tensors)),
    }
}
