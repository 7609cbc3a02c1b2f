//! The modes of BBR: their transitions, and the gains in each.

use super::{
    Bbr, CYCLE, DRAIN_GAIN, FIRST_PHASES, GAIN_SCALE, GAIN_UNIT, GROWTH, HIGH_GAIN, LEAST_WINDOW, Mode,
    ROUNDS_WITHOUT_GROWTH, RTT_BELIEVED, RTT_PROBE, RateSample, Sender, WINDOW_GAIN,
};

impl Bbr {
    /// Ends startup when the bandwidth has not grown by a quarter for three rounds.
    ///
    /// # Source
    /// `bbr_check_full_bw_reached`.
    pub(super) fn check_growth(&mut self, sample: &RateSample) {
        if self.startup.is_over || !self.round.is_new || sample.is_limited {
            return;
        }
        let bandwidth = self.largest_bandwidth();
        if u64::from(bandwidth) >= (u64::from(self.startup.bandwidth) * GROWTH) >> GAIN_SCALE {
            self.startup.bandwidth = bandwidth;
            self.startup.rounds = 0;
        } else {
            self.startup.rounds += 1;
            self.startup.is_over = self.startup.rounds >= ROUNDS_WITHOUT_GROWTH;
        }
    }

    /// After startup, drains the queue until the data in flight fits the path.
    ///
    /// # Source
    /// `bbr_check_drain`.
    pub(super) fn check_drain(&mut self, sender: &mut Sender<'_>) {
        let target = |bbr: &Bbr, sender: &Sender<'_>| bbr.target(bbr.largest_bandwidth(), GAIN_UNIT, sender);
        if self.mode == Mode::Startup && self.startup.is_over {
            self.mode = Mode::Drain;
            sender.window.threshold = target(self, sender);
        }
        if self.mode == Mode::Drain && self.in_network(sender.in_flight, sender) <= target(self, sender) {
            self.begin_cycle(sender);
        }
    }

    /// Starts a cycle in a random phase.
    ///
    /// # Source
    /// `bbr_reset_probe_bw_mode`.
    pub(super) fn begin_cycle(&mut self, sender: &Sender<'_>) {
        self.mode = Mode::ProbeBandwidth;
        self.phase = CYCLE.len() - 1 - self.draws.below(FIRST_PHASES, self.drawn) as usize;
        self.drawn += 1;
        self.next_phase(sender);
    }

    fn next_phase(&mut self, sender: &Sender<'_>) {
        self.phase = (self.phase + 1) % CYCLE.len();
        self.phase_began = sender.delivered_at;
    }

    /// # Source
    /// `bbr_update_cycle_phase`.
    pub(super) fn follow_cycle(&mut self, sample: &RateSample, sender: &Sender<'_>) {
        if self.mode == Mode::ProbeBandwidth && self.is_phase_over(sample, sender) {
            self.next_phase(sender);
        }
    }

    /// A phase takes one round-trip time. A probing phase lasts until the probe is in flight, unless a loss
    /// occurs; a draining phase ends when the queue is empty.
    ///
    /// # Source
    /// `bbr_is_next_cycle_phase`.
    fn is_phase_over(&self, sample: &RateSample, sender: &Sender<'_>) -> bool {
        let is_long = sender.delivered_at.saturating_sub(self.phase_began) > self.least_rtt.into();
        if self.pacing_gain == GAIN_UNIT {
            return is_long;
        }
        let in_network = self.in_network(sample.in_flight_before, sender);
        let target = |gain| self.target(self.largest_bandwidth(), gain, sender);
        if self.pacing_gain > GAIN_UNIT {
            is_long && (sample.lost > 0 || in_network >= target(self.pacing_gain))
        } else {
            is_long || in_network <= target(GAIN_UNIT)
        }
    }

    /// Updates the minimum round-trip time, and probes it when it has expired.
    ///
    /// # Source
    /// `bbr_update_min_rtt`.
    pub(super) fn update_least_rtt(&mut self, sample: &RateSample, sender: &mut Sender<'_>) {
        let now = sender.now.ticks();
        let is_old = now > self.least_rtt_at + RTT_BELIEVED;
        if let Some(rtt) = sample.rtt
            && (rtt < self.least_rtt.into() || (is_old && !sample.may_be_delayed))
        {
            self.least_rtt = rtt as u32;
            self.least_rtt_at = now;
        }
        if is_old && !self.resumes && self.mode != Mode::ProbeRtt {
            self.mode = Mode::ProbeRtt;
            self.save_window(sender.window.size);
            self.probe.until = None;
        }
        if self.mode == Mode::ProbeRtt {
            self.follow_rtt_probe(sender);
        }
        if sample.delivered.is_some_and(|delivered| delivered > 0) {
            self.resumes = false;
        }
    }

    /// Keeps little in flight for 200 ms and for a round.
    fn follow_rtt_probe(&mut self, sender: &mut Sender<'_>) {
        // The delivery rates of this mode underestimate the path.
        *sender.limited_until = (sender.delivered + u64::from(sender.in_flight)).max(1);
        if self.probe.until.is_some() {
            self.probe.has_round |= self.round.is_new;
            if self.probe.has_round {
                self.end_rtt_probe(sender);
            }
        } else if sender.in_flight <= LEAST_WINDOW {
            self.probe.until = Some(sender.now.ticks() + RTT_PROBE);
            self.probe.has_round = false;
            self.round.ends_behind = sender.delivered;
        }
    }

    /// # Source
    /// `bbr_check_probe_rtt_done`.
    pub(super) fn end_rtt_probe(&mut self, sender: &mut Sender<'_>) {
        let now = sender.now.ticks();
        if self.probe.until.is_none_or(|until| now <= until) {
            return;
        }
        self.least_rtt_at = now;
        sender.window.size = sender.window.size.max(self.window_before);
        if self.startup.is_over {
            self.begin_cycle(sender);
        } else {
            self.mode = Mode::Startup;
        }
    }

    /// # Source
    /// `bbr_update_gains`.
    pub(super) fn update_gains(&mut self) {
        (self.pacing_gain, self.window_gain) = match self.mode {
            Mode::Startup => (HIGH_GAIN, HIGH_GAIN),
            Mode::Drain => (DRAIN_GAIN, HIGH_GAIN),
            Mode::ProbeBandwidth if self.long_term.bandwidth().is_some() => (GAIN_UNIT, WINDOW_GAIN),
            Mode::ProbeBandwidth => (CYCLE[self.phase], WINDOW_GAIN),
            Mode::ProbeRtt => (GAIN_UNIT, GAIN_UNIT),
        };
    }
}
