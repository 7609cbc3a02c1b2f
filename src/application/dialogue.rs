//! Requests and responses: one end asks, the other answers, and after a while the first asks again.

use std::sync::Arc;

use super::{Drawn, Turn};
use crate::packet::FlowKey;
use crate::transport::tcp::Parameters;
use crate::transport::{Application, Process, Service};
use crate::units::Time;

/// The turns of each connection, by the flow of its requests: both ends ask, and are given the same.
pub type Turns = Arc<dyn Fn(&FlowKey) -> Drawn<Turn> + Send + Sync>;

/// Bytes of a write.
const WRITE: u64 = 65_536;

/// Sends a request, reads the response, thinks, and sends the next; closes after the last turn.
pub struct Asker {
    turns: Drawn<Turn>,
    turn: Turn,
    state: Asking,
    /// No request begins from then on.
    stop: Option<Time>,
}

enum Asking {
    /// The next request begins then.
    Thinks(Time),
    /// Bytes of the request are left to write; it began then.
    Writes(u64, Time),
    /// Bytes of the response are left to read.
    Reads(u64, Time),
    Closed,
}

impl Asker {
    /// Of these turns; no request begins from `stop` on.
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
                    // With `stop` before the next request, there is none.
                    let next = now + self.turn.think;
                    self.state = Asking::Thinks(self.stop.map_or(next, |stop| next.min(stop.max(now))));
                }
                Asking::Closed => return None,
            }
        }
    }
}

/// Reads each request, and sends its response; closes after the end.
struct Answerer {
    turns: Drawn<Turn>,
    state: Answering,
}

enum Answering {
    /// Bytes of a request are left to read, and its response.
    Reads(u64, u64),
    /// Bytes of a response are left to write.
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

/// Writes what is left; whether that was all. Where not, the process is woken when there is room.
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
    /// Of connections with these parameters and turns.
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
