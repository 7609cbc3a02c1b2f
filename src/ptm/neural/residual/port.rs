//! A port as a causal observer of its packets knows it, and the features that describe it to a network. Every
//! feature takes O(1) per packet, in units of the port's service time and of the mean packet length.

use std::collections::VecDeque;

use super::super::math::exp;
use super::{ClassShare, Pace};
use crate::link::{Link, Transmission};
use crate::packet::Tau;
use crate::ptm::Backlog;
use crate::units::{Bandwidth, Span, Time};

/// The features used to predict when the port sends, besides one per class.
pub const LATENESS_FEATURES: usize = 9;
/// The features of each class used to choose a class.
pub const CHOICE_FEATURES: usize = 13;
/// The features of a packet that has been sent, besides one per class.
pub const SENT_FEATURES: usize = 4;
/// The features of an arriving packet.
pub const DROP_FEATURES: usize = 6;

/// The service times over which rates are averaged.
const WINDOWS: [f32; 2] = [8.0, 128.0];
/// Larger values carry no more information.
const MOST: f32 = 4.0;

/// The pace of the port: the instant from which it may send.
///
/// Tokens are kept as the instant at which the bucket will be full. A link is a bucket of depth zero that may
/// go below zero by one packet. Lateness is made up for: tokens accumulate at the rate, whenever they are
/// used.
#[derive(Debug, Clone, Copy)]
struct Pacer {
    transmission: Transmission,
    /// The depth of the bucket, as time.
    depth: Span,
    /// Whether the bucket must hold the whole packet.
    whole: bool,
    full: Time,
}

impl Pacer {
    fn new(pace: &Pace, link: &Link) -> Self {
        let bucket = |rate, overhead| {
            Transmission::new(&Link { overhead, ..Link::with_delay(Bandwidth::Limited(rate), Span::ZERO) })
        };
        let (transmission, depth, whole) = match *pace {
            Pace::Link => (Transmission::new(link), Span::ZERO, false),
            Pace::TokenBucket { rate, burst, overhead } => {
                let transmission = bucket(rate, overhead);
                (transmission, time_of(&transmission, burst.get()), true)
            }
            Pace::DebtBucket { rate, burst, overhead } => {
                let transmission = bucket(rate, overhead);
                (transmission, time_of(&transmission, burst.get()), false)
            }
        };
        Pacer { transmission, depth, whole, full: Time::ZERO }
    }

    /// The earliest time at which a packet of `length` may leave.
    #[inline]
    fn eligible(&self, length: u32) -> Time {
        let needed = if self.whole { self.transmission.time(length) } else { Span::ZERO };
        self.full + needed - self.depth
    }

    #[inline]
    fn send(&mut self, at: Time, length: u32) {
        self.full = self.full.max(at) + self.transmission.time(length);
    }
}

/// The transmission time of `bytes` without framing.
fn time_of(transmission: &Transmission, bytes: u64) -> Span {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    Span::from_ps(transmission.time(bytes).as_ps() - transmission.time(0).as_ps())
}

/// A packet that waits.
struct Waiting {
    tau: Tau,
    /// The number of packets that arrived before it.
    number: u64,
    /// Its finish tag in self-clocked fair queueing with the shares of the classes.
    tag: f64,
}

/// A class of the port.
struct Class {
    share: ClassShare,
    queue: VecDeque<Waiting>,
    backlog: Backlog,
    /// The packets sent in the round, and the rest of the quantum in bytes, as in deficit round robin.
    turn_packets: f64,
    deficit: f64,
    /// The rest of the quantum where a deficit is kept when the class becomes empty, and whether the last
    /// packet ended a round.
    kept_deficit: f64,
    turn_ended: bool,
    last_length: f64,
    /// Its service so far minus that of a fluid server with the shares of the classes, since it was last
    /// empty.
    lag: f64,
    last_tag: f64,
}

