//! Traffic matrices: which hosts send to which.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de;

use super::draw::below;
use super::mistake::{Mistake, positive};
use super::text_or_table::text_or_table;
use crate::config::{Spanned, did_you_mean, listed, nearest};
use crate::limits::Rows;
use crate::random::{Stream, stream};
use crate::table::unguarded;
use crate::units::Rate;

/// A traffic matrix, as written in a scenario: its name, or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum MatrixSpec {
    /// A matrix without parameters.
    Named(MatrixName),
    /// Given weights or demands.
    Table(MatrixTable),
}

/// The named matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MatrixName {
    /// Every packet goes to a random other host, all with equal probability.
    Uniform,
    /// Every host sends equally to all others; the same as `uniform`, by the name used for shuffles.
    AllToAll,
    /// A random permutation without fixed points: every host sends to one other, and receives from one other.
    Permutation,
    /// Demands in proportion to the bandwidth of both hosts.
    Gravity,
}

/// Weights of hosts, or demands from a file.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixTable {
    /// Gravity with given weights: the weight of each host, by its name.
    #[schemars(with = "Option<std::collections::BTreeMap<String, f64>>")]
    pub gravity: Option<GravityWeights>,
    /// A CSV file with the columns `source`, `destination` and `bandwidth_bps`, relative to the scenario file.
    #[schemars(with = "Option<PathBuf>")]
    pub file: Option<Spanned<PathBuf>>,
    /// The factor applied to the demands of the file (default: 1).
    #[schemars(with = "Option<f64>")]
    pub scale: Option<Spanned<f64>>,
}

/// Weights of hosts by name, in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GravityWeights(pub Vec<(Spanned<String>, Spanned<f64>)>);

impl<'de> Deserialize<'de> for GravityWeights {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = GravityWeights;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table of weights, such as { h0 = 1, h1 = 2.5 }")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<GravityWeights, A::Error> {
                let mut weights = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    weights.push(entry);
                }
                Ok(GravityWeights(weights))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

text_or_table!(
    MatrixSpec,
    "a matrix: \"uniform\", \"all-to-all\", \"permutation\", \"gravity\", or a table such as { file = \"demands.csv\" }",
    |text| MatrixName => Ok(MatrixSpec::Named(name_of(text)?)),
    |table| MatrixTable => MatrixSpec::Table(table)
);

fn name_of(text: &str) -> Result<MatrixName, String> {
    const NAMES: [(&str, MatrixName); 4] = [
        ("uniform", MatrixName::Uniform),
        ("all-to-all", MatrixName::AllToAll),
        ("permutation", MatrixName::Permutation),
        ("gravity", MatrixName::Gravity),
    ];
    let names = || NAMES.iter().map(|(name, _)| *name);
    NAMES.iter().find(|(name, _)| *name == text).map(|(_, matrix)| *matrix).ok_or_else(|| {
        let near = nearest(text, names()).map_or(String::new(), |near| format!("{} ", did_you_mean(near)));
        format!(
            "unknown matrix `{text}`; {near}it is one of: {}, or a table: {{ file = \"demands.csv\" }}, \
             {{ gravity = {{ h0 = 1, h1 = 2 }} }}",
            listed(names())
        )
    })
}

/// How the destination of a packet is chosen among the hosts of an entry.
#[derive(Debug, Clone)]
pub enum Destinations {
    /// There is only one destination.
    One,
    /// Every host except the sender, whose position this is.
    Others(u32),
    /// By weights shared by all senders; the sender, whose position this is, is redrawn.
    Weighted(u32, Arc<WeightedIndex<f64>>),
    /// By the sender's own weights.
    Own(Arc<WeightedIndex<f64>>),
}

