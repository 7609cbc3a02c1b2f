//! Merging sorted streams.

use crate::packet::Tau;

/// Merges streams `[streams][packets]`, each sorted by time; at one instant a stream goes before those after it.
///
/// The result is in the returned buffer, which is one of the two scratch buffers.
///
/// # Complexity
/// O(packets log streams), by merging neighbours pairwise.
pub(super) fn merge<'s>(streams: &[&[Tau]], scratch: &'s mut [Vec<Tau>; 2]) -> &'s [Tau] {
    let [from, to] = scratch;
    let (mut from, mut to) = (from, to);
    let mut ends = Vec::with_capacity(streams.len().div_ceil(2));
    to.clear();
    for pair in streams.chunks(2) {
        match pair {
            [first, second] => merge_two(first, second, to),
            _ => to.extend_from_slice(pair[0]),
        }
        ends.push(to.len());
    }
    while ends.len() > 1 {
        std::mem::swap(&mut from, &mut to);
        to.clear();
        let mut start = 0;
        let mut merged = Vec::with_capacity(ends.len().div_ceil(2));
        for pair in ends.chunks(2) {
            match pair {
                [middle, end] => merge_two(&from[start..*middle], &from[*middle..*end], to),
                _ => to.extend_from_slice(&from[start..pair[0]]),
            }
            start = pair[pair.len() - 1];
            merged.push(to.len());
        }
        ends = merged;
    }
    to
}

/// Appends the merge of two sorted streams; the first goes first at one instant.
#[inline]
fn merge_two(mut first: &[Tau], mut second: &[Tau], merged: &mut Vec<Tau>) {
    merged.reserve(first.len() + second.len());
    while let ([one, first_rest @ ..], [other, second_rest @ ..]) = (first, second) {
        let is_first = one.timestamp <= other.timestamp;
        merged.push(if is_first { *one } else { *other });
        (first, second) = if is_first { (first_rest, second) } else { (first, second_rest) };
    }
    merged.extend_from_slice(first);
    merged.extend_from_slice(second);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::units::Time;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_merge_is_the_stable_sort(streams in prop::collection::vec(prop::collection::vec(0..30u64, 0..20), 1..9)) {
            let streams: Vec<Vec<Tau>> = streams
                .into_iter()
                .zip(0..)
                .map(|(mut times, stream)| {
                    times.sort_unstable();
                    let tau = |(time, pid)| Tau {
                        timestamp: Time::from_ps(time),
                        packet: Packet { pid, fid: stream, ..Packet::default() },
                    };
                    times.into_iter().zip(0..).map(tau).collect()
                })
                .collect();
            let mut expected: Vec<Tau> = streams.concat();
            expected.sort_by_key(|tau| tau.timestamp);
            let slices: Vec<&[Tau]> = streams.iter().map(Vec::as_slice).collect();
            let mut scratch = [Vec::new(), Vec::new()];
            prop_assert_eq!(merge(&slices, &mut scratch), &expected[..]);
        }
    }
}
