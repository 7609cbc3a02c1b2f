//! Who is the same packet at another place, by what no device changes.
//!
//! - `assign`: the packets of one key, which is all there is to decide;
//! - `join`: two captures as streams, in bounded memory;
//! - `fragments`: datagrams that one side has whole and the other in fragments;
//! - `nat64`: a translator across which nothing is matched;
//! - `tcp`: what byte ranges say of segmentation offload and of packets that a capture missed;
//! - `translation`: flows behind address translation;
//! - [`match_packets`]: a simulation and a capture.

pub(crate) mod assign;
pub(crate) mod fragments;
pub(crate) mod join;
pub(crate) mod nat64;
pub(crate) mod tcp;
pub(crate) mod translation;

use serde::Serialize;

use assign::{Assigned, Feasible, Plausible, assign};
use join::COPY_WITHIN_PS;

/// A packet that the simulation sends towards a vantage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// What recognizes it (see [`crate::capture::Frame::match_key`]).
    pub key: u64,
    /// Its packet id in the run.
    pub pid: u64,
    /// Its flow id in the run.
    pub fid: u32,
    /// Its bytes on the wire.
    pub length: u32,
    /// Whether it was injected at the device of the vantage.
    pub injected_here: bool,
    /// When it was injected, in picoseconds since the run's start.
    pub injected_ps: i64,
    /// From when its simulated delay counts.
    pub from_ps: i64,
    /// When it passed the vantage; `None` when it was lost before.
    pub at_ps: Option<i64>,
}

/// A packet that a capture saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurement {
    /// What recognizes it.
    pub key: u64,
    /// When it was seen, in picoseconds since the run's start; negative before.
    pub at_ps: i64,
}

/// One packet, simulated and measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    /// As simulated, at the vantage.
    pub sighting: Sighting,
    /// When the simulation has it at the vantage.
    pub simulated_ps: i64,
    /// When the capture has it there.
    pub measured_ps: i64,
}

/// Who was matched, and who not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct MatchCounts {
    /// Packets at the vantage in the simulation and in the capture.
    pub matched: u64,
    /// Packets of the simulation that cannot be told from others: left out.
    pub ambiguous: u64,
    /// Packets at the vantage in the simulation alone.
    pub only_simulated: u64,
    /// Packets in the capture alone.
    pub only_measured: u64,
    /// Copies in the capture of a frame that it has already, as mirror ports make them: left out.
    pub copies: u64,
    /// Fragments in the capture of datagrams that the simulation has in one piece: the last fragment counts as the
    /// packet, and these are left out.
    pub fragments: u64,
}

/// Lost in the simulation against lost in reality: among the packets that the simulation sends
/// towards the vantage, injected from the first to the last matched packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Confusion {
    /// Lost in both.
    pub both: u64,
    /// Lost in the simulation alone.
    pub only_simulated: u64,
    /// Lost in reality alone.
    pub only_measured: u64,
    /// Lost in neither.
    pub neither: u64,
}

/// A packet that the simulation sends towards the vantage and that was lost, in the simulation or in reality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Its packet id in the run.
    pub pid: u64,
    /// Its flow id in the run.
    pub fid: u32,
    /// When it was injected, in picoseconds since the run's start.
    pub injected_ps: i64,
    /// Whether the simulation lost it.
    pub simulated: bool,
    /// Whether reality lost it.
    pub measured: bool,
}

impl Confusion {
    /// Counts others as well.
    pub fn add(&mut self, others: &Confusion) {
        self.both += others.both;
        self.only_simulated += others.only_simulated;
        self.only_measured += others.only_measured;
        self.neither += others.neither;
    }

    /// Packets that the simulation lost.
    pub fn simulated(&self) -> u64 {
        self.both + self.only_simulated
    }

    /// Packets that reality lost.
    pub fn measured(&self) -> u64 {
        self.both + self.only_measured
    }
}

