//! The remarks on an import: each once, with its count and an example.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::ImportOptions;
use super::attributes::Attributes;
use super::reason::{Owner, likely_meant, reason};
use super::words::{counted, shortened};
use crate::config::did_you_mean;
use crate::units::{Bandwidth, Rate};

/// A fact about a number of links, edges or nodes. The order of variants is that of the remarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Note {
    OtherName,
    NoBandwidth,
    BandwidthNumber,
    MininetBandwidth,
    ShortBandwidth,
    InLabel,
    DelayNumber,
    LengthNumber,
    TopohubDistance,
    ByCoordinates,
    NoLength,
    PercentLoss,
    Jitter,
    Buffer,
    NamedPorts,
    Loop,
    EdgeOfGroup,
    Group,
    Hyperedge,
    OneWay,
    Parallel,
    SameAddress,
}

/// Keys that are left out, with their counts and first texts.
type LeftKeys = IndexMap<String, (usize, String)>;

/// The remarks.
#[derive(Debug, Default)]
pub(super) struct Notes {
    counts: BTreeMap<Note, (usize, String)>,
    /// By owner and reason.
    left: IndexMap<(Owner, &'static str), LeftKeys>,
}

impl Notes {
    /// Counts one more. The first example is shown.
    pub fn count(&mut self, note: Note, example: &str) {
        let (count, first) = self.counts.entry(note).or_default();
        if *count == 0 {
            *first = shortened(&example.replace(char::is_control, " "));
        }
        *count += 1;
    }

    /// Records that all remaining `attributes` are left out.
    pub fn leave(&mut self, owner: Owner, attributes: &Attributes) {
        for attribute in attributes.iter() {
            let why = attribute.why.unwrap_or_else(|| reason(owner, &attribute.key));
            let keys = self.left.entry((owner, why)).or_default();
            match keys.get_mut(&attribute.key) {
                Some((count, _)) => *count += 1,
                None => {
                    let example = shortened(&attribute.text.replace(char::is_control, " "));
                    keys.insert(attribute.key.clone(), (1, example));
                }
            }
        }
    }

    /// The remarks, for `links` links.
    pub fn told(&self, options: &ImportOptions, links: usize) -> Vec<String> {
        let counts = self.counts.iter();
        let mut told = counts
            .map(|(note, (count, example))| told_note(*note, *count, example, options, links))
            .collect::<Vec<_>>();
        told.extend(self.left.iter().map(|((owner, why), keys)| told_left(*owner, why, keys)));
        told
    }
}

fn told_note(note: Note, count: usize, example: &str, options: &ImportOptions, links: usize) -> String {
    let have = format!("{} {}", counted(count, "link"), has(count));
    let unit = |unit: Option<Rate>, assumed: Rate| match unit {
        Some(unit) => Bandwidth::Limited(unit).to_string(),
        None => format!("{} (--bandwidth-unit sets another)", Bandwidth::Limited(assumed)),
    };
    match note {
        Note::OtherName => format!(
            "{} {} another name than in the file, such as that of `{example}`: spaces, colons, quotes and brackets \
             become `-`, and the second of two equal names gets `-2`",
            counted(count, "device"),
            has(count)
        ),
        Note::NoBandwidth => format!("{have} no bandwidth: {} assumed", options.bandwidth),
        Note::BandwidthNumber => {
            let unit = unit(options.bandwidth_unit, ImportOptions::MEGABIT);
            format!("{have} a bandwidth without a unit: 1 stands for {unit}")
        }
        Note::MininetBandwidth => {
            format!(
                "{have} a `bw` without a unit: Mbps assumed, as in Mininet (--bandwidth-unit sets another)"
            )
        }
        Note::ShortBandwidth => format!("{have} a bandwidth such as `{example}`: bits per second assumed"),
        Note::InLabel => format!(
            "{have} a label with more properties, such as `{example}`: read as bandwidth, delay, length or loss"
        ),
        Note::DelayNumber => {
            format!("{have} a delay without a unit: 1 stands for {}", options.delay_unit.unwrap_or_default())
        }
        Note::LengthNumber => {
            format!(
                "{have} a length without a unit: 1 stands for {}",
                options.length_unit.unwrap_or_default()
            )
        }
        Note::TopohubDistance => {
            format!("{have} a `dist` without a unit: km assumed, as in TopoHub (--length-unit sets another)")
        }
        Note::ByCoordinates => {
            format!("{have} no length: the great-circle distance between its ends assumed")
        }
        Note::NoLength => format!("{have} no length and no delay: {} assumed", options.delay),
        Note::PercentLoss => format!(
            "{have} a `loss` without a unit: percent assumed, as in Mininet and tc (a `loss_ratio` is a fraction)"
        ),
        Note::Jitter => format!(
            "{have} jitter: uniform around the delay, and packets may overtake, as in Mininet and tc netem"
        ),
        Note::Buffer => format!("{have} a queue of {example}: a `fifo` with that buffer at both ends"),
        Note::NamedPorts => {
            format!(
                "{have} named ports, such as `{example}`: ports are numbered, and a comment keeps the names"
            )
        }
        Note::Loop => format!("left out: {} from a node to itself", counted(count, "edge")),
        Note::EdgeOfGroup => format!(
            "left out: {} at a group, such as `{example}`: a group is a frame, not a device",
            counted(count, "edge")
        ),
        Note::Group => {
            format!("left out: {}, such as `{example}`: a frame, not a device", counted(count, "group"))
        }
        Note::Hyperedge => {
            format!("{}, such as `{example}`: a router without a host each", counted(count, "hyperedge"))
        }
        Note::OneWay => format!("{have} one direction in the file: both assumed"),
        Note::Parallel => format!("{} of {links} in parallel with another link", counted(count, "link")),
        Note::SameAddress => {
            format!("left out: {count} times an address of another host, such as `{example}`")
        }
    }
}

fn told_left(owner: Owner, why: &str, keys: &LeftKeys) -> String {
    let key = |(key, (count, example)): (&String, &(usize, String))| {
        let count = owner.counted(*count).map(|count| format!("{count}, such as ")).unwrap_or_default();
        let meant = likely_meant(why, key).map(|meant| format!("; {}", did_you_mean(meant)));
        format!("`{key}` ({count}`{example}`{})", meant.unwrap_or_default())
    };
    let many = if keys.len() == 1 { "" } else { "s" };
    let keys = keys.iter().map(key).collect::<Vec<_>>().join(", ");
    format!("left out: {} attribute{many} {keys}: {why}", owner.name())
}

/// "has" or "have".
fn has(number: usize) -> &'static str {
    if number == 1 { "has" } else { "have" }
}
