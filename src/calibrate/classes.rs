//! The classes of a discipline, from packets that overtake each other: within a class, none does.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::sample::{Crossing, Sample, quantile};
use super::transit::Transit;
use crate::packet::{FlowKey, protocol_name};

/// The field that distinguishes classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// The differentiated services code point.
    Dscp,
    /// The destination port of the transport protocol.
    DestinationPort,
    /// The IP protocol.
    Protocol,
    /// The source port of the transport protocol.
    SourcePort,
    /// The ingress port of the device.
    IngressPort,
    /// The destination address.
    Destination,
    /// The source address.
    Source,
}

/// The fields, in descending order of plausibility. Of two that explain the same, the first is used.
const FIELDS: [Field; 7] = [
    Field::Dscp,
    Field::DestinationPort,
    Field::Protocol,
    Field::SourcePort,
    Field::IngressPort,
    Field::Destination,
    Field::Source,
];

/// A field with more values than this does not define classes.
const MOST_VALUES: usize = 1_024;

/// The packets of one class: an interval of the values of a field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassRange {
    /// The first value, as written in a `match`.
    pub first: String,
    /// The last value.
    pub last: String,
    /// The common protocol of its packets, if ports distinguish the classes.
    pub protocol: Option<String>,
    /// The observed values, for fields without intervals.
    pub values: Vec<String>,
}

/// The classification of flows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classification {
    /// The field.
    pub field: Field,
    /// The classes, by value.
    pub classes: Vec<ClassRange>,
    /// Packets that overtook one of another class.
    pub overtaking_between: u64,
    /// Packets that overtook one of their own class, which the classes do not explain.
    pub overtaking_within: u64,
    /// The class of each flow.
    #[serde(skip)]
    pub(super) of_flow: Vec<usize>,
    /// Overtaking counts: `[overtaking class][overtaken class]`.
    pub overtaken: Vec<Vec<u64>>,
}

/// How often a packet of one flow left before an earlier one of another flow, by (overtaking, overtaken).
///
/// # Complexity
/// O(packets x (log flows + flows that a packet overtakes)).
pub(super) fn overtaking(sample: &Sample, guard: f64) -> FxHashMap<(u32, u32), u64> {
    let flows = sample.crossings.iter().map(|crossing| crossing.fid as usize + 1).max().unwrap_or(0);
    // Per flow, the packets still to leave, by arrival; and the heads of all flows.
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); flows];
    for (index, crossing) in sample.crossings.iter().enumerate() {
        if crossing.departure.is_some() {
            waiting[crossing.fid as usize].push(index);
        }
    }
    let mut next = vec![0; flows];
    let mut left = vec![false; sample.crossings.len()];
    let mut heads: BTreeSet<(usize, u32)> =
        (0..flows).filter_map(|fid| Some((*waiting[fid].first()?, fid as u32))).collect();
    let mut counts = FxHashMap::default();
    for &leaving in &sample.order {
        let crossing = &sample.crossings[leaving];
        for &(head, fid) in heads.iter().take_while(|(head, _)| *head < leaving) {
            if crossing.arrival - sample.crossings[head].arrival > guard && fid != crossing.fid {
                *counts.entry((crossing.fid, fid)).or_insert(0) += 1;
            }
        }
        left[leaving] = true;
        let fid = crossing.fid as usize;
        let before = waiting[fid].get(next[fid]).copied();
        while waiting[fid].get(next[fid]).is_some_and(|&index| left[index]) {
            next[fid] += 1;
        }
        let after = waiting[fid].get(next[fid]).copied();
        if before != after {
            heads.extend(after.map(|head| (head, crossing.fid)));
            if let Some(before) = before {
                heads.remove(&(before, crossing.fid));
            }
        }
    }
    counts
}

/// Whether packets overtake others more often than timestamps of several captures cross by chance.
pub(super) fn is_more_than_chance(counts: &FxHashMap<(u32, u32), u64>, sample: &Sample) -> bool {
    let total: u64 = counts.values().sum();
    total >= 20 && total * 1_000 >= sample.order.len() as u64
}

/// A flow's value of a field, in an order in which neighbours may belong together.
fn value(field: Field, key: &FlowKey, transit: &Transit) -> u128 {
    let address = |address: Option<IpAddr>| match address {
        Some(IpAddr::V4(address)) => u128::from(address.to_ipv6_mapped()),
        Some(IpAddr::V6(address)) => u128::from(address),
        None => 0,
    };
    let ports = match key {
        FlowKey::Ip { ports, .. } => ports.unwrap_or_default(),
        FlowKey::Link { .. } => (0, 0),
    };
    match field {
        Field::Dscp => transit.packet.dscp.into(),
        Field::DestinationPort => ports.1.into(),
        Field::SourcePort => ports.0.into(),
        Field::Protocol => transit.packet.trp.into(),
        Field::IngressPort => u128::from(transit.capture) + 1,
        Field::Destination => address(key.destination_address()),
        Field::Source => address(key.source_address()),
    }
}

