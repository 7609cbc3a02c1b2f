//! The history of one queue: arrivals, the backlog, and the fate of each packet.

use std::ops::Range;

use super::sample::{Crossing, Sample};

/// A packet that arrived at the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newcomer {
    /// Time of arrival, in us.
    pub at: f64,
    /// Its length as counted by the queue, in bytes.
    pub length: f64,
    /// Whether it is ECN-capable.
    pub capable: bool,
    /// When it was taken out, in us; `None` for a lost packet.
    pub taken: Option<f64>,
    /// Whether it was marked with a congestion mark.
    pub marked: bool,
    /// Bytes waiting at its arrival, without packets that were lost.
    pub bytes: f64,
    /// The same in packets.
    pub packets: f64,
    /// Packets that waited or were on the path behind the queue.
    pub packets_and_path: f64,
    /// Start of the idle period, in us; `None` if packets were waiting.
    pub idle_since: Option<f64>,
}

impl Newcomer {
    /// Whether it was lost or marked.
    pub fn is_hit(&self) -> bool {
        self.taken.is_none() || self.marked
    }
}

/// A queue of one class, served in order.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    /// The packets, in order of arrival.
    pub joined: Vec<Newcomer>,
    /// The part that parameters are estimated from.
    pub fit: Range<usize>,
    /// The part that they are scored on; empty if there is none.
    pub score: Range<usize>,
}

impl Queue {
    /// The packets of `class`. A packet joins `processing` us after its arrival, and takes `path` us, a
    /// function of its length, behind the queue. `peeks`: a packet is taken out when the one before it
    /// leaves. Parameters are estimated from the arrivals in the window `fit` [us] and scored on those in
    /// `score`.
    pub fn new(
        sample: &Sample,
        class: impl Fn(usize) -> bool,
        processing: f64,
        peeks: bool,
        path: impl Fn(f64) -> f64,
        fit: Range<f64>,
        score: Range<f64>,
    ) -> Self {
        let own: Vec<&Crossing> = sample.crossings.iter().filter(|crossing| class(crossing.class)).collect();
        let mut leaving = sample
            .departures()
            .filter(|(crossing, _)| class(crossing.class))
            .map(|(c, at)| (at, c.length))
            .peekable();
        let mut arriving = leaving.clone();
        let mut on_path = 0.0;
        let (mut bytes, mut packets, mut inside) = (0.0, 0.0, 0i64);
        let mut idle_since = Some(f64::NEG_INFINITY);
        let mut left_before = f64::NEG_INFINITY;
        let mut joined = Vec::with_capacity(own.len());
        for crossing in &own {
            // A packet joins before it leaves, even if it is forwarded faster than most.
            let at = crossing.departure.map_or(crossing.arrival + processing, |departure| {
                (crossing.arrival + processing).min(departure)
            });
            while let Some((left, length)) = leaving.next_if(|(left, _)| *left <= at) {
                bytes -= length;
                packets -= 1.0;
                inside -= 1;
                if inside <= 0 {
                    idle_since = Some(left);
                }
            }
            while arriving.next_if(|(left, length)| *left + path(*length) <= at).is_some() {
                on_path -= 1.0;
            }
            let (waiting_bytes, waiting_packets) = (f64::max(bytes, 0.0), f64::max(packets, 0.0));
            let taken = crossing
                .departure
                .map(|departure| if peeks { left_before.clamp(at, departure) } else { departure });
            joined.push(Newcomer {
                at,
                length: crossing.length,
                capable: crossing.capable,
                taken,
                marked: crossing.marked,
                bytes: waiting_bytes,
                packets: waiting_packets,
                packets_and_path: f64::max(on_path, 0.0),
                idle_since: if inside <= 0 { idle_since } else { None },
            });
            if let Some(departure) = crossing.departure {
                bytes += crossing.length;
                packets += 1.0;
                on_path += 1.0;
                inside += 1;
                left_before = departure;
            }
        }
        let place = |us: f64| own.partition_point(|crossing| crossing.arrival < us);
        Queue {
            fit: place(fit.start)..place(fit.end),
            score: place(score.start)..place(score.end).max(place(score.start)),
            joined,
        }
    }

    /// The queue up to the end of the part that parameters are estimated from, without later packets.
    pub fn up_to_fit(&self) -> Queue {
        Queue { joined: self.joined[..self.fit.end].to_vec(), fit: self.fit.clone(), score: 0..0 }
    }

    /// Packets of a part that were lost or marked.
    pub fn hits(&self, part: &Range<usize>) -> usize {
        self.joined[part.clone()].iter().filter(|joined| joined.is_hit()).count()
    }

    /// The log loss of a prediction over a part, in nats: the negative logarithm of the probability that it
    /// gave to what happened. `predicted` is the probability of a hit, packet by packet.
    pub fn log_loss(&self, predicted: &[f64], part: &Range<usize>) -> f64 {
        let of = |joined: &Newcomer, predicted: &f64| {
            let hit = predicted.clamp(SURE, 1.0 - SURE);
            -libm::log(if joined.is_hit() { hit } else { 1.0 - hit })
        };
        self.joined[part.clone()]
            .iter()
            .zip(&predicted[part.clone()])
            .map(|(joined, hit)| of(joined, hit))
            .sum()
    }

    /// Converts a prediction with few values into probabilities: how often each value was followed by a hit,
    /// in the part that parameters are estimated from.
    pub fn by_counts(&self, signal: &[usize]) -> Vec<f64> {
        let values = signal.iter().max().map_or(0, |most| most + 1);
        let mut counts = vec![(0.0, 0.0); values];
        for place in self.fit.clone() {
            let (all, hits) = &mut counts[signal[place]];
            *all += 1.0;
            *hits += f64::from(u8::from(self.joined[place].is_hit()));
        }
        let mean = (self.hits(&self.fit) as f64 + 0.5) / (self.fit.len() as f64 + 1.0);
        signal.iter().map(|value| (counts[*value].1 + mean) / (counts[*value].0 + 1.0)).collect()
    }

    /// A prediction that leaves this fraction of the packets to other causes.
    pub fn softened(&self, mut predicted: Vec<f64>, part: f64) -> Vec<f64> {
        let mean = (self.hits(&self.fit) as f64 + 0.5) / (self.fit.len() as f64 + 1.0);
        for hit in &mut predicted {
            *hit = (1.0 - part) * *hit + part * mean;
        }
        predicted
    }
}

/// Minimum distance of a probability from 0 and 1.
const SURE: f64 = 1e-6;
