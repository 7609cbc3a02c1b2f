//! Generalized processor sharing: the fluid server that weighted fair queueing follows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::units::{Span, Time};

/// The resolution of virtual time, beyond what the weights require: 2^-16 ps.
const FINENESS: u128 = 1 << 16;

/// The maximum exact scale of the weights, as their common multiple; beyond it, a packet's share is rounded
/// down to a tick.
const MOST_SCALE: u128 = 1 << 32;

/// The virtual time of a fluid server that serves all backlogged classes at once, in proportion to their
/// weights.
///
/// The work of a packet is its transmission time on the link in ps, as in the packet server: both servers
/// finish a busy period at the same instant.
///
/// # Arithmetic
/// All values are integers. A tick of virtual time is 1 ps of work per unit of weight, divided by a common
/// multiple of the weights (which makes a packet's share of it whole) and by 2^16. Between two events with
/// weights `W` backlogged, virtual time advances at `1 / W`. Work that does not yet make a whole tick is
/// carried, not rounded away. So the work done up to any instant is exact, and so is the order of deletion
/// within a set of backlogged classes. When a class joins the set, virtual time is rounded down to a tick.
/// Errors do not accumulate over time. When no class is backlogged, virtual time restarts at 0.
pub(super) struct Gps {
    /// Ticks of work in 1 ps.
    scale: u128,
    /// Ticks.
    now: u128,
    /// Work in ticks done since `now` was reached, less than a whole tick for every class.
    carried: u128,
    /// When `now` and `carried` were updated.
    updated: Time,
    /// The sum of the weights of the backlogged classes.
    weights: u128,
    classes: Vec<Class>,
    /// The backlogged classes by finish time, as of when they joined; a later packet postpones it.
    ending: BinaryHeap<Reverse<(u128, usize)>>,
}

#[derive(Clone, Copy)]
struct Class {
    weight: u128,
    /// Ticks of virtual time in 1 ps of the class's work.
    share: u128,
    backlogged: bool,
    /// The virtual time at which its last packet finishes.
    finish: u128,
}

impl Gps {
    /// Creates an idle server.
    pub fn new(weights: impl Iterator<Item = u16> + Clone) -> Self {
        let multiple = weights.clone().map(u128::from).fold(1, least_common_multiple);
        let scale = multiple * FINENESS;
        Gps {
            scale,
            now: 0,
            carried: 0,
            updated: Time::ZERO,
            weights: 0,
            classes: weights.map(|weight| Class::new(weight, scale)).collect(),
            ending: BinaryHeap::new(),
        }
    }

    /// The number of classes.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Adds a class of weight 1.
    pub fn add(&mut self) {
        self.classes.push(Class::new(1, self.scale));
    }

    /// Whether a class is backlogged, as of the last arrival.
    #[inline]
    pub fn is_backlogged(&self, class: usize) -> bool {
        self.classes[class].backlogged
    }

    /// Whether nothing is backlogged, as of the last arrival.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.weights == 0
    }

    /// Restarts virtual time. The server must be idle, and no finish may be in use.
    pub fn restart(&mut self) {
        (self.now, self.carried) = (0, 0);
    }

    /// Advances to `until`. Classes whose work is done are removed (iterated deletion) and reported to
    /// `left`.
    pub fn advance(&mut self, until: Time, mut left: impl FnMut(usize)) {
        let elapsed = u128::from(until.since(self.updated).as_ps());
        self.updated = until;
        if self.weights == 0 {
            return;
        }
        self.carried += elapsed * self.scale;
        while let Some(&Reverse((ending, class))) = self.ending.peek() {
            let finish = self.classes[class].finish;
            if finish > ending {
                self.ending.pop();
                self.ending.push(Reverse((finish, class)));
                continue;
            }
            let work = (finish - self.now).saturating_mul(self.weights);
            if work > self.carried {
                return;
            }
            self.ending.pop();
            self.carried -= work;
            self.now = finish;
            self.weights -= self.classes[class].weight;
            self.classes[class].backlogged = false;
            left(class);
        }
        self.carried = 0;
    }

    /// A packet of a class arrives at the instant of the last [`advance`](Self::advance). Returns the virtual
    /// time at which it finishes.
    #[inline]
    pub fn arrive(&mut self, class: usize, work: Span) -> u128 {
        let start =
            if self.classes[class].backlogged { self.classes[class].finish } else { self.virtual_time() };
        let Class { weight, share, backlogged, .. } = self.classes[class];
        let finish = start + u128::from(work.as_ps()) * share;
        self.classes[class].finish = finish;
        if !backlogged {
            self.classes[class].backlogged = true;
            self.weights += weight;
            self.ending.push(Reverse((finish, class)));
        }
        finish
    }

    /// The virtual time, rounded down to a tick; carried work is included.
    fn virtual_time(&mut self) -> u128 {
        if self.weights > 0 && self.carried >= self.weights {
            let (whole, rest) = divide(self.carried, self.weights);
            (self.now, self.carried) = (self.now + whole, rest);
        }
        self.now
    }
}

