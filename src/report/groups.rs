//! The packets of a run by flow, by traffic entry and by port: curves that a reader chooses in the page.
//!
//! A page holds the groups with the most packets, at most [`MOST_GROUPS`] of each grouping.

use std::collections::BTreeMap;
use std::path::Path;

use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};

use super::distribution::{Collected, Distribution};
use super::rows::{Row, largest};
use super::series::{Bars, Counts, Extremes, Series};
use super::{ReportError, drawn, instant};
use crate::table::{Kind, ReadError, read_columns};
use crate::units::PS_PER_S;

/// Groups of one grouping in the page, at most.
pub(super) const MOST_GROUPS: usize = 32;

/// The names of groups, the largest first, and how many groups there are.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Names {
    pub names: Vec<String>,
    pub total: usize,
}

/// The curves of the groups of one grouping, in the order of their names; without those that are not known.
#[derive(Default)]
pub(super) struct Group {
    pub names: Names,
    pub distributions: Vec<Distribution>,
    /// Delays: for each group, the lines of its sides.
    pub series: Option<Series>,
    pub rate: Option<Bars>,
    /// Bytes.
    pub bits: Option<Bars>,
}

impl Names {
    pub fn to_json(&self) -> Value {
        json!({ "names": self.names, "total": self.total })
    }
}

impl Group {
    pub fn to_json(&self) -> Value {
        let mut json = self.names.to_json();
        if !self.distributions.is_empty() {
            let shown = |of: &Distribution| {
                let mut json = of.to_json();
                json!({ "delays": json["delays"].take(), "above": json["above"].take() })
            };
            json["distributions"] = self.distributions.iter().map(shown).collect();
        }
        if let Some(series) = &self.series {
            json["series"] = series.to_json();
        }
        for (key, bars) in [("rate", &self.rate), ("bits", &self.bits)] {
            if let Some(bars) = bars {
                json[key] = bars.to_short_json();
            }
        }
        json
    }
}

/// The groupings as the page's script reads them; a grouping with one group is left out.
pub(super) fn to_json<'a>(groupings: impl IntoIterator<Item = (&'a str, &'a Group)>) -> Value {
    let several = groupings.into_iter().filter(|(_, group)| group.names.names.len() > 1);
    Value::Object(several.map(|(key, group)| (key.to_owned(), group.to_json())).collect::<Map<_, _>>())
}

/// Groups by a number: the place of each that is in the page.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Places {
    pub names: Names,
    places: FxHashMap<i128, usize>,
}

impl Places {
    /// Of groups by packets, in any order: numbers that belong to each, its name, its packets.
    fn of_largest(groups: impl IntoIterator<Item = (Vec<i128>, String, u64)>) -> Self {
        let mut groups: Vec<(Vec<i128>, String, u64)> =
            groups.into_iter().filter(|(_, _, packets)| *packets > 0).collect();
        groups.sort_by_key(|(_, _, packets)| std::cmp::Reverse(*packets));
        let total = groups.len();
        groups.truncate(MOST_GROUPS);
        let mut places = FxHashMap::default();
        for (place, (numbers, _, _)) in groups.iter().enumerate() {
            places.extend(numbers.iter().map(|number| (*number, place)));
        }
        let names = groups.into_iter().map(|(_, name, _)| name).collect();
        Places { names: Names { names, total }, places }
    }

    #[inline]
    pub fn place(&self, number: Option<i128>) -> Option<usize> {
        self.places.get(&number?).copied()
    }

    pub fn len(&self) -> usize {
        self.names.names.len()
    }

    /// The share of one of `charts` in a page: the largest groups, at least 8.
    pub fn shared(&self, charts: usize) -> Self {
        let most = (MOST_GROUPS / charts.max(1)).max(8);
        let mut share = self.clone();
        share.names.names.truncate(most);
        share.places.retain(|_, place| *place < most);
        share
    }
}

