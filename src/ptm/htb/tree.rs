//! The token buckets of `htb`, without packets, and the choice of the class that may send.

use super::members::Feed;
use super::spec::{HtbClass, HtbSpec, LEVELS, PRIORITIES};
use crate::ptm::psched::{RateNs, depth_in_ticks, instant, nanoseconds};
use crate::units::Time;

/// The maximum idle time or debt that a class remembers [ns]: 60 s.
const MOST_TOKENS: i64 = 60_000_000_000;

/// When a level without events looks again [ns]: after 1 s.
const NOTHING_AHEAD: i64 = 1_000_000_000;

/// The maximum time for which the timer is set [ns]: 5 s.
const FARTHEST: i64 = 5_000_000_000;

/// What a class may currently do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The class has used up its `ceil`.
    CannotSend,
    /// The class has used up its `rate`, and may borrow from its parent.
    MayBorrow,
    /// The class may send.
    CanSend,
}

/// A class, inner or leaf. Tokens are times in whole nanoseconds.
pub(super) struct Class {
    rate: RateNs,
    ceil: RateNs,
    burst: i64,
    cburst: i64,
    prio: usize,
    pub quantum: i64,
    pub(super) level: usize,
    parent: Option<usize>,
    tokens: i64,
    ctokens: i64,
    /// When the token counts were updated.
    checked: i64,
    mode: Mode,
    /// One bit per priority in which the class wants to send.
    wants: u8,
    /// The rest of the quantum, per level at which the class is in a round.
    pub deficit: [i64; LEVELS],
    /// The children that borrow from the class, per priority.
    borrowers: Vec<Feed>,
}

/// The classes of a level that may send from their own rate, and those that wait for their mode to change.
struct Level {
    rows: Vec<Feed>,
    /// One bit per priority with a non-empty row.
    busy: u8,
    /// (when, class), the earliest last.
    events: Vec<(i64, usize)>,
    /// No event is earlier than this.
    nearest: i64,
}

/// The tree.
pub(super) struct Tree {
    pub classes: Vec<Class>,
    levels: Vec<Level>,
    /// The levels that have classes, from the leaves up, and the first level of each gap between them: all
    /// levels of a gap look again at the same instants.
    used: Vec<usize>,
    /// The instant of the last look, for which the modes are valid.
    now: i64,
}

/// The owner of a feed.
#[derive(Clone, Copy)]
enum Holder {
    Row,
    Class(usize),
}

impl Tree {
    /// Creates full buckets. Returns the numbers of the leaves in the order of [`HtbSpec::leaves`] too.
    pub fn new(spec: &HtbSpec) -> (Self, Vec<usize>) {
        let (mut classes, mut leaves) = (Vec::new(), Vec::new());
        add(&spec.class, None, LEVELS - 1, &mut classes, &mut leaves);
        let count = classes.len();
        for class in &mut classes {
            if class.level > 0 {
                class.borrowers = vec![Feed::new(count); PRIORITIES];
            }
        }
        let level =
            || Level { rows: vec![Feed::new(count); PRIORITIES], busy: 0, events: Vec::new(), nearest: 0 };
        let has_classes = |level: usize| classes.iter().any(|class| class.level == level);
        let looked_at = |&level: &usize| has_classes(level) || (level > 0 && has_classes(level - 1));
        let used = (0..LEVELS).filter(looked_at).collect();
        (Tree { classes, levels: (0..LEVELS).map(|_| level()).collect(), used, now: 0 }, leaves)
    }

    fn feed(&mut self, holder: Holder, level: usize, prio: usize) -> &mut Feed {
        match holder {
            Holder::Row => &mut self.levels[level].rows[prio],
            Holder::Class(class) => &mut self.classes[class].borrowers[prio],
        }
    }

    /// A leaf has packets to send.
    #[inline]
    pub fn activate(&mut self, leaf: usize) {
        if self.classes[leaf].wants == 0 {
            self.classes[leaf].wants = 1 << self.classes[leaf].prio;
            self.link(leaf);
        }
    }

    /// A leaf has no packets left.
    #[inline]
    pub fn deactivate(&mut self, leaf: usize) {
        if self.classes[leaf].wants != 0 {
            self.unlink(leaf);
            self.classes[leaf].wants = 0;
        }
    }