impl Destinations {
    /// The position of a destination among `hosts` hosts.
    #[inline]
    pub(super) fn draw(&self, hosts: u32, random: &mut Stream) -> u32 {
        match self {
            Destinations::One => 0,
            Destinations::Others(own) => {
                let drawn = below(random, hosts - 1);
                drawn + u32::from(drawn >= *own)
            }
            Destinations::Weighted(own, weights) => loop {
                let drawn = weights.sample(random) as u32;
                if drawn != *own {
                    break drawn;
                }
            },
            Destinations::Own(weights) => weights.sample(random) as u32,
        }
    }

    /// The probability of each of `hosts` positions.
    pub fn shares(&self, hosts: usize) -> Vec<f64> {
        let mut shares = match self {
            Destinations::One => vec![1.0],
            Destinations::Others(_) => vec![1.0; hosts],
            Destinations::Weighted(_, weights) | Destinations::Own(weights) => weights.weights().collect(),
        };
        if let Destinations::Others(own) | Destinations::Weighted(own, _) = self
            && let Some(own) = shares.get_mut(*own as usize)
        {
            *own = 0.0;
        }
        let total: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= total);
        shares
    }
}

/// The traffic from the first half of `hosts` hosts to the second, and back, if the senders send 1 on
/// average.
pub fn crossing(rows: &[Row], hosts: usize) -> [f64; 2] {
    let half = hosts / 2;
    let mut crossing = [0.0; 2];
    for row in rows {
        let is_second = row.from >= half;
        let count = row.to.as_ref().map_or(hosts, Vec::len);
        for (place, share) in row.destinations.shares(count).into_iter().enumerate() {
            let to = row.to.as_ref().map_or(place, |to| to[place]);
            if (to >= half) != is_second {
                crossing[usize::from(is_second)] += row.part * share;
            }
        }
    }
    crossing
}

/// One sender of a matrix, by positions among its hosts.
#[derive(Debug, Clone)]
pub struct Row {
    /// The sender.
    pub from: usize,
    /// Its destinations, by position; `None` for every host.
    pub to: Option<Vec<usize>>,
    /// How a destination is drawn.
    pub destinations: Destinations,
    /// The amount that it sends, relative to the mean of all senders.
    pub part: f64,
    /// The demand of the sender in the file, in bits per second.
    pub demand_bps: Option<f64>,
}

/// The matrix "uniform" over `hosts` hosts.
pub fn uniform(hosts: usize) -> Vec<Row> {
    let row = |from| Row {
        from,
        to: None,
        destinations: Destinations::Others(from as u32),
        part: 1.0,
        demand_bps: None,
    };
    (0..hosts).map(row).collect()
}

/// Each of the first `senders` hosts sends to every one of the `receivers` but itself, each as likely. A sender is
/// never the only receiver.
pub fn pairs(senders: usize, receivers: &[usize]) -> Vec<Row> {
    let even = |count: usize| match count {
        0 | 1 => Destinations::One,
        _ => Destinations::Own(Arc::new(
            WeightedIndex::new(std::iter::repeat_n(1.0, count)).expect("a count above zero"),
        )),
    };
    let (of_all, of_others) = (even(receivers.len()), even(receivers.len().saturating_sub(1)));
    let row = |from: usize| {
        let to: Vec<usize> = receivers.iter().copied().filter(|to| *to != from).collect();
        let destinations = if to.len() == receivers.len() { of_all.clone() } else { of_others.clone() };
        Row { from, to: Some(to), destinations, part: 1.0, demand_bps: None }
    };
    (0..senders).map(row).collect()
}

/// The matrix "permutation" over two or more hosts: a random derangement, each as likely.
///
/// Permutations are drawn until one has no fixed point: e draws on average.
pub fn permutation(hosts: usize, seed: u64, entry: &str) -> Vec<Row> {
    let mut random = stream(seed, "traffic matrix", entry);
    let mut to: Vec<usize> = (0..hosts).collect();
    loop {
        for last in (1..hosts).rev() {
            to.swap(last, below(&mut random, last as u32 + 1) as usize);
        }
        if to.iter().enumerate().all(|(from, to)| from != *to) {
            break;
        }
    }
    let row = |(from, to)| Row {
        from,
        to: Some(vec![to]),
        destinations: Destinations::One,
        part: 1.0,
        demand_bps: None,
    };
    to.into_iter().enumerate().map(row).collect()
}

