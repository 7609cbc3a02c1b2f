//! A token bucket over a FIFO: Linux `tbf` with a byte or packet limit.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::buffer::{Backlog, Buffer};
use super::{Arrival, Departure, Ptm};
use crate::link::Link;
use crate::packet::{DropReason, Tau};
use crate::units::{ByteCount, Rate, Span, Time};

/// The parameters of a `token-bucket`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBucketSpec {
    /// How fast tokens come: the long-term rate of the port.
    pub rate: Rate,
    /// How many tokens (bytes) the bucket holds; it starts full. A longer packet is dropped.
    #[serde(deserialize_with = "above_zero")]
    pub burst: ByteCount,
    /// How much may wait, the head that waits for tokens included; without it, any number.
    #[serde(default)]
    pub buffer: Option<Buffer>,
    /// How late the timer fires that releases a packet which waited for tokens: 20 to 45 us in the Linux kernel.
    #[serde(default)]
    pub release_slack: Span,
}

/// Reads a burst that lets packets pass.
fn above_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteCount, D::Error> {
    let burst = ByteCount::deserialize(deserializer)?;
    if burst == ByteCount::ZERO {
        let message = "a bucket of 0 B lets no packet through; \
                       write at least the length of the longest packet, such as \"1514 B\"";
        return Err(de::Error::custom(message));
    }
    Ok(burst)
}

/// A token bucket over a FIFO, as Linux `tbf` runs it.
///
/// - A packet leaves as soon as the bucket holds its length in tokens. Tokens come at `rate`, up to
///   `burst`; they are kept as the time that they took to come, as the kernel does, rounded down.
/// - A head that has to wait sets a timer for the instant at which its tokens will be there; it
///   fires `release_slack` late. An arrival in between runs the queue too, and lets the head go on time.
/// - A newcomer is dropped when what waits and it together exceed `buffer`, whether or not the
///   link is free; and when it is longer than `burst`, since it could never leave.
/// - On a link of limited bandwidth a packet also waits until the link is free.
///
/// # Source
/// Linux `net/sched/sch_tbf.c` (`tbf_enqueue`, `tbf_dequeue`) and `sch_fifo.c` (`bfifo_enqueue`);
/// the lateness of the timer was measured on recordings.
pub struct TokenBucket {
    link: Link,
    rate: Rate,
    burst: ByteCount,
    depth: Span,
    buffer: Option<Buffer>,
    release_slack: Span,
    tokens: Span,
    /// When `tokens` was true.
    checked: Time,
    queue: VecDeque<Tau>,
    backlog: Backlog,
    /// When the link falls free.
    free: Time,
    /// When the head leaves, unless an arrival runs the queue before.
    next: Option<Time>,
}

impl TokenBucket {
    /// An empty queue with a full bucket.
    pub fn new(spec: &TokenBucketSpec, link: Link) -> Self {
        let depth = spec.rate.transmission_time_rounded_down(spec.burst);
        TokenBucket {
            link,
            rate: spec.rate,
            burst: spec.burst,
            depth,
            buffer: spec.buffer,
            release_slack: spec.release_slack,
            tokens: depth,
            checked: Time::ZERO,
            queue: VecDeque::new(),
            backlog: Backlog::default(),
            free: Time::ZERO,
            next: None,
        }
    }

    #[inline]
    fn tokens_at(&self, now: Time) -> Span {
        (self.tokens + now.since(self.checked)).min(self.depth)
    }

    /// Runs the queue at `now`: decides when its head leaves.
    #[inline]
    fn run(&mut self, now: Time) {
        self.next = self.queue.front().map(|head| {
            let now = now.max(self.free);
            let cost = self.rate.transmission_time_rounded_down(head.packet.byte_count());
            let tokens = self.tokens_at(now);
            if tokens >= cost { now } else { now + (cost - tokens) + self.release_slack }
        });
    }
}

impl Ptm for TokenBucket {
    fn arrive(&mut self, tau: &Tau) -> Arrival {
        let packet = &tau.packet;
        let refused = if packet.byte_count() > self.burst {
            Some(DropReason::LargerThanBurst)
        } else if self.buffer.is_some_and(|buffer| !buffer.admits(self.backlog, packet.length)) {
            Some(DropReason::BufferFull)
        } else {
            self.backlog.add(packet.length);
            self.queue.push_back(*tau);
            None
        };
        // The kernel runs the queue after every arrival, a dropped one too.
        self.run(tau.timestamp);
        refused.map_or(Arrival::Queued, Arrival::Dropped)
    }

    fn next_departure(&self) -> Option<Time> {
        self.next
    }

    fn depart(&mut self) -> Option<Departure> {
        let start = self.next?;
        let tau = self.queue.pop_front()?;
        self.backlog.remove(tau.packet.length);
        self.tokens =
            self.tokens_at(start) - self.rate.transmission_time_rounded_down(tau.packet.byte_count());
        self.checked = start;
        self.free = start + self.link.transmission_time(tau.packet.byte_count());
        self.run(start);
        Some(Departure { tau, start })
    }

