//! A token bucket: Linux `tbf`.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::buffer::{Backlog, Buffer};
use super::discipline::{Discipline, Next};
use super::error::PtmError;
use super::fifo::FifoQueue;
use super::framing::{Framing, LinkLayer, Overhead};
use super::held::{Held, Queueing};
use super::psched::{RateNs, instant, nanoseconds};
use super::{Loss, Place, PtmSpec};
use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::units::{ByteCount, Rate, Span, Time};

/// The parameters of a `token-bucket`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBucketSpec {
    /// The rate of the tokens: the long-term rate of the port.
    pub rate: Rate,
    /// The depth of the bucket in tokens (bytes); it starts full. Longer packets are dropped.
    #[serde(deserialize_with = "above_zero")]
    pub burst: ByteCount,
    /// The maximum backlog, including the head that waits for tokens (default: unlimited).
    #[serde(default)]
    pub buffer: Option<Buffer>,
    /// The lateness of the timer that releases a packet waiting for tokens: 20 to 45 us in the Linux kernel
    /// (default: 0 s).
    #[serde(default)]
    pub release_slack: Span,
    /// The bytes that the link adds to each packet; tokens and `buffer` count them (default: 0 B).
    #[serde(default)]
    pub overhead: Overhead,
    /// The minimum packet size: shorter packets count as this long (default: 0 B).
    #[serde(default)]
    pub mpu: ByteCount,
    /// How the link carries packets (default: ethernet).
    #[serde(default)]
    pub linklayer: LinkLayer,
    /// The discipline of the waiting packets (default: a fifo).
    #[serde(default)]
    pub ptm: Option<Box<PtmSpec>>,
}

/// Reads a burst above zero.
fn above_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteCount, D::Error> {
    let burst = ByteCount::deserialize(deserializer)?;
    if burst == ByteCount::ZERO {
        let message = "a bucket of 0 B lets no packet through; \
                       write at least the length of the longest packet, such as \"1514 B\"";
        return Err(de::Error::custom(message));
    }
    Ok(burst)
}

impl TokenBucketSpec {
    /// A bucket over a FIFO, without framing, with an exact timer.
    pub fn new(rate: Rate, burst: ByteCount, buffer: Option<Buffer>) -> Self {
        TokenBucketSpec {
            rate,
            burst,
            buffer,
            release_slack: Span::ZERO,
            overhead: Overhead::default(),
            mpu: ByteCount::ZERO,
            linklayer: LinkLayer::default(),
            ptm: None,
        }
    }

    pub(super) fn framing(&self) -> Framing {
        Framing::of(self.overhead, self.mpu, self.linklayer)
    }

    pub(super) fn check(&self) -> Result<(), PtmError> {
        if self.ptm.is_some() && self.buffer.is_some() {
            return Err(PtmError::IdleKey {
                key: "buffer",
                place: "in a `token-bucket` that has a `ptm`".to_owned(),
                help: "give the buffer to the `ptm`",
            });
        }
        Ok(())
    }
}

/// A token bucket over a FIFO or another discipline, as Linux `tbf` runs it.
///
/// - A packet leaves as soon as the bucket holds its length in tokens. Tokens accumulate at `rate`, up to
///   `burst`. As in the kernel, they are kept as the time in which they accumulate, in whole nanoseconds.
/// - A head that has to wait sets a timer for the instant at which its tokens will be available; the timer
///   fires `release_slack` late. An arrival in between also runs the queue, so the head may leave on time.
/// - An arriving packet is dropped if the backlog with it exceeds `buffer`, whether or not the link is free,
///   and if it is longer than `burst`, since it could never leave.
/// - The inner discipline is asked for the next packet before the tokens are checked. Most disciplines decide
///   at that call (see [`Discipline::next`]), when the previous packet leaves.
/// - On a link of limited bandwidth a packet also waits until the link is free.
///
/// # Source
/// Linux `net/sched/sch_tbf.c` (`tbf_enqueue`, `tbf_dequeue`) and `sch_fifo.c` (`bfifo_enqueue`). The burst
/// is not in ticks: `tc` also passes it in bytes, which the kernel uses. The lateness of the timer was
/// measured on recordings.
pub struct TokenBucket<Q = FifoQueue> {
    rate: RateNs,
    burst: ByteCount,
    /// The depth of the bucket [ns].
    depth: i64,
    release_slack: Span,
    /// [ns]
    tokens: i64,
    /// The instant for which `tokens` is valid [ns].
    checked: i64,
    queue: Q,
}

impl TokenBucket {
    /// Creates an empty FIFO behind a full bucket.
    pub fn new(spec: &TokenBucketSpec) -> Self {
        TokenBucket::over(spec, FifoQueue::new(spec.buffer))
    }
}

impl<Q: Discipline> TokenBucket<Q> {
    /// Puts a full bucket in front of an empty discipline.
    pub(super) fn over(spec: &TokenBucketSpec, queue: Q) -> Self {
        let rate = RateNs::new(spec.rate);
        let depth = rate.time(spec.burst.get());
        TokenBucket {
            rate,
            burst: spec.burst,
            depth,
            release_slack: spec.release_slack,
            tokens: depth,
            checked: 0,
            queue,
        }
    }

    /// The tokens in the bucket at `now` [ns].
    #[inline]
    fn tokens_at(&self, now: i64) -> i64 {
        (self.tokens + (now - self.checked).min(self.depth)).min(self.depth)
    }
}

impl TokenBucketSpec {
    pub(super) fn discipline(&self, place: &Place<'_>) -> Box<dyn Discipline> {
        let bucket: Box<dyn Discipline> = match &self.ptm {
            None => Box::new(Held::new(TokenBucket::new(self))),
            Some(ptm) => Box::new(Held::new(TokenBucket::over(self, ptm.inside(place)))),
        };
        self.framing().around(bucket)
    }
}

impl<Q: Discipline> Queueing for TokenBucket<Q> {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, _held: Backlog, losses: &mut Vec<Loss>) {
        if tau.packet.byte_count() > self.burst {
            losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::LargerThanBurst });
        } else {
            self.queue.enqueue(tau, flows, losses);
        }
    }

    #[inline]
    fn take(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<Tau, Next> {
        let length = match self.queue.next(now, losses) {
            Next::Ready(length) => length,
            wait => return Err(wait),
        };
        let clock = nanoseconds(now);
        let left = self.tokens_at(clock) - self.rate.time(length.into());
        if left < 0 {
            return Err(Next::Throttled(instant(clock.saturating_sub(left)) + self.release_slack));
        }
        (self.tokens, self.checked) = (left, clock);
        self.queue.dequeue(now, losses).ok_or(Next::Nothing)
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
            release_slack: Span::from_ps(slack),
            ..TokenBucketSpec::new(rate, ByteCount::new(burst), buffer)
        };
        let link = Link::with_delay(bandwidth.parse().unwrap(), Span::ZERO);
        Server::new(Box::new(Held::new(TokenBucket::new(&spec))), link)
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
        // A byte takes 2,666.67 ns.
        let spec = TokenBucketSpec {
            release_slack: Span::from_ps(30_000_000),
            ..TokenBucketSpec::new("3 Mbps".parse().unwrap(), ByteCount::new(2_000), None)
        };
        let link = Link::with_delay("unlimited".parse().unwrap(), Span::ZERO);
        let bucket = Server::new(Box::new(Held::new(TokenBucket::new(&spec))), link);
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
