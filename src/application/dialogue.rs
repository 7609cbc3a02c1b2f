//! Requests and responses: one end sends a request, the other responds, and after a think time the first
//! sends again.

use std::sync::Arc;

use super::{Drawn, Turn};
use crate::packet::FlowKey;
use crate::transport::tcp::Parameters;
use crate::transport::{Application, Process, Service};
use crate::units::Time;

/// The turns of each connection, by the flow of its requests: both ends get the same.
pub type Turns = Arc<dyn Fn(&FlowKey) -> Drawn<Turn> + Send + Sync>;

/// Bytes of a write.
const WRITE: u64 = 65_536;

/// Sends a request, reads the response, waits for the think time, and sends the next; closes after the last
/// turn.
pub struct Asker {
    turns: Drawn<Turn>,
    turn: Turn,
    state: Asking,
    /// No request starts from this time on.
    stop: Option<Time>,
}

enum Asking {
    /// The next request starts at this time.
    Thinks(Time),
    /// The remaining bytes of the request, and when it started.
    Writes(u64, Time),
    /// The remaining bytes of the response, and when the request started.
    Reads(u64, Time),
    Closed,
}

impl Asker {
    /// Creates an asker for these turns; no request starts from `stop` on.
    pub fn new(turns: Drawn<Turn>, stop: Option<Time>) -> Self {
        Asker { turns, turn: Turn::default(), state: Asking::Thinks(Time::ZERO), stop }
    }

    /// The next turn, or the end.
    fn begin(&mut self, now: Time) -> Asking {
        let is_over = self.stop.is_some_and(|stop| now >= stop);
        match self.turns.next().filter(|_| !is_over) {
            Some(turn) => {
                self.turn = turn;
                Asking::Writes(turn.request, now)
            }
            None => Asking::Closed,
        }
    }
}

impl Application for Asker {
    fn run(&mut self, connection: &mut Process<'_, '_>) -> Option<Time> {
        let now = connection.now();
        loop {
            match &mut self.state {
                Asking::Thinks(until) if now < *until => {
                    return Some(*until);
                }
                Asking::Thinks(_) => {
                    self.state = self.begin(now);
                    if matches!(self.state, Asking::Closed) {
                        connection.close();
                    }
                }
                Asking::Writes(left, began) => match write(connection, left) {
                    true => self.state = Asking::Reads(self.turn.response, *began),
                    false => return None,
                },
                Asking::Reads(left, began) => {
                    while *left > 0 {
                        match connection.read(*left) {
                            0 => return None,
                            some => *left -= some,
                        }
                    }
                    connection.answered(*began, self.turn.request, self.turn.response);
                    // If `stop` is before the next request, there is no next request.
                    let next = now + self.turn.think;
                    self.state = Asking::Thinks(self.stop.map_or(next, |stop| next.min(stop.max(now))));
                }
                Asking::Closed => return None,
            }
        }
    }
}

/// Reads each request and sends its response; closes after the end of the stream.
struct Answerer {
    turns: Drawn<Turn>,
    state: Answering,
}

enum Answering {
    /// The remaining bytes of a request, and the bytes of its response.
    Reads(u64, u64),
    /// The remaining bytes of a response.
    Writes(u64),
}

impl Answerer {
    fn next(turns: &mut Drawn<Turn>) -> Answering {
        turns
            .next()
            .map_or(Answering::Reads(u64::MAX, 0), |turn| Answering::Reads(turn.request, turn.response))
    }
}

impl Application for Answerer {
    fn run(&mut self, connection: &mut Process<'_, '_>) -> Option<Time> {
        loop {
            match &mut self.state {
                Answering::Reads(0, response) => self.state = Answering::Writes(*response),
                Answering::Reads(left, _) => match connection.read(*left) {
                    0 => {
                        if connection.is_at_end() {
                            connection.close();
                        }
                        return None;
                    }
                    some => *left -= some,
                },
                Answering::Writes(left) => match write(connection, left) {
                    true => self.state = Self::next(&mut self.turns),
                    false => return None,
                },
            }
        }
    }
}

/// Writes what is left. Returns whether all was written; otherwise the process is woken when there is room.
fn write(connection: &mut Process<'_, '_>, left: &mut u64) -> bool {
    while *left > 0 {
        if !connection.poll_writable() {
            return false;
        }
        let written = connection.write(WRITE.min(*left));
        *left -= written;
        if written == 0 {
            return false;
        }
    }
    true
}

/// A service that answers requests.
pub struct AnswerService {
    parameters: Arc<Parameters>,
    turns: Turns,
}

impl AnswerService {
    /// A service with these parameters and turns.
    pub fn new(parameters: Parameters, turns: Turns) -> Self {
        AnswerService { parameters: Arc::new(parameters), turns }
    }
}

impl Service for AnswerService {
    fn accept(&mut self, asked: &FlowKey) -> Box<dyn Application> {
        let mut turns = (self.turns)(asked);
        let state = Answerer::next(&mut turns);
        Box::new(Answerer { turns, state })
    }

    fn parameters(&self) -> Arc<Parameters> {
        Arc::clone(&self.parameters)
    }
}
