//! BBR version 1, as in Linux.

mod aggregation;
mod long_term;
mod modes;
mod window;

use super::{CongestionControl, CongestionWindow, Connection, RateControl, RateSample, Sender};
use crate::random::Draws;
use crate::transport::best_of_window::BestOfWindow;
use crate::transport::sample::State;
use aggregation::Aggregation;
use long_term::{LongTerm, Verdict};

/// Bottleneck bandwidth and round-trip propagation time. The model of the path consists of the maximum
/// delivery rate over ten round trips and the minimum round-trip time over ten seconds. The pacing rate
/// follows the delivery rate; the window follows the product of both.
///
/// # Source
/// N. Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016; Linux
/// `net/ipv4/tcp_bbr.c` with its fixed-point arithmetic: bandwidths are in segments per us / 2^24, gains in
/// 1/256.
#[derive(Debug)]
pub struct Bbr {
    draws: Draws,
    /// The number of random numbers drawn.
    drawn: u64,
    mode: Mode,
    /// The maximum bandwidth, by rounds.
    bandwidth: BestOfWindow,
    round: Round,
    /// The minimum round-trip time, in us.
    least_rtt: u32,
    /// The tick of that minimum.
    least_rtt_at: u64,
    startup: Startup,
    /// The phase of the gain cycle.
    phase: usize,
    /// When the phase started, in us.
    phase_began: u64,
    probe: RttProbe,
    /// Whether data is sent again after the application had none, and none of it is acknowledged yet.
    resumes: bool,
    pacing_gain: u32,
    window_gain: u32,
    /// The state of loss recovery at the last acknowledgement.
    state: State,
    /// In the first round of recovery, one segment is sent for each delivered segment (packet conservation).
    conserves: bool,
    /// The window before recovery or before the probe of the round-trip time.
    window_before: u32,
    /// Whether the pacing rate is based on a measured round-trip time.
    has_rtt: bool,
    long_term: LongTerm,
    aggregation: Aggregation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Searches for the bandwidth: doubles the rate each round.
    Startup,
    /// Drains the queue that startup has built.
    Drain,
    /// Cycles around the bandwidth.
    ProbeBandwidth,
    /// Sends little, to measure the round-trip time without a queue.
    ProbeRtt,
}

/// Rounds: from the sending of a segment to its acknowledgement.
#[derive(Debug, Default)]
struct Round {
    count: u64,
    /// The round ends with a segment sent after this many were delivered.
    ends_behind: u64,
    /// Whether the last acknowledgement started a round.
    is_new: bool,
}

/// Detects the end of bandwidth growth.
#[derive(Debug, Default)]
struct Startup {
    /// The bandwidth at its last growth.
    bandwidth: u32,
    /// Rounds since then.
    rounds: u32,
    /// Whether growth has ended.
    is_over: bool,
}

/// A probe of the round-trip time.
#[derive(Debug, Default)]
struct RttProbe {
    /// The tick of its end, once little is in flight.
    until: Option<u64>,
    /// Whether a round has passed since.
    has_round: bool,
}

/// The scale of bandwidths.
const BANDWIDTH_SCALE: u32 = 24;
const BANDWIDTH_UNIT: u64 = 1 << BANDWIDTH_SCALE;
/// The scale of gains.
const GAIN_SCALE: u32 = 8;
const GAIN_UNIT: u32 = 1 << GAIN_SCALE;

/// The gain in startup: 2 / ln 2.
const HIGH_GAIN: u32 = GAIN_UNIT * 2_885 / 1_000 + 1;
/// Its inverse, which drains the queue that startup has built.
const DRAIN_GAIN: u32 = GAIN_UNIT * 1_000 / 2_885;
/// The window is twice the bandwidth-delay product.
const WINDOW_GAIN: u32 = GAIN_UNIT * 2;
/// The pacing gains of a cycle.
const CYCLE: [u32; 8] =
    [GAIN_UNIT * 5 / 4, GAIN_UNIT * 3 / 4, GAIN_UNIT, GAIN_UNIT, GAIN_UNIT, GAIN_UNIT, GAIN_UNIT, GAIN_UNIT];
