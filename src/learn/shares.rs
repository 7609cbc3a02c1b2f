//! Estimates the share of each class at a port from the data.
//!
//! Service is assumed to be round robin: by packets, by bytes with a deficit that is lost when the
//! class becomes empty (deficit round robin), or by bytes with a deficit that is kept (Linux `htb`). For each
//! of these, the quantum is the one that most often predicts whether a class continues, while it and another
//! class have more to send.

use super::trace::{Event, Trace};
use crate::ptm::neural::residual::ClassShare;

/// The longest round that is tried, in mean packets.
const LONG_TURN: f64 = 64.0;
/// The minimum share of a class.
const LEAST_SHARE: f64 = 0.01;
/// Number of quanta that are tried at first, and again around the best.
const SIZES: usize = 48;

/// A packet that was sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    length: f64,
    /// Whether another class was served before it.
    begins: bool,
    /// Whether its class became empty.
    empties: bool,
    /// The length of the next packet of its class, in bytes, and whether it was sent next; only if another
    /// class waited too.
    next: Option<(f64, bool)>,
}

/// The shares of `classes` classes at a device. `traces` are its ports, each with the number of visits that
/// are used. `mean_length` is their mean packet length, in bytes.
pub fn shares(traces: &[(&Trace, usize)], classes: usize, mean_length: f64) -> Vec<ClassShare> {
    if classes == 1 {
        return vec![ClassShare::ALONE];
    }
    let ports: Vec<_> = traces.iter().map(|(trace, until)| services(trace, classes, *until)).collect();
    let contested = |class: usize| ports.iter().map(|(_, contested)| contested[class]).sum::<f64>();
    let all: f64 = (0..classes).map(contested).sum();
    let of_class = |class: usize| {
        let pooled = |rule: fn(&[Sent], f64, &mut Explained), size: f64| {
            let mut explained = Explained::default();
            ports.iter().for_each(|(sent, _)| rule(&sent[class], size, &mut explained));
            explained.part()
        };
        let (least, most) = (mean_length / 4.0, LONG_TURN * mean_length);
        ClassShare {
            share: (if all > 0.0 { contested(class) / all } else { 1.0 / classes as f64 }).max(LEAST_SHARE),
            turn_packets: best(1.0, LONG_TURN, |size| pooled(by_packets, size.round())).round(),
            turn_bytes: best(least, most, |size| pooled(by_bytes, size)),
            kept_turn_bytes: best(least, most, |size| pooled(by_kept_bytes, size)),
        }
    };
    let mut shares: Vec<ClassShare> = (0..classes).map(of_class).collect();
    let sum: f64 = shares.iter().map(|share| share.share).sum();
    shares.iter_mut().for_each(|share| share.share /= sum);
    shares
}

/// The packets sent by each class, and its bytes while every class had packets waiting.
fn services(trace: &Trace, classes: usize, until: usize) -> (Vec<Vec<Sent>>, Vec<f64>) {
    let mut waiting = vec![std::collections::VecDeque::new(); classes];
    let mut sent: Vec<Vec<Sent>> = vec![Vec::new(); classes];
    let mut contested = vec![0.0; classes];
    let mut last: Option<usize> = None;
    for event in trace.events() {
        match event {
            Event::Arrives(index) if index >= until => break,
            Event::Arrives(index) => {
                let visit = &trace.visits[index];
                if visit.start.is_some() {
                    waiting[usize::from(visit.class)].push_back(f64::from(visit.packet.length));
                }
            }
            Event::Starts(index) => {
                let visit = &trace.visits[index];
                let (class, length) = (usize::from(visit.class), f64::from(visit.packet.length));
                let backlogged = waiting.iter().filter(|queue| !queue.is_empty()).count();
                if backlogged == classes {
                    contested[class] += length;
                }
                // The decision after the previous packet is known now, with all arrivals up to it.
                if let Some(last) = last
                    && let Some(head) = waiting[last].front()
                    && backlogged > 1
                    && let Some(sent) = sent[last].last_mut()
                    && !sent.empties
                {
                    sent.next = Some((*head, last == class));
                }
                waiting[class].pop_front();
                let empties = waiting[class].is_empty();
                sent[class].push(Sent { length, begins: last != Some(class), empties, next: None });
                last = Some(class);
            }
        }
    }
    (sent, contested)
}

/// The middle of the sizes from `least` to `most` with the best prediction.
fn best(least: f64, most: f64, explains: impl Fn(f64) -> f64) -> f64 {
    let (mut least, mut most) = (libm::log(least), libm::log(most));
    for _ in 0..4 {
        let step = (most - least) / (SIZES - 1) as f64;
        let sizes: Vec<f64> = (0..SIZES).map(|index| least + step * index as f64).collect();
        let found: Vec<f64> = sizes.iter().map(|size| explains(libm::exp(*size))).collect();
        let top = found.iter().copied().fold(0.0, f64::max);
        let first = found.iter().position(|count| *count == top).unwrap_or(0);
        let length = found[first..].iter().take_while(|count| **count == top).count();
        let last = first + length - 1;
        if length > 3 {
            return libm::exp(0.5 * (sizes[first] + sizes[last]));
        }
        (least, most) = (sizes[first] - step, sizes[last] + step);
    }
    libm::exp(0.5 * (least + most))
}

