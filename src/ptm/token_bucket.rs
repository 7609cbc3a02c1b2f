//! A token bucket over a FIFO: Linux `tbf` with a byte or packet limit.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::Loss;
use super::buffer::{Backlog, Buffer};
use super::discipline::{Discipline, Next};
use super::fifo::FifoQueue;
use crate::flow::Flows;
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
    rate: Rate,
    burst: ByteCount,
    depth: Span,
    release_slack: Span,
    tokens: Span,
    /// When `tokens` was true.
    checked: Time,
    queue: FifoQueue,
}

impl TokenBucket {
    /// An empty queue with a full bucket.
    pub fn new(spec: &TokenBucketSpec) -> Self {
        let depth = spec.rate.transmission_time_rounded_down(spec.burst);
        TokenBucket {
            rate: spec.rate,
            burst: spec.burst,
            depth,
            release_slack: spec.release_slack,
            tokens: depth,
            checked: Time::ZERO,
            queue: FifoQueue::new(spec.buffer),
        }
    }

    #[inline]
    fn tokens_at(&self, now: Time) -> Span {
        (self.tokens + now.since(self.checked)).min(self.depth)
    }

    /// The tokens that a packet of `length` bytes takes.
    #[inline]
    fn cost(&self, length: u32) -> Span {
        self.rate.transmission_time_rounded_down(ByteCount::new(length.into()))
    }
}

impl Discipline for TokenBucket {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) {
        if tau.packet.byte_count() > self.burst {
            losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::LargerThanBurst });
        } else {
            self.queue.enqueue(tau, flows, losses);
        }
    }

    #[inline]
    fn next(&mut self, now: Time, losses: &mut Vec<Loss>) -> Next {
        let Next::Ready(length) = self.queue.next(now, losses) else { return Next::Nothing };
        let (tokens, cost) = (self.tokens_at(now), self.cost(length));
        if tokens >= cost {
            Next::Ready(length)
        } else {
            Next::Throttled(now + (cost - tokens) + self.release_slack)
        }
    }

    fn dequeue(&mut self, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        let Next::Ready(length) = self.next(now, losses) else { return None };
        self.tokens = self.tokens_at(now) - self.cost(length);
        self.checked = now;
        self.queue.dequeue(now, losses)
    }

    fn backlog(&self) -> Backlog {
        self.queue.backlog()
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        self.queue.waiting(waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Link;
    use crate::packet::Packet;
    use crate::ptm::{Ptm, Server};

    const MS: u64 = 1_000_000_000;

    /// 1 Mbps: 125 bytes of tokens come in 1 ms.
    fn bucket(burst: u64, buffer: Option<Buffer>, slack: u64, bandwidth: &str) -> Server {
        let rate = "1 Mbps".parse().unwrap();
        let spec = TokenBucketSpec {
            rate,
            burst: ByteCount::new(burst),
            buffer,
            release_slack: Span::from_ps(slack),
        };
        let link = Link::with_delay(bandwidth.parse().unwrap(), Span::ZERO);
        Server::new(Box::new(TokenBucket::new(&spec)), link)
    }

    fn starts(mut bucket: Server, arrivals: &[(u64, u32)]) -> Vec<(u64, u64)> {
        let ingress: Vec<Tau> = arrivals
            .iter()
            .zip(0..)
            .map(|(&(at, length), pid)| Tau {
                timestamp: Time::from_ps(at),
                packet: Packet { pid, length, ..Packet::default() },
            })
            .collect();
        let (mut departures, mut losses) = (Vec::new(), Vec::new());
        bucket.forward_trace(&ingress, &Flows::default(), Time::NEVER, &mut departures, &mut losses);
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
        let bucket = Server::new(Box::new(TokenBucket::new(&spec)), link);
        assert_eq!(starts(bucket, &[(0, 1_000); 2]), [(0, 0), (1, 0)]);
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
        bucket.arrive(&tau, &Flows::default());
        assert_eq!(bucket.lost().map(|loss| loss.reason), Some(DropReason::LargerThanBurst));
        assert_eq!(bucket.next_departure(), None);
    }

    #[test]
    fn a_slow_link_holds_packets_back_too() {
        // 125 bytes take 2 ms on the link and 1 ms of tokens.
        let got = starts(bucket(250, None, MS / 10, "500 kbps"), &[(0, 125); 3]);
        assert_eq!(got, [(0, 0), (1, 2 * MS), (2, 4 * MS)]);
    }
}
