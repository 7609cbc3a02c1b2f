//! Detects policers, which deliver a long-term rate and drop the rest.

use super::{BANDWIDTH_UNIT, GAIN_SCALE, GAIN_UNIT, Sender, bytes_per_second};

/// If two intervals of 4 to 16 rounds have high loss and about the same rate, that rate is the bandwidth for
/// 48 rounds.
///
/// # Source
/// T. Flach et al., "An Internet-Wide Analysis of Traffic Policing", SIGCOMM 2016; `bbr_lt_bw_sampling`.
#[derive(Debug, Default)]
pub(super) struct LongTerm {
    is_sampling: bool,
    /// The number of rounds of the interval, or of the use of its bandwidth.
    rounds: u32,
    /// The bandwidth of the previous interval; 0 if there was none.
    last: u32,
    is_used: bool,
    begin: Begin,
}

/// The start of an interval.
#[derive(Debug, Default)]
struct Begin {
    /// The numbers of segments delivered and lost by then.
    delivered: u64,
    lost: u64,
    /// When a segment was last delivered, in ms.
    at: u64,
}

/// The result of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    None,
    /// The bandwidth is used from now on.
    Policed,
    /// The bandwidth has been used for long enough.
    TriesAgain,
}

const LEAST_ROUNDS: u32 = 4;
const ROUNDS_USED: u32 = 48;
/// The ratio of lost to delivered segments that counts as high loss, in 1/256.
const MUCH_LOSS: u64 = 50;
/// The maximum difference of equal bandwidths, in 1/256, or in bytes per second.
const SAME: u32 = GAIN_UNIT / 8;
const SAME_RATE: u64 = 4_000 / 8;
/// The longest interval, in ms.
const LONGEST: u64 = u32::MAX as u64 / 1_000;

impl LongTerm {
    /// The bandwidth, if it is in use.
    pub fn bandwidth(&self) -> Option<u32> {
        self.is_used.then_some(self.last)
    }

    /// Resets the detection.
    pub fn reset(&mut self, sender: &Sender<'_>) {
        *self = LongTerm::default();
        self.begin_interval(sender);
    }

    fn begin_interval(&mut self, sender: &Sender<'_>) {
        self.begin =
            Begin { delivered: sender.delivered, lost: sender.lost, at: sender.delivered_at / 1_000 };
        self.rounds = 0;
    }

    /// Adds an acknowledgement that revealed `lost` segments.
    pub fn sample(
        &mut self,
        lost: u32,
        is_limited: bool,
        round_is_new: bool,
        is_cycling: bool,
        sender: &Sender<'_>,
    ) -> Verdict {
        if self.is_used {
            if is_cycling && round_is_new {
                self.rounds += 1;
                if self.rounds >= ROUNDS_USED {
                    self.reset(sender);
                    return Verdict::TriesAgain;
                }
            }
            return Verdict::None;
        }
        // The first loss: the token bucket of the policer is empty.
        if !self.is_sampling {
            if lost == 0 {
                return Verdict::None;
            }
            self.begin_interval(sender);
            self.is_sampling = true;
        }
        if is_limited {
            self.reset(sender);
            return Verdict::None;
        }
        self.rounds += u32::from(round_is_new);
        if self.rounds < LEAST_ROUNDS {
            return Verdict::None;
        }
        if self.rounds > 4 * LEAST_ROUNDS {
            self.reset(sender);
            return Verdict::None;
        }
        // The interval also ends with a loss.
        if lost == 0 { Verdict::None } else { self.end_interval(sender) }
    }

    fn end_interval(&mut self, sender: &Sender<'_>) -> Verdict {
        let (lost, delivered) = (sender.lost - self.begin.lost, sender.delivered - self.begin.delivered);
        if delivered == 0 || (lost << GAIN_SCALE) < MUCH_LOSS * delivered {
            return Verdict::None;
        }
        let span = (sender.delivered_at / 1_000).saturating_sub(self.begin.at);
        if span < 1 {
            return Verdict::None;
        }
        if span >= LONGEST {
            self.reset(sender);
            return Verdict::None;
        }
        self.compare((delivered * BANDWIDTH_UNIT / (span * 1_000)) as u32, sender)
    }

    /// # Source
    /// `bbr_lt_bw_interval_done`.
    fn compare(&mut self, bandwidth: u32, sender: &Sender<'_>) -> Verdict {
        if self.last > 0 {
            let difference = bandwidth.abs_diff(self.last);
            if difference.wrapping_mul(GAIN_UNIT) <= SAME.wrapping_mul(self.last)
                || bytes_per_second(difference, GAIN_UNIT, sender.mss) <= SAME_RATE
            {
                self.last = bandwidth.wrapping_add(self.last) >> 1;
                self.is_used = true;
                self.rounds = 0;
                return Verdict::Policed;
            }
        }
        self.last = bandwidth;
        self.begin_interval(sender);
        Verdict::None
    }
}
