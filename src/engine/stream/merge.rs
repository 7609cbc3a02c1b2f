//! Merges sorted streams.

use crate::packet::Tau;

/// Merges streams `[streams][packets]`, each sorted by time, into two whose merge is that of all. At one
/// instant a stream precedes those after it.
///
/// # Complexity
/// O(packets log streams), by merging neighbours pairwise. Two streams are not copied.
#[inline]
pub(super) fn merge_to_two<'s>(streams: &[&'s [Tau]], scratch: &'s mut Vec<Tau>) -> [&'s [Tau]; 2] {
    match streams {
        [] => [&[], &[]],
        [one] => [one, &[]],
        [one, other] => [one, other],
        [first, second, third] => {
            // Of three streams, merges the two neighbours with fewer packets.
            let room = if first.len() < third.len() { first.len() } else { third.len() } + second.len();
            let merged = take_room(scratch, room);
            if first.len() < third.len() {
                merge_two(first, second, merged);
                [merged, third]
            } else {
                merge_two(second, third, merged);
                [first, merged]
            }
        }
        _ => merge_many(streams, scratch),
    }
}

fn take_room(scratch: &mut Vec<Tau>, room: usize) -> &mut [Tau] {
    if scratch.len() < room {
        scratch.resize(room, Tau::default());
    }
    &mut scratch[..room]
}

fn merge_many<'s>(streams: &[&'s [Tau]], scratch: &'s mut Vec<Tau>) -> [&'s [Tau]; 2] {
    let packets: usize = streams.iter().map(|stream| stream.len()).sum();
    let rounds = streams.len().next_power_of_two().ilog2() as usize - 1;
    let mut free = take_room(scratch, packets * rounds);
    let mut runs: Vec<&'s [Tau]> = streams.to_vec();
    while runs.len() > 2 {
        runs = runs
            .chunks(2)
            .map(|pair| {
                let [one, other] = pair else { return pair[0] };
                let (merged, rest) = std::mem::take(&mut free).split_at_mut(one.len() + other.len());
                free = rest;
                merge_two(one, other, merged);
                &*merged
            })
            .collect();
    }
    [runs[0], runs[1]]
}

/// Merges two sorted streams, which together fill `merged`. At one instant the first stream goes first.
fn merge_two(first: &[Tau], second: &[Tau], merged: &mut [Tau]) {
    let (mut first, mut second, mut merged) = (first, second, merged);
    // Merges from both ends at once, so neither waits for the comparisons of the other. The next packet is
    // unpredictable; selecting it avoids a branch that would be mispredicted half the time.
    while let ([a, .., z], [b, .., y]) = (first, second) {
        let [front, rest @ .., back] = merged else { return };
        let (is_first, is_second) = (a.timestamp <= b.timestamp, z.timestamp <= y.timestamp);
        *front = *if is_first { a } else { b };
        *back = *if is_second { y } else { z };
        first = &first[usize::from(is_first)..first.len() - usize::from(!is_second)];
        second = &second[usize::from(!is_first)..second.len() - usize::from(is_second)];
        merged = rest;
    }
    merged.iter_mut().zip(Merged::new([first, second])).for_each(|(slot, tau)| *slot = *tau);
}

/// The merge of two sorted streams, packet by packet. At one instant the first stream goes first.
pub(super) struct Merged<'a> {
    first: &'a [Tau],
    second: &'a [Tau],
    one: usize,
    other: usize,
}

impl<'a> Merged<'a> {
    #[inline]
    pub fn new([first, second]: [&'a [Tau]; 2]) -> Self {
        Merged { first, second, one: 0, other: 0 }
    }
}

impl<'a> Iterator for Merged<'a> {
    type Item = &'a Tau;

    #[inline(always)]
    fn next(&mut self) -> Option<&'a Tau> {
        let Merged { first, second, one, other } = self;
        match (first.get(*one), second.get(*other)) {
            (Some(a), Some(b)) => {
                let is_first = a.timestamp <= b.timestamp;
                *one += usize::from(is_first);
                *other += usize::from(!is_first);
                Some(if is_first { a } else { b })
            }
            (Some(a), None) => {
                *one += 1;
                Some(a)
            }
            (None, b) => {
                *other += 1;
                b
            }
        }
    }
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
            let mut scratch = Vec::new();
            let merged: Vec<Tau> = Merged::new(merge_to_two(&slices, &mut scratch)).copied().collect();
            prop_assert_eq!(merged, expected);
        }
    }
}
