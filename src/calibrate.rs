//! Calibration: determines from captures alone a device that reproduces them, with the uncertainty of each
//! parameter, and what the captures do not show.
//!
//! A recording consists of a capture per ingress port of a device and one behind its egress port. Parameters
//! are first estimated directly from the departures, one after the other, each from the packets that show it.
//! Candidate disciplines are then simulated by the engine, fitted on the first half of the recording and
//! scored on the second. See `docs/calibration.md`.
//!
//! 1. `transit` joins the captures into arrivals, departures and losses.
//! 2. `rate`, `bucket`, `buffer` and `classes` make the direct estimates.
//! 3. `fit` builds a model of the device from the estimates.
//! 4. `simulate` and `baseline` compare models and rules of thumb with the recording.
//! 5. `curves` computes the data that the page of a calibration draws.
//! 6. `report` writes that page.
//! 7. `files` writes the topology, the scenario, `calibration.json` and the page.

mod aqm;
mod baseline;
mod bucket;
mod buffer;
mod classes;
mod curves;
mod files;
mod flow_queues;
mod fit;
mod model;
mod transit;
mod path;
mod queue;
mod rate;
mod recording;
mod report;
mod sample;
mod simulate;

pub use aqm::{AqmEstimate, AqmKind, Parameter};
pub use bucket::{BurstEstimate, Figure};
pub use buffer::{BufferEstimate, Counts, LossFinding};
pub use classes::{ClassRange, Classification, Field};
pub use curves::Curves;
pub use files::write;
#[cfg(feature = "cli")]
pub(crate) use files::{parameters, path_figures};
pub use fit::{Estimates, ProcessingEstimate};
#[cfg(feature = "cli")]
pub(crate) use model::framing_text;
pub use model::{Bottleneck, ClassModel, DisciplineKind, Model};
pub use path::{JitterBehind, JitterEstimate, PathEstimate, ReorderEstimate};
pub use rate::RateEstimate;
pub use recording::{RecordedTransit, Recording};
pub use simulate::Score;

use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use serde::Serialize;

use crate::capture::{CaptureError, CaptureKeys, Options as CaptureOptions, Sorted};
use crate::compare::CompareError;
use crate::engine::EngineError;
use crate::record::DirectoryError;
use curves::CurveInputs;
use simulate::Replays;
use transit::{Fate, Joined};

/// Options of a calibration.
#[derive(Debug, Clone, Default)]
pub struct CalibrateOptions {
    /// The captures of the ingress ports, one each.
    pub ingress: Vec<PathBuf>,
    /// The capture behind the egress port.
    pub egress: PathBuf,
    /// Options for reading captures.
    pub capture: CaptureOptions,
    /// Selection of packets of each ingress capture; captures beyond the end of the list are read completely.
    pub ingress_keys: Vec<CaptureKeys>,
    /// Selection of packets of the egress capture.
    pub egress_keys: CaptureKeys,
}

impl CalibrateOptions {
    /// Opens an ingress capture.
    fn open_ingress(&self, number: usize) -> Result<Sorted, CaptureError> {
        let options =
            self.ingress_keys.get(number).map_or(self.capture.clone(), |keys| self.capture.with(keys));
        Sorted::open(&self.ingress[number], &options)
    }

    /// Opens the egress capture.
    fn open_egress(&self) -> Result<Sorted, CaptureError> {
        Sorted::open(&self.egress, &self.capture.with(&self.egress_keys))
    }
}

/// The stage of a calibration, for progress.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CalibrateStage {
    /// Reading and joining captures.
    Reading,
    /// Estimating parameters.
    Estimating,
    /// Simulating a candidate: its number from 1, and the number of candidates.
    Trying(usize, usize),
}

