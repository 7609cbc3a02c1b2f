//! [`Trace`]: the packets of a port, as training data from any source.

use std::ops::Range;
use std::sync::Arc;

use crate::flow::Flows;
use crate::link::Link;
use crate::packet::Packet;
use crate::units::{Span, Time};

/// The passage of a packet through an egress port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// Time when it joined the port.
    pub arrival: Time,
    /// Its length, ingress port and header fields.
    pub packet: Packet,
    /// Its class, from 0.
    pub class: u16,
    /// Time when its first bit started onto the link; `None` for a lost packet.
    pub start: Option<Time>,
}

/// All packets of an egress port during a period, by arrival.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The name in messages.
    pub name: String,
    /// The device that it belongs to; 0 if there is only one.
    pub context: usize,
    /// The link behind the port.
    pub link: Link,
    /// The flows of the packets.
    pub flows: Arc<Flows>,
    /// The packets.
    pub visits: Vec<Visit>,
}

/// An event at the port, with the index of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A packet arrives.
    Arrives(usize),
    /// A packet starts onto the link.
    Starts(usize),
}

impl Trace {
    /// Delay from arrival until the last bit is on the link, for a packet that starts at `start`
    /// (DeepQueueNet's `time_in_sys`).
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

    /// All events in order. At one instant, starts precede arrivals, except that a packet arrives before it
    /// starts.
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

    /// The same port with only these packets.
    pub fn cut(&self, range: Range<usize>) -> Trace {
        Trace {
            visits: self.visits[range].to_vec(),
            flows: Arc::clone(&self.flows),
            name: self.name.clone(),
            ..*self
        }
    }

    /// The packets between the fractions `from` and `to`, from 0 to 1 of all packets.
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
