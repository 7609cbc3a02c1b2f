//! From data to a model: what a port is like, the training, and the scores.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::LearnError;
use super::data::Source;
use super::evaluate::{Comparison, Evaluation, starts};
use super::samples::{Samples, View, lateness, limits};
use super::shares::shares;
use super::spec::{PartOfData, Split, TrainingFile};
use super::trace::Trace;
use crate::ptm::PtmSpec;
use crate::ptm::neural::card::{DataCard, FORMAT, ScoreCard, TrainingCard};
use crate::ptm::neural::residual::{ClassShare, Context, Limits, Pace, ResidualCard};
use crate::ptm::neural::{Architecture, Card, Model, ModelFile, NeuralSpec, Output, Tensors, sha256};

/// A lateness below this, in service times, is none.
const NO_LATENESS: f64 = 1e-6;

/// A part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// To learn from.
    Train,
    /// To tell when to stop.
    Validation,
    /// Never seen in training.
    Test,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 3] = [Part::Train, Part::Validation, Part::Test];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Validation => "validation",
            Part::Test => "test",
        }
    }

    /// Its packets in a trace.
    pub fn of(self, trace: &Trace, used: PartOfData, split: &Split) -> Range<usize> {
        let Split { train, validation } = *split;
        let (train, validation) = match used {
            PartOfData::ByTime => (train, validation),
            // What would be the test is trained on too.
            PartOfData::Train => (train / (train + validation), validation / (train + validation)),
            PartOfData::Test => (0.0, 0.0),
        };
        match self {
            Part::Train => trace.part(0.0, train),
            Part::Validation => trace.part(train, train + validation),
            Part::Test if used == PartOfData::Train => 0..0,
            Part::Test => trace.part(train + validation, 1.0),
        }
    }
}

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
    // Every trace has the shares that its own part to train on shows; without one, those of its device's.
    let mut shares_of: Vec<Option<Vec<ClassShare>>> = Vec::new();
    let mut by_context: Vec<Vec<Vec<ClassShare>>> = vec![Vec::new(); contexts.len()];
    for (source, trace) in traces() {
        let range = training(source, trace);
        let found = (!range.is_empty()).then(|| shares(trace, classes, range.end, mean_length));
        by_context[trace.context].extend(found.clone());
        shares_of.push(found);
    }
    let context = contexts
        .iter()
        .zip(&by_context)
        .map(|(name, all)| Context { name: name.clone(), class: mean_share(all, classes) });
    let context: Vec<Context> = context.collect();
    let shares_of: Vec<Vec<ClassShare>> = traces()
        .zip(shares_of)
        .map(|((_, trace), found)| found.unwrap_or_else(|| context[trace.context].class.clone()))
        .collect();
    let view = |shares| View { pace: &pace, mean_length, shares, lateness_unit: 1.0, limits: None };
    let mut late = Vec::new();
    let mut most: Option<Limits> = None;
    for ((source, trace), shares) in traces().zip(&shares_of) {
        let range = training(source, trace);
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
        .zip(&shares_of)
        .map(|((_, trace), shares)| {
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

/// The mean of several ports' shares.
fn mean_share(all: &[Vec<ClassShare>], classes: usize) -> Vec<ClassShare> {
    let count = all.len().max(1) as f64;
    (0..classes)
        .map(|class| match all.is_empty() {
            true => ClassShare { share: 1.0 / classes as f64, ..ClassShare::ALONE },
            false => {
                let mean = |of: fn(&ClassShare) -> f64| {
                    all.iter().map(|shares| of(&shares[class])).sum::<f64>() / count
                };
                ClassShare {
                    share: mean(|share| share.share),
                    turn_packets: mean(|share| share.turn_packets),
                    turn_bytes: mean(|share| share.turn_bytes),
                    kept_turn_bytes: mean(|share| share.kept_turn_bytes),
                }
            }
        })
        .collect()
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

/// How good a model is on every source, part and in every way to run it; and over all sources, per part and way.
///
/// # Errors
/// `progress` breaks it off, or the model cannot be at the port of a trace.
pub fn evaluate(
    model: &Arc<Model>,
    split: &Split,
    sources: &[Source],
    mut progress: impl FnMut() -> ControlFlow<()>,
) -> Result<Vec<Evaluation>, LearnError> {
    let outputs = [(Output::Sample, "sample"), (Output::Median, "median"), (Output::Mean, "mean")];
    let contexts = match &model.card.architecture {
        Architecture::Residual(card) => card.context.iter().map(|context| context.name.clone()).collect(),
        Architecture::DeepQueueNet(_) => Vec::new(),
    };
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
                    context: contexts.get(trace.context).filter(|_| contexts.len() > 1).cloned(),
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
                });
            }
        }
    }
    Ok(evaluations)
}

/// The scores for a card: each part over all sources, weighed by packets, run as a sample.
pub fn scores(evaluations: &[Evaluation]) -> BTreeMap<String, ScoreCard> {
    let mut scores: BTreeMap<String, ScoreCard> = BTreeMap::new();
    for evaluation in evaluations {
        let name = format!("{} {} {}", evaluation.data, evaluation.part, evaluation.output);
        scores.insert(name, evaluation.score);
    }
    scores
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
    mut progress: impl FnMut(&super::residual::Epoch) -> ControlFlow<()>,
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
    let device = burn::tensor::Device::flex();
    let training = Training::new(&card, file.class.len().max(1), plan, file.seed, device);
    let trained = training.run(&part(Part::Train), &part(Part::Validation), &mut progress);
    let best = trained.epochs.iter().filter(|epoch| epoch.best).next_back();
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
