//! Training samples of a network: the features known at a port for each packet, and the outcome.

use std::ops::Range;

use super::trace::{Event, Trace};
use crate::packet::Tau;
use crate::ptm::neural::residual::{
    CHOICE_FEATURES, ClassShare, DROP_FEATURES, LATENESS_FEATURES, Limits, Pace, Port, Ranges, SENT_FEATURES,
};
use crate::units::Time;

/// The samples of a trace: one per packet sent, and one per packet that arrived.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Features of the packet once it is sent `[sent, SENT_FEATURES + classes]`.
    pub sent: Vec<f32>,
    /// Features when the port is polled `[sent, LATENESS_FEATURES + classes]`.
    pub lateness: Vec<f32>,
    /// Its lateness, as scaled for the network `[sent]`.
    pub late: Vec<f32>,
    /// Features when a class is chosen `[sent, CHOICE_FEATURES x classes]`.
    pub choice: Vec<f32>,
    /// Whether packets wait in each class `[sent, classes]`.
    pub waits: Vec<bool>,
    /// The chosen class `[sent]`.
    pub chosen: Vec<u16>,
    /// The packet, by its index in the trace `[sent]`.
    pub packet: Vec<usize>,
    /// Features of an arriving packet `[arrived, DROP_FEATURES + classes]`.
    pub drop: Vec<f32>,
    /// Whether it was lost `[arrived]`.
    pub dropped: Vec<bool>,
    /// Packets that overtook another of their class.
    pub overtaking: u64,
}

/// The parameters by which a port is observed.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The bottleneck.
    pub pace: &'a Pace,
    /// The mean packet length, in bytes.
    pub mean_length: f64,
    /// The classes.
    pub shares: &'a [ClassShare],
    /// The unit of lateness, in service times.
    pub lateness_unit: f64,
    /// The largest backlogs; `None` if nothing is ever dropped.
    pub limits: Option<&'a Limits>,
}

/// An observer of the replay of a trace.
trait Watch {
    /// Packet `index` arrives, before it joins.
    fn arrives(&mut self, _port: &Port, _index: usize) {}
    /// Packet `index` has joined.
    fn joined(&mut self, _port: &Port, _index: usize) {}
    /// The port is polled at `now`, may send from `eligible`, and sent `late` service times after that.
    /// Returns the lateness as scaled for the network.
    fn asked(&mut self, _port: &mut Port, _now: Time, _eligible: Time, _late: f64) -> f32 {
        0.0
    }
    /// Packet `index` is about to start.
    fn starts(&mut self, _port: &Port, _index: usize, _now: Time) {}
    /// It has started; `_overtook`: whether it overtook another of its class.
    fn started(&mut self, _features: &[f32], _overtook: bool) {}
}

/// Replays a trace at a port. The port is polled when the link becomes free while packets wait, and when a
/// packet arrives at a free link, as [`Server`](crate::ptm::Server) polls a discipline.
fn replay(trace: &Trace, view: &View<'_>, watch: &mut impl Watch) {
    let mut port = Port::new(view.pace, &trace.link, view.mean_length, view.shares);
    let mut features = vec![0.0; SENT_FEATURES + view.shares.len()];
    let starts = trace.starts();
    let mut pending = starts.iter().map(|&index| trace.visits[index].start.unwrap_or_default());
    let mut start = pending.next();
    let mut free = Time::ZERO;
    // The lateness of the next packet, once the port has been polled.
    let mut lateness = None;
    for event in trace.events() {
        match event {
            Event::Arrives(index) => {
                let visit = &trace.visits[index];
                let now = visit.arrival;
                if now >= free && port.backlog().packets() > 0 && lateness.is_none() {
                    lateness = Some(ask_at(&mut port, free, start, watch));
                }
                watch.arrives(&port, index);
                if visit.start.is_some() {
                    port.arrive(usize::from(visit.class), Tau { timestamp: now, packet: visit.packet });
                    watch.joined(&port, index);
                    if now >= free && lateness.is_none() {
                        lateness = Some(ask_at(&mut port, now, start, watch));
                    }
                }
            }
            Event::Starts(index) => {
                let visit = &trace.visits[index];
                let class = usize::from(visit.class);
                let now = visit.start.unwrap_or_default();
                let late = match lateness.take() {
                    Some(late) => late,
                    None => ask_at(&mut port, free, start, watch),
                };
                watch.starts(&port, index, now);
                let overtook = port.head(class).is_some_and(|head| head.timestamp < visit.arrival);
                port.send(class, now, late, &mut features);
                watch.started(&features, overtook);
                free = now + trace.link.transmission_time(visit.packet.byte_count());
                start = pending.next();
            }
        }
    }
}

/// Polls a port with waiting packets at `now`; it sends at `start`.
fn ask_at(port: &mut Port, now: Time, start: Option<Time>, watch: &mut impl Watch) -> f32 {
    let Some(start) = start else { return 0.0 };
    let eligible = port.eligible(now);
    let late_ps = start.as_ps() as f64 - eligible.as_ps() as f64;
    let late = late_ps / f64::from(port.unit_ps());
    watch.asked(port, now, eligible, late)
}