/// Divides the values into runs with little overtaking within each. Returns the ends of the runs, and the
/// cost.
fn cut(overtaken: &[Vec<u64>], cost_of_class: f64) -> (Vec<usize>, f64) {
    let values = overtaken.len();
    // Overtaking between the values from..to, by sums over the rectangle from the origin.
    let mut sums = vec![vec![0u64; values + 1]; values + 1];
    for (i, row) in overtaken.iter().enumerate() {
        for (j, count) in row.iter().enumerate() {
            sums[i + 1][j + 1] = sums[i][j + 1] + sums[i + 1][j] - sums[i][j] + count;
        }
    }
    let within = |from: usize, to: usize| sums[to][to] + sums[from][from] - sums[from][to] - sums[to][from];
    let mut best = vec![(0.0, 0); values + 1];
    for to in 1..=values {
        best[to] = (0..to)
            .map(|from| (best[from].0 + within(from, to) as f64 + cost_of_class, from))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap_or((0.0, 0));
    }
    let mut ends = Vec::new();
    let mut at = values;
    while at > 0 {
        ends.push(at);
        at = best[at].1;
    }
    ends.reverse();
    (ends, best[values].0)
}

/// The number from `low` to `high` that is divisible by the highest power of two.
fn most_even(low: u128, high: u128) -> u128 {
    let mut found = high;
    for power in 0..127 {
        let step = 1u128 << power;
        let candidate = high / step * step;
        if candidate < low {
            break;
        }
        found = candidate;
    }
    found
}

impl Classification {
    /// Finds the classes from overtaking; `None` if no field explains it.
    pub(super) fn of(
        counts: &FxHashMap<(u32, u32), u64>,
        transits: &[Transit],
        flows: &[FlowKey],
    ) -> Option<Self> {
        let total: u64 = counts.values().sum();
        let cost_of_class = (0.005 * total as f64).max(10.0);
        let mut first: Vec<Option<&Transit>> = vec![None; flows.len()];
        for transit in transits {
            first[transit.fid as usize].get_or_insert(transit);
        }
        let mut best: Option<(f64, Classification)> = None;
        for field in FIELDS {
            let of_flow: Vec<u128> = first
                .iter()
                .zip(flows)
                .map(|(transit, key)| transit.map_or(0, |transit| value(field, key, transit)))
                .collect();
            let mut values: Vec<u128> = of_flow
                .iter()
                .zip(&first)
                .filter(|(_, seen)| seen.is_some())
                .map(|(value, _)| *value)
                .collect();
            values.sort_unstable();
            values.dedup();
            if !(2..=MOST_VALUES).contains(&values.len()) {
                continue;
            }
            let place = |fid: u32| values.binary_search(&of_flow[fid as usize]).unwrap_or(0);
            let mut overtaken = vec![vec![0; values.len()]; values.len()];
            for (&(who, whom), count) in counts {
                overtaken[place(who)][place(whom)] += count;
            }
            let (ends, cost) = cut(&overtaken, cost_of_class);
            // The next field must explain more than this one, not the same by chance.
            if ends.len() < 2 || best.as_ref().is_some_and(|(least, _)| cost > least - cost_of_class / 2.0) {
                continue;
            }
            let classes = field.classes(&values, &ends, &of_flow, &first);
            let class_of = |value: u128| ends.partition_point(|end| values[*end - 1] < value);
            let of_flow: Vec<usize> =
                of_flow.iter().map(|value| class_of(*value).min(ends.len() - 1)).collect();
            let mut between = vec![vec![0; ends.len()]; ends.len()];
            for (&(who, whom), count) in counts {
                between[of_flow[who as usize]][of_flow[whom as usize]] += count;
            }
            let within = (0..ends.len()).map(|class| between[class][class]).sum();
            best = Some((
                cost,
                Classification {
                    field,
                    classes,
                    overtaking_between: total - within,
                    overtaking_within: within,
                    of_flow,
                    overtaken: between,
                },
            ));
        }
        best.map(|(_, found)| found)
    }

    /// Assigns the classes of its flows to a sample.
    pub(super) fn applied(&self, sample: &Sample) -> Sample {
        let classed =
            |crossing: &Crossing| Crossing { class: self.of_flow[crossing.fid as usize], ..*crossing };
        Sample::of(sample.crossings.iter().map(classed).collect())
    }

