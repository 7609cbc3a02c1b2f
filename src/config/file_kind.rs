//! The kinds of files, and which of them a key belongs in: for keys in the wrong file or table.

use std::ops::Range;

use toml::de::DeTable;

/// What a TOML file describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A network.
    Topology,
    /// A network, its traffic, and what is measured there.
    Scenario,
    /// Data and a model to train on them.
    Training,
    /// A scenario and the values that its keys take.
    Sweep,
    /// A scenario and the bounds of parameters that make a metric best.
    Tune,
}

/// The tables of a kind of file with the keys that lead the reader there. The table `""` is the top of the
/// file.
type Tables = &'static [(&'static str, &'static [&'static str])];

const TOPOLOGY: Tables = &[
    ("", &["defaults", "generate", "device", "link", "forwarding", "path"]),
    ("[[device]]", &["addresses", "processing", "routes", "position"]),
    (
        "[[link]]",
        &[
            "between",
            "bandwidth",
            "length",
            "propagation_speed",
            "overhead",
            "mtu",
            "loss",
            "forward",
            "backward",
        ],
    ),
    ("[[device]] or [[link]]", &["ptm"]),
    ("[forwarding]", &["multipath", "rule"]),
];

const SCENARIO: Tables = &[
    (
        "",
        &[
            "topology",
            "seed",
            "until",
            "warm_up",
            "stop_when",
            "engine",
            "transport",
            "traffic",
            "measured",
            "rtt",
            "accept",
            "record",
            "observer",
        ],
    ),
    ("[accept]", &["w1_normalized", "pearson", "spearman", "mae"]),
    ("[record]", &["packets", "hops", "queues", "vantages"]),
    ("[transport]", &["congestion_control", "recovery", "initial_window", "receive_buffer", "send_buffer"]),
    ("[[traffic]]", &["matrix", "by_address"]),
];

const TRAINING: Tables = &[("", &["data", "architecture", "class", "training", "split", "pace"])];

const SWEEP: Tables = &[
    ("", &["scenario", "replications", "tables", "metrics", "vary", "zip", "stop"]),
    ("[stop]", &["metric", "relative_half_width", "confidence", "at_least"]),
];

/// `scenario`, `replications` and `metrics` are keys of sweeps, too.
const TUNE: Tables =
    &[("", &["objective", "bounds", "starts", "evaluations"]), ("[objective]", &["goal", "target"])];

impl FileKind {
    const ALL: [FileKind; 5] =
        [FileKind::Topology, FileKind::Scenario, FileKind::Training, FileKind::Sweep, FileKind::Tune];

    /// What the file describes, by the keys at its top.
    pub(super) fn of(tree: &DeTable<'_>) -> Option<Self> {
        let has_any = |keys: &[&str]| keys.iter().any(|key| tree.contains_key(*key));
        match () {
            () if has_any(&["topology", "traffic", "measured"]) => Some(FileKind::Scenario),
            () if has_any(&["device", "link", "defaults", "generate"]) => Some(FileKind::Topology),
            () if has_any(&["data", "architecture", "training", "split"]) => Some(FileKind::Training),
            () if has_any(&["objective", "bounds"]) => Some(FileKind::Tune),
            () if has_any(&["scenario", "vary", "zip"]) => Some(FileKind::Sweep),
            () if has_any(&["forwarding", "path"]) => Some(FileKind::Topology),
            () if has_any(&[
                "seed",
                "until",
                "warm_up",
                "stop_when",
                "engine",
                "rtt",
                "accept",
                "record",
            ]) =>
            {
                Some(FileKind::Scenario)
            }
            () => None,
        }
    }