/// Joins both sides by key. Packets of one key are assigned in order, as far as that is clear: their delays must be
/// such as those of the packets whose key is their own, and as many of them must be on either side. Others are
/// ambiguous, and left out. The matched packets come by packet id, and so do the losses that are counted: those inside
/// the common window.
///
/// # Complexity
/// O(n log n) in the packets of both sides.
pub fn match_packets(
    mut simulated: Vec<Sighting>,
    mut measured: Vec<Measurement>,
) -> (Vec<Matched>, MatchCounts, Confusion, Vec<Loss>) {
    simulated.sort_unstable_by_key(|sighting| (sighting.key, sighting.injected_ps, sighting.pid));
    measured.sort_unstable_by_key(|measurement| (measurement.key, measurement.at_ps));
    let mut plausible = Plausible::new(Feasible::ANY);
    by_key(&simulated, &measured, |sightings, measurements| {
        if let ([sighting], [measurement]) = (sightings, measurements) {
            plausible.saw(measurement.at_ps - sighting.injected_ps);
        }
    });
    let mut matching = Matching {
        matched: Vec::with_capacity(simulated.len().min(measured.len())),
        counts: MatchCounts::default(),
        losses: Vec::new(),
    };
    let (mut sent, mut seen) = (Vec::new(), Vec::new());
    by_key(&simulated, &measured, |sightings, measurements| match (sightings, measurements) {
        ([sighting], [] | [_]) => matching.add(sighting, measurements.first()),
        ([], _) => matching.counts.only_measured += measurements.len() as u64,
        _ => {
            sent.clear();
            sent.extend(sightings.iter().map(|sighting| sighting.injected_ps));
            let sent_together = sent.windows(2).any(|pair| pair[1] - pair[0] <= COPY_WITHIN_PS);
            seen.clear();
            for Measurement { at_ps, .. } in measurements {
                if !sent_together && seen.last().is_some_and(|last| at_ps - last <= COPY_WITHIN_PS) {
                    matching.counts.copies += 1;
                } else {
                    seen.push(*at_ps);
                }
            }
            assign(&sent, &seen, plausible.delays(), |assigned| match assigned {
                Assigned::Pair(i, j) => {
                    matching.add(&sightings[i], Some(&Measurement { key: sightings[i].key, at_ps: seen[j] }));
                }
                Assigned::OnlyFirst(i) => matching.add(&sightings[i], None),
                Assigned::OnlySecond(_) => matching.counts.only_measured += 1,
                Assigned::Ambiguous(i, _) => matching.counts.ambiguous += i.len() as u64,
            });
        }
    });
    let Matching { mut matched, mut counts, mut losses } = matching;
    counts.matched = matched.len() as u64;
    matched.sort_unstable_by_key(|matched| matched.sighting.pid);
    let confusion = confusion(&matched, &mut losses);
    (matched, counts, confusion, losses)
}

/// Gives the packets of either side that have one key, key by key; both sides are in order of it.
fn by_key(
    simulated: &[Sighting],
    measured: &[Measurement],
    mut give: impl FnMut(&[Sighting], &[Measurement]),
) {
    let mut rest = measured;
    for group in simulated.chunk_by(|a, b| a.key == b.key) {
        let key = group[0].key;
        let before = rest.iter().take_while(|other| other.key < key).count();
        if before > 0 {
            give(&[], &rest[..before]);
        }
        let same = rest[before..].iter().take_while(|other| other.key == key).count();
        give(group, &rest[before..before + same]);
        rest = &rest[before + same..];
    }
    if !rest.is_empty() {
        give(&[], rest);
    }
}

/// What has been matched so far.
struct Matching {
    matched: Vec<Matched>,
    counts: MatchCounts,
    /// Who was expected and unambiguous.
    losses: Vec<Loss>,
}

impl Matching {
    fn add(&mut self, sighting: &Sighting, measurement: Option<&Measurement>) {
        match (sighting.at_ps, measurement) {
            (Some(simulated_ps), Some(Measurement { at_ps, .. })) => {
                self.matched.push(Matched { sighting: *sighting, simulated_ps, measured_ps: *at_ps });
            }
            (Some(_), None) => self.counts.only_simulated += 1,
            (None, Some(_)) => self.counts.only_measured += 1,
            (None, None) => {}
        }
        if sighting.at_ps.is_none() || measurement.is_none() {
            let Sighting { pid, fid, injected_ps, .. } = *sighting;
            let (simulated, measured) = (sighting.at_ps.is_none(), measurement.is_none());
            self.losses.push(Loss { pid, fid, injected_ps, simulated, measured });
        }
    }
}

