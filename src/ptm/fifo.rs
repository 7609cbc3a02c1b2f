//! First in, first out: the Lindley recursion `s_n = max(t_n, s_{n-1} + L_{n-1} / C)`.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::buffer::{Backlog, Buffer};
use super::discipline::{Discipline, Next};
use super::{Arrival, Departure, Loss, Ptm, forward_one_by_one};
use crate::flow::Flows;
use crate::link::{Link, Transmission};
use crate::packet::{DropReason, Tau};
use crate::units::Time;

/// The parameters of a `fifo`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FifoSpec {
    /// How much may wait, not counting the packet in transmission; without it, any number. A
    /// packet that finds the link free needs no room.
    #[serde(default)]
    pub buffer: Option<Buffer>,
}

/// A work-conserving FIFO in front of a link, with tail drop.
///
/// A departure is known as its packet arrives.
///
/// # Source
/// D. V. Lindley, "The theory of queues with a single server", 1952.
pub struct Fifo {
    transmission: Transmission,
    buffer: Option<Buffer>,
    /// When the link falls free of all that it was given.
    free: Time,
    /// Starts and lengths of those that may still wait; empty where the buffer is unlimited.
    starts: VecDeque<(Time, u32)>,
    backlog: Backlog,
}

impl Fifo {
    /// An empty one.
    pub fn new(spec: &FifoSpec, link: Link) -> Self {
        Fifo {
            transmission: Transmission::new(link),
            buffer: spec.buffer,
            free: Time::ZERO,
            starts: VecDeque::new(),
            backlog: Backlog::default(),
        }
    }

    /// Forgets who has started by `now`.
    #[inline]
    fn start_until(&mut self, now: Time) {
        while let Some(&(start, length)) = self.starts.front()
            && start <= now
        {
            self.backlog.remove(length);
            self.starts.pop_front();
        }
    }
}

impl Ptm for Fifo {
    #[inline]
    fn arrive(&mut self, tau: &Tau, _flows: &Flows) -> Arrival {
        let start = tau.timestamp.max(self.free);
        if let Some(buffer) = self.buffer {
            self.start_until(tau.timestamp);
            if start > tau.timestamp {
                if !buffer.admits(self.backlog, tau.packet.length) {
                    return Arrival::Dropped(DropReason::BufferFull);
                }
                self.backlog.add(tau.packet.length);
                self.starts.push_back((start, tau.packet.length));
            }
        }
        self.free = start + self.transmission.time(tau.packet.length);
        Arrival::Departs(start)
    }

    /// The Lindley recursion in one loop, where no packet can be lost.
    fn forward_trace(
        &mut self,
        ingress: &[Tau],
        flows: &Flows,
        until: Time,
        departures: &mut Vec<Departure>,
        losses: &mut Vec<Loss>,
    ) {
        if self.buffer.is_some() {
            return forward_one_by_one(self, ingress, flows, until, departures, losses);
        }
        let mut free = self.free;
        departures.extend(ingress.iter().map(|&tau| {
            let start = tau.timestamp.max(free);
            free = start + self.transmission.time(tau.packet.length);
            Departure { tau, start }
        }));
        self.free = free;
    }

    fn next_departure(&self) -> Option<Time> {
        None
    }

    fn depart(&mut self) -> Option<Departure> {
        None
    }

    fn waiting(&self) -> Vec<Tau> {
        Vec::new()
    }
}

/// A FIFO with tail drop as a discipline, for a class of another: a newcomer is dropped when what waits and it
/// together exceed the buffer (Linux `pfifo` and `bfifo`).
pub struct FifoQueue {
    buffer: Option<Buffer>,
    packets: VecDeque<Tau>,
    backlog: Backlog,
}

impl FifoQueue {
    /// An empty one.
    pub fn new(buffer: Option<Buffer>) -> Self {
        FifoQueue { buffer, packets: VecDeque::new(), backlog: Backlog::default() }
    }
}

impl Discipline for FifoQueue {
    #[inline]
    fn enqueue(&mut self, tau: Tau, _flows: &Flows, losses: &mut Vec<Loss>) {
        if self.buffer.is_some_and(|buffer| !buffer.admits(self.backlog, tau.packet.length)) {
            losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::BufferFull });
        } else {
            self.backlog.add(tau.packet.length);
            self.packets.push_back(tau);
        }
    }

    #[inline]
    fn next(&mut self, _now: Time, _losses: &mut Vec<Loss>) -> Next {
        self.packets.front().map_or(Next::Nothing, |head| Next::Ready(head.packet.length))
    }

    #[inline]
    fn dequeue(&mut self, _now: Time, _losses: &mut Vec<Loss>) -> Option<Tau> {
        let tau = self.packets.pop_front()?;
        self.backlog.remove(tau.packet.length);
        Some(tau)
    }

    #[inline]
    fn backlog(&self) -> Backlog {
        self.backlog
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        waiting.extend(&self.packets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::units::{ByteCount, Span};

    /// Packets of 125 bytes take 1 ms at 1 Mbps.
    fn starts(buffer: Option<Buffer>, milliseconds: &[u64]) -> Vec<Option<u64>> {
        let link = Link::with_delay("1 Mbps".parse().unwrap(), Span::ZERO);
        let mut fifo = Fifo::new(&FifoSpec { buffer }, link);
        milliseconds
            .iter()
            .map(|&at| {
                let timestamp = Time::from_ps(at * 1_000_000_000);
                match fifo.arrive(
                    &Tau { timestamp, packet: Packet { length: 125, ..Packet::default() } },
                    &Flows::default(),
                ) {
                    Arrival::Departs(start) => Some(start.as_ps() / 1_000_000_000),
                    _ => None,
                }
            })
            .collect()
    }

    #[test]
    fn a_packet_waits_for_those_before_it() {
        assert_eq!(starts(None, &[0, 0, 0, 10]), [Some(0), Some(1), Some(2), Some(10)]);
    }

    #[test]
    fn a_full_buffer_drops_the_newcomer_and_only_waiting_packets_fill_it() {
        let two = Some(Buffer::Packets(2));
        assert_eq!(starts(two, &[0, 0, 0, 0, 1]), [Some(0), Some(1), Some(2), None, Some(3)]);
        let bytes = Some(Buffer::Bytes(ByteCount::new(249)));
        assert_eq!(starts(bytes, &[0, 0, 0, 1]), [Some(0), Some(1), None, Some(2)]);
        assert_eq!(starts(Some(Buffer::Packets(0)), &[0, 0, 1]), [Some(0), None, Some(1)], "a loss system");
    }
}