/// A port: its waiting packets, and the state of what was sent.
pub struct Port {
    pacer: Pacer,
    /// The mean packet length, in bytes.
    mean_length: f32,
    /// The service time of the mean packet, in picoseconds.
    unit: f32,
    classes: Vec<Class>,
    /// Packets that arrived so far.
    arrived: u64,
    /// The backlog.
    backlog: Backlog,
    /// The class that was served last.
    turn: Option<usize>,
    /// The tag of the last packet sent.
    virtual_time: f64,
    last_sent: Time,
    /// The lateness of the last packet, in the network's representation.
    last_lateness: f32,
    /// Arrived work per service time, over each of [`WINDOWS`], and when it was updated.
    rates: [f32; 2],
    rates_at: Time,
}

impl Port {
    /// An idle port.
    pub fn new(pace: &Pace, link: &Link, mean_length: f64, shares: &[ClassShare]) -> Self {
        let pacer = Pacer::new(pace, link);
        let unit = time_of(&pacer.transmission, mean_length.round() as u64).as_ps() as f32;
        let class = |share: &ClassShare| Class {
            share: *share,
            queue: VecDeque::new(),
            backlog: Backlog::default(),
            turn_packets: 0.0,
            deficit: 0.0,
            kept_deficit: 0.0,
            turn_ended: false,
            last_length: 0.0,
            lag: 0.0,
            last_tag: 0.0,
        };
        Port {
            pacer,
            mean_length: mean_length as f32,
            unit: unit.max(1.0),
            classes: shares.iter().map(class).collect(),
            arrived: 0,
            backlog: Backlog::default(),
            turn: None,
            virtual_time: 0.0,
            last_sent: Time::ZERO,
            last_lateness: 0.0,
            rates: [0.0; 2],
            rates_at: Time::ZERO,
        }
    }

    /// The service time of the mean packet, in picoseconds.
    pub fn unit_ps(&self) -> f32 {
        self.unit
    }

    /// The backlog.
    pub fn backlog(&self) -> Backlog {
        self.backlog
    }

    /// Packets that wait in a class.
    pub fn packets_in(&self, class: usize) -> usize {
        self.classes[class].queue.len()
    }

    /// Bytes that wait in a class.
    pub fn bytes_in(&self, class: usize) -> u64 {
        self.classes[class].backlog.bytes()
    }

    /// The first packet of a class.
    pub fn head(&self, class: usize) -> Option<&Tau> {
        self.classes[class].queue.front().map(|waiting| &waiting.tau)
    }

    /// All packets that wait.
    pub fn waiting(&self) -> impl Iterator<Item = &Tau> {
        self.classes.iter().flat_map(|class| &class.queue).map(|waiting| &waiting.tau)
    }

    /// The number of classes with packets to send.
    pub fn backlogged(&self) -> usize {
        self.classes.iter().filter(|class| !class.queue.is_empty()).count()
    }

    /// The earliest time at which the port may send, asked at `now`: for the only class with packets, or for
    /// any class.
    pub fn eligible(&self, now: Time) -> Time {
        let head = match self.pacer.whole {
            true => self.classes.iter().find_map(|class| class.queue.front()),
            false => None,
        };
        self.pacer.eligible(head.map_or(0, |head| head.tau.packet.length)).max(now)
    }

    /// A span in service times.
    #[inline]
    fn units(&self, span: Span) -> f32 {
        span.as_ps() as f32 / self.unit
    }

    #[inline]
    fn lengths(&self, bytes: f64) -> f32 {
        bytes as f32 / self.mean_length
    }

    /// The features of the port for a packet of `length` bytes that arrives and may be dropped. `limits` are
    /// the largest backlogs observed, in bytes, of the port and of the class including such a packet.
    pub fn drop_features(&self, class: usize, length: u32, limits: [f64; 2], x: &mut [f32]) {
        let class = &self.classes[class];
        let length = f64::from(length);
        let [room, room_in_class] = [
            limits[0] - self.backlog.bytes() as f64 - length,
            limits[1] - class.backlog.bytes() as f64 - length,
        ]
        .map(|room| self.lengths(room).clamp(-MOST, MOST));
        x.copy_from_slice(&[
            room,
            room_in_class,
            self.lengths(length),
            log(self.lengths(self.backlog.bytes() as f64)),
            log(self.rates[0]),
            log(self.rates[1]),
        ]);
    }