/// The matrix "gravity": the demand from host i to host j is proportional to `weights[i] * weights[j]`.
///
/// # Source
/// Roughan, "Simplifying the synthesis of Internet traffic matrices", 2005; here no host sends to itself.
pub fn gravity(weights: &[f64]) -> Vec<Row> {
    let total: f64 = weights.iter().sum();
    let sent: Vec<f64> = weights.iter().map(|weight| weight * (total - weight)).collect();
    let mean = sent.iter().sum::<f64>() / sent.len() as f64;
    let shared = Arc::new(WeightedIndex::new(weights).expect("weights are checked: finite and above zero"));
    let row = |(from, sent): (usize, &f64)| {
        let part = sent / mean;
        let row = Row { from, to: None, destinations: Destinations::One, part, demand_bps: None };
        // A sender with most of the weight would be redrawn most of the time.
        if weights[from] > total / 2.0 {
            let others: Vec<usize> = (0..weights.len()).filter(|to| *to != from).collect();
            let own = WeightedIndex::new(others.iter().map(|to| weights[*to])).expect("checked weights");
            return Row { to: Some(others), destinations: Destinations::Own(Arc::new(own)), ..row };
        }
        Row { destinations: Destinations::Weighted(from as u32, Arc::clone(&shared)), ..row }
    };
    sent.iter().enumerate().map(row).collect()
}

/// One row of a demand file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Demand {
    /// The sending host.
    pub source: String,
    /// The receiving host.
    pub destination: String,
    /// The demand, in bits per second.
    pub bandwidth_bps: f64,
}

/// Reads a demand file.
///
/// # Errors
/// The file cannot be read, or a row is not a demand.
pub fn read_demands(path: &Path) -> Result<Vec<Demand>, String> {
    let shown = path.display();
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(Rows::open(path).map_err(|error| format!("cannot read `{shown}`: {error}"))?);
    // `deserialize` takes a header that cannot be read for an empty file.
    reader.headers().map_err(|error| format!("`{shown}`: {error}"))?;
    let mut demands = Vec::new();
    for (number, demand) in reader.deserialize::<Demand>().enumerate() {
        let mut demand = demand.map_err(|error| format!("`{shown}`: {error}"))?;
        for name in [&mut demand.source, &mut demand.destination] {
            *name = unguarded(name).to_owned();
        }
        let bandwidth = demand.bandwidth_bps;
        if bandwidth != 0.0 && !(1e-6..=1e18).contains(&bandwidth) {
            return Err(format!("row {} of `{shown}`: `bandwidth_bps` cannot be {bandwidth}", number + 1));
        }
        if demand.source == demand.destination && bandwidth > 0.0 {
            return Err(format!(
                "row {} of `{shown}`: `{}` cannot send to itself",
                number + 1,
                demand.source
            ));
        }
        demands.push(demand);
    }
    demands.retain(|demand| demand.bandwidth_bps > 0.0);
    if demands.is_empty() {
        return Err(format!("`{shown}` has no demand above 0"));
    }
    Ok(demands)
}