/// The number of phases from which the start of a cycle is drawn: all but the draining one.
const FIRST_PHASES: u32 = 7;
/// The number of rounds in the maximum bandwidth's window.
const BANDWIDTH_ROUNDS: u64 = 10;
/// The lifetime of the minimum round-trip time, in ticks.
const RTT_BELIEVED: u64 = 10_000;
/// The duration of a round-trip time probe with little in flight, in ticks.
const RTT_PROBE: u64 = 200;
/// The minimum window, also used during a probe.
const LEAST_WINDOW: u32 = 4;
/// The initial window of a connection (`TCP_INIT_CWND`).
const INITIAL_WINDOW: u32 = 10;
/// The assumed round-trip time before the first sample, in us.
const UNKNOWN_RTT: u64 = 1_000;
/// The minimum growth of the bandwidth per round in startup, in 1/256.
const GROWTH: u64 = 256 * 5 / 4;
/// The number of rounds without growth that end startup.
const ROUNDS_WITHOUT_GROWTH: u32 = 3;
/// The pacing rate as a percentage of the bandwidth.
const PACED_PERCENT: u64 = 99;
/// The pacing rate, in bytes per second, below which bursts have one segment.
const LOW_RATE: u64 = 1_200_000 >> 3;
/// The maximum number of segments of a burst in calculations.
const MOST_SEGMENTS: u64 = 0x7f;

impl Bbr {
    /// Before the connection is established.
    pub fn new(draws: Draws) -> Self {
        Bbr {
            draws,
            drawn: 0,
            mode: Mode::Startup,
            bandwidth: BestOfWindow::default(),
            round: Round::default(),
            least_rtt: u32::MAX,
            least_rtt_at: 0,
            startup: Startup::default(),
            phase: 0,
            phase_began: 0,
            probe: RttProbe::default(),
            resumes: false,
            pacing_gain: HIGH_GAIN,
            window_gain: HIGH_GAIN,
            state: State::Open,
            conserves: false,
            window_before: 0,
            has_rtt: false,
            long_term: LongTerm::default(),
            aggregation: Aggregation::default(),
        }
    }

    fn largest_bandwidth(&self) -> u32 {
        self.bandwidth.get().unwrap_or(0) as u32
    }

    /// The bandwidth used in calculations.
    fn bandwidth(&self) -> u32 {
        self.long_term.bandwidth().unwrap_or_else(|| self.largest_bandwidth())
    }

    /// # Source
    /// `bbr_update_bw`.
    fn update_bandwidth(&mut self, sample: &RateSample, sender: &Sender<'_>) {
        self.round.is_new = false;
        let Some((delivered, interval)) = sample.rate() else { return };
        if sample.delivered_before >= self.round.ends_behind {
            self.round.ends_behind = sender.delivered;
            self.round.count += 1;
            self.round.is_new = true;
            self.conserves = false;
        }
        self.look_for_policer(sample.lost, sample.is_limited, sender);
        let bandwidth = (delivered * BANDWIDTH_UNIT / interval) as u32;
        // A sample of an application-limited sender underestimates the path.
        if !sample.is_limited || bandwidth >= self.largest_bandwidth() {
            self.bandwidth.sample_largest(bandwidth.into(), self.round.count, BANDWIDTH_ROUNDS);
        }
    }

    fn look_for_policer(&mut self, lost: u32, is_limited: bool, sender: &Sender<'_>) {
        let is_cycling = self.mode == Mode::ProbeBandwidth;
        match self.long_term.sample(lost, is_limited, self.round.is_new, is_cycling, sender) {
            Verdict::None => {}
            Verdict::Policed => self.pacing_gain = GAIN_UNIT,
            Verdict::TriesAgain => self.begin_cycle(sender),
        }
    }

    /// High gain times the initial window per round-trip time.
    ///
    /// # Source
    /// `bbr_init_pacing_rate_from_rtt`.
    fn start_pacing(&mut self, sender: &mut Sender<'_>) {
        let rtt = match sender.smoothed_rtt {
            0 => UNKNOWN_RTT,
            smoothed => {
                self.has_rtt = true;
                (smoothed >> 3).max(1)
            }
        };
        let bandwidth = u64::from(sender.window.size) * BANDWIDTH_UNIT / rtt;
        *sender.pacing_rate = bytes_per_second(bandwidth as u32, HIGH_GAIN, sender.mss);
    }

