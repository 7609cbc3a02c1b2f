//! The features of a packet: its length, its source, and the arrivals shortly before it.

use std::collections::VecDeque;

use super::PORTS_AT_MOST;
use crate::packet::Packet;
use crate::units::{ByteCount, Rate, Span, Time};

/// The number of packets in the mean length.
const MEAN_OVER: usize = 63;

/// The maximum number of packets that count as load.
const REMEMBERED: usize = 256;

/// The number of features of a packet: 12 for 4 ports and 1 class.
pub fn count(ports: usize, classes: usize) -> usize {
    let per_class = if classes > 1 { 1 + classes } else { 0 };
    4 + ports + ports * classes + per_class
}

/// The features of a port's packets, one after the other.
///
/// In this order:
///
/// | feature | unit | |
/// |---|---|---|
/// | length | bytes | |
/// | class | | the number of its class from 0; only with several classes |
/// | source | | the number of its ingress port, from 0 in order of first appearance |
/// | destination | | the number of this port: 0 |
/// | traffic index of each ingress port | packets | mean over that port's packets so far of its packets within tau before |
/// | load of each port, for each class | packets | packets of that destination and class within tau before |
/// | gap | s | since the packet before |
/// | gap of each class | s | between that class's last two packets; only with several classes |
///
/// Tau, the "adapted service time", is the mean length of the last 63 packets divided by the service rate.
/// State and time are bounded: loads count at most 256 packets.
///
/// # Source
/// The published features of DeepQueueNet (SIGCOMM 2022), with two differences. A PTM belongs to one egress
/// port and sees only its arrivals, so the loads of other destinations are 0. The traffic index is the mean
/// so far; the original uses the mean over the whole trace, including the future.
#[derive(Debug, Clone)]
pub struct Features {
    ports: usize,
    classes: usize,
    rate: Rate,
    /// The ingress port of each number.
    known: Vec<u16>,
    recent: VecDeque<Recent>,
    /// Bytes of the last [`MEAN_OVER`] packets in `recent`.
    bytes: u64,
    /// Packets within tau before the newest, per class.
    loads: Vec<u32>,
    /// Per ingress port: the number of its packets so far, and the sum of its loads.
    traffic: Vec<(u64, u64)>,
    /// Per class: its last arrival, and the gap before it.
    gaps: Vec<(Option<Time>, Span)>,
}

#[derive(Debug, Clone, Copy)]
struct Recent {
    arrival: Time,
    length: u32,
    source: usize,
    class: usize,
}

impl Features {
    /// The state before the first packet, at a port with the service rate `rate`.
    pub fn new(ports: usize, classes: usize, rate: Rate) -> Self {
        debug_assert!((1..=PORTS_AT_MOST).contains(&ports) && classes > 0);
        Features {
            ports,
            classes,
            rate,
            known: Vec::new(),
            recent: VecDeque::with_capacity(REMEMBERED + 1),
            bytes: 0,
            loads: vec![0; classes],
            traffic: vec![(0, 0); ports],
            gaps: vec![(None, Span::ZERO); classes],
        }
    }

    /// A packet of `class` arrives; writes its features `[count(ports, classes)]`.
    pub fn next(&mut self, arrival: Time, packet: &Packet, class: usize, features: &mut [f32]) {
        let source = self.number(packet.in_port);
        let gap = self.recent.back().map_or(Span::ZERO, |last| arrival.since(last.arrival));
        if let Some(leaving) = self.recent.len().checked_sub(MEAN_OVER) {
            self.bytes -= u64::from(self.recent[leaving].length);
        }
        self.bytes += u64::from(packet.length);
        self.recent.push_back(Recent { arrival, length: packet.length, source, class });

        let tau = self.tau();
        self.loads.fill(0);
        let mut of_source = 0;
        let before = self.recent.iter().rev().skip(1);
        for recent in before.take_while(|recent| arrival.since(recent.arrival) <= tau) {
            self.loads[recent.class] += 1;
            of_source += u64::from(recent.source == source);
        }
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
        let (packets, sum) = &mut self.traffic[source];
        (*packets, *sum) = (*packets + 1, *sum + of_source);
        let (last, between) = &mut self.gaps[class];
        if let Some(last) = last.replace(arrival) {
            *between = arrival.since(last);
        }

        let several = self.classes > 1;
        let traffic = self.traffic.iter().map(|&(packets, sum)| sum as f32 / packets.max(1) as f32);
        let loads = self.loads.iter().map(|&load| load as f32);
        let elsewhere = std::iter::repeat_n(0.0, (self.ports - 1) * self.classes);
        let gaps = self.gaps.iter().filter(|_| several).map(|(_, gap)| seconds(*gap));
        let values = std::iter::once(packet.length as f32)
            .chain(several.then_some(class as f32))
            .chain([source as f32, 0.0])
            .chain(traffic)
            .chain(loads)
            .chain(elsewhere)
            .chain([seconds(gap)])
            .chain(gaps);
        features.iter_mut().zip(values).for_each(|(feature, value)| *feature = value);
    }

