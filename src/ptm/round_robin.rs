//! Round robin among classes with packets, shared by `drr`, `ets` and `wrr`.

use std::collections::VecDeque;
use std::marker::PhantomData;

use super::Loss;
use super::buffer::Backlog;
use super::classes::Classes;
use super::discipline::Next;
use super::held::Queueing;
use crate::flow::Flows;
use crate::packet::Tau;
use crate::units::Time;

/// The cost of a packet, charged to the quantum of its class.
pub trait Cost: Send {
    /// The cost of a packet of `length` bytes.
    fn of(length: u32) -> u64;
}

/// A packet costs its bytes: deficit round robin.
pub struct Bytes;

/// A packet costs one: weighted round robin.
pub struct Packets;

impl Cost for Bytes {
    #[inline]
    fn of(length: u32) -> u64 {
        length.into()
    }
}

impl Cost for Packets {
    #[inline]
    fn of(_length: u32) -> u64 {
        1
    }
}

/// The quantum of a class.
#[derive(Clone, Copy)]
struct Turn {
    quantum: u64,
    /// The rest of it.
    deficit: u64,
    /// Whether the class is in the list of those with packets.
    active: bool,
}

/// Round robin among the classes with something to send.
///
/// A class joins at the tail of the list, with a deficit of zero, when its first packet arrives. At the head
/// of the list its quantum is added to its deficit. It sends while its next packet costs at most the deficit,
/// then goes to the tail and keeps the rest. It leaves the list, and loses the rest, when it is empty: when
/// its last packet starts onto the link.
///
/// A class whose own discipline holds its packets back loses the rest of its quantum, as if it were empty.
///
/// The first classes may be strict: each is served before all later ones, outside the rounds.
pub struct RoundRobin<C> {
    classes: Classes,
    /// The number of strict classes.
    strict: usize,
    turns: Vec<Turn>,
    /// The quantum of a class created for a flow.
    quantum: u64,
    active: VecDeque<u32>,
    /// Whether the head has received its quantum for this round.
    credited: bool,
    cost: PhantomData<C>,
}

impl<C: Cost> RoundRobin<C> {
    /// Creates empty classes with the given quanta; classes created for flows get `quantum`.
    pub(super) fn new(classes: Classes, quanta: impl Iterator<Item = u64>, quantum: u64) -> Self {
        let turns = quanta.map(|quantum| Turn { quantum, deficit: 0, active: false }).collect();
        RoundRobin {
            classes,
            strict: 0,
            turns,
            quantum,
            active: VecDeque::new(),
            credited: false,
            cost: PhantomData,
        }
    }

    /// The same with the first `strict` classes before the rounds.
    pub(super) fn behind_strict(mut self, strict: usize) -> Self {
        self.strict = strict;
        self
    }

    /// The class that sends next, and the length of its packet.
    #[inline]
    fn settle(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<(usize, u32), Next> {
        let mut earliest = Time::NEVER;
        for class in 0..self.strict {
            match self.classes.next(class, now, losses) {
                Next::Ready(length) => return Ok((class, length)),
                Next::Nothing => {}
                Next::Throttled(fires) => earliest = earliest.min(fires),
            }
        }
        self.settle_round(now, losses).map_err(|wait| match wait {
            Next::Throttled(fires) => Next::Throttled(fires.min(earliest)),
            _ if earliest < Time::NEVER => Next::Throttled(earliest),
            nothing => nothing,
        })
    }

    /// Moves to the class that sends next in the round. Returns the class and the length of its packet.
    #[inline]
    fn settle_round(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<(usize, u32), Next> {
        let (mut held, mut earliest) = (0, Time::NEVER);
        while let Some(&head) = self.active.front() {
            let class = head as usize;
            match self.classes.next(class, now, losses) {
                Next::Ready(length) => {
                    let turn = &mut self.turns[class];
                    if !self.credited {
                        turn.deficit += turn.quantum;
                        self.credited = true;
                    }
                    if C::of(length) <= turn.deficit {
                        return Ok((class, length));
                    }
                    held = 0;
                    self.pass();
                }
                Next::Nothing => self.leave(class),
                Next::Throttled(fires) => {
                    self.turns[class].deficit = 0;
                    (held, earliest) = (held + 1, earliest.min(fires));
                    self.pass();
                    if held >= self.active.len() {
                        return Err(Next::Throttled(earliest));
                    }
                }
            }
        }
        Err(Next::Nothing)
    }

    /// Ends the service of the head in this round.
    #[inline]
    fn pass(&mut self) {
        self.active.rotate_left(1);
        self.credited = false;
    }

    /// Removes the head, which is empty.
    #[inline]
    fn leave(&mut self, class: usize) {
        self.active.pop_front();
        self.credited = false;
        self.turns[class] = Turn { deficit: 0, active: false, ..self.turns[class] };
    }
}

impl<C: Cost> Queueing for RoundRobin<C> {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, _held: Backlog, losses: &mut Vec<Loss>) {
        let Some(class) = self.classes.enqueue(tau, flows, losses) else { return };
        while self.turns.len() < self.classes.len() {
            self.turns.push(Turn { quantum: self.quantum, deficit: 0, active: false });
        }
        if class >= self.strict && !self.turns[class].active {
            self.turns[class].active = true;
            self.active.push_back(class as u32);
        }
    }

    fn take(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<Tau, Next> {
        let (class, length) = self.settle(now, losses)?;
        let tau = self.classes.dequeue(class, now, losses).ok_or(Next::Nothing)?;
        // Strict classes are asked one after the other, whether or not packets wait in them.
        self.classes.idle_below(class.min(self.strict), now);
        if class < self.strict {
            return Ok(tau);
        }
        self.turns[class].deficit -= C::of(length);
        if self.classes.is_empty(class) {
            self.leave(class);
            self.classes.release(class, tau.packet.fid);
        }
        Ok(tau)
    }

    fn idle(&mut self, now: Time) {
        self.classes.idle_below(self.strict, now);
    }

    fn backlog(&self) -> Backlog {
        self.classes.backlog()
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        self.classes.waiting(waiting);
    }
}