/// The flows with the most packets, by their `fid`.
pub(super) fn flows(run: &Path) -> Result<Places, ReportError> {
    use Kind::{Integers, Texts};
    let wanted = [
        ("fid", Integers),
        ("source", Texts),
        ("source_port", Integers),
        ("destination", Texts),
        ("destination_port", Integers),
        ("packets_injected", Integers),
    ];
    let flow = |row: Row<'_>| {
        let name = format!("{} to {}", row.end(1, 2), row.end(3, 4));
        (vec![row.integer(0).unwrap_or(-1)], name, row.integer(5).map_or(0, instant))
    };
    let (found, total) = largest(run, "flows", &wanted, (5, MOST_GROUPS), flow)?;
    let mut places = Places::of_largest(found);
    places.names.total = total;
    Ok(places)
}

/// How packets belong to the traffic of a scenario.
pub(super) enum Traffic {
    /// By the `[[traffic]]` entry that the table of flows names, by `fid`.
    Entries(Places),
    /// By the number of the source.
    Sources(Places),
}

impl Traffic {
    /// By what curves are chosen, as the script names it.
    pub fn key(&self) -> &'static str {
        match self {
            Traffic::Entries(_) => "traffic",
            Traffic::Sources(_) => "source",
        }
    }

    pub fn places(&self) -> &Places {
        match self {
            Traffic::Entries(places) | Traffic::Sources(places) => places,
        }
    }

    /// The place of a packet, by its flow and its source.
    #[inline]
    pub fn place(&self, fid: Option<i128>, source: Option<i128>) -> Option<usize> {
        match self {
            Traffic::Entries(places) => places.place(fid),
            Traffic::Sources(places) => places.place(source),
        }
    }
}

/// The traffic with the most packets: by entry where the table of flows has the column `traffic`, else by source.
pub(super) fn traffic(run: &Path, sources: &[String]) -> Result<Traffic, ReportError> {
    let wanted = [("fid", Kind::Integers), ("traffic", Kind::Texts), ("packets_injected", Kind::Integers)];
    let mut entries: BTreeMap<String, (Vec<i128>, u64)> = BTreeMap::new();
    let read = read_columns(&run.join("flows"), &wanted, |batch| {
        for row in 0..batch[0].integers().len() {
            let row = Row { columns: batch, row };
            let entry = entries.entry(row.text(1)).or_default();
            entry.0.extend(row.integer(0));
            entry.1 += row.integer(2).map_or(0, instant);
        }
    });
    match read {
        // A table without the column.
        Err(ReadError::NoColumn { .. }) => Ok(Traffic::Sources(by_source(run, sources)?)),
        read => {
            read?;
            let groups = entries.into_iter().map(|(name, (fids, packets))| (fids, name, packets));
            Ok(Traffic::Entries(Places::of_largest(groups)))
        }
    }
}

/// Sources of one entry that has a name are one group, since their names begin with it: `web: poisson from h0 to h1`.
fn by_source(run: &Path, sources: &[String]) -> Result<Places, ReportError> {
    let mut packets: BTreeMap<i128, u64> = BTreeMap::new();
    read_columns(&run.join("packets"), &[("source", Kind::Integers)], |batch| {
        for source in batch[0].integers().iter().flatten() {
            *packets.entry(*source).or_default() += 1;
        }
    })?;
    let mut entries: BTreeMap<String, (Vec<i128>, u64)> = BTreeMap::new();
    for (source, count) in packets {
        let name = usize::try_from(source).ok().and_then(|number| sources.get(number));
        let name = name.map_or_else(|| format!("source {source}"), |name| entry_of(name).to_owned());
        let entry = entries.entry(name).or_default();
        entry.0.push(source);
        entry.1 += count;
    }
    Ok(Places::of_largest(entries.into_iter().map(|(name, (numbers, packets))| (numbers, name, packets))))
}