/// The lateness of each packet sent relative to the estimate, in service times, by start.
pub fn lateness(trace: &Trace, view: &View<'_>) -> Vec<f64> {
    struct Lateness(Vec<f64>);
    impl Watch for Lateness {
        fn asked(&mut self, _port: &mut Port, _now: Time, _eligible: Time, late: f64) -> f32 {
            self.0.push(late);
            0.0
        }
    }
    let mut watch = Lateness(Vec::new());
    replay(trace, view, &mut watch);
    watch.0
}

/// The largest backlogs, in bytes, caused by packets before index `until`.
pub fn limits(trace: &Trace, view: &View<'_>, until: usize) -> Limits {
    struct Most<'a>(&'a Trace, usize, Limits);
    impl Watch for Most<'_> {
        fn joined(&mut self, port: &Port, index: usize) {
            let Most(trace, until, limits) = self;
            if index < *until {
                let class = usize::from(trace.visits[index].class);
                limits.port = limits.port.max(port.backlog().bytes() as f64);
                limits.class[class] = limits.class[class].max(port.bytes_in(class) as f64);
            }
        }
    }
    let none = Limits { port: 0.0, class: vec![0.0; view.shares.len()] };
    let mut watch = Most(trace, until, none);
    replay(trace, view, &mut watch);
    watch.2
}

impl Samples {
    /// The samples of a trace.
    pub fn of(trace: &Trace, view: &View<'_>) -> Self {
        let mut recorder = Recorder { trace, view: *view, samples: Samples::default() };
        replay(trace, view, &mut recorder);
        recorder.samples
    }

    /// Extends the feature ranges to a part.
    pub fn widen(&self, (sent, arrived): &(Range<usize>, Range<usize>), classes: usize, ranges: &mut Ranges) {
        let rows = |size: usize, of: &Range<usize>| of.start * size..of.end * size;
        ranges.sent.see(&self.sent[rows(SENT_FEATURES + classes, sent)]);
        ranges.lateness.see(&self.lateness[rows(LATENESS_FEATURES + classes, sent)]);
        ranges.choice.see(&self.choice[rows(CHOICE_FEATURES * classes, sent)]);
        if !self.drop.is_empty() {
            ranges.drop.see(&self.drop[rows(DROP_FEATURES + classes, arrived)]);
        }
    }

    /// Clips all features to the ranges, as inference does.
    pub fn hold(&mut self, ranges: &Ranges) {
        ranges.sent.hold(&mut self.sent);
        ranges.lateness.hold(&mut self.lateness);
        ranges.choice.hold(&mut self.choice);
        ranges.drop.hold(&mut self.drop);
    }

    /// The samples of the packets that arrived with these indexes of the trace: `(sent, arrived)`. Packets
    /// sent in between that arrived at another time are included.
    pub fn part(&self, packets: &Range<usize>) -> (Range<usize>, Range<usize>) {
        let first = self.packet.iter().position(|index| packets.contains(index)).unwrap_or(0);
        let last =
            self.packet.iter().rposition(|index| packets.contains(index)).map_or(first, |last| last + 1);
        (first..last, packets.clone())
    }
}

struct Recorder<'a> {
    trace: &'a Trace,
    view: View<'a>,
    samples: Samples,
}

/// Appends `size` zeros and returns them to be filled.
fn room(values: &mut Vec<f32>, size: usize) -> &mut [f32] {
    let start = values.len();
    values.resize(start + size, 0.0);
    &mut values[start..]
}

impl Watch for Recorder<'_> {
    fn arrives(&mut self, port: &Port, index: usize) {
        let Some(limits) = self.view.limits else { return };
        let visit = &self.trace.visits[index];
        let class = usize::from(visit.class);
        let x = room(&mut self.samples.drop, DROP_FEATURES + self.view.shares.len());
        let (features, one_hot) = x.split_at_mut(DROP_FEATURES);
        port.drop_features(class, visit.packet.length, [limits.port, limits.class[class]], features);
        one_hot[class] = 1.0;
        self.samples.dropped.push(visit.start.is_none());
    }

    fn asked(&mut self, port: &mut Port, now: Time, eligible: Time, late: f64) -> f32 {
        let classes = self.view.shares.len();
        let x = room(&mut self.samples.lateness, LATENESS_FEATURES + classes);
        port.lateness_features(now, eligible, x);
        let late = libm::asinh(late / self.view.lateness_unit) as f32;
        self.samples.late.push(late);
        late
    }

    fn starts(&mut self, port: &Port, index: usize, now: Time) {
        let classes = self.view.shares.len();
        port.choice_features(now, room(&mut self.samples.choice, CHOICE_FEATURES * classes));
        self.samples.waits.extend((0..classes).map(|class| port.packets_in(class) > 0));
        self.samples.chosen.push(self.trace.visits[index].class);
        self.samples.packet.push(index);
    }

    fn started(&mut self, features: &[f32], overtook: bool) {
        self.samples.sent.extend_from_slice(features);
        self.samples.overtaking += u64::from(overtook);
    }
}
