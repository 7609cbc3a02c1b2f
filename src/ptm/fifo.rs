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
    /// The maximum backlog, not counting the packet in transmission (default: unlimited). A packet that finds
    /// the link free needs no room.
    #[serde(default)]
    pub buffer: Option<Buffer>,
}

/// A link that sends one packet after the other, each as soon as possible.
///
/// # Source
/// D. V. Lindley, "The theory of queues with a single server", 1952.
#[derive(Debug, Clone, Copy)]
pub struct Lindley {
    transmission: Transmission,
    /// When the link has sent all packets that it was given.
    free: Time,
}

impl Lindley {
    /// An idle link.
    pub fn new(link: &Link) -> Self {
        Lindley { transmission: Transmission::new(link), free: Time::ZERO }
    }

    /// When a packet that joins at `joined` would start.
    #[inline(always)]
    pub fn start(&self, joined: Time) -> Time {
        joined.max(self.free)
    }

    /// Sends a packet of `length` that joins at `joined`. Returns when its transmission starts and when it
    /// ends.
    #[inline(always)]
    pub fn send(&mut self, joined: Time, length: u32) -> (Time, Time) {
        let start = self.start(joined);
        self.free = start + self.transmission.time(length);
        (start, self.free)
    }
}

/// A work-conserving FIFO in front of a link, with tail drop.
///
/// Each departure is known when the packet arrives.
pub struct Fifo {
    link: Lindley,
    buffer: Option<Buffer>,
    /// The packets that may still wait; empty where the buffer is unlimited.
    waiting: Starts,
}

/// Packets that wait for a known start.
#[derive(Default)]
pub(super) struct Starts {
    /// Starts and lengths, in order.
    starts: VecDeque<(Time, u32)>,
    backlog: Backlog,
}

impl Starts {
    /// A packet of `length` bytes starts after the others.
    #[inline]
    pub fn push(&mut self, start: Time, length: u32) {
        self.backlog.add(length);
        self.starts.push_back((start, length));
    }

    /// Removes the packets that have started by `now`. Returns the start of the last one.
    #[inline]
    pub fn start_until(&mut self, now: Time) -> Option<Time> {
        let mut last = None;
        while let Some(&(start, length)) = self.starts.front()
            && start <= now
        {
            self.backlog.remove(length);
            self.starts.pop_front();
            last = Some(start);
        }
        last
    }

    /// The backlog of the remaining packets.
    #[inline]
    pub fn backlog(&self) -> Backlog {
        self.backlog
    }

    /// Whether no packet waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }
}

impl Fifo {
    /// Creates an empty queue.
    pub fn new(spec: &FifoSpec, link: Link) -> Self {
        Fifo { link: Lindley::new(&link), buffer: spec.buffer, waiting: Starts::default() }
    }
}

impl Ptm for Fifo {
    #[inline]
    fn arrive(&mut self, tau: &Tau, _flows: &Flows) -> Arrival {
        if let Some(buffer) = self.buffer {
            self.waiting.start_until(tau.timestamp);
            let start = self.link.start(tau.timestamp);
            if start > tau.timestamp {
                if !buffer.admits(self.waiting.backlog(), tau.packet.length) {
                    return Arrival::Dropped(DropReason::BufferFull);
                }
                self.waiting.push(start, tau.packet.length);
            }
        }
        Arrival::Departs(self.link.send(tau.timestamp, tau.packet.length).0)
    }

    /// The Lindley recursion in one loop, where no packet can be dropped.
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
        let mut link = self.link;
        departures.extend(ingress.iter().map(|&tau| {
            let (start, _) = link.send(tau.timestamp, tau.packet.length);
            Departure { tau, start }
        }));
        self.link = link;
    }
}

/// A FIFO with tail drop as a discipline, for a class of another: an arriving packet is dropped if the
/// backlog with it exceeds the buffer (Linux `pfifo` and `bfifo`).
pub struct FifoQueue {
    buffer: Option<Buffer>,
    packets: VecDeque<Tau>,
    backlog: Backlog,
}

impl FifoQueue {
    /// Creates an empty queue.
    pub fn new(buffer: Option<Buffer>) -> Self {
        FifoQueue { buffer, packets: VecDeque::new(), backlog: Backlog::default() }
    }

    /// Enqueues a packet if there is room.
    #[inline]
    pub(super) fn join(&mut self, tau: Tau, losses: &mut Vec<Loss>) {
        if self.buffer.is_some_and(|buffer| !buffer.admits(self.backlog, tau.packet.length)) {
            losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::BufferFull });
        } else {
            self.backlog.add(tau.packet.length);
            self.packets.push_back(tau);
        }
    }

    /// Whether a packet of `length` bytes could ever join.
    pub(super) fn could_hold(&self, length: u32) -> bool {
        self.buffer.is_none_or(|buffer| buffer.admits(Backlog::default(), length))
    }
}

impl Discipline for FifoQueue {
    #[inline]
    fn enqueue(&mut self, tau: Tau, _flows: &Flows, losses: &mut Vec<Loss>) {
        self.join(tau, losses);
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
