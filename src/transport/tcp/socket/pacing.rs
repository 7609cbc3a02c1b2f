//! Pacing, for congestion control based on the delivery rate: bursts leave at its rate, and it receives a
//! sample of each acknowledgement.

use super::acknowledged::Acknowledged;
use super::{Context, Phase, Socket};
use crate::transport::clock::HostTime;
use crate::transport::congestion::{RateControl, Sender};
use crate::transport::tcp::buffers::Id;
use crate::transport::tcp::delivery::Delivery;
use crate::transport::timers::{Purpose, Timer};

/// The state of a paced sender.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    pub delivery: Delivery,
    pub timer: Timer,
    /// The number of data segments sent.
    segments: u64,
}

/// The number of segments of a connection that are not paced.
const UNPACED: u64 = 10;

impl Socket {
    /// The connection is established: starts its congestion control.
    pub(super) fn begin_control(&mut self, connects: bool, now: HostTime) {
        if self.is_newreno() || self.algorithm.by_rate().is_none() {
            return self.update_pacing_rate();
        }
        let mut pacing = Pacing::default();
        // The answer to a SYN delivers the SYN.
        pacing.delivery.at = if connects { now.us() } else { 0 };
        self.pacing = Some(Box::new(pacing));
        self.rate_control(now, |control, sender| control.begin(sender));
        self.expand_send_buffer();
    }

    /// Calls a congestion control based on the delivery rate.
    pub(super) fn rate_control(
        &mut self,
        now: HostTime,
        call: impl FnOnce(&mut dyn RateControl, &mut Sender<'_>),
    ) {
        let Some(Pacing { delivery, .. }) = self.pacing.as_deref_mut() else { return };
        let Some(control) = self.algorithm.by_rate() else { return };
        let mut sender = Sender {
            now,
            window: &mut self.congestion,
            pacing_rate: &mut self.pacing_rate,
            limited_until: &mut delivery.limited_until,
            state: self.recovery.state,
            mss: self.parameters.mss.into(),
            in_flight: self.buffers.in_flight(),
            delivered: self.delivered,
            delivered_at: delivery.at,
            lost: self.buffers.ever_lost,
            smoothed_rtt: self.round_trip.smoothed,
            least_rtt: self.round_trip.least(),
            next_departure: self.departure,
        };
        call(control, &mut sender);
    }

    /// Handles an acknowledgement that delivers `delivered` segments and reveals `lost` to be lost.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_cong_control`.
    pub(super) fn control_by_rate(
        &mut self,
        acknowledged: &Acknowledged,
        (delivered, lost): (u32, u32),
        now: HostTime,
    ) {
        let Some(Pacing { delivery, .. }) = self.pacing.as_deref_mut() else { return };
        let mut sample =
            delivery.sample(now.us(), self.delivered, (delivered, lost), self.round_trip.least());
        sample.rtt = acknowledged.rtt;
        sample.may_be_delayed = acknowledged.may_be_delayed;
        self.rate_control(now, |control, sender| control.sampled(&sample, sender));
    }

    /// Whether the next burst has to wait for the pacing rate. If so, sets a timer.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_pacing_check`.
    pub(super) fn is_paced(&mut self, context: &mut Context<'_>) -> bool {
        let Some(Pacing { timer, .. }) = self.pacing.as_deref_mut() else { return false };
        let waits = self.departure > context.now;
        if waits && !timer.is_set() {
            let at = context.clock.time_of(self.departure);
            context.timers.set(timer, (self.number, Purpose::Pacing), at);
        }
        waits
    }

    /// A buffer was sent whose departure was due at `due`. The next may depart when the pacing rate has sent
    /// its bytes. A late departure is made up for, up to half of that time.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_update_skb_after_send`.
    pub(super) fn pace(&mut self, id: Id, due: HostTime) {
        let Some(Pacing { delivery, segments, .. }) = self.pacing.as_deref_mut() else { return };
        let buffer = &self.buffers[id];
        let length = buffer.length();
        if length > 0 {
            *segments += u64::from(buffer.segments);
        }
        let sending = delivery.sent(buffer.sent.us(), self.buffers.out == 0);
        self.buffers.note_sending(id, sending);
        if self.pacing_rate > 0 && *segments >= UNPACED {
            let span = length * 1_000_000_000 / self.pacing_rate;
            let late = self.departure.ns() - due.ns();
            self.departure = HostTime::from_ns(self.departure.ns() + span - late.min(span / 2));
        }
    }

    /// Resumes after a wait for the host's queue or the pacing rate. Lost data is sent first.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_pace_kick`, `tcp_tsq_write`.
    pub fn go_on(&mut self, context: &mut Context<'_>) {
        if self.phase != Phase::Open {
            return;
        }
        if self.buffers.lost > self.buffers.retransmitted && self.congestion.size > self.buffers.in_flight() {
            self.clock = context.now;
            self.retransmit_lost(context);
        }
        self.send_allowed(context);
    }

    /// The application writes. If it has left the sender without data, delivery rates count as
    /// application-limited.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_rate.c`, `tcp_rate_check_app_limited`.
    pub(super) fn check_limited(&mut self, context: &Context<'_>) {
        let Some(Pacing { delivery, .. }) = self.pacing.as_deref_mut() else { return };
        let in_flight = self.buffers.in_flight();
        if self.written - self.next < self.parameters.mss.into()
            && in_flight < self.congestion.size
            && self.buffers.lost <= self.buffers.retransmitted
            && context.queue.memory(self.number) == 0
        {
            delivery.limited_until = (self.delivered + u64::from(in_flight)).max(1);
        }
    }
}