    /// How often class `a` goes before class `b`, from 0 (never) to 1 (always).
    pub(super) fn precedence(&self, a: usize, b: usize) -> f64 {
        let (over, under) = (self.overtaken[a][b] as f64, self.overtaken[b][a] as f64);
        if over + under > 0.0 { over / (over + under) } else { 0.5 }
    }
}

impl Field {
    /// The key in a `match`.
    pub fn key(self) -> &'static str {
        match self {
            Field::Dscp => "dscp",
            Field::DestinationPort => "destination_ports",
            Field::SourcePort => "source_ports",
            Field::Protocol => "protocol",
            Field::IngressPort => "ingress_ports",
            Field::Destination => "destination",
            Field::Source => "source",
        }
    }

    fn text(self, value: u128) -> String {
        match self {
            Field::Protocol => {
                u8::try_from(value).map_or_else(|_| value.to_string(), protocol_name).to_lowercase()
            }
            Field::Destination | Field::Source => {
                IpAddr::from(value.to_be_bytes()).to_canonical().to_string()
            }
            _ => value.to_string(),
        }
    }

    fn is_port(self) -> bool {
        matches!(self, Field::DestinationPort | Field::SourcePort)
    }

    /// The classes between the ends of the runs. A border between ports is placed at the most even number
    /// that separates the observed ports, as a filter would have it.
    fn classes(
        self,
        values: &[u128],
        ends: &[usize],
        of_flow: &[u128],
        transits: &[Option<&Transit>],
    ) -> Vec<ClassRange> {
        let mut from = 0;
        let mut first = values[0];
        let mut classes = Vec::new();
        for (index, &end) in ends.iter().enumerate() {
            let own = &values[from..end];
            let next = values.get(end).map(|next| match self.is_port() {
                true => most_even(own[own.len() - 1] + 1, *next),
                false => *next,
            });
            if index == 0 && self.is_port() {
                first = most_even(next.map_or(0, |next| own[0].saturating_sub(next - own[0])), own[0]);
            }
            let last = match (next, self) {
                (Some(next), Field::Dscp | Field::DestinationPort | Field::SourcePort) => next - 1,
                _ => own[own.len() - 1],
            };
            let mut protocols: Vec<u8> = of_flow
                .iter()
                .zip(transits)
                .filter(|(value, _)| own.contains(value))
                .filter_map(|(_, transit)| Some((*transit)?.packet.trp))
                .collect();
            protocols.sort_unstable();
            protocols.dedup();
            let protocol = match protocols[..] {
                [protocol] if self.is_port() => Some(protocol_name(protocol).to_lowercase()),
                _ => None,
            };
            classes.push(ClassRange {
                first: self.text(first),
                last: self.text(last),
                protocol,
                values: own.iter().map(|value| self.text(*value)).collect(),
            });
            from = end;
            first = next.unwrap_or(last);
        }
        classes
    }
}

/// The packets waiting in each class, updated departure by departure.
struct Waiting {
    /// Per class: arrivals and departures, by departure.
    crossings: Vec<Vec<(f64, f64)>>,
    /// Per class: number of packets that have left.
    left: Vec<usize>,
    guard: f64,
}

impl Waiting {
    fn new(sample: &Sample, classes: usize, guard: f64) -> Self {
        let mut crossings = vec![Vec::new(); classes];
        for (crossing, at) in sample.departures() {
            crossings[crossing.class].push((crossing.arrival, at));
        }
        Waiting { crossings, left: vec![0; classes], guard }
    }

    /// Whether a packet of `class` waits at `at` that has not left before the last call of
    /// [`Waiting::leave`].
    fn is_busy(&self, class: usize, at: f64) -> bool {
        self.crossings[class].get(self.left[class]).is_some_and(|(arrival, _)| *arrival < at - self.guard)
    }

    fn leave(&mut self, class: usize) {
        self.left[class] += 1;
    }
}

/// Bytes that each class sends per round while others wait, with two standard errors: the quanta of a round
/// robin. `None` for a class with too few observations.
///
/// The class with the most precise rounds determines the scale. The other classes follow from the ratio of
/// what both send while both wait, which holds regardless of which classes are served between them.
pub(super) fn quanta(sample: &Sample, classes: usize, guard: f64) -> Vec<Option<(f64, f64)>> {
    let turns = turns(sample, classes, guard);
    let seen = turns.iter().enumerate().filter_map(|(class, turn)| Some((class, (*turn)?)));
    let Some((reference, size)) = seen.min_by(|(_, a), (_, b)| (a.1 / a.0).total_cmp(&(b.1 / b.0))) else {
        return turns;
    };
    (0..classes)
        .map(|class| match class == reference {
            true => Some(size),
            false => {
                let (ratio, error) = ratio(sample, classes, (class, reference), guard)?;
                Some((ratio * size.0, ratio * size.0 * (error + size.1 / size.0)))
            }
        })
        .collect()
}

