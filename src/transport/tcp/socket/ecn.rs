//! Explicit congestion notification (RFC 3168): what is agreed on, marked, echoed and reported.

use super::{Context, Socket};
use crate::packet::{CE, ECT_0};
use crate::transport::segment::{Flags, Segment};
use crate::transport::tcp::{LossRecovery, Parameters};

/// What a socket knows of ECN.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Notification {
    /// Both ends do it; before the answer to its SYN, this end asks for it (`TCP_ECN_OK`).
    pub is_on: bool,
    /// The congestion control needs it: all that is sent is capable, and each change of the marks that arrive is echoed
    /// (`TCP_CONG_NEEDS_ECN`).
    pub is_exact: bool,
    /// The next new data reports that the window is reduced (`TCP_ECN_QUEUE_CWR`).
    pub reports: bool,
    /// A mark has arrived, and is echoed (`TCP_ECN_DEMAND_CWR`).
    echoes: bool,
    /// Data that is capable has arrived (`TCP_ECN_SEEN`).
    seen: bool,
    /// The last data carried a mark (`ce_state` of DCTCP).
    was_marked: bool,
    /// What was expected next then (`prior_rcv_nxt` of DCTCP).
    expected: u64,
    /// Segments delivered by acknowledgements that echoed a mark (`delivered_ce`).
    pub delivered: u64,
}

/// Whether the congestion control needs ECN; textbook NewReno has none.
fn needs_ecn(parameters: &Parameters) -> bool {
    parameters.algorithm.needs_ecn() && parameters.recovery == LossRecovery::Rack
}

/// Acknowledgements that are not delayed after a mark.
const QUICK: u32 = 2;

impl Notification {
    /// Of an end that asks for a connection.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_ecn_send_syn`.
    pub fn asking(parameters: &Parameters) -> Self {
        let is_exact = needs_ecn(parameters);
        let is_on = is_exact || (parameters.ecn && parameters.recovery == LossRecovery::Rack);
        Notification { is_on, is_exact, ..Notification::default() }
    }

    /// Of an end that is asked by a SYN with these flags and this ECN field. A SYN that is itself capable asks for more than RFC 3168.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_ecn_create_request`.
    pub fn asked(flags: Flags, field: u8, parameters: &Parameters) -> Self {
        let is_exact = needs_ecn(parameters);
        let is_on = flags.has(Flags::ECE) && flags.has(Flags::CWR) && (field == 0 || is_exact);
        Notification { is_on, is_exact, ..Notification::default() }
    }

    /// The flags of a SYN, which does not ask again when it is sent again, or of the answer to one.
    ///
    /// # Source
    /// RFC 3168, Section 6.1.1; Linux `net/ipv4/tcp_output.c`, `tcp_ecn_make_synack`, `tcp_ecn_clear_syn`.
    pub fn of_syn(&self, answers: bool, is_again: bool) -> Flags {
        let asks = self.is_on && !answers && !is_again;
        Flags::default().with(Flags::ECE, asks || (self.is_on && answers)).with(Flags::CWR, asks)
    }

    /// The ECN field of a SYN or the answer to one.
    pub fn field_of_syn(&self) -> u8 {
        if self.is_exact { ECT_0 } else { 0 }
    }

    /// The ECN field of a segment.
    ///
    /// # Source
    /// RFC 3168, Section 6.1; Linux `net/ipv4/tcp_output.c`, `tcp_ecn_send`.
    pub fn field(&self, is_new_data: bool) -> u8 {
        if self.is_on && (is_new_data || self.is_exact) { ECT_0 } else { 0 }
    }

    /// The flags of a segment without new data.
    pub fn flags(&self) -> Flags {
        Flags::default().with(Flags::ECE, self.echoes)
    }
}

impl Socket {
    /// The connection is there: with ECN, if the answer to the SYN agrees.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_ecn_rcv_synack`; `tcp_dctcp.c`, `dctcp_init`.
    pub(super) fn settle_ecn(&mut self, segment: &Segment) {
        let Segment { flags, .. } = segment;
        if flags.has(Flags::SYN) && (!flags.has(Flags::ECE) || flags.has(Flags::CWR)) {
            self.ecn.is_on = false;
        }
        self.ecn.is_exact &= self.ecn.is_on;
        self.ecn.reports &= self.ecn.is_on;
        self.ecn.expected = self.reassembly.next;
    }

