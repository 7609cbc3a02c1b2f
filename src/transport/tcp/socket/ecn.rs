//! Explicit congestion notification (RFC 3168): negotiation, marks, echoes and reports.

use super::{Context, Socket};
use crate::packet::{CE, ECT_0};
use crate::transport::segment::{Flags, Segment};
use crate::transport::tcp::{LossRecovery, Parameters};

/// The ECN state of a socket.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Notification {
    /// Whether both ends support ECN; before the answer to its SYN, whether this end requests it
    /// (`TCP_ECN_OK`).
    pub is_on: bool,
    /// Whether the congestion control requires ECN: all packets are ECN-capable, and each change of the
    /// arriving marks is echoed (`TCP_CONG_NEEDS_ECN`).
    pub is_exact: bool,
    /// Whether the next new data reports the reduced window (`TCP_ECN_QUEUE_CWR`).
    pub reports: bool,
    /// Whether a mark has arrived and is echoed (`TCP_ECN_DEMAND_CWR`).
    echoes: bool,
    /// Whether ECN-capable data has arrived (`TCP_ECN_SEEN`).
    seen: bool,
    /// Whether the last data carried a mark (`ce_state` of DCTCP).
    was_marked: bool,
    /// The next expected sequence number at that time (`prior_rcv_nxt` of DCTCP).
    expected: u64,
    /// Segments delivered by acknowledgements with an ECN echo (`delivered_ce`).
    pub delivered: u64,
}

/// Whether the congestion control requires ECN; textbook NewReno does not use it.
fn needs_ecn(parameters: &Parameters) -> bool {
    parameters.algorithm.needs_ecn() && parameters.recovery == LossRecovery::Rack
}

/// The number of acknowledgements that are not delayed after a mark.
const QUICK: u32 = 2;

impl Notification {
    /// For an end that opens a connection.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_output.c`, `tcp_ecn_send_syn`.
    pub fn asking(parameters: &Parameters) -> Self {
        let is_exact = needs_ecn(parameters);
        let is_on = is_exact || (parameters.ecn && parameters.recovery == LossRecovery::Rack);
        Notification { is_on, is_exact, ..Notification::default() }
    }

    /// For an end that receives a SYN with these flags and this ECN field. A SYN that is itself ECN-capable
    /// requests more than RFC 3168.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_ecn_create_request`.
    pub fn asked(flags: Flags, field: u8, parameters: &Parameters) -> Self {
        let is_exact = needs_ecn(parameters);
        let is_on = flags.has(Flags::ECE) && flags.has(Flags::CWR) && (field == 0 || is_exact);
        Notification { is_on, is_exact, ..Notification::default() }
    }

    /// The flags of a SYN or its answer. A retransmitted SYN does not request ECN again.
    ///
    /// # Source
    /// RFC 3168, Section 6.1.1; Linux `net/ipv4/tcp_output.c`, `tcp_ecn_make_synack`, `tcp_ecn_clear_syn`.
    pub fn of_syn(&self, answers: bool, is_again: bool) -> Flags {
        let asks = self.is_on && !answers && !is_again;
        Flags::default().with(Flags::ECE, asks || (self.is_on && answers)).with(Flags::CWR, asks)
    }

    /// The ECN field of a SYN or its answer.
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
    /// The connection is established: with ECN, if the answer to the SYN agrees.
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

    /// The window is reduced: reports it to the peer.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_ecn_queue_cwr`.
    pub(super) fn report_reduction(&mut self) {
        self.ecn.reports = self.ecn.is_on;
    }

    /// The peer has reduced its window, which may be very small now. Data is therefore acknowledged at once.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_input.c`, `tcp_ecn_accept_cwr`.
    pub(super) fn accept_report(&mut self, segment: &Segment) {
        if segment.flags.has(Flags::CWR) {
            self.ecn.echoes = false;
            self.acks.now |= segment.end > segment.seq;
        }
    }

    /// Handles data that arrives with this ECN field.
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
        // Data that is not ECN-capable is probably a retransmission.
        let is_notable = if is_capable { field == CE && !self.ecn.echoes } else { self.ecn.seen };
        if is_notable {
            self.acks.hurry(self.receive_window.announced, QUICK);
        }
        self.ecn.echoes |= field == CE;
        self.ecn.seen |= is_capable;
    }

    /// Echoes each change of the marks at once. A delayed acknowledgement is sent first, with the previous
    /// state.
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
        // All packets can be marked, not only new data.
        let plain = Notification::asking(&parameters(Algorithm::Cubic, true));
        assert_eq!([true, false].map(|is_new| plain.field(is_new)), [ECT_0, 0]);
        assert_eq!([true, false].map(|is_new| asking.field(is_new)), [ECT_0; 2]);
    }
}