    /// Adds a class to the row of its level, or to the borrowers of its parent, and the parent likewise.
    fn link(&mut self, class: usize) {
        let mut class = class;
        let mut wants = self.classes[class].wants;
        while let (Mode::MayBorrow, Some(parent)) = (self.classes[class].mode, self.classes[class].parent)
            && wants != 0
        {
            for prio in priorities(wants) {
                let feed = &mut self.classes[parent].borrowers[prio];
                if !feed.members.is_empty() {
                    wants &= !(1 << prio); // already wanted by the parent
                }
                feed.members.insert(class);
            }
            self.classes[parent].wants |= wants;
            class = parent;
        }
        if self.classes[class].mode == Mode::CanSend && wants != 0 {
            let level = &mut self.levels[self.classes[class].level];
            level.busy |= wants;
            for prio in priorities(wants) {
                level.rows[prio].members.insert(class);
            }
        }
    }

    /// The reverse of [`link`](Self::link), for the mode in which the class was linked.
    fn unlink(&mut self, class: usize) {
        let mut class = class;
        let mut wants = self.classes[class].wants;
        while let (Mode::MayBorrow, Some(parent)) = (self.classes[class].mode, self.classes[class].parent)
            && wants != 0
        {
            let mut emptied = 0;
            for prio in priorities(wants) {
                let feed = &mut self.classes[parent].borrowers[prio];
                if feed.turn == Some(class) {
                    (feed.turn, feed.left) = (None, Some(class));
                }
                feed.members.remove(class);
                emptied |= u8::from(feed.members.is_empty()) << prio;
            }
            self.classes[parent].wants &= !emptied;
            (class, wants) = (parent, emptied);
        }
        if self.classes[class].mode == Mode::CanSend && wants != 0 {
            let level = &mut self.levels[self.classes[class].level];
            for prio in priorities(wants) {
                let row = &mut level.rows[prio];
                if row.turn == Some(class) {
                    row.advance();
                }
                row.members.remove(class);
                level.busy &= !(u8::from(row.members.is_empty()) << prio);
            }
        }
    }

    /// The mode of a class `later` after its tokens were updated, and the time until the mode changes.
    fn mode(&self, class: usize, later: i64) -> (Mode, i64) {
        let class = &self.classes[class];
        if class.ctokens + later < 0 {
            (Mode::CannotSend, -(class.ctokens + later))
        } else if class.tokens + later >= 0 {
            (Mode::CanSend, later)
        } else {
            (Mode::MayBorrow, -(class.tokens + later))
        }
    }

    /// Sets the mode of a class. Returns the time until it changes again.
    fn change(&mut self, class: usize, later: i64) -> i64 {
        let (mode, wait) = self.mode(class, later);
        let old = self.classes[class].mode;
        if mode != old {
            let wants = self.classes[class].wants != 0;
            if wants && old != Mode::CannotSend {
                self.unlink(class);
            }
            self.classes[class].mode = mode;
            if wants && mode != Mode::CannotSend {
                self.link(class);
            }
        }
        wait
    }

    fn wait(&mut self, class: usize, wait: i64) {
        let at = self.now + wait.max(1);
        let level = &mut self.levels[self.classes[class].level];
        level.nearest = level.nearest.min(at);
        // Events of the same instant stay in their order of arrival.
        let place = level.events.partition_point(|event| event.0 > at);
        level.events.insert(place, (at, class));
    }

    fn forget(&mut self, class: usize) {
        let events = &mut self.levels[self.classes[class].level].events;
        if let Some(place) = events.iter().position(|event| event.1 == class) {
            events.remove(place);
        }
    }

    /// Changes the modes at a level that are due. Returns when the next change is due.
    fn run_events(&mut self, level: usize) -> i64 {
        while let Some(&(at, class)) = self.levels[level].events.last() {
            if at > self.now {
                return at;
            }
            self.levels[level].events.pop();
            let later = (self.now - self.classes[class].checked).min(MOST_TOKENS);
            let wait = self.change(class, later);
            if self.classes[class].mode != Mode::CanSend {
                self.wait(class, wait);
            }
        }
        self.now + NOTHING_AHEAD
    }