    /// "a topology".
    pub(super) fn with_article(self) -> &'static str {
        match self {
            FileKind::Topology => "a topology",
            FileKind::Scenario => "a scenario",
            FileKind::Training => "a training file",
            FileKind::Sweep => "a sweep",
            FileKind::Tune => "a tune file",
        }
    }

    /// What such a file has.
    pub(super) fn contents(self) -> &'static str {
        match self {
            FileKind::Topology => "a topology has [[device]] and [[link]] tables, or [generate]",
            FileKind::Scenario => {
                "a scenario has the key `topology`, which names a topology file, and [[traffic]] tables"
            }
            FileKind::Training => "a training file has [[data]] tables",
            FileKind::Sweep => "a sweep has the key `scenario`, which names a scenario file, and [vary]",
            FileKind::Tune => {
                "a tune file has the key `scenario`, which names a scenario file, [objective] and [bounds]"
            }
        }
    }

    fn tables(self) -> Tables {
        match self {
            FileKind::Topology => TOPOLOGY,
            FileKind::Scenario => SCENARIO,
            FileKind::Training => TRAINING,
            FileKind::Sweep => SWEEP,
            FileKind::Tune => TUNE,
        }
    }

    /// The keys at the top of such a file that no other kind of file has there.
    pub(super) fn top_keys(self) -> &'static [&'static str] {
        self.tables()[0].1
    }

    fn others(self) -> impl Iterator<Item = FileKind> {
        FileKind::ALL.into_iter().filter(move |kind| *kind != self)
    }
}

/// Where a key belongs that does not fit at its place in a file of kind `own`: a message and its help.
pub(super) fn other_place(
    key: &str,
    own: FileKind,
    (inside, is_top): (&str, bool),
    tree: &DeTable<'_>,
) -> Option<(String, String)> {
    if !is_top {
        // `transport` at the top changes connections alone: a generator of packets gains nothing by it.
        let belongs_at_top = key != "transport" && own.top_keys().contains(&key);
        return belongs_at_top.then(|| {
            let help = match Header::of(own, key) {
                Header::None => {
                    "write it above the first [table] or [[table]]: a key below such a header belongs to that table"
                        .to_owned()
                }
                header => format!("write {}", header.text(key)),
            };
            (format!("`{key}` belongs at the top of the file, not{inside}"), help)
        });
    }
    let home = own.others().find(|kind| kind.top_keys().contains(&key))?;
    let message = format!("`{key}` belongs in {}, and this is {}", home.with_article(), own.with_article());
    let named = tree.get("topology").and_then(|value| value.get_ref().as_str());
    let help = match (home, own, named) {
        (FileKind::Topology, FileKind::Scenario, Some(file)) => {
            format!("write {} in `{file}`", Header::of(home, key).text(key))
        }
        (FileKind::Topology, FileKind::Scenario, None) => {
            format!(
                "write {} in a file of its own, and name that file here: topology = \"net.toml\"",
                Header::of(home, key).text(key)
            )
        }
        (FileKind::Scenario, FileKind::Topology, _) => format!(
            "write {} in the scenario, the file that names this topology: topology = \"...\"",
            Header::of(home, key).text(key)
        ),
        _ => home.contents().to_owned(),
    };
    Some((message, help))
}

/// The tables that have a key which does not fit where it stands, in words; none where no table has it.
pub(super) fn tables_with(key: &str) -> Option<String> {
    FileKind::ALL.into_iter().find_map(|kind| {
        let (table, _) = kind.tables()[1..].iter().find(|(_, keys)| keys.contains(&key))?;
        Some(format!("`{key}` is a key of {table} in {}", kind.with_article()))
    })
}

/// How a key at the top of a file is written.
enum Header {
    /// `key = value`.
    None,
    /// `[key]`.
    One,
    /// `[[key]]`.
    Many,
}

impl Header {
    fn of(kind: FileKind, key: &str) -> Self {
        match key {
            _ if ARRAYS.contains(&key) => Header::Many,
            "topology" | "seed" | "until" | "warm_up" | "engine" | "architecture" | "pace" | "scenario"
            | "replications" | "tables" | "metrics" | "starts" | "evaluations" => Header::None,
            _ if kind.top_keys().contains(&key) => Header::One,
            _ => Header::None,
        }
    }

    fn text(&self, key: &str) -> String {
        match self {
            Header::None => format!("`{key}`"),
            Header::One => format!("[{key}]"),
            Header::Many => format!("[[{key}]]"),
        }
    }
}

/// The keys at the top of files whose value is an array of tables.
pub(super) const ARRAYS: &[&str] =
    &["device", "link", "path", "traffic", "measured", "rtt", "observer", "data", "class", "zip"];