    /// The window is reduced: the peer hears of it.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_ecn_queue_cwr`.
    pub(super) fn report_reduction(&mut self) {
        self.ecn.reports = self.ecn.is_on;
    }

    /// The peer has reduced its window. It may be very small now, so that data is acknowledged at once.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_ecn_accept_cwr`.
    pub(super) fn accept_report(&mut self, segment: &Segment) {
        if segment.flags.has(Flags::CWR) {
            self.ecn.echoes = false;
            self.acks.now |= segment.end > segment.seq;
        }
    }

    /// Data has arrived with this ECN field.
    ///
    /// # Source
    /// RFC 3168, Section 6.1.3; Linux `net/ipv4/tcp_input.c`, `__tcp_ecn_check_ce`.
    pub(super) fn note_mark(&mut self, field: u8, context: &mut Context<'_>) {
        if !self.ecn.is_on {
            return;
        }
        let is_capable = field != 0;
        if is_capable && self.ecn.is_exact {
            self.echo_change(field == CE, context);
        }
        // What is not capable is probably sent again.
        let is_notable = if is_capable { field == CE && !self.ecn.echoes } else { self.ecn.seen };
        if is_notable {
            self.acks.hurry(self.receive_window.announced, QUICK);
        }
        self.ecn.echoes |= field == CE;
        self.ecn.seen |= is_capable;
    }

    /// Echoes each change of the marks at once. An acknowledgement that was delayed goes first, as it would have been before.
    ///
    /// # Source
    /// RFC 8257, Section 3.2; Linux `net/ipv4/tcp_dctcp.h`, `dctcp_ece_ack_update`.
    fn echo_change(&mut self, is_marked: bool, context: &mut Context<'_>) {
        let before = self.ecn.was_marked;
        if before != is_marked {
            if self.acks.due.is_some() {
                self.ecn.echoes = before;
                self.send_ack_of(self.ecn.expected, context);
            }
            self.acks.now = true;
        }
        self.ecn.expected = self.reassembly.next;
        self.ecn.was_marked = is_marked;
        self.ecn.echoes = is_marked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::congestion::Algorithm;

    const BOTH: Flags = Flags::ECE.with(Flags::CWR, true);

    fn parameters(algorithm: Algorithm, ecn: bool) -> Parameters {
        Parameters { ecn, ..Parameters::new(algorithm, 1_448) }
    }

    #[test]
    fn a_syn_asks_once_and_the_answer_agrees() {
        let cubic = parameters(Algorithm::Cubic, true);
        let asking = Notification::asking(&cubic);
        assert_eq!([false, true].map(|is_again| asking.of_syn(false, is_again)), [BOTH, Flags::default()]);
        let textbook = Parameters { recovery: LossRecovery::Rfc6582, ..parameters(Algorithm::Reno, true) };
        for silent in [parameters(Algorithm::Cubic, false), textbook] {
            assert_eq!(Notification::asking(&silent).of_syn(false, false), Flags::default());
        }
        let asked = |flags| Notification::asked(flags, 0, &parameters(Algorithm::Cubic, false));
        assert_eq!([false, true].map(|is_again| asked(BOTH).of_syn(true, is_again)), [Flags::ECE; 2]);
        for flags in [Flags::default(), Flags::ECE, Flags::CWR] {
            assert_eq!(asked(flags).of_syn(true, false), Flags::default());
        }
    }

    #[test]
    fn only_dctcp_agrees_to_a_syn_that_can_be_marked() {
        let asking = Notification::asking(&parameters(Algorithm::Dctcp, false));
        assert_eq!((asking.of_syn(false, false), asking.field_of_syn()), (BOTH, ECT_0));
        let agrees = |algorithm| Notification::asked(BOTH, ECT_0, &parameters(algorithm, true)).is_on;
        let others = [Algorithm::Cubic, Algorithm::Reno];
        assert!(agrees(Algorithm::Dctcp) && others.iter().all(|algorithm| !agrees(*algorithm)));
        // All that is sent can be marked, not new data alone.
        let plain = Notification::asking(&parameters(Algorithm::Cubic, true));
        assert_eq!([true, false].map(|is_new| plain.field(is_new)), [ECT_0, 0]);
        assert_eq!([true, false].map(|is_new| asking.field(is_new)), [ECT_0; 2]);
    }
}