    /// The number of an ingress port; further ports get the number of the last one.
    fn number(&mut self, in_port: u16) -> usize {
        let known = self.known.iter().position(|known| *known == in_port);
        known.unwrap_or_else(|| {
            if self.known.len() < self.ports {
                self.known.push(in_port);
                self.known.len() - 1
            } else {
                self.ports - 1
            }
        })
    }

    /// The service time of a packet of mean length, including the newest packet.
    fn tau(&self) -> Span {
        let packets = self.recent.len().min(MEAN_OVER) as u64;
        let together = self.rate.transmission_time(ByteCount::new(self.bytes));
        Span::from_ps(together.as_ps() / packets)
    }
}

/// Groups features that are scaled alike: the number of the group of each feature.
pub fn kinds(ports: usize, classes: usize) -> Vec<usize> {
    let [length, class, source, destination, traffic, load, gap] = [0, 1, 2, 3, 4, 5, 6];
    let several = classes > 1;
    let mut kinds = vec![length];
    kinds.extend(several.then_some(class));
    kinds.extend([source, destination]);
    kinds.extend(std::iter::repeat_n(traffic, ports));
    kinds.extend(std::iter::repeat_n(load, ports * classes));
    kinds.extend(std::iter::repeat_n(gap, 1 + if several { classes } else { 0 }));
    kinds
}

/// Seconds, rounded to 32 bits.
pub fn seconds(span: Span) -> f32 {
    span.as_seconds_f64() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = 1_000_000;

    fn all(ports: usize, classes: usize, packets: &[(u64, u32, u16, usize)]) -> Vec<Vec<f32>> {
        let mut features = Features::new(ports, classes, "8 Mbps".parse().unwrap());
        let of = |&(at, length, in_port, class): &(u64, u32, u16, usize)| {
            let mut values = vec![f32::NAN; count(ports, classes)];
            let packet = Packet { length, in_port, ..Packet::default() };
            features.next(Time::from_ps(at), &packet, class, &mut values);
            values
        };
        packets.iter().map(of).collect()
    }

    #[test]
    fn four_ports_and_one_class_have_the_published_twelve() {
        assert_eq!(count(4, 1), 12);
        // 100 bytes take 100 us; the mean of 100 and 300 bytes takes 200 us.
        let rows =
            all(4, 1, &[(0, 100, 7, 0), (100 * US, 100, 7, 0), (201 * US, 300, 9, 0), (300 * US, 100, 7, 0)]);
        assert_eq!(rows[0], [100.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(rows[1], [100.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1e-4]);
        // Tau is 166.67 us: the second is within it, the first is not.
        assert_eq!(rows[2], [300.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.01e-4]);
        // Tau is 150 us: the third only, of another source.
        assert_eq!(rows[3], [100.0, 0.0, 0.0, 1.0 / 3.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 9.9e-5]);
    }

    #[test]
    fn several_classes_have_loads_and_gaps_of_their_own() {
        assert_eq!(count(4, 2), 4 + 4 + 8 + 3);
        let rows = all(1, 2, &[(0, 100, 0, 1), (10 * US, 100, 0, 0), (30 * US, 100, 0, 1)]);
        let [length, class, source, destination] = [100.0, 1.0, 0.0, 0.0];
        assert_eq!(rows[2], [length, class, source, destination, 1.0, 1.0, 1.0, 2e-5, 0.0, 3e-5]);
        assert_eq!(kinds(1, 2), [0, 1, 2, 3, 4, 5, 5, 6, 6, 6]);
        assert_eq!(kinds(4, 1).len(), 12);
    }

    #[test]
    fn a_port_too_many_counts_as_the_last() {
        let rows = all(2, 1, &[(0, 100, 5, 0), (0, 100, 6, 0), (0, 100, 7, 0), (0, 100, 5, 0)]);
        let sources: Vec<f32> = rows.iter().map(|row| row[1]).collect();
        assert_eq!(sources, [0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn the_mean_length_is_that_of_the_last_63_and_memory_is_bounded() {
        let mut features = Features::new(1, 1, "8 Mbps".parse().unwrap());
        let mut values = vec![0.0; count(1, 1)];
        for index in 0..1_000u32 {
            let packet = Packet { length: index, ..Packet::default() };
            features.next(Time::ZERO, &packet, 0, &mut values);
            let last = index.saturating_sub(62)..=index;
            let mean = f64::from(last.clone().sum::<u32>()) / f64::from(index - last.start() + 1);
            assert!((features.tau().as_ps() as f64 - mean * 1e6).abs() < 1.0);
        }
        assert_eq!((features.recent.len(), values[4]), (REMEMBERED, REMEMBERED as f32));
    }
}
