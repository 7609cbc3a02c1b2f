//! One end of a connection, from its SYN to its last FIN.

mod acknowledged;
mod ecn;
mod input;
mod newreno;
mod output;
mod pacing;
mod process;
mod recovery;
mod retransmission;
mod state;

use std::sync::Arc;

use super::acks::Acks;
use super::buffers::Buffers;
use super::page::{Page, Pieces};
use super::reassembly::Reassembly;
use super::rtt::{INITIAL_TIMEOUT, RoundTrip};
use super::window::Window;
use super::{LossRecovery, Parameters};
use crate::random::Draws;
use crate::transport::clock::{Clock, HostTime};
use crate::transport::congestion::{CongestionControl, CongestionWindow, Connection, INFINITE};
use crate::transport::host_queue::HostQueue;
use crate::transport::sample::TransportSample;
use crate::transport::segment::{Flags, Outbox, Segment};
use crate::transport::timers::{Purpose, Timer, Timers};
use crate::units::{Span, Time};
use ecn::Notification;
use newreno::NewReno;
use pacing::Pacing;
use retransmission::Retransmission;
use state::Recovery;

/// The resources of the host that a socket uses.
pub struct Context<'a> {
    /// The current time.
    pub time: Time,
    /// The current time on the host's clock.
    pub now: HostTime,
    /// The clock.
    pub clock: Clock,
    /// The host's timers.
    pub timers: &'a mut Timers,
    /// The output.
    pub out: &'a mut Outbox,
    /// The page that the application writes into.
    pub page: &'a mut Page,
    /// The queue of the host's port.
    pub queue: &'a mut HostQueue,
    /// By connection of the host: the sequence number below which bytes are acknowledged.
    pub acknowledged: &'a [u64],
    /// The host's random numbers.
    pub draws: Draws,
}

/// The phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The SYN is sent.
    SynSent,
    /// The SYN has arrived and is answered.
    SynReceived,
    /// The connection is established. Each side may have closed its direction.
    Open,
    /// Both directions are closed; late segments are answered.
    TimeWait,
    /// Both directions are closed.
    Closed,
}

/// The events that wake an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wakes {
    /// The connection is established.
    pub connected: bool,
    /// The send buffer has space again.
    pub writable: bool,
    /// Data or the end of the stream can be read.
    pub readable: bool,
}

/// The counters of one end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Retransmitted segments.
    pub retransmissions: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Whether the connection was given up because nothing was acknowledged for too long.
    pub gave_up: bool,
}

/// One end of a connection.
pub struct Socket {
    /// Its number at its host, which is also that of its flow.
    number: u32,
    /// Its number at the other host.
    peer: u32,
    parameters: Arc<Parameters>,
    phase: Phase,
    /// The events for which to wake the application.
    pub wakes: Wakes,
    /// Its counters.
    pub counts: Counts,

    // The sending side.
    buffers: Buffers,
    pieces: Pieces,
    /// The oldest unacknowledged sequence number (SND.UNA).
    unacknowledged: u64,
    /// The next sequence number to send (SND.NXT).
    next: u64,
    /// The next sequence number to write.
    written: u64,
    /// The sequence number after the last pushed byte.
    pushed: u64,
    /// The peer's window, in bytes (SND.WND).
    window: u64,
    largest_window: u64,
    /// The peer's sequence number at the last change of its window (SND.WL1).
    window_updated_at: u64,
    /// Segments delivered to the peer (`delivered`).
    delivered: u64,
    /// Segments that the peer reported as duplicates.
    duplicates: u64,
    /// The send buffer, in bytes of memory; it grows.
    send_buffer: u64,
    /// Whether the application waits for space.
    waits_for_room: bool,
    /// The number of segments written into one buffer.
    goal_segments: u64,
    /// The sequence number after the last segment sent although it was not full (Minshall).
    small: u64,
    /// Whether the FIN is written.
    is_shut: bool,
    round_trip: RoundTrip,
    congestion: CongestionWindow,
    algorithm: Box<dyn CongestionControl>,
    /// Bytes per second.
    pacing_rate: u64,
    /// The pacing state, if bursts are paced.
    pacing: Option<Box<Pacing>>,
    usage: Usage,
    /// When data was last sent, in ticks.
    last_sent: u64,
    recovery: Recovery,
    ecn: Notification,
    /// NewReno instead of Linux's recovery, if the parameters select it.
    newreno: Option<Box<NewReno>>,
    retransmission: Retransmission,

