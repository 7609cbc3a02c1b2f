//! [`PortStatistics`]: the packets that passed an egress port, and those lost there.

use super::quantiles::{Percentiles, Quantiles};
use crate::packet::DropReason;
use crate::units::{Span, Time};

/// The statistics of an egress port.
#[derive(Debug, Clone)]
pub struct PortStatistics {
    /// Packets that started onto the link.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Total transmission time.
    pub busy: Span,
    /// End of the last transmission.
    pub free: Time,
    /// Packets that were marked here (RFC 3168).
    pub marked: u64,
    /// Packets that joined the queue: those that passed, were lost from it or before it, or still wait.
    pub joined: u64,
    /// Time between the ingress of a packet and joining the queue.
    processing: Span,
    /// Earlier events are not counted.
    from: Time,
    /// Total waiting time of the counted packets before that time.
    waited_before: u128,
    waiting_sum: u128,
    waiting_max: Span,
    waiting: Quantiles,
    /// `None` if packets need no processing: sojourn then equals waiting.
    sojourn: Option<Quantiles>,
    /// By the number of the reason.
    dropped: [u64; DropReason::ALL.len()],
    /// Total waiting time of the lost packets.
    lost_waiting_sum: u128,
    /// Start of waiting of the packets that still wait at the end of the run.
    still: Vec<Time>,
}

/// Packets that passed a port consecutively.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passed<'a> {
    /// Waiting time of each, in picoseconds, `[packets]`.
    pub waiting: &'a [u64],
    /// Total bytes.
    pub bytes: u64,
    /// Total transmission time.
    pub busy: Span,
    /// End of the last transmission.
    pub free: Time,
    /// Total waiting time before the time from which the port counts, in picoseconds.
    pub before: u128,
}

impl PortStatistics {
    /// Creates an idle port of a device where packets take `processing` before they join a queue.
    pub fn new(processing: Span) -> Self {
        PortStatistics {
            packets: 0,
            bytes: 0,
            busy: Span::ZERO,
            free: Time::ZERO,
            marked: 0,
            joined: 0,
            processing,
            from: Time::ZERO,
            waited_before: 0,
            waiting_sum: 0,
            waiting_max: Span::ZERO,
            waiting: Quantiles::default(),
            sojourn: (processing > Span::ZERO).then(Quantiles::default),
            dropped: [0; DropReason::ALL.len()],
            lost_waiting_sum: 0,
            still: Vec::new(),
        }
    }

    /// Counts only events from an instant on: packets that start onto the link, or are lost, from then on.
    pub fn counting_from(self, from: Time) -> Self {
        PortStatistics { from, ..self }
    }

    /// The instant from which events are counted.
    pub fn from(&self) -> Time {
        self.from
    }

    /// Adds packets that passed, all of them after the instant from which events are counted.
    pub(crate) fn pass(&mut self, passed: &Passed<'_>) {
        let Passed { waiting, bytes, busy, free, before } = *passed;
        self.waited_before += before;
        if waiting.is_empty() {
            return;
        }
        self.packets += waiting.len() as u64;
        self.joined += waiting.len() as u64;
        self.bytes += bytes;
        self.busy += busy;
        self.free = free;
        let (mut sum, mut max) = (0, 0);
        for &waited in waiting {
            sum += u128::from(waited);
            max = waited.max(max);
        }
        self.waiting_sum += sum;
        self.waiting_max = self.waiting_max.max(Span::from_ps(max));
        self.waiting.record_all(waiting, 0);
        if let Some(sojourn) = &mut self.sojourn {
            sojourn.record_all(waiting, self.processing.as_ps());
        }
    }

    /// Adds a packet of `length` bytes that waited and started at `egress`.
    #[inline]
    pub(crate) fn pass_one(&mut self, joined: Time, length: u32, transmission: Span, egress: Time) {
        if egress < self.from {
            return;
        }
        let waiting = egress.since(joined);
        self.pass(&Passed {
            waiting: &[waiting.as_ps()],
            bytes: length.into(),
            busy: transmission,
            free: egress + transmission,
            before: self.from.since(joined).as_ps().into(),
        });
    }

    /// Adds a packet that joined at `joined` and was lost at `at`.
    pub(crate) fn lose(&mut self, reason: DropReason, joined: Time, at: Time) {
        if at < self.from {
            return;
        }
        self.dropped[reason.number() as usize] += 1;
        // A packet lost on a link has passed the port.
        if reason != DropReason::LostOnLink {
            self.joined += 1;
            self.lost_waiting_sum += u128::from(at.since(joined.max(self.from)).as_ps());
        }
    }

    /// Adds a packet that joined at `joined` and still waits at the end of the run.
    pub(crate) fn wait(&mut self, joined: Time) {
        self.joined += 1;
        self.still.push(joined.max(self.from));
    }

    /// Number of packets lost here for a reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason.number() as usize]
    }

    /// Number of packets lost here.
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// The mean waiting time, from joining the queue to the start of transmission, in picoseconds; `None`
    /// without packets.
    pub fn waiting_mean(&self) -> Option<f64> {
        (self.packets > 0).then(|| self.waiting_sum as f64 / self.packets as f64)
    }

    /// The maximum waiting time.
    pub fn waiting_max(&self) -> Span {
        self.waiting_max
    }

    /// Percentiles of the waiting time; `None` without packets.
    pub fn waiting(&self) -> Option<Percentiles> {
        self.waiting.percentiles()
    }

    /// The mean sojourn time, from ingress to the start of transmission, in picoseconds; `None` without
    /// packets.
    pub fn sojourn_mean(&self) -> Option<f64> {
        let processed = u128::from(self.processing.as_ps()) * u128::from(self.packets);
        (self.packets > 0).then(|| (self.waiting_sum + processed) as f64 / self.packets as f64)
    }

    /// The maximum sojourn time.
    pub fn sojourn_max(&self) -> Span {
        if self.packets > 0 { self.waiting_max + self.processing } else { Span::ZERO }
    }

    /// Percentiles of the sojourn time; `None` without packets.
    pub fn sojourn(&self) -> Option<Percentiles> {
        self.sojourn.as_ref().unwrap_or(&self.waiting).percentiles()
    }

    /// Total waiting time up to `end`, in picoseconds: the integral of the number of waiting packets over the
    /// counted time.
    pub fn waited(&self, end: Time) -> u128 {
        let still = self.still.iter().map(|joined| u128::from(end.since(*joined).as_ps()));
        // Packets whose egress was known in advance have left by the end.
        self.waiting_sum - self.waited_before + self.lost_waiting_sum + still.sum::<u128>()
    }
}