/// The matrix of demands between hosts by position, each `(source, destination, bits per second)`.
pub fn demanded(demands: &[(usize, usize, f64)]) -> Vec<Row> {
    let mut rows: indexmap::IndexMap<usize, (Vec<usize>, Vec<f64>)> = indexmap::IndexMap::new();
    for (from, to, bandwidth) in demands {
        let (destinations, weights) = rows.entry(*from).or_default();
        match destinations.iter().position(|known| known == to) {
            Some(known) => weights[known] += bandwidth,
            None => {
                destinations.push(*to);
                weights.push(*bandwidth);
            }
        }
    }
    rows.sort_unstable_keys();
    let total: f64 = demands.iter().map(|(_, _, bandwidth)| bandwidth).sum();
    let mean = total / rows.len() as f64;
    let row = |(from, (to, weights)): (usize, (Vec<usize>, Vec<f64>))| {
        let demand: f64 = weights.iter().sum();
        let destinations = match weights.len() {
            1 => Destinations::One,
            _ => Destinations::Own(Arc::new(
                WeightedIndex::new(weights).expect("demands are checked: finite and above zero"),
            )),
        };
        Row { from, to: Some(to), destinations, part: demand / mean, demand_bps: Some(demand) }
    };
    rows.into_iter().map(row).collect()
}