    // The receiving side.
    reassembly: Reassembly,
    receive_window: Window,
    acks: Acks,
    delayed: Timer,
    compressed: Timer,
    /// The timestamp to echo (TS.Recent).
    recent: u64,
    /// The clock at the socket's last reading. The timer that sends a compressed acknowledgement does not
    /// read it.
    clock: HostTime,
    /// The clock in the last segment; if bursts are paced, the earliest time of the next one
    /// (`tcp_wstamp_ns`).
    departure: HostTime,
    receiver: ReceiverRoundTrip,
    /// When an empty segment was last refused, in ticks.
    refused: u64,

    // The handshake.
    /// When the SYN, or the answer to it, was first sent.
    begun: HostTime,
    /// The number of retransmissions of the SYN or its answer.
    syn_retransmissions: u32,
    /// Whether the SYN has arrived again, and was answered again.
    answered_again: bool,
    syn_timeout: u64,
}

/// The number of retransmissions of a SYN before the connection is given up (`tcp_syn_retries`).
const MOST_SYNS: u32 = 6;
/// The same for the answer to a SYN (`tcp_synack_retries`).
const MOST_ANSWERS: u32 = 5;

/// The usage of the congestion window.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    is_limited: bool,
    /// The maximum number of unacknowledged segments in this window.
    most_out: u32,
    /// The end of the window.
    end: u64,
    /// When the window was last fully used or changed, in ticks.
    stamp: u64,
    /// The number of segments of it that the application uses.
    used: u32,
}

/// The receiver's estimate of the round-trip time.
#[derive(Debug, Clone, Copy, Default)]
struct ReceiverRoundTrip {
    /// In us / 8; 0 before the first sample.
    smoothed: u64,
    /// The last echoed timestamp.
    echo: u64,
    /// The end of the measurement window, and its start in us.
    window: Option<(u64, u64)>,
}

/// The state of an end that closed first, for answers to late segments (TIME-WAIT). There may be millions.
#[derive(Debug)]
pub struct LateAnswer {
    to: u32,
    from: u32,
    flags: Flags,
    window: u32,
    seq: u64,
    ack: u64,
}

/// The content of a SYN that reaches a service.
#[derive(Debug, Clone, Copy)]
pub struct Syn {
    /// The connection's number at the opening host.
    pub peer: u32,
    /// Its timestamp.
    pub timestamp: u64,
    /// Its window.
    pub window: u32,
    /// Its flags.
    pub flags: Flags,
    /// The ECN field of its packet.
    pub ecn: u8,
}

impl Socket {
    fn new(number: u32, parameters: Arc<Parameters>, phase: Phase, context: &Context<'_>) -> Self {
        let now = context.now;
        let Parameters { mss, algorithm, initial_window, .. } = *parameters;
        let first_window = parameters.first_window(phase == Phase::SynSent);
        let receive_window = Window::new(&parameters, first_window, now.us());
        let room = 2 * u64::from(initial_window) * process::memory_per_segment(mss);
        Socket {
            number,
            peer: u32::MAX,
            phase,
            wakes: Wakes::default(),
            counts: Counts::default(),
            buffers: Buffers::new(mss),
            pieces: Pieces::default(),
            unacknowledged: 0,
            next: 1,
            written: 1,
            pushed: 1,
            window: 0,
            largest_window: 0,
            window_updated_at: 0,
            delivered: 0,
            duplicates: 0,
            send_buffer: room
                .clamp(parameters.send_buffer.initial.into(), parameters.send_buffer.most.into()),
            waits_for_room: false,
            goal_segments: 0,
            small: 1,
            is_shut: false,
            round_trip: RoundTrip::default(),
            congestion: CongestionWindow { size: initial_window, threshold: INFINITE, counted: 0 },
            algorithm: algorithm.start(now, context.draws.of(number.into())),
            pacing_rate: 0,
            pacing: None,
            usage: Usage { end: 1, ..Usage::default() },
            last_sent: 0,
            recovery: Recovery::default(),
            ecn: Notification::default(),
            newreno: (parameters.recovery == LossRecovery::Rfc6582)
                .then(|| Box::new(NewReno::new(mss, initial_window))),
            retransmission: Retransmission::default(),
            reassembly: Reassembly::new(1),
            acks: Acks::new(&parameters, receive_window.announced),
            receive_window,
            delayed: Timer::default(),
            compressed: Timer::default(),
            recent: 0,
            clock: now,
            departure: now,
            receiver: ReceiverRoundTrip::default(),
            refused: 0,
            begun: now,
            syn_retransmissions: 0,
            answered_again: false,
            syn_timeout: INITIAL_TIMEOUT,
            parameters,
        }
    }