impl Class {
    fn new(weight: u16, scale: u128) -> Self {
        Class { weight: weight.into(), share: scale / u128::from(weight), backlogged: false, finish: 0 }
    }
}

/// Quotient and remainder, with a fast path for 64 bits, since the numbers are mostly small.
#[inline]
fn divide(a: u128, b: u128) -> (u128, u128) {
    match (u64::try_from(a), u64::try_from(b)) {
        (Ok(a), Ok(b)) => ((a / b).into(), (a % b).into()),
        _ => (a / b, a % b),
    }
}

/// The least common multiple, or the first number if the multiple would be too large.
fn least_common_multiple(a: u128, b: u128) -> u128 {
    let (mut greater, mut rest) = (a, b);
    while rest != 0 {
        (greater, rest) = (rest, greater % rest);
    }
    let multiple = a / greater * b;
    if multiple > MOST_SCALE { a } else { multiple }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(gps: &mut Gps, at: u64) -> Vec<usize> {
        let mut left = Vec::new();
        gps.advance(Time::from_ps(at), |class| left.push(class));
        left
    }

    #[test]
    fn the_fluid_server_shares_by_weight() {
        // Work of 12 ps each; weights 1, 2, 3. Together they take 36 ps: the third finishes at virtual time
        // 4, after 24 ps; the second at 6, after 24 + 2 * 3 = 30 ps; the first at 12, after 30 + 6 = 36 ps.
        let mut gps = Gps::new([1, 2, 3].into_iter());
        for class in 0..3 {
            gps.arrive(class, Span::from_ps(12));
        }
        assert!(through(&mut gps, 23).is_empty());
        assert_eq!(through(&mut gps, 24), [2]);
        assert!(through(&mut gps, 29).is_empty());
        assert_eq!(through(&mut gps, 30), [1]);
        assert!(through(&mut gps, 35).is_empty());
        assert_eq!(through(&mut gps, 36), [0]);
        assert!(gps.is_idle());
    }

    #[test]
    fn no_work_is_lost_however_often_time_is_asked() {
        // 7 classes join one by one at instants that no weight divides; the busy period is the sum of all work.
        let weights = [3, 7, 11, 13, 17, 19, 23];
        let mut gps = Gps::new(weights.into_iter());
        let mut total = 0;
        for round in 0..1_000 {
            for class in 0..7 {
                gps.advance(Time::from_ps(round * 701 + class * 97), |_| ());
                gps.arrive(class as usize, Span::from_ps(101));
                total += 101;
            }
        }
        through(&mut gps, total - 1);
        assert!(!gps.is_idle(), "it is idle before all work is done");
        through(&mut gps, total);
        assert!(gps.is_idle(), "work was lost");
    }

    #[test]
    fn a_class_that_comes_back_starts_now() {
        let mut gps = Gps::new([1, 1].into_iter());
        let first = gps.arrive(0, Span::from_ps(10));
        gps.arrive(1, Span::from_ps(100));
        assert_eq!(through(&mut gps, 20), [0]);
        assert!(through(&mut gps, 30).is_empty());
        // Alone since 20: 10 ps of virtual time for 20 ps, then 10 ps for 10 ps.
        let again = gps.arrive(0, Span::from_ps(10));
        assert_eq!((again - first) / gps.scale, 20);
    }

    #[test]
    fn weights_without_a_common_multiple_do_not_overflow() {
        let weights = [65_535, 65_521, 32_768, 7, 1];
        let mut gps = Gps::new(weights.into_iter());
        for class in 0..5 {
            gps.arrive(class, Span::from_ps(1 << 50)); // 19 minutes
        }
        through(&mut gps, 5 << 50);
        assert!(gps.is_idle());
        gps.arrive(0, Span::from_ps(1));
        through(&mut gps, u64::MAX - 1);
        assert!(gps.is_idle());
    }
}