/// Bytes per round, for rounds at whose beginning and end the class was waiting.
fn turns(sample: &Sample, classes: usize, guard: f64) -> Vec<Option<(f64, f64)>> {
    let mut waiting = Waiting::new(sample, classes, guard);
    let mut turns: Vec<Vec<f64>> = vec![Vec::new(); classes];
    // Whole rounds of each class since it last had nothing to send.
    let mut streak = vec![0; classes];
    // Class, bytes, and whether it was waiting as its round began.
    let mut turn: Option<(usize, f64, bool)> = None;
    for (crossing, at) in sample.departures() {
        match &mut turn {
            Some((class, bytes, _)) if *class == crossing.class => *bytes += crossing.length,
            _ => {
                if let Some((class, bytes, whole)) = turn {
                    streak[class] =
                        if waiting.is_busy(class, at) { streak[class] + usize::from(whole) } else { 0 };
                    if whole && streak[class] > SETTLING {
                        turns[class].push(bytes);
                    }
                }
                let others = (0..classes).any(|class| class != crossing.class && waiting.is_busy(class, at));
                let whole = others && waiting.is_busy(crossing.class, at);
                turn = Some((crossing.class, crossing.length, whole));
            }
        }
        waiting.leave(crossing.class);
    }
    turns
        .into_iter()
        .map(|mut turns| {
            if turns.len() < 30 {
                return None;
            }
            // Service out of turn, or over several rounds, is rare.
            let most = 4.0 * quantile(&mut turns, 0.5)?;
            turns.retain(|bytes| *bytes <= most);
            let n = turns.len() as f64;
            let mean = turns.iter().sum::<f64>() / n;
            let variance = turns.iter().map(|bytes| (bytes - mean) * (bytes - mean)).sum::<f64>() / n;
            Some((mean, 2.0 * (variance / n).sqrt()))
        })
        .collect()
}

/// Rounds after idleness that are skipped, because a class then has credit of its own.
const SETTLING: usize = 4;

/// The ratio of what `pair.0` and `pair.1` send while both wait continuously, and its relative error.
fn ratio(sample: &Sample, classes: usize, pair: (usize, usize), guard: f64) -> Option<(f64, f64)> {
    let mut waiting = Waiting::new(sample, classes, guard);
    let (mut sent, mut rounds) = ([0.0; 2], 0usize);
    // The classes and bytes of the rounds in the stretch in which both wait.
    let mut stretch: Vec<(usize, f64)> = Vec::new();
    let mut end = |stretch: &mut Vec<(usize, f64)>| {
        // Without the first rounds and the last, which may be cut short; equally many of both.
        let whole = stretch.len().saturating_sub(1).saturating_sub(SETTLING) / 2 * 2;
        for (which, bytes) in stretch.iter().skip(SETTLING).take(whole) {
            sent[*which] += bytes;
        }
        rounds += whole / 2;
        stretch.clear();
    };
    for (crossing, at) in sample.departures() {
        if !(waiting.is_busy(pair.0, at) && waiting.is_busy(pair.1, at)) {
            end(&mut stretch);
        } else if let Some(which) = [pair.0, pair.1].iter().position(|class| *class == crossing.class) {
            match stretch.last_mut() {
                Some((last, bytes)) if *last == which => *bytes += crossing.length,
                _ => stretch.push((which, crossing.length)),
            }
        }
        waiting.leave(crossing.class);
    }
    end(&mut stretch);
    (rounds >= 30 && sent[1] > 0.0).then(|| (sent[0] / sent[1], 2.0 / (rounds as f64).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_even() {
        assert_eq!(most_even(5_128, 5_184), 5_184);
        assert_eq!(most_even(5_126, 5_192), 5_184);
        assert_eq!(most_even(5_198, 5_264), 5_248);
        assert_eq!(most_even(5_270, 5_336), 5_312);
        assert_eq!(most_even(7, 7), 7);
    }

    #[test]
    fn values_are_cut_where_they_overtake() {
        // 0 and 1 overtake 2 and 3; there is no other overtaking.
        let mut overtaken = vec![vec![0; 4]; 4];
        overtaken[0][2] = 50;
        overtaken[1][3] = 60;
        overtaken[1][2] = 70;
        let (ends, cost) = cut(&overtaken, 10.0);
        assert_eq!(ends, [2, 4]);
        assert_eq!(cost, 20.0);
    }
}
