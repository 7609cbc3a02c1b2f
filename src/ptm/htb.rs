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
/// - Every class has two buckets: one filled at `rate`, one at `ceil`. A class may send while both are at
///   zero or above; the packet is then charged to both, which may become negative. With the `rate` bucket
///   below zero the class may borrow from its parent, if the parent may send or borrow itself. With the
///   `ceil` bucket below zero it may not send.
/// - A class that sends from its own rate goes before one that borrows, and one that borrows from a nearer
///   ancestor before one that borrows from a farther ancestor. Among these, the lowest `prio` goes first.
///   Equal classes share by deficit round robin with `quantum`, in the order of the file: a class sends until
///   its deficit is below zero. The deficit is kept when a class becomes empty.
/// - Inner classes are charged for the packets of classes that borrow from them; their `ceil` bucket is
///   always charged.
/// - If no class may send, a timer is set for the first instant at which a class changes its mode. It fires
///   `release_slack` late. An arrival in between also runs the queue.
/// - Tokens are kept as the time in which they accumulate, in whole nanoseconds. Bursts are whole
///   microseconds at their rate, in ticks of 64 ns, as `tc` passes them to the kernel.
///
/// A class whose own discipline holds its packets back is skipped, and asked again when the discipline
/// requests it.
///
/// # Complexity
/// O(levels) per packet, and O(classes that wait at a level) when a class changes its mode.
///
/// # Source
/// M. Devera, Linux `net/sched/sch_htb.c`; the defaults are those of iproute2 `tc/q_htb.c`. The lateness of
/// the timer was measured on recordings.
pub struct Htb {
    tree: Tree,
    classes: Classes,
    /// The class in the tree of each queue; the unshaped queue has none.
    leaves: Vec<usize>,
    /// The queue of each class in the tree.
    queues: Vec<usize>,
    release_slack: Span,
}

/// The queue that sends next at an instant.
struct Found {
    queue: usize,
    /// The class in the tree, the level that pays, and the priority.
    turn: Option<(usize, usize, usize)>,
}

impl Htb {
    /// Creates empty classes with full buckets.
    pub fn new(spec: &HtbSpec, place: &Place<'_>) -> Self {
        let (tree, leaves) = Tree::new(spec);
        let specs = spec.leaves();
        let mut parts = specs.iter().map(|leaf| leaf.parts()).collect::<Vec<_>>();
        let taking = specs.iter().enumerate().filter(|(_, leaf)| {
            // A default class without `match` takes only packets that match no other class.
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

    /// The unshaped queue.
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

/// The next leaf in a row that has a packet to send. `held` becomes the first instant at which a discipline
/// in a leaf asks to be called again.
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
            // A discipline that dropped its last packets said so at once, and the round went on from there.
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
