//! Rows that are held until all earlier ones are known, regardless of the order in which an engine reports
//! them.

use crate::units::Time;

/// Rows with their times, returned in order of time and pid. Rows of one packet at one instant keep the order
/// in which they were added.
#[derive(Debug, Clone)]
pub struct Held<R> {
    rows: Vec<(Time, u64, R)>,
    later: Vec<(Time, u64, R)>,
}

impl<R> Default for Held<R> {
    fn default() -> Self {
        Held { rows: Vec::new(), later: Vec::new() }
    }
}

impl<R> Held<R> {
    /// Adds a row of the packet `pid`.
    #[inline]
    pub fn push(&mut self, at: Time, pid: u64, row: R) {
        self.rows.push((at, pid, row));
    }

    /// The row added last.
    pub fn last_mut(&mut self) -> Option<&mut R> {
        self.rows.last_mut().map(|(_, _, row)| row)
    }

    /// Passes every row before an instant to `give`, in order, and keeps the others.
    pub fn settle<E>(
        &mut self,
        before: Time,
        mut give: impl FnMut(Time, R) -> Result<(), E>,
    ) -> Result<(), E> {
        self.later.extend(self.rows.extract_if(.., |(at, _, _)| *at >= before));
        self.rows.sort_by_key(|(at, pid, _)| (*at, *pid));
        let given = self.rows.drain(..).try_for_each(|(at, _, row)| give(at, row));
        std::mem::swap(&mut self.rows, &mut self.later);
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_given_in_order_once_all_before_are_known() {
        let mut held = Held::default();
        let mut given = Vec::new();
        let mut settle = |held: &mut Held<char>, before| {
            let gave = held.settle(Time::from_ps(before), |at, row| {
                given.push((at.as_ps(), row));
                Ok::<(), ()>(())
            });
            gave.unwrap();
            std::mem::take(&mut given)
        };
        for (at, pid, row) in [(5, 1, 'a'), (3, 2, 'b'), (3, 1, 'c'), (3, 1, 'd'), (4, 0, 'e')] {
            held.push(Time::from_ps(at), pid, row);
        }
        assert_eq!(settle(&mut held, 4), [(3, 'c'), (3, 'd'), (3, 'b')]);
        held.push(Time::from_ps(4), 1, 'f');
        assert_eq!(settle(&mut held, 4), []);
        assert_eq!(settle(&mut held, u64::MAX), [(4, 'e'), (4, 'f'), (5, 'a')]);
    }
}