    /// Enqueues a packet in a class.
    pub fn arrive(&mut self, class: usize, tau: Tau) {
        let length = f64::from(tau.packet.length);
        self.pass_time(tau.timestamp);
        let work = self.lengths(length);
        for (rate, window) in self.rates.iter_mut().zip(WINDOWS) {
            *rate += work / window;
        }
        if self.backlog.packets() == 0 {
            self.virtual_time = 0.0;
            self.classes.iter_mut().for_each(|class| class.last_tag = 0.0);
        }
        let virtual_time = self.virtual_time;
        let class = &mut self.classes[class];
        class.last_tag = class.last_tag.max(virtual_time) + length / class.share.share;
        class.queue.push_back(Waiting { tau, number: self.arrived, tag: class.last_tag });
        self.arrived += 1;
        class.backlog.add(tau.packet.length);
        self.backlog.add(tau.packet.length);
    }

    fn pass_time(&mut self, now: Time) {
        let passed = self.units(now.since(self.rates_at));
        for (rate, window) in self.rates.iter_mut().zip(WINDOWS) {
            *rate *= exp(-passed / window);
        }
        self.rates_at = now;
    }

    /// The features of the port asked at `now`, when it may send from `eligible` on: [`LATENESS_FEATURES`],
    /// and one per class.
    pub fn lateness_features(&mut self, now: Time, eligible: Time, x: &mut [f32]) {
        self.pass_time(now);
        let head = self
            .classes
            .iter()
            .find_map(|class| class.queue.front())
            .map_or(0, |head| head.tau.packet.length);
        let tokens = self.pacer.depth.as_ps() as f32 - self.pacer.full.since(now).as_ps() as f32;
        let (general, classes) = x.split_at_mut(LATENESS_FEATURES);
        general.copy_from_slice(&[
            if eligible > now { 1.0 } else { 0.0 },
            log(self.units(eligible.since(now))),
            (tokens / self.unit).clamp(-MOST, MOST),
            self.lengths(f64::from(head)),
            log(self.backlog.packets() as f32),
            log(self.units(now.since(self.last_sent))),
            self.last_lateness,
            log(self.rates[0]),
            log(self.rates[1]),
        ]);
        for (x, class) in classes.iter_mut().zip(&self.classes) {
            *x = if class.queue.is_empty() { 0.0 } else { 1.0 };
        }
    }

    /// The features of the classes for the choice at `now`: [`CHOICE_FEATURES`] each.
    pub fn choice_features(&self, now: Time, x: &mut [f32]) {
        let heads = self.classes.iter().filter_map(|class| class.queue.front());
        let least_tag = heads.clone().map(|head| head.tag).fold(f64::INFINITY, f64::min);
        let oldest = heads.map(|head| head.number).min();
        for (index, (x, class)) in x.chunks_exact_mut(CHOICE_FEATURES).zip(&self.classes).enumerate() {
            let Some(head) = class.queue.front() else {
                x.fill(0.0);
                continue;
            };
            let length = f64::from(head.tau.packet.length);
            let flag = |value: bool| if value { 1.0 } else { 0.0 };
            let left = class.share.turn_packets - class.turn_packets;
            x.copy_from_slice(&[
                1.0,
                flag(self.turn == Some(index)),
                flag(oldest == Some(head.number)),
                self.lengths(length),
                log(self.units(now.since(head.tau.timestamp))),
                log(self.lengths(class.backlog.bytes() as f64)),
                (left as f32).clamp(-MOST, MOST),
                self.lengths(class.deficit).clamp(-MOST, MOST),
                self.lengths(class.deficit - length).clamp(-MOST, MOST),
                self.lengths(class.kept_deficit).clamp(-MOST, MOST),
                flag(class.turn_ended),
                self.lengths(class.lag).clamp(-MOST, MOST),
                self.lengths(head.tag - least_tag).clamp(0.0, MOST),
            ]);
        }
    }