    /// Opens a connection to a service, by its number at the other host.
    pub fn connect(
        number: u32,
        service: u32,
        parameters: Arc<Parameters>,
        context: &mut Context<'_>,
    ) -> Self {
        let mut socket = Socket::new(number, parameters, Phase::SynSent, context);
        socket.peer = service;
        socket.ecn = Notification::asking(&socket.parameters);
        socket.send_syn(context);
        socket
    }

    /// Answers a SYN.
    pub fn accept(number: u32, syn: &Syn, parameters: Arc<Parameters>, context: &mut Context<'_>) -> Self {
        let mut socket = Socket::new(number, parameters, Phase::SynReceived, context);
        socket.peer = syn.peer;
        socket.ecn = Notification::asked(syn.flags, syn.ecn, &socket.parameters);
        socket.recent = syn.timestamp;
        socket.set_window(syn.window.into());
        socket.send_syn(context);
        socket
    }

    /// Sends the SYN or its answer, and sets the timer.
    fn send_syn(&mut self, context: &mut Context<'_>) {
        let answers = self.phase == Phase::SynReceived;
        let segment = Segment {
            to: self.peer,
            from: self.number,
            flags: self
                .options(Flags::SYN.with(Flags::ACK, answers))
                .with(self.ecn.of_syn(answers, self.syn_retransmissions > 0), true),
            seq: 0,
            end: 1,
            ack: u64::from(answers),
            window: self.receive_window.announced,
            timestamp: context.now.ticks(),
            echo: self.recent,
            ..Segment::default()
        };
        self.emit(segment, self.ecn.field_of_syn(), context);
        let due = context.now.ticks() + self.syn_timeout;
        let whose = (self.number, Purpose::Retransmission);
        context.timers.set_tick(&mut self.retransmission.timer, whose, due, &context.clock, context.now);
    }

    /// The SYN, or the answer to it, was not answered in time.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp_timer.c`, `tcp_retransmit_timer`; the answer to a SYN: `inet_connection_sock.c`,
    /// `reqsk_timer_handler`.
    fn syn_timed_out(&mut self, context: &mut Context<'_>) {
        let most = if self.phase == Phase::SynSent { MOST_SYNS } else { MOST_ANSWERS };
        if self.syn_retransmissions >= most {
            return self.give_up();
        }
        if self.phase == Phase::SynSent && self.syn_retransmissions == 0 {
            let connection = self.connection(context);
            self.congestion.threshold = self.algorithm.threshold(&self.congestion);
            self.algorithm.timed_out(&connection);
            self.report_reduction();
        }
        self.syn_retransmissions += 1;
        self.counts.retransmissions += 1;
        self.counts.timeouts += 1;
        self.syn_timeout = (self.syn_timeout << 1).min(super::rtt::LONGEST_TIMEOUT);
        self.send_syn(context);
    }