/// Errors of a calibration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrateError {
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A capture is too far from the others in time.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// A simulation failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The result cannot be written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// No ingress capture was given.
    #[error("no ingress capture was given: name one per ingress port of the device")]
    NoIngress,
    /// There are more captures than a device has ports.
    #[error("more than 65,534 ingress captures: a device has no more ports")]
    TooManyCaptures,
    /// A capture holds nothing to calibrate by.
    #[error(
        "{} holds no {}; a calibration needs IP packets of the same path in the ingress and in the egress capture",
        path.display(),
        if *packets == 0 { "packets".to_owned() } else { format!("IP packets among its {packets} packets") }
    )]
    Empty {
        /// the capture
        path: PathBuf,
        /// its packets, of which none is recognized
        packets: u64,
    },
    /// No packet is in both an ingress and the egress capture.
    #[error(
        "no packet is in both: {ingress} in the ingress captures, {egress} in the egress capture; take both at the same \
         device, at the same time, and in this direction"
    )]
    NothingShared {
        /// packets in the ingress captures
        ingress: u64,
        /// packets in the egress capture
        egress: u64,
    },
    /// Most packets leave before they arrive.
    #[error(
        "{negative} of {matched} packets leave before they arrive, by {:.6} s at most: the ingress and the egress capture \
         look swapped; exchange --ingress and --egress. If they are right, the clocks differ: `editcap -t SECONDS IN \
         OUT` shifts a capture",
        -least_s
    )]
    LeavesBeforeItArrives {
        /// packets with a negative delay
        negative: u64,
        /// packets in both
        matched: u64,
        /// the minimum delay, in seconds
        least_s: f64,
    },
    /// The parameters do not form a valid topology: a bug in taunet.
    #[error("the calibrated device is invalid: {0}; this is a bug in taunet, please report it")]
    Model(String),
    /// The user interrupted the calibration.
    #[error("interrupted: nothing was written")]
    Interrupted,
}

impl CalibrateError {
    /// Whether the error is in the input, not in the machine or taunet.
    pub fn is_bad_input(&self) -> bool {
        match self {
            CalibrateError::Engine(_) | CalibrateError::Model(_) | CalibrateError::Interrupted => false,
            CalibrateError::Directory(error) => !matches!(error, DirectoryError::Io { .. }),
            _ => true,
        }
    }
}

/// A candidate model and its scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// The discipline.
    pub discipline: DisciplineKind,
    /// The rule for losing or marking packets.
    pub aqm: Option<AqmKind>,
    /// The kind of bottleneck.
    pub bottleneck: Bottleneck,
    /// Log loss of that rule over the losses and marks of the second half, in nats.
    pub log_loss_nats: Option<f64>,
    /// Difference of each flow's distribution of delays and losses on the second half, for disciplines with a
    /// queue per flow.
    pub cost_by_flow: Option<f64>,
    /// Whether the first class is guaranteed most of the rate.
    pub top_owns_rate: bool,
    /// Whether each class has a queue per flow.
    pub flow_queues_in_classes: bool,
    /// Score on the half that the candidate was fitted on.
    pub fitted: Score,
    /// Score on the other half.
    pub held_out: Score,
}

impl Trial {
    /// Discipline and drop rule, as text.
    pub fn words(&self) -> String {
        model::words(self.discipline, self.aqm, self.flow_queues_in_classes)
    }
}

impl Calibration {
    /// The rule by which the device loses or marks packets, fitted on the whole recording.
    pub fn chosen_aqm(&self) -> Option<&AqmEstimate> {
        let chosen = self.model.aqm.filter(|kind| *kind != AqmKind::TailDrop);
        self.aqms_on_whole.iter().find(|aqm| Some(aqm.kind) == chosen)
    }
}

/// Rules of thumb on the second half of the recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baselines {
    /// The minimum sojourn plus the packet's own transmission.
    pub no_queue: Score,
    /// M/M/1 at the measured load; `None` at a load of 1 or more, or without a rate.
    pub mm1: Option<Score>,
    /// The measured load of the second half.
    pub load: Option<f64>,
}

/// Packet counts of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PacketsSeen {
    /// Packets in the ingress captures.
    pub ingress: u64,
    /// Packets in the egress capture.
    pub egress: u64,
    /// Packets in both.
    pub matched: u64,
    /// Packets that are twice in the egress capture, and once in an ingress capture.
    pub duplicated: u64,
    /// Packets lost in the device.
    pub lost: u64,
    /// Packets in the egress capture only.
    pub only_egress: u64,
    /// Packets that cannot be identified uniquely, or that arrived while the egress capture was not running.
    pub unknown: u64,
    /// Packets that leave before they arrive.
    pub negative_delays: u64,
}

