//! The least time that a flow takes on its way through an empty network, store and forward.

use crate::link::{Link, Transmission};
use crate::units::Span;

/// A way through the network: its links in order, each with what the device behind it takes to process a packet.
#[derive(Debug, Clone, Default)]
pub struct Way(Vec<Stage>);

#[derive(Debug, Clone, Copy)]
struct Stage {
    transmission: Transmission,
    /// Propagation, and processing behind it.
    delay: Span,
}

impl Way {
    /// Of these links, each with the processing delay of the device behind it.
    pub fn new<'a>(links: impl IntoIterator<Item = (&'a Link, Span)>) -> Self {
        let stage = |(link, processing): (&Link, Span)| Stage {
            transmission: Transmission::new(link),
            delay: link.propagation_delay() + processing,
        };
        Way(links.into_iter().map(stage).collect())
    }

    /// How long one packet of `length` bytes takes.
    pub fn one(&self, length: u32) -> Span {
        self.0.iter().fold(Span::ZERO, |sum, stage| sum + stage.transmission.time(length) + stage.delay)
    }

    /// How long a train takes, sent back to back: `whole` packets of `length` bytes, and then, where that is not 0, one of `rest`
    /// bytes, which is shorter. From the first bit of the first packet to the last bit of the last.
    ///
    /// Each link sends a packet once it has all of it and the one before is sent. The last packet arrives when the longest chain of
    /// transmissions is over: down the links with some packet, and on each link from one packet to the next.
    pub fn train(&self, whole: u64, length: u32, rest: u32) -> Span {
        let last = if rest > 0 { rest } else { length };
        let before = if rest > 0 { whole } else { whole.saturating_sub(1) };
        if before == 0 {
            return self.one(last);
        }
        let delays = self.0.iter().fold(Span::ZERO, |sum, stage| sum + stage.delay);
        let time = |stage: &Stage, length: u32| stage.transmission.time(length).as_ps();
        // From link `turn` on with the last packet; down to it with the first ones, most of them on the slowest link so far.
        let mut remaining: u64 = self.0.iter().map(|stage| time(stage, last)).sum();
        let (mut down, mut slowest, mut most) = (0u64, 0u64, 0u64);
        for stage in &self.0 {
            let own = time(stage, length);
            down += own;
            slowest = slowest.max(own);
            most = most.max(down + (before - 1).saturating_mul(slowest) + remaining);
            remaining -= time(stage, last);
        }
        Span::from_ps(most) + delays
    }
}

/// Bytes of Ethernet, IPv4 and TCP in front of a segment's options.
const HEADERS: u32 = 14 + 20 + 20;
/// The options of a SYN: its largest segment, SACK, timestamps and the window scale.
const SYN_OPTIONS: u32 = 20;
/// Without SACK and timestamps: the window scale.
const PLAIN_SYN_OPTIONS: u32 = 4;

/// The ideal completion time of a connection that sends `bytes` bytes in segments of `segment` bytes, with `options` bytes of options
/// each: the handshake (a SYN on the way, its answer back), all data as one train on the way, and the last acknowledgement back. No
/// window bounds it, no queue is met, and the end of the stream travels in the last data segment.
pub fn completion(way: &Way, back: &Way, bytes: u64, (segment, options): (u32, u32)) -> Span {
    let syn = HEADERS + if options > 0 { SYN_OPTIONS } else { PLAIN_SYN_OPTIONS };
    let headers = HEADERS + options;
    let (whole, rest) = (bytes / u64::from(segment.max(1)), (bytes % u64::from(segment.max(1))) as u32);
    let frame = |payload: u32| if payload > 0 { headers + payload } else { 0 };
    way.one(syn) + back.one(syn) + way.train(whole, frame(segment), frame(rest)) + back.one(headers)
}

/// What [`completion`] is, in words.
pub const DEFINITION: &str = "time of the SYN, its answer, all data as one train of segments, store and forward over the links of the \
                              flow's path without queues and windows, and the last acknowledgement";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Bandwidth, Time};

    fn link(gbps: u64, ns: u64) -> Link {
        let bandwidth: Bandwidth = format!("{gbps} Gbps").parse().unwrap();
        Link::with_delay(bandwidth, Span::from_ns(ns))
    }

    /// The same, packet by packet.
    fn by_recursion(links: &[Link], whole: u64, length: u32, rest: u32) -> Span {
        let mut free = vec![Time::ZERO; links.len()];
        let mut last = Time::ZERO;
        let lengths = (0..whole).map(|_| length).chain((rest > 0).then_some(rest));
        for length in lengths {
            let mut at = Time::ZERO;
            for (link, free) in links.iter().zip(&mut free) {
                *free = at.max(*free) + Transmission::new(link).time(length);
                at = *free + link.propagation_delay();
            }
            last = at;
        }
        last.since(Time::ZERO)
    }

    #[test]
    fn a_train_takes_what_its_packets_take_one_by_one() {
        for links in
            [vec![(10, 1000)], vec![(10, 1000), (1, 5), (40, 7)], vec![(1, 3), (100, 0), (2, 9), (1, 1)]]
        {
            let links: Vec<Link> = links.into_iter().map(|(gbps, ns)| link(gbps, ns)).collect();
            let way = Way::new(links.iter().map(|link| (link, Span::ZERO)));
            for (whole, rest) in [(1, 0), (0, 99), (1, 99), (2, 0), (7, 1), (100, 1447), (100, 0)] {
                let expected = by_recursion(&links, whole, 1514, rest);
                assert_eq!(way.train(whole, 1514, rest), expected, "{whole} {rest}");
            }
        }
    }
}