    /// # Source
    /// `bbr_set_pacing_rate`.
    fn pace(&mut self, gain: u32, sender: &mut Sender<'_>) {
        let rate = bytes_per_second(self.bandwidth(), gain, sender.mss);
        if !self.has_rtt && sender.smoothed_rtt > 0 {
            self.start_pacing(sender);
        }
        if self.startup.is_over || rate > *sender.pacing_rate {
            *sender.pacing_rate = rate;
        }
    }
}

/// Slightly less than the bandwidth times the gain, so that queues drain.
///
/// # Source
/// `bbr_rate_bytes_per_sec`.
fn bytes_per_second(bandwidth: u32, gain: u32, mss: u64) -> u64 {
    let scaled = (u64::from(bandwidth) * mss * u64::from(gain)) >> GAIN_SCALE;
    scaled.saturating_mul(1_000_000 / 100 * PACED_PERCENT) >> BANDWIDTH_SCALE
}

impl CongestionControl for Bbr {
    /// The threshold does not change: BBR does not reduce on a loss.
    ///
    /// # Source
    /// `bbr_ssthresh`.
    fn threshold(&mut self, window: &CongestionWindow) -> u32 {
        self.save_window(window.size);
        window.threshold
    }

    fn acknowledged(&mut self, _window: &mut CongestionWindow, _delivered: u32, _connection: &Connection) {}

    fn undone(&self, window: &CongestionWindow, _before: u32) -> u32 {
        window.size
    }

    fn by_rate(&mut self) -> Option<&mut dyn RateControl> {
        Some(self)
    }
}

impl RateControl for Bbr {
    /// # Source
    /// `bbr_init`.
    fn begin(&mut self, sender: &mut Sender<'_>) {
        self.round.ends_behind = sender.delivered;
        self.least_rtt = sender.least_rtt.map_or(u32::MAX, |rtt| rtt as u32);
        self.least_rtt_at = sender.now.ticks();
        self.start_pacing(sender);
        self.long_term.reset(sender);
        self.aggregation.begin_epoch(sender.now.us());
    }

    /// # Source
    /// `bbr_main`.
    fn sampled(&mut self, sample: &RateSample, sender: &mut Sender<'_>) {
        self.update_bandwidth(sample, sender);
        let bandwidth = self.bandwidth();
        self.aggregation.sample(sample, bandwidth, self.round.is_new, sender);
        self.follow_cycle(sample, sender);
        self.check_growth(sample);
        self.check_drain(sender);
        self.update_least_rtt(sample, sender);
        self.update_gains();
        self.pace(self.pacing_gain, sender);
        self.set_window(sample, sender);
    }

    /// # Source
    /// `bbr_cwnd_event`.
    fn resumed(&mut self, sender: &mut Sender<'_>) {
        if *sender.limited_until == 0 {
            return;
        }
        self.resumes = true;
        self.aggregation.begin_epoch(sender.now.us());
        match self.mode {
            // Not faster than the bandwidth: there is no queue to fill.
            Mode::ProbeBandwidth => self.pace(GAIN_UNIT, sender),
            Mode::ProbeRtt => self.end_rtt_probe(sender),
            Mode::Startup | Mode::Drain => {}
        }
    }

    /// # Source
    /// `bbr_set_state`.
    fn timer_expired(&mut self, sender: &mut Sender<'_>) {
        self.state = State::Loss;
        self.startup.bandwidth = 0;
        // Treated as the end of a round.
        self.round.is_new = true;
        self.look_for_policer(1, false, sender);
    }

    /// # Source
    /// `bbr_undo_cwnd`.
    fn loss_undone(&mut self, sender: &mut Sender<'_>) {
        self.startup.bandwidth = 0;
        self.startup.rounds = 0;
        self.long_term.reset(sender);
    }

    /// # Source
    /// `bbr_min_tso_segs`.
    fn least_burst(&self, pacing_rate: u64) -> u64 {
        if pacing_rate < LOW_RATE { 1 } else { 2 }
    }

    /// The window may also grow in recovery.
    ///
    /// # Source
    /// `bbr_sndbuf_expand`.
    fn windows_buffered(&self) -> u64 {
        3
    }
}