fn entry_of(source: &str) -> &str {
    match source.split_once(": ") {
        Some((entry, _)) if !source.starts_with("replay of ") => entry,
        _ => source,
    }
}

/// The curves of groups in the making.
pub(super) struct Gathered {
    names: Names,
    delays: Vec<Collected>,
    series: Extremes,
    rate: Counts,
    bits: Counts,
}

impl Gathered {
    /// Of a run of `end_s` seconds.
    pub fn new(places: &Places, end_s: f64) -> Self {
        let groups = places.len();
        Gathered {
            names: places.names.clone(),
            delays: vec![Collected::default(); groups],
            series: Extremes::new((end_s * PS_PER_S as f64) as u64, groups),
            rate: Counts::new(end_s, groups),
            bits: Counts::new(end_s, groups),
        }
    }

    /// A packet of a group was delivered.
    pub fn delivered(&mut self, place: usize, (injected, ended): (u64, u64), delay: i64, bytes: u64) {
        self.delays[place].push(delay);
        self.series.push(injected, place, delay as f64 / PS_PER_S as f64);
        self.rate.count(ended, place, 1);
        self.bits.count(ended, place, bytes);
    }

    pub fn into_group(self) -> Group {
        Group {
            names: self.names,
            distributions: self.delays.into_iter().map(Distribution::of_one).collect(),
            series: Some(self.series.into_series()),
            rate: Some(self.rate.into_bars()),
            bits: Some(self.bits.into_bars()),
        }
    }
}

/// Delays of the same packets on two sides, by flow, in the making.
pub(super) struct Sides {
    names: Names,
    delays: Vec<[Vec<i64>; 2]>,
    series: Extremes,
}

impl Sides {
    pub fn new(places: &Places, end_s: f64) -> Self {
        Sides {
            names: places.names.clone(),
            delays: vec![Default::default(); places.len()],
            series: Extremes::new((end_s * PS_PER_S as f64) as u64, 2 * places.len()),
        }
    }

    /// A packet of a group has these delays on both sides.
    pub fn push(&mut self, place: usize, injected: u64, delays: [i64; 2]) {
        for (side, delay) in delays.into_iter().enumerate() {
            self.delays[place][side].push(delay);
            self.series.push(injected, 2 * place + side, delay as f64 / PS_PER_S as f64);
        }
    }

    /// Groups without packets are left out.
    pub fn into_group(self) -> Group {
        let Sides { names, delays, series } = self;
        let there: Vec<usize> = (0..delays.len()).filter(|place| !delays[*place][0].is_empty()).collect();
        let Series::Buckets { start, width, least, greatest } = series.into_series() else {
            return Group::default();
        };
        let lines = |all: &[Vec<f64>]| -> Vec<Vec<f64>> {
            there.iter().flat_map(|place| all[2 * place..2 * place + 2].iter().cloned()).collect()
        };
        Group {
            names: Names {
                names: there.iter().map(|place| names.names[*place].clone()).collect(),
                total: names.total,
            },
            series: Some(Series::Buckets { start, width, least: lines(&least), greatest: lines(&greatest) }),
            distributions: delays
                .into_iter()
                .filter(|sides| !sides[0].is_empty())
                .map(|sides| Distribution::of_several(sides.into()))
                .collect(),
            ..Group::default()
        }
    }
}

