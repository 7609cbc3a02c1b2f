//! [`assign`]: assigns the packets that share a key.

/// Number of packets from which on the plausible delays are known.
const KNOWN_FROM: u64 = 256;
/// Minimum margin of the plausible delays beyond those observed: 1 ms.
const LEAST_MARGIN_PS: i64 = 1_000_000_000;

/// The range of delays, in picoseconds, with which two observations can be the same packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feasible {
    /// The minimum.
    pub(crate) least_ps: i64,
    /// The maximum.
    pub(crate) greatest_ps: i64,
}

impl Feasible {
    /// Any delay.
    pub(crate) const ANY: Feasible = Feasible { least_ps: -i64::MAX / 4, greatest_ps: i64::MAX / 4 };

    /// Whether a delay is in the range.
    pub(crate) fn has(&self, delay_ps: i64) -> bool {
        (self.least_ps..=self.greatest_ps).contains(&delay_ps)
    }
}

/// The delays of the packets with a unique key. They limit the feasible delays of the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plausible {
    within: Feasible,
    seen: u64,
    least_ps: i64,
    greatest_ps: i64,
}

impl Plausible {
    /// Starts without observations; the result is never wider than `within`.
    pub(crate) fn new(within: Feasible) -> Self {
        Plausible { within, seen: 0, least_ps: i64::MAX, greatest_ps: i64::MIN }
    }

    /// Adds the delay of a packet with a unique key.
    #[inline]
    pub(crate) fn saw(&mut self, delay_ps: i64) {
        self.seen += 1;
        self.least_ps = self.least_ps.min(delay_ps);
        self.greatest_ps = self.greatest_ps.max(delay_ps);
    }

    /// Whether enough delays were observed to limit the range.
    pub(crate) fn is_known(&self) -> bool {
        self.seen >= KNOWN_FROM
    }

    /// From the minimum observed delay to the maximum, extended by their difference on either side.
    /// Everything feasible, until 256 delays were observed.
    pub(crate) fn delays(&self) -> Feasible {
        if !self.is_known() {
            return self.within;
        }
        let margin = (self.greatest_ps - self.least_ps).max(LEAST_MARGIN_PS);
        Feasible {
            least_ps: self.within.least_ps.max(self.least_ps - margin),
            greatest_ps: self.within.greatest_ps.min(self.greatest_ps + margin),
        }
    }
}

/// The verdict about packets that share a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Assigned {
    /// The packet with this index on the first side is that with this index on the second side.
    Pair(usize, usize),
    /// No packet of the second side can be this one of the first.
    OnlyFirst(usize),
    /// No packet of the first side can be this one of the second.
    OnlySecond(usize),
    /// These of the first side and these of the second cannot be distinguished.
    Ambiguous(std::ops::Range<usize>, std::ops::Range<usize>),
}

/// Assigns the packets that share a key, observed at the times `first` and `second`, both sorted, in
/// picoseconds.
///
/// Packets with feasible delays between them form connected groups. In a group with equally many packets on
/// both sides, packets are assigned in order, because equal packets are assumed to keep their order, if all
/// resulting delays are feasible. Any other group is ambiguous: with one packet more on a side, it is unknown
/// which one is missing.
///
/// # Complexity
/// O(packets).
pub(crate) fn assign(first: &[i64], second: &[i64], feasible: Feasible, mut tell: impl FnMut(Assigned)) {
    let Feasible { least_ps, greatest_ps } = feasible;
    let (mut i, mut j) = (0, 0);
    while i < first.len() || j < second.len() {
        let (Some(&a), Some(&b)) = (first.get(i), second.get(j)) else {
            (i..first.len()).for_each(|index| tell(Assigned::OnlyFirst(index)));
            (j..second.len()).for_each(|index| tell(Assigned::OnlySecond(index)));
            return;
        };
        if b > a + greatest_ps {
            tell(Assigned::OnlyFirst(i));
            i += 1;
            continue;
        }
        if b < a + least_ps {
            tell(Assigned::OnlySecond(j));
            j += 1;
            continue;
        }
        let (from_i, from_j) = (i, j);
        (i, j) = (i + 1, j + 1);
        loop {
            let before = (i, j);
            while j < second.len() && second[j] <= first[i - 1] + greatest_ps {
                j += 1;
            }
            while i < first.len() && first[i] + least_ps <= second[j - 1] {
                i += 1;
            }
            if (i, j) == before {
                break;
            }
        }
        let in_order = || (from_i..i).zip(from_j..j);
        let is_clear =
            i - from_i == j - from_j && in_order().all(|(i, j)| feasible.has(second[j] - first[i]));
        if is_clear {
            in_order().for_each(|(i, j)| tell(Assigned::Pair(i, j)));
        } else {
            tell(Assigned::Ambiguous(from_i..i, from_j..j));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Assigned::{Ambiguous, OnlyFirst, OnlySecond, Pair};

    fn assigned(first: &[i64], second: &[i64]) -> Vec<Assigned> {
        let mut all = Vec::new();
        assign(first, second, Feasible { least_ps: 0, greatest_ps: 10 }, |one| all.push(one));
        all
    }

    #[test]
    fn repeated_keys_are_assigned_in_order_where_the_counts_agree() {
        assert_eq!(assigned(&[0, 5], &[6, 8]), [Pair(0, 0), Pair(1, 1)]);
        assert_eq!(assigned(&[0, 100], &[3, 103]), [Pair(0, 0), Pair(1, 1)]);
    }

    #[test]
    fn one_more_on_a_side_is_ambiguous() {
        assert_eq!(assigned(&[0, 5], &[6]), [Ambiguous(0..2, 0..1)]);
        assert_eq!(assigned(&[0], &[6, 7]), [Ambiguous(0..1, 0..2)]);
        // the same packets, far enough apart, are not ambiguous
        assert_eq!(assigned(&[0, 50], &[56]), [OnlyFirst(0), Pair(1, 0)]);
        assert_eq!(assigned(&[50], &[6, 57]), [OnlySecond(0), Pair(0, 1)]);
    }

    #[test]
    fn a_chain_is_one_group() {
        // 0-8, 7-8, 7-15, 14-15: any of the three may be the lost one
        assert_eq!(assigned(&[0, 7, 14], &[8, 15]), [Ambiguous(0..3, 0..2)]);
    }

    #[test]
    fn in_order_must_be_feasible() {
        // four on each side, but in order the second would arrive before it was sent
        assert_eq!(assigned(&[0, 6, 7, 8], &[5, 5, 6, 14]), [Ambiguous(0..4, 0..4)]);
    }

    #[test]
    fn a_side_alone() {
        assert_eq!(assigned(&[1, 2], &[]), [OnlyFirst(0), OnlyFirst(1)]);
        assert_eq!(assigned(&[], &[1]), [OnlySecond(0)]);
    }
}
