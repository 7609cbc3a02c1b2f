//! Evaluates a model against the data.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::LearnError;
use super::data::Dataset;
use super::spec::{Part, Split};
use super::trace::Trace;
use crate::compare::{Delays, agreement};
use crate::packet::{Packet, Tau};
use crate::ptm::neural::card::ScoreCard;
use crate::ptm::neural::{Architecture, Model, ModelFile, NeuralSpec, Output};
use crate::ptm::{Place, PtmSpec};
use crate::report::Scatter;
use crate::units::{Time, Timestamp};

/// Maximum number of dots in a chart.
const MOST_DOTS: usize = 3_000;

/// The start of each packet of a trace according to a PTM, by its index; `None` for a lost one. Also returns
/// the time that the computation took, in seconds.
pub fn starts(trace: &Trace, spec: &PtmSpec, seed: u64) -> (Vec<Option<Time>>, f64) {
    let mut ptm =
        spec.build(&Place { link: trace.link, seed, port: &trace.name, start: Timestamp::default() });
    let taus = trace.visits.iter().enumerate().map(|(index, visit)| {
        let packet = Packet { pid: index as u64, ..visit.packet };
        Tau { timestamp: visit.arrival, packet }
    });
    let taus: Vec<Tau> = taus.collect();
    let (mut departures, mut losses) = (Vec::with_capacity(taus.len()), Vec::new());
    let clock = Instant::now();
    ptm.forward_trace(&taus, &trace.flows, Time::NEVER, &mut departures, &mut losses);
    let seconds = clock.elapsed().as_secs_f64();
    let mut starts = vec![None; taus.len()];
    for departure in departures {
        starts[departure.tau.packet.pid as usize] = Some(departure.start);
    }
    (starts, seconds)
}

/// The measured and the modelled delays of the packets in parts of traces.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// Delays from arrival until the last bit is sent, in picoseconds, of packets that left in both.
    pub delays: Delays,
    /// Packets lost in the data.
    pub lost: u64,
    /// Packets that the model loses.
    pub lost_simulated: u64,
}

impl Comparison {
    /// Adds the packets `range` of a trace.
    pub fn add(&mut self, trace: &Trace, simulated: &[Option<Time>], range: Range<usize>) {
        for (visit, simulated) in trace.visits[range.clone()].iter().zip(&simulated[range]) {
            self.lost += u64::from(visit.start.is_none());
            self.lost_simulated += u64::from(simulated.is_none());
            if let (Some(measured), Some(simulated)) = (visit.start, *simulated) {
                self.delays.measured.push(trace.delay(visit, measured).as_ps() as i64);
                self.delays.simulated.push(trace.delay(visit, simulated).as_ps() as i64);
            }
        }
    }

    /// At most `most` packets, evenly spaced.
    pub fn some(&self, most: usize, title: String) -> Scatter {
        let Delays { measured, simulated } = &self.delays;
        let step = measured.len().div_ceil(most).max(1);
        let mut pairs: Vec<(i64, i64)> =
            measured.iter().copied().zip(simulated.iter().copied()).step_by(step).collect();
        pairs.sort_unstable();
        let in_seconds = |ps: i64| ps as f64 * 1e-12;
        let (measured_s, predicted_s) = pairs.iter().map(|(x, y)| (in_seconds(*x), in_seconds(*y))).unzip();
        Scatter { title, measured_s, predicted_s }
    }

    /// The score.
    pub fn score(&self) -> ScoreCard {
        let found = agreement(&self.delays);
        ScoreCard {
            packets: self.delays.measured.len() as u64,
            pearson: found.and_then(|(_, _, agreement)| agreement.pearson),
            w1_normalized: found.and_then(|(_, _, agreement)| agreement.w1_normalized),
            mae_us: found.map_or(0.0, |(_, _, agreement)| agreement.mae_s * 1e6),
            mean_us: found.map_or(0.0, |(_, measured, _)| measured.mean * 1e6),
            lost: self.lost,
            lost_simulated: self.lost_simulated,
        }
    }
}

/// The evaluation of a model on one source of data, with one output mode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// The source.
    pub data: String,
    /// The part: `train`, `validation`, `test`.
    pub part: &'static str,
    /// The output mode: `sample`, `median`, `mean`.
    pub output: &'static str,
    /// The score.
    #[serde(flatten)]
    pub score: ScoreCard,
    /// Packets per second through the model alone.
    pub packets_per_s: f64,
    /// Delays of some of the packets, evenly spaced.
    #[serde(skip)]
    pub some: Scatter,
}

/// Evaluates a model on every source and part, with each of these output modes. `contexts` are the names of
/// the devices.
///
/// # Errors
/// `progress` interrupts the evaluation, or the model does not fit the port of a trace.
pub fn evaluate(
    model: &Arc<Model>,
    split: &Split,
    sources: &[Dataset],
    contexts: &[String],
    outputs: &[Output],
    mut progress: impl FnMut() -> ControlFlow<()>,
) -> Result<Vec<Evaluation>, LearnError> {
    let several = matches!(&model.card.architecture, Architecture::Residual(card) if card.context.len() > 1);
    let mut evaluations = Vec::new();
    for &output in outputs {
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
                packets += trace.visits.len();
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
                    output: output.name(),
                    score: comparison.score(),
                    packets_per_s: packets as f64 / f64::max(seconds, 1e-9),
                    some: comparison.some(MOST_DOTS, format!("{}, {}", source.name, part.name())),
                });
            }
        }
    }
    Ok(evaluations)
}

/// The scores for a card: one per source, part and output mode.
pub fn scores(evaluations: &[Evaluation]) -> BTreeMap<String, ScoreCard> {
    let name = |of: &Evaluation| format!("{} {} {}", of.data, of.part, of.output);
    evaluations.iter().map(|evaluation| (name(evaluation), evaluation.score)).collect()
}

/// The evaluations that a page shows packet by packet: the test part of each source, or else its training
/// part, with the output as a sample.
pub fn dots(evaluations: &[Evaluation]) -> Vec<Scatter> {
    let samples = || evaluations.iter().filter(|evaluation| evaluation.output == "sample");
    let tested = |data: &str| samples().any(|other| other.data == data && other.part == "test");
    let shown = samples().filter(|evaluation| match tested(&evaluation.data) {
        true => evaluation.part == "test",
        false => evaluation.part == "train",
    });
    shown.map(|evaluation| evaluation.some.clone()).collect()
}