/// The decisions that a rule predicts correctly.
#[derive(Debug, Clone, Copy, Default)]
struct Explained {
    /// Numbers of decisions to continue and to end a round.
    decisions: [f64; 2],
    explained: [f64; 2],
}

impl Explained {
    /// Counts a decision. Returns whether the rule was wrong.
    fn count(&mut self, went_on: bool, goes_on: bool) -> bool {
        let kind = usize::from(!went_on);
        self.decisions[kind] += 1.0;
        self.explained[kind] += if went_on == goes_on { 1.0 } else { 0.0 };
        went_on != goes_on
    }

    /// The mean fraction over both kinds, because one of them may be rare.
    fn part(&self) -> f64 {
        let part = |kind: usize| self.explained[kind] / self.decisions[kind].max(1.0);
        part(0) + part(1)
    }
}

/// Predictions of rounds with this number of packets.
fn by_packets(sent: &[Sent], size: f64, explained: &mut Explained) {
    let mut packets = 0.0;
    for sent in sent {
        if sent.begins || packets >= size {
            packets = 0.0;
        }
        packets += 1.0;
        if let Some((_, went_on)) = sent.next {
            explained.count(went_on, packets < size);
        }
    }
}

/// Predictions of deficit round robin with this quantum. After a wrong prediction, the deficit is corrected.
fn by_bytes(sent: &[Sent], size: f64, explained: &mut Explained) {
    let mut deficit = 0.0;
    for sent in sent {
        if sent.begins || deficit < sent.length {
            deficit += size;
        }
        deficit -= sent.length;
        if sent.empties {
            deficit = 0.0;
        }
        if let Some((head, went_on)) = sent.next
            && explained.count(went_on, deficit >= head)
        {
            deficit = if went_on { head } else { 0.5 * head };
        }
    }
}

/// Predictions of the round robin of `htb` with this quantum, with the same correction.
fn by_kept_bytes(sent: &[Sent], size: f64, explained: &mut Explained) {
    let mut deficit = 0.0;
    for sent in sent {
        deficit -= sent.length;
        let goes_on = deficit >= 0.0;
        if !goes_on {
            deficit = (deficit + size).max(-size);
        }
        if let Some((_, went_on)) = sent.next
            && explained.count(went_on, goes_on)
        {
            deficit = if went_on { 0.0 } else { size - 0.5 * sent.length };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_turns_is_found() {
        // Packets of 100 to 1500 bytes that are never alone, in rounds by each rule.
        let mut state = 1u64;
        let mut length = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (100 + (state >> 33) % 1_401) as f64
        };
        let lengths: Vec<f64> = (0..4_000).map(|_| length()).collect();
        let sent = |mut goes_on: Box<dyn FnMut(f64, f64) -> bool>| -> Vec<Sent> {
            let mut begins = true;
            let pairs = lengths.windows(2).map(|pair| {
                let on = goes_on(pair[0], pair[1]);
                let sent = Sent { length: pair[0], begins, empties: false, next: Some((pair[1], on)) };
                begins = !on;
                sent
            });
            pairs.collect()
        };
        let mut deficit = 4_000.0;
        let drr = sent(Box::new(move |length, head| {
            deficit -= length;
            let on = deficit >= head;
            deficit += if on { 0.0 } else { 4_000.0 };
            on
        }));
        let mut kept = 0.0;
        let htb = sent(Box::new(move |length, _| {
            kept -= length;
            let on = kept >= 0.0;
            kept += if on { 0.0 } else { 6_000.0 };
            on
        }));
        let mut packets = 0;
        let wrr = sent(Box::new(move |_, _| {
            packets += 1;
            packets % 3 != 0
        }));
        let part = |rule: fn(&[Sent], f64, &mut Explained), sent: &[Sent], size| {
            let mut explained = Explained::default();
            rule(sent, size, &mut explained);
            explained.part()
        };
        let found = best(200.0, 51_200.0, |size| part(by_bytes, &drr, size));
        assert!((found - 4_000.0).abs() < 5.0, "{found}");
        let found = best(200.0, 51_200.0, |size| part(by_kept_bytes, &htb, size));
        assert!((found - 6_000.0).abs() < 5.0, "{found}");
        assert_eq!(best(1.0, 64.0, |size| part(by_packets, &wrr, size.round())).round(), 3.0);
    }
}