/// The result of a calibration: `calibration.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// The ingress captures, as given.
    pub ingress: Vec<PathBuf>,
    /// The egress capture, as given.
    pub egress: PathBuf,
    /// Selection of packets of each ingress capture, if given.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub ingress_keys: Vec<CaptureKeys>,
    /// Selection of packets of the egress capture, if given.
    #[serde(skip_serializing_if = "CaptureKeys::is_empty")]
    pub egress_keys: CaptureKeys,
    /// Packet counts.
    pub packets: PacketsSeen,
    /// The device, fitted on the whole recording.
    pub model: Model,
    /// The estimates that it is based on.
    pub estimates: Estimates,
    /// The path before and behind the device.
    pub path: PathEstimate,
    /// The rules for losing or marking packets, fitted on the first half, in descending order of likelihood
    /// on the second.
    pub aqms: Vec<AqmEstimate>,
    /// The most likely rules, fitted on the whole recording.
    pub aqms_on_whole: Vec<AqmEstimate>,
    /// Rules that are about as likely as the first.
    pub indistinguishable: Vec<AqmKind>,
    /// Disciplines with a queue per flow that reproduce the flows about as well as the chosen one.
    pub alike: Vec<DisciplineKind>,
    /// The device, fitted on the first half.
    pub fitted_on_half: Model,
    /// Score of the device fitted on the first half, on the second half; `None` if the recording is too short
    /// for halves.
    pub held_out: Option<Score>,
    /// Score of the device fitted on the whole recording, on the whole recording.
    pub in_sample: Score,
    /// Rules of thumb on the second half.
    pub baselines: Baselines,
    /// All candidates, the best first.
    pub trials: Vec<Trial>,
    /// What the recording does not show, as text.
    pub not_identified: Vec<String>,
    /// Possible problems of the captures, as text.
    pub warnings: Vec<String>,
    /// The data that the page draws.
    #[serde(skip)]
    pub curves: Curves,
}

fn is_unsaid(keys: &[CaptureKeys]) -> bool {
    keys.iter().all(CaptureKeys::is_empty)
}

/// Minimum number of packets of known fate for dividing a recording into halves.
const LEAST_FOR_HALVES: usize = 400;