/// What the ports with the most packets sent over time; `None` where the run wrote no table of hops.
pub(super) fn ports(run: &Path, end_s: f64) -> Result<Option<Group>, ReportError> {
    use Kind::{Integers, Texts};
    let name = |row: &Row<'_>, device: usize| {
        Some(format!("{}:{}", row.columns[device].text(row.row)?, row.integer(device + 1)?))
    };
    let known = [("device", Texts), ("port", Integers), ("packets", Integers)];
    let port = |row: Row<'_>| (name(&row, 0), row.integer(2).map_or(0, instant));
    let (mut found, total) = largest(run, "ports", &known, (2, MOST_GROUPS), port)?;
    found.retain(|(name, packets)| name.is_some() && *packets > 0);
    found.sort_by_key(|(_, packets)| std::cmp::Reverse(*packets));
    let names: Vec<String> = found.into_iter().filter_map(|(name, _)| name).collect();
    let places: FxHashMap<&str, usize> =
        names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();

    let mut rate = Counts::new(end_s, names.len());
    let mut bits = Counts::new(end_s, names.len());
    let mut lengths: FxHashMap<i128, u64> = FxHashMap::default();
    let mut read_lengths = false;
    let hops = [("pid", Integers), ("device", Texts), ("port", Integers), ("egress_ps", Integers)];
    let has_hops = ["parquet", "csv"].iter().any(|format| run.join("hops").with_extension(format).is_file());
    if has_hops {
        let wanted = [("pid", Integers), ("length_bytes", Integers)];
        read_lengths = read_columns(&run.join("packets"), &wanted, |batch| {
            let pairs = batch[0].integers().iter().zip(batch[1].integers());
            lengths.extend(pairs.filter_map(|(pid, length)| Some(((*pid)?, (*length)? as u64))));
        })?;
    }
    let found = read_columns(&run.join("hops"), &hops, |batch| {
        for row in 0..batch[0].integers().len() {
            let row = Row { columns: batch, row };
            let place = name(&row, 1).and_then(|name| places.get(name.as_str()).copied());
            if let (Some(place), Some(at)) = (place, row.integer(3)) {
                rate.count(instant(at), place, 1);
                let length = row.integer(0).and_then(|pid| lengths.get(&pid)).copied().unwrap_or(0);
                bits.count(instant(at), place, length);
            }
        }
    })?;
    drop(places);
    Ok(found.then(|| Group {
        names: Names { names, total },
        rate: Some(rate.into_bars()),
        bits: read_lengths.then(|| bits.into_bars()),
        ..Group::default()
    }))
}

/// A delay of a table, as a chart takes it, with the instants around it.
pub(super) fn of_packet(injected: i128, ended: i128, delay: i128) -> ((u64, u64), i64) {
    ((instant(injected), instant(ended)), drawn(delay))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_groups_come_first_and_their_number_is_bounded() {
        let all = (0..100).map(|number| (vec![number], format!("g{number}"), (number % 50) as u64));
        let places = Places::of_largest(all);
        assert_eq!((places.len(), places.names.total), (MOST_GROUPS, 98));
        assert_eq!(&places.names.names[..3], ["g49", "g99", "g48"]);
        assert_eq!(
            (places.place(Some(99)), places.place(Some(0)), places.place(None)),
            (Some(1), None, None)
        );
    }

    #[test]
    fn sources_of_an_entry_have_its_name_before_theirs() {
        assert_eq!(entry_of("web: poisson from h0 to 3 hosts"), "web");
        assert_eq!(entry_of("poisson from h0 to h1"), "poisson from h0 to h1");
        assert_eq!(entry_of("replay of a: b.pcap at r1:0"), "replay of a: b.pcap at r1:0");
    }

    #[test]
    fn groups_without_packets_on_both_sides_are_left_out() {
        let places = Places::of_largest([(vec![7], "a".to_owned(), 9), (vec![8], "b".to_owned(), 5)]);
        let mut sides = Sides::new(&places, 1.0);
        sides.push(1, 500_000_000_000, [2_000_000, 1_000_000]);
        let group = sides.into_group();
        assert_eq!((&group.names.names[..], group.names.total), (&["b".to_owned()][..], 2));
        assert_eq!(group.distributions[0].above, [[1.0, 0.0], [0.0, 0.0]]);
        let Some(Series::Buckets { least, .. }) = &group.series else { panic!("buckets") };
        let first = |line: usize| least[line].iter().copied().find(|value| !value.is_nan());
        assert_eq!((least.len(), first(0), first(1)), (2, Some(2e-6), Some(1e-6)));
    }
}
