//! Windows of packets, and the waiting time of the last packet of each.

use rand::seq::SliceRandom;

use super::TrainError;
use crate::learn::trace::Trace;
use crate::ptm::neural::deepqueuenet::features::{self, Features};
use crate::ptm::neural::deepqueuenet::network::WINDOW;
use crate::ptm::neural::deepqueuenet::{PORTS_AT_MOST, Scale};
use crate::random::Stream;
use crate::units::{Bandwidth, Rate};

/// The maximum number of ingress ports of the traces.
pub fn ports<'a>(traces: impl Iterator<Item = &'a Trace>) -> Result<usize, TrainError> {
    let mut most = 0;
    for trace in traces {
        let mut ports: Vec<u16> = trace.visits.iter().map(|visit| visit.packet.in_port).collect();
        ports.sort_unstable();
        ports.dedup();
        if ports.len() > PORTS_AT_MOST {
            return Err(TrainError::Ports { trace: trace.name.clone(), ports: ports.len() });
        }
        most = most.max(ports.len());
    }
    Ok(most)
}

/// The packets of a part, and the windows that they form.
pub struct Samples {
    features: usize,
    /// The features of each packet `[packets, features]`, trace by trace.
    values: Vec<f32>,
    samples: Vec<Sample>,
}

/// A packet that left.
#[derive(Clone, Copy)]
struct Sample {
    packet: usize,
    /// Index of the first packet of its trace.
    first: usize,
    class: usize,
    waiting_s: f32,
    /// The scaled waiting time.
    target: f32,
}

/// A batch of windows.
pub struct Batch {
    /// Input of the network at each step `[WINDOW][windows, features]`.
    pub steps: Vec<Vec<f32>>,
    /// Scaled waiting times `[windows]`.
    pub targets: Vec<f32>,
}

impl Samples {
    /// The samples of the traces of a part.
    pub fn of(
        traces: &[Trace],
        part: &'static str,
        ports: usize,
        classes: usize,
        rate: Option<Rate>,
    ) -> Result<Self, TrainError> {
        let features = features::count(ports, classes);
        let packets = traces.iter().map(|trace| trace.visits.len()).sum::<usize>();
        let mut values = vec![0.0; packets * features];
        let mut samples = Vec::new();
        let (mut rows, mut packet) = (values.chunks_exact_mut(features), 0);
        for trace in traces {
            let rate = rate.or(match trace.link.bandwidth {
                Bandwidth::Limited(rate) => Some(rate),
                Bandwidth::Unlimited => None,
            });
            let rate = rate.ok_or_else(|| TrainError::NoRate { trace: trace.name.clone() })?;
            let mut seen = Features::new(ports, classes, rate);
            let first = packet;
            for (visit, row) in trace.visits.iter().zip(&mut rows) {
                let class = usize::from(visit.class);
                if class >= classes {
                    let (trace, class) = (trace.name.clone(), visit.class);
                    return Err(TrainError::Class { trace, class, classes });
                }
                seen.next(visit.arrival, &visit.packet, class, row);
                if let Some(start) = visit.start {
                    let waiting_s = features::seconds(start.since(visit.arrival));
                    samples.push(Sample { packet, first, class, waiting_s, target: 0.0 });
                }
                packet += 1;
            }
        }
        if samples.is_empty() {
            Err(TrainError::Empty { part })
        } else {
            Ok(Samples { features, values, samples })
        }
    }

    /// Number of windows.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// The extremes of features, by kind, and of waiting times.
    pub fn scale(&self, kinds: &[usize]) -> Scale {
        let mut ends =
            vec![(f32::INFINITY, f32::NEG_INFINITY); kinds.iter().max().map_or(0, |most| most + 1)];
        for row in self.values.chunks_exact(self.features) {
            for (value, kind) in row.iter().zip(kinds) {
                let (least, greatest) = &mut ends[*kind];
                (*least, *greatest) = (least.min(*value), greatest.max(*value));
            }
        }
        let waiting = || self.samples.iter().map(|sample| sample.waiting_s);
        Scale {
            least: kinds.iter().map(|kind| ends[*kind].0).collect(),
            greatest: kinds.iter().map(|kind| ends[*kind].1).collect(),
            least_waiting_s: waiting().fold(f32::INFINITY, f32::min),
            greatest_waiting_s: waiting().fold(f32::NEG_INFINITY, f32::max),
        }
    }

    /// Scales features and waiting times. Must be called once.
    pub fn apply(&mut self, scale: &Scale) {
        self.values.chunks_exact_mut(self.features).for_each(|row| scale.apply(row));
        self.samples.iter_mut().for_each(|sample| sample.target = scale.output(sample.waiting_s));
    }

    /// At most `most` samples, evenly spaced.
    pub fn evenly(&self, most: usize) -> Vec<usize> {
        let count = most.min(self.len());
        (0..count).map(|index| index * self.len() / count).collect()
    }

    /// The class of a sample and its waiting time, in seconds.
    pub fn truth(&self, sample: usize) -> (usize, f32) {
        let Sample { class, waiting_s, .. } = self.samples[sample];
        (class, waiting_s)
    }

    /// The windows of these samples. Before the first packet of a trace, this packet is repeated.
    pub fn batch(&self, chosen: &[usize]) -> Batch {
        let step = |step: usize| {
            let row = |&chosen: &usize| {
                let Sample { packet, first, .. } = self.samples[chosen];
                let packet = (packet + step + 1).saturating_sub(WINDOW).max(first);
                &self.values[packet * self.features..(packet + 1) * self.features]
            };
            chosen.iter().flat_map(row).copied().collect()
        };
        Batch {
            steps: (0..WINDOW).map(step).collect(),
            targets: chosen.iter().map(|&chosen| self.samples[chosen].target).collect(),
        }
    }
}

/// Chooses the samples of each pass: all of them in turn, in random order.
pub struct Chooser {
    order: Vec<usize>,
    next: usize,
    random: Stream,
}

impl Chooser {
    /// Creates a chooser for `samples` samples.
    pub fn new(samples: usize, random: Stream) -> Self {
        Chooser { order: (0..samples).collect(), next: samples, random }
    }

    /// At most `most` samples, without repetition.
    pub fn next(&mut self, most: usize) -> Vec<usize> {
        if self.next >= self.order.len() {
            self.order.shuffle(&mut self.random);
            self.next = 0;
        }
        let end = (self.next + most).min(self.order.len());
        let chosen = self.order[self.next..end].to_vec();
        self.next = end;
        chosen
    }
}