    /// The head of `class` starts at `now`, with `lateness` in the network's representation. Writes
    /// [`SENT_FEATURES`], and one per class.
    ///
    /// # Panics
    /// When nothing waits in the class.
    pub fn send(&mut self, class: usize, now: Time, lateness: f32, x: &mut [f32]) -> Tau {
        let Waiting { tau, tag, .. } =
            self.classes[class].queue.pop_front().expect("something waits in the class");
        let bytes = tau.packet.length;
        let length = f64::from(bytes);
        let (general, one_hot) = x.split_at_mut(SENT_FEATURES);
        general.copy_from_slice(&[
            self.lengths(length),
            lateness,
            log(self.units(now.since(self.last_sent))),
            log(self.units(now.since(tau.timestamp))),
        ]);
        one_hot.fill(0.0);
        one_hot[class] = 1.0;
        self.take_turn(class, length);
        self.pay(class, length);
        self.virtual_time = tag;
        self.backlog.remove(bytes);
        let served = &mut self.classes[class];
        served.backlog.remove(bytes);
        if served.queue.is_empty() {
            served.deficit = 0.0;
            served.lag = 0.0;
        }
        self.pacer.send(now, bytes);
        self.last_sent = now;
        self.last_lateness = lateness;
        tau
    }

    /// Counts rounds as in weighted round robin (by packets), deficit round robin (by bytes, from the start
    /// of a round), and `htb` (by bytes, kept when a class becomes empty). A count that the observation
    /// contradicts is set to the nearest consistent value.
    fn take_turn(&mut self, class: usize, length: f64) {
        let before = self.turn.replace(class);
        let contested = self.backlogged() > 1;
        if let Some(before) = before.filter(|before| *before != class) {
            let gave_up = &mut self.classes[before];
            if !gave_up.queue.is_empty() && !gave_up.turn_ended {
                gave_up.turn_ended = true;
                gave_up.kept_deficit = gave_up.share.kept_turn_bytes - 0.5 * gave_up.last_length;
            }
            if let Some(head) = gave_up.queue.front().map(|head| f64::from(head.tau.packet.length))
                && gave_up.deficit >= head
            {
                gave_up.deficit = 0.5 * head;
            }
        }
        let begins = before != Some(class);
        let class = &mut self.classes[class];
        let share = class.share;
        if !begins && contested {
            if class.turn_ended {
                class.kept_deficit = 0.0;
            }
            class.deficit = class.deficit.max(length);
        }
        if begins || class.turn_packets >= share.turn_packets {
            class.turn_packets = 0.0;
        }
        class.turn_packets += 1.0;
        if begins || class.deficit < length {
            class.deficit += share.turn_bytes;
        }
        class.deficit -= length;
        class.kept_deficit -= length;
        class.turn_ended = class.kept_deficit < 0.0;
        if class.turn_ended {
            class.kept_deficit = (class.kept_deficit + share.kept_turn_bytes).max(-share.kept_turn_bytes);
        }
        class.last_length = length;
    }

    /// The fluid server gives each class that waits its share; the class that is served gains the length of
    /// the packet.
    fn pay(&mut self, class: usize, length: f64) {
        let waits = |index: usize, other: &Class| index == class || !other.queue.is_empty();
        let shares: f64 = self
            .classes
            .iter()
            .enumerate()
            .filter(|(index, other)| waits(*index, other))
            .map(|(_, other)| other.share.share)
            .sum();
        for (index, other) in self.classes.iter_mut().enumerate() {
            if waits(index, other) {
                other.lag += length * other.share.share / shares;
            }
        }
        self.classes[class].lag -= length;
    }
}

/// ln(1 + x) for x >= 0, to about 1 part in 10^4, for features whose magnitude matters.
#[inline]
fn log(x: f32) -> f32 {
    let x = 1.0 + x.max(0.0);
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    // A polynomial for log2 on [1, 2) that is 0 at 1 and 1 at 2, fitted at Chebyshev nodes: within 2e-5.
    let t = m - 1.0;
    let log2 = t * (1.441_836 + t * (-0.708_372 + t * (0.413_555 + t * (-0.191_263 + t * 0.044_244))));
    (exponent as f32 + log2) * std::f32::consts::LN_2
}