/// Finds the device between the captures. `progress` can interrupt the calibration.
///
/// # Errors
/// A capture is invalid, or the captures do not belong to one device.
///
/// # Complexity
/// O(n log n) in the packets, times the number of candidates. The times of all packets are held in memory.
pub fn calibrate(
    options: &CalibrateOptions,
    mut progress: impl FnMut(CalibrateStage) -> ControlFlow<()>,
) -> Result<Calibration, CalibrateError> {
    let mut go_on = |stage| match progress(stage) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(CalibrateError::Interrupted),
    };
    if options.ingress.is_empty() {
        return Err(CalibrateError::NoIngress);
    }
    go_on(CalibrateStage::Reading)?;
    let mut joined = transit::join(options)?;
    go_on(CalibrateStage::Estimating)?;
    let (first, second) = halves(&joined);
    let whole = i64::MIN..i64::MAX;
    let train = if second.is_empty() { whole.clone() } else { first };
    let path = path::take_off(&mut joined, options.ingress.len(), train.clone());
    let replays = Replays::new(&joined, options.ingress.len());
    let on_half = fit::Fitting::new(&joined, &path, train.clone());
    let aqms = on_half.aqms(&joined, second.clone(), None);
    let mut several = on_half.classful();
    several.extend(on_half.per_flow());
    let single = match aqms.is_empty() {
        true => vec![on_half.plain()],
        false => aqms.iter().map(|aqm| on_half.with_aqm(aqm)).collect(),
    };
    let count = single.len() + several.len();
    let mut trials = Vec::new();
    for (number, model) in single.into_iter().chain(several).enumerate() {
        go_on(CalibrateStage::Trying(number + 1, count))?;
        let model = on_half.refine(model, &replays)?;
        let simulated = replays.simulate(&model)?;
        let fitted = replays.score(&simulated, train.clone());
        let held_out = match second.is_empty() {
            true => fitted,
            false => replays.score(&simulated, second.clone()),
        };
        let trial = Trial {
            discipline: model.discipline,
            aqm: model.aqm,
            bottleneck: model.bottleneck,
            log_loss_nats: aqms.get(number).map(|aqm| aqm.held_out_nats),
            cost_by_flow: model.discipline.is_per_flow().then(|| {
                replays
                    .cost_by_flow(&simulated, if second.is_empty() { train.clone() } else { second.clone() })
            }),
            top_owns_rate: model.top_owns_rate(),
            flow_queues_in_classes: model.has_flow_queues(),
            fitted,
            held_out,
        };
        trials.push((trial, model));
    }
    rank(&mut trials);
    keep_best_per_flow(&mut trials);
    let fitted_on_half = trials[0].1.clone();
    let on_whole = fit::Fitting::new(&joined, &path, whole.clone());
    let likely: Vec<AqmKind> = aqm::indistinguishable(&aqms).iter().map(|aqm| aqm.kind).collect();
    let kinds = (!likely.is_empty()).then_some(&likely[..]);
    let aqms_on_whole = on_whole.aqms(&joined, 0..0, kinds);
    let model = on_whole.refine(on_whole.like(&fitted_on_half, &aqms_on_whole), &replays)?;
    let in_sample = replays.score(&replays.simulate(&model)?, whole.clone());
    let window = if second.is_empty() { whole } else { second.clone() };
    let baselines = on_half.baselines(&joined, window.clone());
    let aqm = aqms.iter().find(|aqm| Some(aqm.kind) == fitted_on_half.aqm);
    let source =
        CurveInputs { joined: &joined, replays: &replays, fitting: &on_half, aqm, trials: &trials, window };
    let curves = source.curves()?;
    let held_out = (!second.is_empty()).then_some(trials[0].0.held_out);
    let mut not_identified = on_whole.not_identified(&model, &path);
    if second.is_empty() {
        not_identified
            .push("the accuracy on unseen packets: there are too few packets for two halves".to_owned());
    }
    let chosen = aqms_on_whole.iter().find(|aqm| Some(aqm.kind) == model.aqm);
    not_identified.extend(chosen.iter().flat_map(|aqm| aqm.not_shown.iter().cloned()));
    let indistinguishable: Vec<AqmKind> =
        aqm::indistinguishable(if aqms.is_empty() { &aqms_on_whole } else { &aqms })
            .iter()
            .map(|aqm| aqm.kind)
            .collect();
    if model.discipline.is_single() && indistinguishable.len() > 1 {
        not_identified.push(format!(
            "which rule drops packets: the recording does not distinguish {} (odds below 100 to 1)",
            listed(indistinguishable.iter().map(|kind| kind.words()))
        ));
    }
    let alike = alike(&trials);
    if alike.len() > 1 {
        not_identified.push(format!(
            "which discipline with a queue per flow it has: {} give the flows about the same delays and losses",
            listed(alike.iter().map(|kind| kind.words()))
        ));
    }
    Ok(Calibration {
        ingress: options.ingress.clone(),
        egress: options.egress.clone(),
        ingress_keys: options.ingress_keys.clone(),
        egress_keys: options.egress_keys.clone(),
        packets: seen(&joined),
        warnings: warnings(&joined),
        not_identified,
        model,
        path,
        indistinguishable,
        alike,
        aqms,
        aqms_on_whole,
        estimates: on_whole.into_estimates(),
        fitted_on_half,
        held_out,
        in_sample,
        baselines,
        trials: trials.into_iter().map(|(trial, _)| trial).collect(),
        curves,
    })
}

/// Sorts the candidates by cost, the best first. Candidates with a single queue all get the cost of the one
/// with the most likely drop rule on the second half. Candidates with a queue per flow all get the minimum of
/// their costs, and are sorted among themselves by the cost by flow.
fn rank(trials: &mut [(Trial, Model)]) {
    let cost = |trial: &Trial| match trial.discipline {
        DisciplineKind::PriorityAndSharing => MORE_INVOLVED * trial.held_out.cost(),
        _ => trial.held_out.cost(),
    };
    let cost_of_single = cost(&trials[0].0);
    let per_flow = trials.iter().filter(|(trial, _)| trial.discipline.is_per_flow());
    let cost_of_per_flow = per_flow.map(|(trial, _)| cost(trial)).fold(f64::INFINITY, f64::min);
    let key = |(trial, _): &(Trial, Model)| match (trial.discipline.is_single(), trial.cost_by_flow) {
        (true, _) => (cost_of_single, 0.0),
        (false, Some(by_flow)) => (cost_of_per_flow, by_flow),
        (false, None) => (cost(trial), 0.0),
    };
    // The sort is stable: candidates without classes stay in the order of their likelihood.
    trials.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
}