/// A demand as a rate, times `scale`.
///
/// # Errors
/// The scaled demand is not a rate: less than 1 bit per second, or out of range.
pub fn scaled(
    demand_bps: f64,
    scale: Option<&Spanned<f64>>,
    span: std::ops::Range<usize>,
) -> Result<Rate, Mistake> {
    let scale = scale.map_or(Ok(1.0), |scale| positive(scale, "a scale"))?;
    let bits = (demand_bps * scale).round();
    let rate = if bits < 9e18 { Rate::from_bps(bits as u64) } else { None };
    rate.ok_or_else(|| {
        Mistake::new(span, format!("a demand of {} bps is out of range", demand_bps * scale))
            .with_help("each host's demands must add up to 1 bps or more")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_leaves_nobody_alone_and_reaches_everybody() {
        for (hosts, seed) in [(2, 1), (3, 1), (16, 1), (16, 2), (501, 3)] {
            let rows = permutation(hosts, seed, "0");
            let mut to: Vec<usize> = rows.iter().map(|row| row.to.as_ref().unwrap()[0]).collect();
            assert!(rows.iter().zip(&to).all(|(row, to)| row.from != *to));
            to.sort_unstable();
            assert!(to.into_iter().eq(0..hosts));
        }
        let to = |seed| -> Vec<_> { permutation(16, seed, "0").into_iter().map(|row| row.to).collect() };
        assert_eq!(to(1), to(1));
        assert_ne!(to(1), to(2));
    }

    /// How often each destination is drawn.
    fn drawn(destinations: &Destinations, hosts: u32) -> Vec<f64> {
        const DRAWS: u32 = 100_000;
        let mut random = stream(1, "test", "matrix");
        let mut counts = vec![0.0; hosts as usize];
        (0..DRAWS).for_each(|_| counts[destinations.draw(hosts, &mut random) as usize] += 1.0);
        counts.iter().map(|count| count / f64::from(DRAWS)).collect()
    }

    #[track_caller]
    fn near(found: &[f64], expected: &[f64]) {
        assert!(
            found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.006),
            "{found:?}, not {expected:?}"
        );
    }

    #[test]
    fn uniform_reaches_all_others_alike() {
        let rows = uniform(5);
        let quarter = 0.25;
        near(&drawn(&rows[0].destinations, 5), &[0.0, quarter, quarter, quarter, quarter]);
        near(&drawn(&rows[2].destinations, 5), &[quarter, quarter, 0.0, quarter, quarter]);
        near(&drawn(&rows[4].destinations, 5), &[quarter, quarter, quarter, quarter, 0.0]);
    }

    #[test]
    fn each_of_the_senders_sends_to_each_receiver_but_itself() {
        let rows = pairs(2, &[1, 2, 3]);
        let to: Vec<_> = rows.iter().map(|row| row.to.clone().unwrap()).collect();
        assert_eq!(to, [vec![1, 2, 3], vec![2, 3]]);
        near(&drawn(&rows[0].destinations, 3), &[1.0 / 3.0; 3]);
        near(&drawn(&rows[1].destinations, 2), &[0.5; 2]);
        assert!(matches!(pairs(1, &[1])[0].destinations, Destinations::One));
        // 2/3 of what the first sends, and all of what the second sends.
        assert!((crossing(&rows, 4)[0] - (2.0 / 3.0 + 1.0)).abs() < 1e-9);
    }

    #[test]
    fn gravity_is_in_proportion_to_both_weights() {
        let weights = [1.0, 2.0, 5.0];
        let rows = gravity(&weights);
        near(&drawn(&rows[0].destinations, 3), &[0.0, 2.0 / 7.0, 5.0 / 7.0]);
        assert_eq!(rows[2].to, Some(vec![0, 1]));
        near(&drawn(&rows[2].destinations, 2), &[1.0 / 3.0, 2.0 / 3.0]);
        // Sent: 1 * 7, 2 * 6, 5 * 3.
        let mean = (7.0 + 12.0 + 15.0) / 3.0;
        near(&rows.iter().map(|row| row.part).collect::<Vec<_>>(), &[7.0 / mean, 12.0 / mean, 15.0 / mean]);
    }

    #[test]
    fn half_of_the_hosts_send_to_the_other_half() {
        let near = |found: [f64; 2], expected: [f64; 2]| {
            assert!(
                (0..2).all(|side| (found[side] - expected[side]).abs() < 1e-9),
                "{found:?}, not {expected:?}"
            );
        };
        // 4 x 4 / 7 of each half.
        near(crossing(&uniform(8), 8), [16.0 / 7.0, 16.0 / 7.0]);
        // 1 x 5 and 2 x 5 of 34, where the three send 3 in all; and back as much.
        near(crossing(&gravity(&[1.0, 2.0, 5.0]), 3), [3.0 * 7.0 / 34.0, 3.0 * 7.0 / 34.0]);
        near(crossing(&demanded(&[(0, 3, 1.0), (1, 0, 3.0)]), 4), [0.5, 0.0]);
    }

    #[test]
    fn demands_add_up() {
        let rows = demanded(&[(2, 0, 1e6), (0, 1, 3e6), (0, 2, 1e6), (0, 1, 1e6)]);
        let [first, second] = &rows[..] else { panic!("two senders: {rows:?}") };
        assert_eq!((first.from, first.demand_bps, first.to.clone()), (0, Some(5e6), Some(vec![1, 2])));
        near(&drawn(&first.destinations, 2), &[0.8, 0.2]);
        assert_eq!((second.from, second.demand_bps), (2, Some(1e6)));
        assert!((first.part - 5.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn bad_files_of_demands_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let told = |rows: &str| {
            let path = folder.path().join("d.csv");
            std::fs::write(&path, format!("source,destination,bandwidth_bps\n{rows}")).unwrap();
            let shown = folder.path().display().to_string();
            read_demands(&path).unwrap_err().replace(&shown, "")
        };
        assert_eq!(told("a,b,1\na,a,1\n"), "row 2 of `/d.csv`: `a` cannot send to itself");
        assert_eq!(told("a,b,-1\n"), "row 1 of `/d.csv`: `bandwidth_bps` cannot be -1");
        assert_eq!(told("a,b,inf\n"), "row 1 of `/d.csv`: `bandwidth_bps` cannot be inf");
        assert_eq!(told("a,b,0\n"), "`/d.csv` has no demand above 0");
        assert!(told("a,b\n").contains("CSV error: record 1"), "{}", told("a,b\n"));
        assert!(told("a,b,x\n").contains("invalid float"), "{}", told("a,b,x\n"));
    }

    #[test]
    fn a_demand_that_is_no_rate_is_told() {
        assert_eq!(scaled(1e6, Some(&Spanned::new(0..1, 1.5)), 0..0).unwrap().as_bps(), 1_500_000);
        assert!(scaled(0.1, None, 0..0).is_err());
        assert!(scaled(1e30, None, 0..0).is_err());
        assert!(scaled(1e6, Some(&Spanned::new(0..1, 0.0)), 0..0).is_err());
    }
}
