//! Merging sorted streams.

use crate::packet::Tau;

/// Merges streams `[streams][packets]`, each sorted by time; at one instant a stream goes before those after it.
///
/// The result is in the returned part of one of the two scratch buffers.
///
/// # Complexity
/// O(packets log streams), by merging neighbours pairwise.
pub(super) fn merge<'s>(streams: &[&[Tau]], scratch: &'s mut [Vec<Tau>; 2]) -> &'s [Tau] {
    let count = streams.iter().map(|stream| stream.len()).sum();
    for buffer in scratch.iter_mut().filter(|buffer| buffer.len() < count) {
        buffer.resize(count, Tau::default());
    }
    let [one, other] = scratch;
    let (mut from, mut to) = (&mut one[..count], &mut other[..count]);
    let mut ends = Vec::with_capacity(streams.len().div_ceil(2));
    let mut end = 0;
    for pair in streams.chunks(2) {
        let second = pair.get(1).copied().unwrap_or_default();
        let start = end;
        end += pair[0].len() + second.len();
        merge_two(pair[0], second, &mut to[start..end]);
        ends.push(end);
    }
    while ends.len() > 1 {
        std::mem::swap(&mut from, &mut to);
        let mut start = 0;
        let mut merged = Vec::with_capacity(ends.len().div_ceil(2));
        for pair in ends.chunks(2) {
            let (middle, end) = (pair[0], pair[pair.len() - 1]);
            merge_two(&from[start..middle], &from[middle..end], &mut to[start..end]);
            merged.push(end);
            start = end;
        }
        ends = merged;
    }
    to
}

/// The merge of two sorted streams, which fill `merged` together; the first goes first at one instant.
#[inline]
fn merge_two(first: &[Tau], second: &[Tau], merged: &mut [Tau]) {
    let (mut one, mut other) = (0, 0);
    let mut slots = merged.iter_mut();
    // Which is next cannot be foretold: selecting by index spares a branch that would be missed half the time.
    while one < first.len() && other < second.len() {
        let Some(slot) = slots.next() else { return };
        let is_first = first[one].timestamp <= second[other].timestamp;
        *slot = *if is_first { &first[one] } else { &second[other] };
        one += usize::from(is_first);
        other += usize::from(!is_first);
    }
    let rest = slots.into_slice();
    rest[..first.len() - one].copy_from_slice(&first[one..]);
    rest[first.len() - one..].copy_from_slice(&second[other..]);
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
