//! Matches packets at different places by the fields that no device changes.
//!
//! - `assign`: assigns the packets that share a key;
//! - `join`: joins two captures as streams, in bounded memory;
//! - `fragments`: datagrams that are whole on one side and fragmented on the other;
//! - `nat64`: detects an IPv6/IPv4 translator, across which nothing can be matched;
//! - `tcp`: uses byte ranges to detect segmentation offload and packets that a capture missed;
//! - `translation`: maps flows across address translation;
//! - [`match_packets`]: matches a simulation and a capture.

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
    /// Its match key (see [`crate::capture::Frame::match_key`]).
    pub key: u64,
    /// Its packet id in the run.
    pub pid: u64,
    /// Its flow id in the run.
    pub fid: u32,
    /// Its length on the wire, in bytes.
    pub length: u32,
    /// Whether it was injected at the device of the vantage.
    pub injected_here: bool,
    /// Time of injection, in picoseconds since the start of the run.
    pub injected_ps: i64,
    /// Start of its simulated delay.
    pub from_ps: i64,
    /// Time when it passed the vantage; `None` if it was lost before.
    pub at_ps: Option<i64>,
}

/// A packet in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurement {
    /// Its match key.
    pub key: u64,
    /// Its time, in picoseconds since the start of the run; negative before.
    pub at_ps: i64,
}

/// A packet that is both simulated and measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    /// The simulated packet at the vantage.
    pub sighting: Sighting,
    /// Simulated time at the vantage.
    pub simulated_ps: i64,
    /// Measured time at the vantage.
    pub measured_ps: i64,
}

/// Counts of matched and unmatched packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct MatchCounts {
    /// Packets at the vantage both in the simulation and in the capture.
    pub matched: u64,
    /// Packets of the simulation that cannot be distinguished from others; excluded.
    pub ambiguous: u64,
    /// Packets at the vantage in the simulation only.
    pub only_simulated: u64,
    /// Packets in the capture only.
    pub only_measured: u64,
    /// Copies of a frame in the capture, as mirror ports produce; excluded.
    pub copies: u64,
    /// Fragments in the capture of datagrams that the simulation has in one piece. The last fragment
    /// represents the packet; these fragments are excluded.
    pub fragments: u64,
}

/// Confusion matrix of losses in the simulation and in reality, over the packets that the simulation sends
/// towards the vantage, injected between the first and the last matched packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Confusion {
    /// Lost in both.
    pub both: u64,
    /// Lost in the simulation only.
    pub only_simulated: u64,
    /// Lost in reality only.
    pub only_measured: u64,
    /// Lost in neither.
    pub neither: u64,
}

/// A packet sent towards the vantage in the simulation and lost in the simulation or in reality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Its packet id in the run.
    pub pid: u64,
    /// Its flow id in the run.
    pub fid: u32,
    /// Time of injection, in picoseconds since the start of the run.
    pub injected_ps: i64,
    /// Whether the simulation lost it.
    pub simulated: bool,
    /// Whether reality lost it.
    pub measured: bool,
}

impl Confusion {
    /// Adds the counts of `others`.
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

/// Matches both sides by key. Packets that share a key are assigned in order if the assignment is
/// unambiguous: the number of packets must be equal on both sides, and their delays must be plausible given
/// the packets with a unique key. Other packets are ambiguous and excluded. The matched packets are in order
/// of packet id, as are the losses, which are those within the common window.
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

/// Yields the packets of both sides key by key. Both sides are sorted by key.
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

/// The state of matching.
struct Matching {
    matched: Vec<Matched>,
    counts: MatchCounts,
    /// Expected and unambiguous packets that were lost.
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

/// Keeps the losses within the common window, and counts them.
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
            sighting(50, 2, None),     // lost in the simulation only
            sighting(60, 3, Some(31)), // lost in reality only
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
