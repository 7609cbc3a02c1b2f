//! [`Survey`]: samples the starts of two captures before they are joined.

use std::path::Path;

use rustc_hash::FxHashMap;

use super::CompareError;
use crate::capture::{Frame, MatchFields, Options, Sorted};
use crate::compare::matching::fragments::Datagrams;
use crate::compare::matching::join::{COPY_WITHIN_PS, Seen, Side};
use crate::compare::matching::nat64::nat64;
use crate::units::Timestamp;

/// Number of packets of each capture in the sample.
const SAMPLE: usize = 32_768;
/// Minimum number of packets in both samples for an estimate of the clocks.
const ENOUGH: usize = 10;
/// Maximum number of packets that are searched for.
const PLENTY: usize = 1_000;

/// What two captures have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Survey {
    /// The fields covered by match keys.
    pub(super) fields: MatchFields,
    /// The usual difference of the second clock from the first, in picoseconds.
    pub(super) usual_ps: i128,
    /// Whether a capture contains most frames twice within a short time.
    pub(super) is_mirrored: [bool; 2],
}

impl Survey {
    /// A packet of a capture with its match key, and the rest as in `placed`; `None` without a key.
    #[inline]
    pub(super) fn seen(&self, side: Side, frame: &Frame, placed: Seen) -> Option<Seen> {
        let has_identification = self.fields.identification && frame.identification.is_some_and(|id| id != 0);
        Some(Seen {
            key: frame.match_key_over(&self.fields)?,
            ttl: frame.ttl.unwrap_or(0),
            copies_show: has_identification || self.is_mirrored[side as usize],
            is_plain: !has_identification && frame.prefix_length < 8,
            is_fragment: frame.fragment.is_some(),
            ..placed
        })
    }
}

/// A packet of a sample: its time, its identification, and the number of packets with its key.
type Sample = FxHashMap<u64, (Timestamp, Option<u32>, u32)>;

/// Samples the next packets of two captures, each read with its options. If the samples share too few
/// packets, because one capture began long before the other, the files are searched further.
///
/// # Errors
/// A capture cannot be read, or a translator between IPv6 and IPv4 is between the two.
pub(super) fn survey(
    (first, of_first): (&mut Sorted, &Options),
    (second, of_second): (&mut Sorted, &Options),
    is_translated: bool,
) -> Result<Survey, CompareError> {
    let mut fields = first.match_fields().and(second.match_fields());
    refuse_nat64(first, second)?;
    let key = |frame: &Frame, fields: &MatchFields| match is_translated {
        true => frame.translated_key(fields),
        false => frame.match_key_over(fields),
    };
    let without = fields.without_identification();
    let samples = [&mut *first, &mut *second].map(|capture| sample(capture, |frame| key(frame, &without)));
    let common = |one: &Sample, other: &Sample| -> Vec<(i128, bool)> {
        let alone = |sample: &Sample, key: &u64| sample.get(key).filter(|(.., times)| *times == 1).copied();
        one.keys()
            .filter_map(|key| Some((alone(one, key)?, alone(other, key)?)))
            .map(|(a, b)| (b.0.as_ps() - a.0.as_ps(), a.1 == b.1))
            .collect()
    };
    let both = common(&samples[0], &samples[1]);
    let kept = both.iter().filter(|(_, is_kept)| *is_kept).count();
    if both.len() >= ENOUGH && kept * 10 < both.len() * 9 {
        fields = without;
    }
    let mut delays: Vec<i128> = both.into_iter().map(|(delay, _)| delay).collect();
    if delays.len() < ENOUGH {
        let of_second = search(second.reader().path(), &samples[0], of_second, |frame| key(frame, &without))?;
        delays = of_second.into_iter().map(|(known, found)| found - known).collect();
    }
    if delays.len() < ENOUGH {
        let of_first = search(first.reader().path(), &samples[1], of_first, |frame| key(frame, &without))?;
        delays = of_first.into_iter().map(|(known, found)| known - found).collect();
    }
    let usual_ps = match delays.len() {
        0 => 0,
        count => *delays.select_nth_unstable(count / 2).1,
    };
    let is_mirrored = [first, second].map(|capture| is_mirrored(capture, |frame| key(frame, &fields)));
    Ok(Survey { fields, usual_ps, is_mirrored })
}

/// Looks for a translator between IPv6 and IPv4 in the next packets of two captures.
///
/// # Errors
/// There is one.
pub(crate) fn refuse_nat64(first: &mut Sorted, second: &mut Sorted) -> Result<(), CompareError> {
    let frames =
        [first, second].map(|capture| capture.look_ahead(SAMPLE).map(|seen| seen.frame).collect::<Vec<_>>());
    match nat64([&frames[0], &frames[1]]) {
        Some((v6, v4)) => Err(CompareError::Nat64 { v6, v4 }),
        None => Ok(()),
    }
}

fn sample(capture: &mut Sorted, key: impl Fn(&Frame) -> Option<u64>) -> Sample {
    let mut sample = Sample::default();
    // The other capture may have a datagram in one piece.
    let mut datagrams = Datagrams::new(i64::MAX);
    for observation in capture.look_ahead(SAMPLE) {
        let whole = datagrams.add(&observation.frame, 0).map(|whole| whole.frame);
        for frame in [Some(observation.frame), whole].into_iter().flatten() {
            if let Some(key) = key(&frame) {
                let place = sample.entry(key).or_insert((observation.timestamp, frame.identification, 0));
                place.2 += 1;
            }
        }
    }
    sample
}

/// Searches a file for the packets in the sample of the other file. Returns the times there and here.
fn search(
    path: &Path,
    sample: &Sample,
    options: &Options,
    key: impl Fn(&Frame) -> Option<u64>,
) -> Result<Vec<(i128, i128)>, CompareError> {
    let mut found = Vec::new();
    if !path.is_file() {
        return Ok(found);
    }
    let mut capture = Sorted::open(path, options)?;
    while found.len() < PLENTY
        && let Some(observation) = capture.next_observation()?
    {
        if let Some((at, _, 1)) = key(&observation.frame).and_then(|key| sample.get(&key)) {
            found.push((at.as_ps(), observation.timestamp.as_ps()));
        }
    }
    Ok(found)
}

/// Whether most of the next packets appear exactly twice within a short time.
fn is_mirrored(capture: &mut Sorted, key: impl Fn(&Frame) -> Option<u64>) -> bool {
    /// Minimum number of packets for a decision.
    const ENOUGH: usize = 16;
    let mut packets: Vec<(u64, i128)> = capture
        .look_ahead(SAMPLE)
        .filter_map(|observation| Some((key(&observation.frame)?, observation.timestamp.as_ps())))
        .collect();
    packets.sort_unstable();
    let together = |a: &(u64, i128), b: &(u64, i128)| a.0 == b.0 && b.1 - a.1 <= i128::from(COPY_WITHIN_PS);
    let (mut all, mut twice) = (0, 0);
    for group in packets.chunk_by(together) {
        all += 1;
        twice += usize::from(group.len() == 2);
    }
    twice >= ENOUGH && twice * 2 >= all
}
