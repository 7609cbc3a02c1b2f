//! What a port did with its packets: the data of training, from anywhere.

use std::ops::Range;
use std::sync::Arc;

use crate::flow::Flows;
use crate::link::Link;
use crate::packet::Packet;
use crate::units::{Span, Time};

/// A packet's way through an egress port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// When it joined the port.
    pub arrival: Time,
    /// Its length, ingress port and header fields.
    pub packet: Packet,
    /// Its class, from 0.
    pub class: u16,
    /// When its first bit started onto the link; `None` for a lost one.
    pub start: Option<Time>,
}

/// Every packet of an egress port for a while, by arrival.
#[derive(Debug, Clone)]
pub struct Trace {
    /// What it is called in messages.
    pub name: String,
    /// Which of several devices it belongs to; 0 where there is one.
    pub context: usize,
    /// The link behind the port.
    pub link: Link,
    /// The flows of the packets.
    pub flows: Arc<Flows>,
    /// The packets.
    pub visits: Vec<Visit>,
}

/// What happens at the port, by number of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A packet arrives.
    Arrives(usize),
    /// A packet starts onto the link.
    Starts(usize),
}

impl Trace {
    /// From arrival until the last bit is on the link, at `start` (DeepQueueNet's `time_in_sys`).
    pub fn delay(&self, visit: &Visit, start: Time) -> Span {
        start.since(visit.arrival) + self.link.transmission_time(visit.packet.byte_count())
    }

    /// The packets that started, by start.
    pub fn starts(&self) -> Vec<usize> {
        let mut order: Vec<usize> =
            (0..self.visits.len()).filter(|&index| self.visits[index].start.is_some()).collect();
        order.sort_by_key(|&index| self.visits[index].start);
        order
    }

    /// Everything that happens, in order: at one instant starts come before arrivals, except that a packet arrives
    /// before it starts.
    pub fn events(&self) -> Vec<Event> {
        let mut events = Vec::with_capacity(2 * self.visits.len());
        let mut arrived = 0;
        for index in self.starts() {
            let start = self.visits[index].start;
            while arrived <= index
                || self.visits.get(arrived).is_some_and(|visit| Some(visit.arrival) < start)
            {
                events.push(Event::Arrives(arrived));
                arrived += 1;
            }
            events.push(Event::Starts(index));
        }
        events.extend((arrived..self.visits.len()).map(Event::Arrives));
        events
    }

    /// The same port with those packets alone.
    pub fn cut(&self, range: Range<usize>) -> Trace {
        Trace {
            visits: self.visits[range].to_vec(),
            flows: Arc::clone(&self.flows),
            name: self.name.clone(),
            ..*self
        }
    }

    /// The packets of the part of the time from `from` to `to`, both from 0 to 1 of all packets.
    pub fn part(&self, from: f64, to: f64) -> Range<usize> {
        let count = self.visits.len() as f64;
        (from * count).round() as usize..(to * count).round() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bandwidth;

    #[test]
    fn a_packet_arrives_before_it_starts_and_others_after() {
        let visit = |arrival, start: Option<u64>| Visit {
            arrival: Time::from_ps(arrival),
            packet: Packet::default(),
            class: 0,
            start: start.map(Time::from_ps),
        };
        let trace = Trace {
            name: String::new(),
            context: 0,
            link: Link::with_delay(Bandwidth::Unlimited, Span::ZERO),
            flows: Arc::default(),
            visits: vec![visit(0, Some(0)), visit(1, Some(9)), visit(2, Some(5)), visit(5, None)],
        };
        use Event::{Arrives, Starts};
        let expected = [Arrives(0), Starts(0), Arrives(1), Arrives(2), Starts(2), Arrives(3), Starts(1)];
        assert_eq!(trace.events(), expected);
    }
}
