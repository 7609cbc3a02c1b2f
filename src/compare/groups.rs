//! The metrics of groups of the matched packets: by flow or by path.

use serde::{Deserialize, Serialize};

use super::distribution::{DelaySummary, mean, summarize_sorted};
use super::metrics::{ByOrigin, Delays, correlation, w1_normalized};
use super::variation::Predecessors;
use crate::units::PS_PER_S;

/// Agreement of simulated and measured delays in a group of packets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GroupComparison {
    /// Matched packets of the group.
    pub matched: u64,
    /// Their delays, in seconds.
    pub delay_s: ByOrigin<DelaySummary>,
    /// W1(simulated, measured) / mean(measured).
    pub w1_normalized: Option<f64>,
    /// Pearson's correlation over packets.
    pub pearson: Option<f64>,
    /// Mean absolute error, in seconds.
    pub mae_s: f64,
    /// Mean |IPDV| within flows, in seconds.
    pub jitter_s: ByOrigin<Option<f64>>,
}

/// The packets of one path, from their entry point to the vantage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PathComparison {
    /// The entry point: `r1:0 ingress`, or the sending host.
    pub from: String,
    /// The vantage.
    pub to: String,
    /// Agreement of simulated and measured delays.
    #[serde(flatten)]
    pub metrics: GroupComparison,
}

/// The metrics of each group with packets, with its number. `groups` `[packets]` are numbered from 0, `fids`
/// `[packets]` are the flows.
///
/// # Complexity
/// O(packets x log packets of a group + groups).
pub fn compare_groups(delays: &Delays, groups: &[u32], fids: &[u32]) -> Vec<(u32, GroupComparison)> {
    let count = groups.iter().max().map_or(0, |last| *last as usize + 1);
    // Indexes of the packets, group by group.
    let mut ends = vec![0usize; count + 1];
    groups.iter().for_each(|group| ends[*group as usize + 1] += 1);
    for group in 0..count {
        ends[group + 1] += ends[group];
    }
    let mut next = ends.clone();
    let mut places = vec![0u32; groups.len()];
    for (packet, group) in (0u32..).zip(groups) {
        let place = &mut next[*group as usize];
        places[*place] = packet;
        *place += 1;
    }
    let jitter = jitter_by_group(delays, groups, fids, count);
    let mut simulated_by_place = Vec::new();
    let mut measured_by_place = Vec::new();
    let compared = (0..count).filter_map(|group| {
        let packets = &places[ends[group]..ends[group + 1]];
        let fill = |into: &mut Vec<i64>, from: &[i64]| {
            into.clear();
            into.extend(packets.iter().map(|packet| from[*packet as usize]));
        };
        fill(&mut simulated_by_place, &delays.simulated);
        fill(&mut measured_by_place, &delays.measured);
        let pearson = correlation(&simulated_by_place, &measured_by_place);
        let pairs = simulated_by_place.iter().zip(&measured_by_place);
        let errors: Vec<i64> = pairs.map(|(simulated, measured)| (simulated - measured).abs()).collect();
        simulated_by_place.sort_unstable();
        measured_by_place.sort_unstable();
        let simulated = summarize_sorted(&simulated_by_place)?;
        let measured = summarize_sorted(&measured_by_place)?;
        let metrics = GroupComparison {
            matched: packets.len() as u64,
            delay_s: ByOrigin { simulated, measured },
            w1_normalized: w1_normalized(&simulated_by_place, &measured_by_place),
            pearson,
            mae_s: mean(&errors),
            jitter_s: ByOrigin { simulated: jitter[0][group], measured: jitter[1][group] },
        };
        Some((group as u32, metrics))
    });
    compared.collect()
}

/// The jitter of each group, simulated and measured.
fn jitter_by_group(delays: &Delays, groups: &[u32], fids: &[u32], count: usize) -> [Vec<Option<f64>>; 2] {
    let predecessors = Predecessors::new(fids.iter().copied());
    [&delays.simulated, &delays.measured].map(|delays| {
        let mut sums = vec![(0u128, 0u64); count];
        for (packet, difference) in predecessors.differences(delays) {
            let (sum, pairs) = &mut sums[groups[packet] as usize];
            *sum += u128::from(difference.unsigned_abs());
            *pairs += 1;
        }
        let mean =
            |(sum, pairs): (u128, u64)| (pairs > 0).then(|| sum as f64 / pairs as f64 / PS_PER_S as f64);
        sums.into_iter().map(mean).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::compare_delays;

    #[test]
    fn groups_are_compared_each_for_itself() {
        let delays = Delays { simulated: vec![1, 50, 3, 60, 5], measured: vec![1, 40, 4, 70, 4] };
        let groups = [0, 3, 0, 3, 0];
        let compared = compare_groups(&delays, &groups, &groups);
        assert_eq!(
            compared.iter().map(|(group, found)| (*group, found.matched)).collect::<Vec<_>>(),
            [(0, 3), (3, 2)]
        );
        for (group, found) in compared {
            let of = |delays: &[i64]| {
                let packets = delays.iter().zip(groups).filter(|(_, other)| *other == group);
                packets.map(|(delay, _)| *delay).collect::<Vec<_>>()
            };
            let alone = Delays { simulated: of(&delays.simulated), measured: of(&delays.measured) };
            let alone = compare_delays(&alone, &vec![0; alone.measured.len()]).unwrap();
            assert_eq!((found.delay_s, found.jitter_s), (alone.delay_s, alone.jitter_s));
            let agreement = alone.agreement;
            assert_eq!((found.w1_normalized, found.pearson), (agreement.w1_normalized, agreement.pearson));
            assert!((found.mae_s - agreement.mae_s).abs() < 1e-20);
        }
    }

    #[test]
    fn no_packets_are_no_groups() {
        assert_eq!(compare_groups(&Delays::default(), &[], &[]), []);
    }
}
