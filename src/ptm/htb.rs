//! Hierarchical token buckets: Linux `htb`.

mod members;
mod spec;
mod tree;

pub use spec::{HtbClass, HtbSpec};

use super::buffer::Backlog;
use super::classes::{AsClass, ClassParts, Classes, Classifier};
use super::discipline::{Discipline, Next};
use super::framing::Framing;
use super::held::{Held, Queueing};
use super::{Loss, Place};
use crate::flow::Flows;
use crate::packet::Tau;
use crate::units::{Span, Time};
use tree::Tree;

/// A hierarchy of token buckets, as Linux `htb` runs it.
///
/// - Every class has two buckets: one filled at `rate`, one at `ceil`. It may send while both hold zero or more; then
///   they go down by the packet, below zero too. With the `rate` bucket below zero it may borrow from its parent, if
///   that may send or borrow in turn; with the `ceil` bucket below zero it may not send.
/// - Who sends at its own expense goes before who borrows, and who borrows from a nearer ancestor before who
///   borrows from a farther one; among these, the lowest `prio`; among equals, deficit round robin by `quantum` in
///   the order of the file: a class sends until its deficit is below zero. The deficit stays when a class empties.
/// - Inner classes pay with those that borrow from them, and their `ceil` bucket always.
/// - Where nobody may send, a timer is set for the first instant at which a class changes its mode; it fires
///   `release_slack` late. An arrival in between runs the queue too.
/// - Tokens are kept as the time that they took to come, in whole nanoseconds. Bursts are whole microseconds of their rate, in
///   ticks of 64 ns, as `tc` tells the kernel.
///
/// A class whose own discipline holds its packets back is passed over, and asked again when that wants.
///
/// # Complexity
/// O(levels) per packet, and O(classes that wait at a level) when a class changes its mode.
///
/// # Source
/// M. Devera, Linux `net/sched/sch_htb.c`; the defaults are those of iproute2 `tc/q_htb.c`. The lateness of the timer was
/// measured on recordings.
pub struct Htb {
    tree: Tree,
    classes: Classes,
    /// The class in the tree, per queue; the queue that is not shaped has none.
    leaves: Vec<usize>,
    /// The queue, per class in the tree.
    queues: Vec<usize>,
    release_slack: Span,
}

/// Who sends next at an instant.
struct Found {
    queue: usize,
    /// The class in the tree, at whose expense (level), and for which priority.
    turn: Option<(usize, usize, usize)>,
}

impl Htb {
    /// Empty classes with full buckets.
    pub fn new(spec: &HtbSpec, place: &Place<'_>) -> Self {
        let (tree, leaves) = Tree::new(spec);
        let specs = spec.leaves();
        let mut parts = specs.iter().map(|leaf| leaf.parts()).collect::<Vec<_>>();
        let taking = specs.iter().enumerate().filter(|(_, leaf)| {
            // A default class without `match` takes only what fits no other.
            leaf.matched.is_some() || !spec.is_named_default(leaf)
        });
        let matches = taking.map(|(queue, leaf)| (queue, leaf.matched.as_ref()));
        let fallback = if spec.is_direct() { parts.len() } else { spec.fallback(&specs).unwrap_or(0) };
        let classifier = Classifier::new(matches, fallback);
        parts.push(ClassParts { name: Some("direct"), matched: None, buffer: spec.direct_buffer, ptm: None });
        let mut queues = vec![0; tree.classes.len()];
        for (queue, &leaf) in leaves.iter().enumerate() {
            queues[leaf] = queue;
        }
        let classes = Classes::with(classifier, &parts, spec.buffer, place);
        Htb { tree, classes, leaves, queues, release_slack: spec.release_slack }
    }

    /// The queue that is not shaped.
    fn direct(&self) -> usize {
        self.leaves.len()
    }

    fn find(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<Found, Next> {
        if self.classes.backlog().packets() == 0 {
            return Err(Next::Nothing);
        }
        let direct = self.direct();
        if let Next::Ready(_) = self.classes.next(direct, now, losses) {
            return Ok(Found { queue: direct, turn: None });
        }
        let mut held = Time::NEVER;
        let Htb { tree, classes, queues, .. } = self;
        let found = tree.look(now, |tree, level, prio| {
            let leaf = whose_turn(tree, classes, queues, (level, prio), now, &mut held, losses)?;
            Some(Found { queue: queues[leaf], turn: Some((leaf, level, prio)) })
        });
        match found {
            Ok(found) => Ok(found),
            Err(_) if self.classes.backlog().packets() == 0 => Err(Next::Nothing),
            Err(event) => Err(Next::Throttled((event + self.release_slack).min(held))),
        }
    }
}

/// The leaf whose turn it is in a row and that has a packet to send. `held` is the first instant at
/// which a discipline in a leaf wants to be asked again.
fn whose_turn(
    tree: &mut Tree,
    classes: &mut Classes,
    queues: &[usize],
    (level, prio): (usize, usize),
    now: Time,
    held: &mut Time,
    losses: &mut Vec<Loss>,
) -> Option<usize> {
    let mut first = tree.leaf(level, prio)?;
    let mut leaf = first;
    loop {
        match classes.next(queues[leaf], now, losses) {
            Next::Ready(_) => return Some(leaf),
            Next::Nothing => {
                tree.deactivate(leaf);
                let next = tree.leaf(level, prio)?;
                if leaf == first {
                    first = next;
                }
                leaf = next;
            }
            Next::Throttled(fires) => {
                *held = fires.min(*held);
                tree.pass_turn(leaf, level, prio);
                leaf = tree.leaf(level, prio)?;
                if leaf == first {
                    return None;
                }
            }
        }
    }
}

impl HtbSpec {
    pub(super) fn discipline(&self, place: &Place<'_>) -> Box<dyn Discipline> {
        let framing = Framing::of(self.overhead, self.mpu, self.linklayer);
        framing.around(Box::new(Held::new(Htb::new(self, place))))
    }
}

impl Queueing for Htb {
    fn enqueue(&mut self, tau: Tau, flows: &Flows, _held: Backlog, losses: &mut Vec<Loss>) {
        if let Some(queue) = self.classes.enqueue(tau, flows, losses)
            && let Some(&leaf) = self.leaves.get(queue)
        {
            self.tree.activate(leaf);
        }
    }

    fn take(&mut self, now: Time, losses: &mut Vec<Loss>) -> Result<Tau, Next> {
        let found = self.find(now, losses)?;
        let lost = losses.len();
        let tau = self.classes.dequeue(found.queue, now, losses).ok_or(Next::Nothing)?;
        let Some((leaf, level, prio)) = found.turn else { return Ok(tau) };
        let class = &mut self.tree.classes[leaf];
        class.deficit[level] -= i64::from(tau.packet.length);
        if losses.len() > lost && self.classes.is_empty(found.queue) {
            // What dropped its last packets said so at once, and the turn went on from there.
            self.tree.deactivate(leaf);
        }
        let class = &mut self.tree.classes[leaf];
        if class.deficit[level] < 0 {
            class.deficit[level] += class.quantum;
            self.tree.pass_turn(leaf, level, prio);
        }
        if self.classes.is_empty(found.queue) {
            self.tree.deactivate(leaf);
        }
        self.tree.charge(leaf, level, tau.packet.length);
        Ok(tau)
    }

    fn backlog(&self) -> Backlog {
        self.classes.backlog()
    }

    fn waiting(&self, waiting: &mut Vec<Tau>) {
        self.classes.waiting(waiting);
    }
}

#[cfg(test)]
mod tests;