    fn waiting(&self) -> Vec<Tau> {
        self.queue.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;

    const MS: u64 = 1_000_000_000;

    /// 1 Mbps: 125 bytes of tokens come in 1 ms.
    fn bucket(burst: u64, buffer: Option<Buffer>, slack: u64, bandwidth: &str) -> TokenBucket {
        let rate = "1 Mbps".parse().unwrap();
        let spec = TokenBucketSpec {
            rate,
            burst: ByteCount::new(burst),
            buffer,
            release_slack: Span::from_ps(slack),
        };
        TokenBucket::new(&spec, Link::with_delay(bandwidth.parse().unwrap(), Span::ZERO))
    }

    fn starts(mut bucket: TokenBucket, arrivals: &[(u64, u32)]) -> Vec<(u64, u64)> {
        let ingress: Vec<Tau> = arrivals
            .iter()
            .zip(0..)
            .map(|(&(at, length), pid)| Tau {
                timestamp: Time::from_ps(at),
                packet: Packet { pid, length, ..Packet::default() },
            })
            .collect();
        let (mut departures, mut losses) = (Vec::new(), Vec::new());
        bucket.forward_trace(&ingress, Time::NEVER, &mut departures, &mut losses);
        departures.iter().map(|departure| (departure.tau.packet.pid, departure.start.as_ps())).collect()
    }

    #[test]
    fn a_full_bucket_lets_a_burst_pass_and_then_keeps_the_rate() {
        let packets = [(0, 125); 4];
        let got = starts(bucket(250, None, 0, "unlimited"), &packets);
        assert_eq!(got, [(0, 0), (1, 0), (2, MS), (3, 2 * MS)]);
    }

    #[test]
    fn a_full_bucket_lets_its_burst_pass_whatever_the_rounding() {
        let spec = TokenBucketSpec {
            rate: "3 Mbps".parse().unwrap(), // a byte takes 2,666,666.67 ps
            burst: ByteCount::new(2_000),
            buffer: None,
            release_slack: Span::from_ps(30_000_000),
        };
        let link = Link::with_delay("unlimited".parse().unwrap(), Span::ZERO);
        assert_eq!(starts(TokenBucket::new(&spec, link), &[(0, 1_000); 2]), [(0, 0), (1, 0)]);
    }

    #[test]
    fn the_bucket_holds_no_more_than_its_burst() {
        let got = starts(bucket(250, None, 0, "unlimited"), &[(100 * MS, 250), (100 * MS, 125)]);
        assert_eq!(got, [(0, 100 * MS), (1, 101 * MS)]);
    }

    #[test]
    fn the_timer_is_late_but_an_arrival_runs_the_queue_on_time() {
        let slack = MS / 10;
        let alone = starts(bucket(125, None, slack, "unlimited"), &[(0, 125), (0, 125)]);
        assert_eq!(alone, [(0, 0), (1, MS + slack)]);
        let helped = starts(bucket(125, None, slack, "unlimited"), &[(0, 125), (0, 125), (MS + 7, 125)]);
        assert_eq!(helped[1], (1, MS + 7));
        let too_early = starts(bucket(125, None, slack, "unlimited"), &[(0, 125), (0, 125), (MS - 7, 125)]);
        assert_eq!(too_early[1], (1, MS + slack));
    }

    #[test]
    fn late_firing_loses_no_rate_while_the_bucket_has_room() {
        let slack = MS / 10;
        let got = starts(bucket(250, None, slack, "unlimited"), &[(0, 125); 5]);
        assert_eq!(got[4], (4, 3 * MS + slack), "tokens that came during the lateness stay in the bucket");
        let lossy = starts(bucket(125, None, slack, "unlimited"), &[(0, 125); 3]);
        assert_eq!(lossy[2], (2, 2 * (MS + slack)), "a bucket of one packet overflows");
    }

    #[test]
    fn the_head_that_waits_for_tokens_counts_against_the_buffer() {
        let buffer = Some(Buffer::Bytes(ByteCount::new(250)));
        let got = starts(bucket(125, buffer, 0, "unlimited"), &[(0, 125); 5]);
        assert_eq!(got.iter().map(|(pid, _)| *pid).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_packet_longer_than_the_burst_never_leaves() {
        let mut bucket = bucket(1000, None, 0, "unlimited");
        let tau = Tau { timestamp: Time::ZERO, packet: Packet { length: 1001, ..Packet::default() } };
        assert_eq!(bucket.arrive(&tau), Arrival::Dropped(DropReason::LargerThanBurst));
    }

    #[test]
    fn a_slow_link_holds_packets_back_too() {
        // 125 bytes take 2 ms on the link and 1 ms of tokens.
        let got = starts(bucket(250, None, MS / 10, "500 kbps"), &[(0, 125); 3]);
        assert_eq!(got, [(0, 0), (1, 2 * MS), (2, 4 * MS)]);
    }
}