    /// Its number at its host.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The sequence number below which bytes are acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.unacknowledged
    }

    /// Segments delivered by acknowledgements with an ECN echo.
    pub fn delivered_ce(&self) -> u64 {
        self.ecn.delivered
    }

    /// Bytes of the stream acknowledged by the peer.
    pub fn bytes_acknowledged(&self) -> u64 {
        let fin = u64::from(self.is_finished());
        self.unacknowledged.saturating_sub(1 + fin)
    }

    /// Whether the peer has acknowledged the last byte and the FIN.
    pub fn is_finished(&self) -> bool {
        self.is_shut && self.unacknowledged == self.written
    }

    /// Its state as a sender, at `time`; `None` before the first write.
    ///
    /// # Source
    /// Linux `net/ipv4/tcp.c`, `tcp_get_info`.
    pub fn sample(&self, time: Time) -> Option<TransportSample> {
        let bytes = self.written - u64::from(self.is_shut);
        (bytes > 1).then(|| TransportSample {
            time,
            fid: self.number,
            cwnd: self.congestion.size,
            ssthresh: Some(self.congestion.threshold).filter(|threshold| *threshold < INFINITE),
            srtt: Some(self.round_trip.smoothed >> 3)
                .filter(|_| self.round_trip.smoothed > 0)
                .map(|us| Span::from_ns(us * 1_000)),
            rto: Span::from_ns(self.round_trip.timeout * 1_000_000),
            state: self.recovery.state,
            in_flight: self.buffers.in_flight(),
            unacknowledged: self.buffers.out,
            mss: self.parameters.mss,
            acknowledged: self.bytes_acknowledged(),
            delivered_ce: self.ecn.delivered,
            alpha: self.algorithm.alpha(),
            least_rtt: self.round_trip.least().map(|us| Span::from_ns(us * 1_000)),
            pacing_rate: self.pacing.as_ref().map(|_| self.pacing_rate),
        })
    }

    /// Its state, as the congestion control sees it.
    fn connection(&self, context: &Context<'_>) -> Connection {
        Connection {
            now: context.now,
            next: self.next,
            unacknowledged: self.unacknowledged,
            pacing_rate: self.pacing_rate,
            last_sent: self.last_sent,
            delivered: self.delivered,
            marked: self.ecn.delivered,
        }
    }

    /// Adds the flag of segments without timestamps, if this connection has none.
    fn options(&self, flags: Flags) -> Flags {
        flags.with(Flags::PLAIN, self.is_newreno())
    }

    fn mss(&self) -> u64 {
        self.parameters.mss.into()
    }

    /// The sequence number after the last one that the peer's window allows.
    fn window_end(&self) -> u64 {
        self.unacknowledged + self.window
    }

    fn set_window(&mut self, window: u64) {
        self.window = window;
        self.largest_window = self.largest_window.max(window);
    }

    /// The timer for this purpose.
    pub fn timer(&mut self, purpose: Purpose) -> Option<&mut Timer> {
        match purpose {
            Purpose::Retransmission => Some(&mut self.retransmission.timer),
            Purpose::DelayedAck => Some(&mut self.delayed),
            Purpose::CompressedAck => Some(&mut self.compressed),
            Purpose::Pacing => self.pacing.as_deref_mut().map(|pacing| &mut pacing.timer),
            Purpose::Process | Purpose::Alarm => None,
        }
    }

    /// Handles a timer that has fired.
    pub fn fire(&mut self, purpose: Purpose, context: &mut Context<'_>) {
        match purpose {
            Purpose::Retransmission if matches!(self.phase, Phase::SynSent | Phase::SynReceived) => {
                self.syn_timed_out(context);
            }
            Purpose::Retransmission => self.retransmission_timer(context),
            Purpose::DelayedAck => self.delayed_timer(context),
            Purpose::CompressedAck => self.compressed_timer(context),
            Purpose::Pacing => self.go_on(context),
            Purpose::Process | Purpose::Alarm => {}
        }
    }

    /// Gives up: the peer does not answer.
    fn give_up(&mut self) {
        self.counts.gave_up = true;
        self.recovery.closed_first = false;
        self.close_down();
    }

    /// The state for late answers, once both directions are closed.
    pub fn late_answer(&self) -> LateAnswer {
        LateAnswer {
            to: self.peer,
            from: self.number,
            flags: self.options(Flags::ACK),
            window: self.receive_window.announced,
            seq: self.next,
            ack: self.reassembly.next,
        }
    }

    /// Both directions are closed: stops all timers.
    fn close_down(&mut self) {
        // The end that closed first waits for late segments.
        let phase = if self.recovery.closed_first { Phase::TimeWait } else { Phase::Closed };
        self.phase = phase;
        self.retransmission.timer.cancel();
        self.delayed.cancel();
        self.compressed.cancel();
        self.pacing = None;
    }
}