/// What a file in another format is, and what to do with it.
pub(super) fn other_format(text: &str) -> Option<(&'static str, &'static str)> {
    const IMPORT: &str = "`taunet topology import FILE` makes a topology of a graph in this format";
    let text = text.trim_start();
    let word = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    match word {
        _ if text.starts_with('{') => Some(("JSON", IMPORT)),
        _ if text.starts_with('<') => Some(("XML", IMPORT)),
        "graph" | "digraph" | "strict" if text.contains('{') => Some(("DOT", IMPORT)),
        _ => None,
    }
}

/// The beginnings of files that are no text.
const BINARY: &[(&[u8], &str)] = &[
    (&[0xd4, 0xc3, 0xb2, 0xa1], "a capture (pcap)"),
    (&[0xa1, 0xb2, 0xc3, 0xd4], "a capture (pcap)"),
    (&[0x4d, 0x3c, 0xb2, 0xa1], "a capture (pcap)"),
    (&[0xa1, 0xb2, 0x3c, 0x4d], "a capture (pcap)"),
    (&[0x0a, 0x0d, 0x0d, 0x0a], "a capture (pcapng)"),
    (&[0x1f, 0x8b], "a compressed file (gzip)"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "a compressed file (Zstandard)"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "a compressed file (xz)"),
    (b"BZh", "a compressed file (bzip2)"),
    (&[0x04, 0x22, 0x4d, 0x18], "a compressed file (LZ4)"),
    (b"PK\x03\x04", "a compressed file (zip)"),
    (b"PAR1", "a table (Parquet)"),
];

/// What a file is that is no text, by its first bytes, and what to do with it.
pub(super) fn binary(bytes: &[u8]) -> Option<(&'static str, Option<&'static str>)> {
    let Some((_, what)) = BINARY.iter().find(|(magic, _)| bytes.starts_with(magic)) else {
        return bytes.contains(&0).then_some(("a binary file", None));
    };
    let help = (!what.contains("Parquet")).then_some(
        "a scenario names captures, compressed or not: capture = \"FILE\" in a [[traffic]] table of kind \"replay\"; \
         `taunet inspect FILE` describes one",
    );
    Some((what, help))
}

/// The keys at the top of a file whose value is one table, and is written as an array of tables, each with
/// its place.
pub(super) fn doubled(tree: &DeTable<'_>) -> Vec<(String, Range<usize>)> {
    let is_one =
        |key: &str| FileKind::ALL.iter().any(|kind| kind.top_keys().contains(&key)) && !ARRAYS.contains(&key);
    let doubled = tree.iter().filter(|(key, value)| {
        let items = value.get_ref().as_array();
        is_one(key.get_ref().as_ref())
            && items
                .is_some_and(|items| !items.is_empty() && items.iter().all(|item| item.get_ref().is_table()))
    });
    doubled.map(|(key, _)| (key.get_ref().to_string(), key.span())).collect()
}

/// `[link]` for `[[link]]` where it `is_one` table, or else the reverse: a message and its help.
pub(super) fn header_mistake(key: &str, is_one: bool, tree: &DeTable<'_>) -> (String, String) {
    if !is_one {
        let help = format!("write [{key}], with one bracket on each side");
        return (format!("`{key}` must be one table, found an array of tables"), help);
    }
    // The tables of [device.r1] and [device.r2].
    let table = tree.get(key).and_then(|value| value.get_ref().as_table());
    let named = table.filter(|table| table.iter().all(|(_, value)| value.get_ref().is_table()));
    let named = named.into_iter().flatten().map(|(name, _)| name.get_ref()).next();
    let help = match named {
        Some(name) => format!("write [[{key}]] instead of [{key}.{name}], and name = \"{name}\" below it"),
        None => format!(
            "write [[{key}]], with two brackets on each side; the file may have several of these tables"
        ),
    };
    (format!("`{key}` must be an array of tables, found one table"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_at_the_top_of_two_kinds_of_files() {
        for kind in FileKind::ALL {
            for other in kind.others() {
                assert!(
                    kind.top_keys().iter().all(|key| !other.top_keys().contains(key)),
                    "{kind:?} {other:?}"
                );
            }
        }
    }
}