/// Keeps the losses inside the common window, and counts them.
fn confusion(matched: &[Matched], losses: &mut Vec<Loss>) -> Confusion {
    let mut confusion = Confusion { neither: matched.len() as u64, ..Confusion::default() };
    let injected = || matched.iter().map(|packet| packet.sighting.injected_ps);
    let (Some(first), Some(last)) = (injected().min(), injected().max()) else {
        losses.clear();
        return confusion;
    };
    losses.retain(|loss| (first..=last).contains(&loss.injected_ps));
    losses.sort_unstable_by_key(|loss| loss.pid);
    for loss in losses {
        match (loss.simulated, loss.measured) {
            (true, true) => confusion.both += 1,
            (true, false) => confusion.only_simulated += 1,
            (false, _) => confusion.only_measured += 1,
        }
    }
    confusion
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(key: u64, pid: u64, at_ps: Option<i64>) -> Sighting {
        let injected_ps = pid as i64 * 10;
        Sighting {
            key,
            pid,
            fid: 0,
            length: 100,
            injected_here: true,
            injected_ps,
            from_ps: injected_ps,
            at_ps,
        }
    }

    #[test]
    fn packets_are_joined_by_key_and_losses_sorted_out() {
        let simulated = vec![
            sighting(30, 0, Some(1)),
            sighting(20, 1, Some(11)),
            sighting(50, 2, None),     // lost in the simulation alone
            sighting(60, 3, Some(31)), // lost in reality alone
            sighting(70, 4, None),     // lost in both
            sighting(10, 5, Some(51)),
            sighting(80, 6, None), // after the last matched packet: outside the window
        ];
        let seen = [(20, 12), (10, 53), (30, 2), (50, 40), (99, 7), (1, 7)];
        let measured = seen.map(|(key, at_ps)| Measurement { key, at_ps }).to_vec();
        let (matched, counts, confusion, losses) = match_packets(simulated, measured);
        let pairs: Vec<_> = matched.iter().map(|m| (m.sighting.pid, m.simulated_ps, m.measured_ps)).collect();
        assert_eq!(pairs, [(0, 1, 2), (1, 11, 12), (5, 51, 53)]);
        assert_eq!(
            counts,
            MatchCounts { matched: 3, only_simulated: 1, only_measured: 3, ..MatchCounts::default() }
        );
        assert_eq!(confusion, Confusion { both: 1, only_simulated: 1, only_measured: 1, neither: 3 });
        assert_eq!((confusion.simulated(), confusion.measured()), (2, 2));
        let each: Vec<_> = losses.iter().map(|loss| (loss.pid, loss.simulated, loss.measured)).collect();
        assert_eq!(each, [(2, true, false), (3, false, true), (4, true, true)]);
    }

    fn counts(simulated: Vec<Sighting>, measured: &[(u64, i64)]) -> (Vec<(u64, i64)>, MatchCounts) {
        let measured = measured.iter().map(|&(key, at_ps)| Measurement { key, at_ps }).collect();
        let (matched, counts, _, _) = match_packets(simulated, measured);
        (matched.iter().map(|packet| (packet.sighting.pid, packet.measured_ps)).collect(), counts)
    }

    #[test]
    fn a_repeated_key_is_assigned_in_order_or_left_out() {
        let simulated = || vec![sighting(1, 0, Some(1)), sighting(1, 1, Some(12)), sighting(3, 3, Some(31))];
        let (pairs, found) = counts(simulated(), &[(1, 2), (1, 13), (3, 32)]);
        assert_eq!(pairs, [(0, 2), (1, 13), (3, 32)]);
        assert_eq!(found.ambiguous, 0);
        let (pairs, found) = counts(simulated(), &[(1, 13), (3, 32)]);
        assert_eq!((pairs, found.matched, found.ambiguous), (vec![(3, 32)], 1, 2), "one of two was lost");
    }

    #[test]
    fn delays_of_others_tell_repeated_keys_apart() {
        const MS: i64 = 1_000_000_000;
        let at = |pid: u64, key: u64, injected_ps: i64| Sighting {
            injected_ps,
            at_ps: Some(injected_ps + MS),
            ..sighting(key, pid, None)
        };
        let mut simulated: Vec<Sighting> =
            (0..300).map(|pid| at(pid, 1000 + pid, pid as i64 * 10 * MS)).collect();
        let mut measured: Vec<(u64, i64)> =
            simulated.iter().map(|sighting| (sighting.key, sighting.injected_ps + MS)).collect();
        // a key of two packets, 100 ms apart, the first of them lost
        simulated.extend([at(300, 7, 500 * MS), at(301, 7, 600 * MS)]);
        measured.push((7, 601 * MS));
        let (pairs, found) = counts(simulated, &measured);
        assert_eq!(pairs.last(), Some(&(301, 601 * MS)));
        assert_eq!((found.matched, found.only_simulated, found.ambiguous), (301, 1, 0));
    }

    #[test]
    fn copies_of_a_frame_in_the_capture_count_once() {
        let simulated = vec![sighting(1, 0, Some(1)), sighting(2, 1, Some(11))];
        let (pairs, found) = counts(simulated, &[(1, 2), (1, 3), (2, 12)]);
        assert_eq!((pairs, found.copies, found.ambiguous), (vec![(0, 2), (1, 12)], 1, 0));
    }
}
