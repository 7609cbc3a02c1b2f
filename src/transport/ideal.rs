//! The ideal duration of a flow in an empty network, store and forward.

use crate::link::{Link, Transmission};
use crate::units::Span;

/// A path through the network: its links in order, each with the processing delay of the device behind it.
#[derive(Debug, Clone, Default)]
pub struct Way(Vec<Stage>);

#[derive(Debug, Clone, Copy)]
struct Stage {
    transmission: Transmission,
    /// Propagation delay, plus the processing delay behind the link.
    delay: Span,
}

impl Way {
    /// The path over these links, each with the processing delay of the device behind it.
    pub fn new<'a>(links: impl IntoIterator<Item = (&'a Link, Span)>) -> Self {
        let stage = |(link, processing): (&Link, Span)| Stage {
            transmission: Transmission::new(link),
            delay: link.propagation_delay() + processing,
        };
        Way(links.into_iter().map(stage).collect())
    }

    /// The duration of one packet of `length` bytes.
    pub fn one(&self, length: u32) -> Span {
        self.0.iter().fold(Span::ZERO, |sum, stage| sum + stage.transmission.time(length) + stage.delay)
    }

    /// The duration of a back-to-back train of `whole` packets of `length` bytes, followed by a shorter
    /// packet of `rest` bytes unless `rest` is 0. It counts from the first bit of the first packet to the
    /// last bit of the last.
    ///
    /// Each link sends a packet once it has received all of it and has sent the packet before. The last
    /// packet arrives when the longest chain of transmissions has ended: a chain follows one packet over
    /// links, and at a link moves from one packet to the next.
    pub fn train(&self, whole: u64, length: u32, rest: u32) -> Span {
        let last = if rest > 0 { rest } else { length };
        let before = if rest > 0 { whole } else { whole.saturating_sub(1) };
        if before == 0 {
            return self.one(last);
        }
        let delays = self.0.iter().fold(Span::ZERO, |sum, stage| sum + stage.delay);
        let time = |stage: &Stage, length: u32| stage.transmission.time(length).as_ps();
        // Over the links from `turn` on: the last packet. Before: the first packets, most of them on the
        // slowest link so far.
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

/// The bytes of Ethernet, IPv4 and TCP headers before a segment's options.
const HEADERS: u32 = 14 + 20 + 20;
/// The options of a SYN: maximum segment size, SACK, timestamps and window scale.
const SYN_OPTIONS: u32 = 20;
/// The options without SACK and timestamps: the window scale.
const PLAIN_SYN_OPTIONS: u32 = 4;

/// The ideal completion time of a connection that sends `bytes` bytes in segments of `segment` bytes, each
/// with `options` bytes of options. It is the sum of the handshake (a SYN forward, its answer back), all data
/// as one train forward, and the last acknowledgement back. No window and no queue limits it, and the FIN is
/// in the last data segment.
pub fn completion(way: &Way, back: &Way, bytes: u64, (segment, options): (u32, u32)) -> Span {
    let syn = HEADERS + if options > 0 { SYN_OPTIONS } else { PLAIN_SYN_OPTIONS };
    let headers = HEADERS + options;
    let (whole, rest) = (bytes / u64::from(segment.max(1)), (bytes % u64::from(segment.max(1))) as u32);
    let frame = |payload: u32| if payload > 0 { headers + payload } else { 0 };
    way.one(syn) + back.one(syn) + way.train(whole, frame(segment), frame(rest)) + back.one(headers)
}

/// The definition of [`completion`] for reports.
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

    /// The same duration, packet by packet.
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