/// Keeps the best candidate of each discipline with a queue per flow; they started with different parameters.
fn keep_best_per_flow(trials: &mut Vec<(Trial, Model)>) {
    let mut seen = Vec::new();
    trials.retain(|(trial, _)| {
        let is_first = !trial.discipline.is_per_flow() || !seen.contains(&trial.discipline);
        seen.push(trial.discipline);
        is_first
    });
}

/// Disciplines with a queue per flow that are about as close as the chosen one. Empty if the chosen one has
/// no queue per flow or is exact.
fn alike(trials: &[(Trial, Model)]) -> Vec<DisciplineKind> {
    let Some(least) = trials[0].0.cost_by_flow.filter(|cost| *cost > EXACT_BY_FLOW) else {
        return Vec::new();
    };
    let mut alike = Vec::new();
    for (trial, _) in trials {
        let close = trial.cost_by_flow.is_some_and(|cost| cost < ALIKE * least);
        if close && !alike.contains(&trial.discipline) {
            alike.push(trial.discipline);
        }
    }
    alike
}

/// A cost by flow below this is an exact match, not chance.
const EXACT_BY_FLOW: f64 = 0.02;

/// Maximum factor between the costs by flow of disciplines that count as equally close. Random numbers alone
/// cause such a difference.
const ALIKE: f64 = 1.5;

/// Factor on the cost of priorities with sharing within: either one alone needs fewer parameters.
const MORE_INVOLVED: f64 = 1.25;

/// The two halves of the recording, by number of packets. The second is empty if there are too few packets.
fn halves(joined: &Joined) -> (Range<i64>, Range<i64>) {
    let known = joined.transits.iter().filter(|transit| transit.fate != Fate::Unknown).count();
    if known < LEAST_FOR_HALVES {
        return (i64::MIN..i64::MAX, 0..0);
    }
    let middle = joined.transits[joined.transits.len() / 2].arrival_ps;
    (i64::MIN..middle, middle..i64::MAX)
}

/// `a, b and c`.
fn listed<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<&str> = words.collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

fn seen(joined: &Joined) -> PacketsSeen {
    let count =
        |is: fn(&Fate) -> bool| joined.transits.iter().filter(|transit| is(&transit.fate)).count() as u64;
    PacketsSeen {
        ingress: joined.transits.len() as u64,
        egress: joined.egress,
        matched: count(|fate| matches!(fate, Fate::Departed(_))),
        lost: count(|fate| *fate == Fate::Lost),
        duplicated: joined.duplicated,
        only_egress: joined.only_egress,
        unknown: count(|fate| *fate == Fate::Unknown),
        negative_delays: joined.negative,
    }
}

fn warnings(joined: &Joined) -> Vec<String> {
    let mut warnings = joined.remarks.clone();
    let PacketsSeen { egress, matched, duplicated, only_egress, unknown, negative_delays, ingress, .. } =
        seen(joined);
    if only_egress * 1_000 > egress {
        warnings.push(format!(
            "{only_egress} of {egress} packets of the egress capture are in no ingress capture: is the capture of an \
             ingress port missing? Their share of the rate is not accounted for"
        ));
    }
    if duplicated > 0 {
        warnings.push(format!(
            "{duplicated} packets are in the egress capture twice: the path or the capture duplicates them; the model does not"
        ));
    }
    if unknown * 100 > ingress {
        warnings.push(format!(
            "{unknown} of {ingress} ingress packets are left out: their match keys are not unique, or the egress capture \
             was not running"
        ));
    }
    if negative_delays > 0 {
        warnings.push(format!(
            "{negative_delays} of {matched} packets leave before they arrive, by up to {:.3} us: the clocks of the \
             captures differ",
            -joined.least_delay_ps as f64 / 1e6
        ));
    }
    warnings
}