    /// Visits the levels from the leaves up, makes the changes that are due, and offers the non-empty rows to
    /// `send` until it sends. Otherwise returns the next instant at which this may change.
    pub fn look<T>(
        &mut self,
        now: Time,
        mut send: impl FnMut(&mut Tree, usize, usize) -> Option<T>,
    ) -> Result<T, Time> {
        self.now = nanoseconds(now);
        let mut next = self.now + FARTHEST;
        for index in 0..self.used.len() {
            let level = self.used[index];
            if self.now >= self.levels[level].nearest {
                self.levels[level].nearest = i64::MAX;
                let event = self.run_events(level);
                self.levels[level].nearest = event;
            }
            next = next.min(self.levels[level].nearest);
            for prio in priorities(self.levels[level].busy) {
                if let Some(sent) = send(self, level, prio) {
                    return Ok(sent);
                }
            }
        }
        Err(instant(next))
    }

    /// The next leaf in a row.
    pub fn leaf(&mut self, level: usize, prio: usize) -> Option<usize> {
        if self.levels[level].rows[prio].members.is_empty() {
            return None;
        }
        let mut path = [Holder::Row; LEVELS + 1];
        let mut depth = 0;
        loop {
            match self.feed(path[depth], level, prio).recover() {
                None => {
                    self.feed(path[depth], level, prio).rewind();
                    if depth > 0 {
                        depth -= 1;
                        self.feed(path[depth], level, prio).advance();
                    }
                }
                Some(class) if self.classes[class].level == 0 => return Some(class),
                Some(class) => {
                    depth += 1;
                    path[depth] = Holder::Class(class);
                }
            }
        }
    }

    /// Moves on from a leaf to the next class in its feed.
    pub fn pass_turn(&mut self, leaf: usize, level: usize, prio: usize) {
        match self.classes[leaf].parent {
            Some(parent) if level > 0 => self.classes[parent].borrowers[prio].advance(),
            _ => self.levels[0].rows[prio].advance(),
        }
    }

    /// Charges `length` bytes of a leaf to its ancestor at `level`.
    pub fn charge(&mut self, leaf: usize, level: usize, length: u32) {
        let length = u64::from(length);
        let mut next = Some(leaf);
        while let Some(index) = next {
            let now = self.now;
            let class = &mut self.classes[index];
            let later = (now - class.checked).min(MOST_TOKENS);
            if class.level >= level {
                class.tokens = spend(class.tokens + later, class.burst, class.rate.time(length));
            } else {
                class.tokens += later;
            }
            class.ctokens = spend(class.ctokens + later, class.cburst, class.ceil.time(length));
            class.checked = now;
            next = class.parent;
            let old = class.mode;
            let wait = self.change(index, 0);
            let new = self.classes[index].mode;
            if old != new {
                if old != Mode::CanSend {
                    self.forget(index);
                }
                if new != Mode::CanSend {
                    self.wait(index, wait);
                }
            }
        }
    }
}

/// The tokens of a bucket after `cost` has been taken.
fn spend(tokens: i64, depth: i64, cost: i64) -> i64 {
    (tokens.min(depth) - cost).max(1 - MOST_TOKENS)
}

/// The priorities in a mask, the most urgent first.
fn priorities(mask: u8) -> impl Iterator<Item = usize> {
    let mut rest = mask;
    std::iter::from_fn(move || {
        let prio = (rest != 0).then_some(rest.trailing_zeros() as usize)?;
        rest &= rest - 1;
        Some(prio)
    })
}

/// Adds classes and their inner classes, outer ones first.
fn add(
    specs: &[HtbClass],
    parent: Option<usize>,
    level: usize,
    classes: &mut Vec<Class>,
    leaves: &mut Vec<usize>,
) {
    for spec in specs {
        let index = classes.len();
        let is_leaf = spec.class.is_empty();
        // A burst is passed to the kernel in ticks, which `tc` computes.
        let burst = depth_in_ticks(spec.rate, spec.burst());
        let cburst = depth_in_ticks(spec.ceil(), spec.cburst());
        classes.push(Class {
            rate: RateNs::new(spec.rate),
            ceil: RateNs::new(spec.ceil()),
            burst,
            cburst,
            prio: spec.prio.unwrap_or(0).into(),
            quantum: i64::try_from(spec.quantum()).unwrap_or(i64::MAX),
            level: if is_leaf { 0 } else { level },
            parent,
            tokens: burst,
            ctokens: cburst,
            checked: 0,
            mode: Mode::CanSend,
            wants: 0,
            deficit: [0; LEVELS],
            borrowers: Vec::new(),
        });
        if is_leaf {
            leaves.push(index);
        } else {
            add(&spec.class, Some(index), level.saturating_sub(1), classes, leaves);
        }
    }
}
