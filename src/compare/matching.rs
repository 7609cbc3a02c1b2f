//! Joins the packets of a simulation with those of a measured capture, by what no device changes.

use serde::Serialize;

/// A packet that the simulation sends towards a vantage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// What recognizes it (see [`crate::capture::Frame::match_key`]).
    pub key: u64,
    /// Its packet id in the run.
    pub pid: u64,
    /// Its flow id in the run.
    pub fid: u32,
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
    /// Packets of the simulation whose key is not theirs alone on both sides: left out.
    pub ambiguous: u64,
    /// Packets at the vantage in the simulation alone.
    pub only_simulated: u64,
    /// Packets in the capture alone.
    pub only_measured: u64,
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
    /// Packets that the simulation lost.
    pub fn simulated(&self) -> u64 {
        self.both + self.only_simulated
    }

    /// Packets that reality lost.
    pub fn measured(&self) -> u64 {
        self.both + self.only_measured
    }
}

/// Joins both sides by key. A key that stands twice on a side is ambiguous, and left out. The matched
/// packets come by packet id, and so do the losses that are counted: those inside the common window.
///
/// # Complexity
/// O(n log n) in the packets of both sides.
pub fn match_packets(
    mut simulated: Vec<Sighting>,
    mut measured: Vec<Measurement>,
) -> (Vec<Matched>, MatchCounts, Confusion, Vec<Loss>) {
    simulated.sort_unstable_by_key(|sighting| (sighting.key, sighting.pid));
    measured.sort_unstable_by_key(|measurement| (measurement.key, measurement.at_ps));
    let mut matched = Vec::with_capacity(simulated.len().min(measured.len()));
    let mut counts = MatchCounts::default();
    // Who was expected and unambiguous.
    let mut losses: Vec<Loss> = Vec::new();
    let mut rest = measured.as_slice();
    for group in simulated.chunk_by(|a, b| a.key == b.key) {
        let key = group[0].key;
        let before = rest.iter().take_while(|other| other.key < key).count();
        counts.only_measured += before as u64;
        rest = &rest[before..];
        let (same, after) = rest.split_at(rest.iter().take_while(|other| other.key == key).count());
        rest = after;
        let ([sighting], [] | [_]) = (group, same) else {
            counts.ambiguous += group.len() as u64;
            continue;
        };
        match (sighting.at_ps, same.first()) {
            (Some(simulated_ps), Some(measurement)) => {
                matched.push(Matched { sighting: *sighting, simulated_ps, measured_ps: measurement.at_ps });
            }
            (Some(_), None) => counts.only_simulated += 1,
            (None, Some(_)) => counts.only_measured += 1,
            (None, None) => {}
        }
        if sighting.at_ps.is_none() || same.is_empty() {
            let Sighting { pid, fid, injected_ps, .. } = *sighting;
            losses.push(Loss {
                pid,
                fid,
                injected_ps,
                simulated: sighting.at_ps.is_none(),
                measured: same.is_empty(),
            });
        }
    }
    counts.only_measured += rest.len() as u64;
    counts.matched = matched.len() as u64;
    matched.sort_unstable_by_key(|matched| matched.sighting.pid);
    let confusion = confusion(&matched, &mut losses);
    (matched, counts, confusion, losses)
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
        Sighting { key, pid, fid: 0, injected_here: true, injected_ps, from_ps: injected_ps, at_ps }
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
        assert_eq!(counts, MatchCounts { matched: 3, ambiguous: 0, only_simulated: 1, only_measured: 3 });
        assert_eq!(confusion, Confusion { both: 1, only_simulated: 1, only_measured: 1, neither: 3 });
        assert_eq!((confusion.simulated(), confusion.measured()), (2, 2));
        let each: Vec<_> = losses.iter().map(|loss| (loss.pid, loss.simulated, loss.measured)).collect();
        assert_eq!(each, [(2, true, false), (3, false, true), (4, true, true)]);
    }

    #[test]
    fn a_key_that_stands_twice_on_either_side_is_left_out() {
        let simulated = vec![
            sighting(1, 0, Some(1)),
            sighting(1, 1, Some(2)),
            sighting(2, 2, Some(3)),
            sighting(3, 3, Some(4)),
        ];
        let seen = [(1, 1), (2, 3), (2, 4), (3, 5)];
        let measured = seen.map(|(key, at_ps)| Measurement { key, at_ps }).to_vec();
        let (matched, counts, _, _) = match_packets(simulated, measured);
        assert_eq!(matched.len(), 1);
        assert_eq!(counts, MatchCounts { matched: 1, ambiguous: 3, only_simulated: 0, only_measured: 0 });
    }
}
