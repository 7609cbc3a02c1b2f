//! The sizes of packets and flows: constant, uniform, from a table of their distribution, or a mixture.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::draw::below;
use super::mistake::{Mistake, positive};
use super::text_or_table::text_or_table;
use super::workloads::NamedSizes;
use crate::config::{Spanned, did_you_mean, listed, nearest};
use crate::limits;
use crate::random::Stream;
use crate::units::ByteCount;

/// The sizes of packets or flows, as written in a scenario: `"1000 B"`, a name, or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum SizeSpec {
    /// A constant size.
    Constant(ByteCount),
    /// A named distribution of flow sizes.
    Named(NamedSizes),
    /// Any other distribution.
    Table(Box<SizeTable>),
}

text_or_table!(
    SizeSpec,
    "a size as text, such as \"1000 B\", or a table such as { min = \"64 B\", max = \"1500 B\" }",
    |text| SizeText => Ok(match NamedSizes::named(text) {
        Some(named) => SizeSpec::Named(named),
        None if text.starts_with(|c: char| c.is_ascii_alphabetic()) => return Err(unknown_name(text).into()),
        None => SizeSpec::Constant(text.parse()?),
    }),
    |table| SizeTable => SizeSpec::Table(Box::new(table))
);

/// The schema of a size given as text.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum SizeText {
    /// A constant size.
    Constant(ByteCount),
    /// A named distribution of flow sizes.
    Named(NamedSizes),
}

fn unknown_name(text: &str) -> String {
    let names = || NamedSizes::ALL.into_iter().map(NamedSizes::name);
    let near = nearest(text, names()).map_or(String::new(), |near| format!("{} ", did_you_mean(near)));
    format!(
        "unknown distribution `{text}`; {near}it is one of: {}, or a size such as \"1000 B\"",
        listed(names())
    )
}

/// The objects that have the sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeOf {
    /// Packets: bytes on the wire.
    Packets,
    /// Flows: bytes of payload.
    Flows,
}

impl SizeOf {
    fn noun(self) -> &'static str {
        match self {
            SizeOf::Packets => "packet",
            SizeOf::Flows => "flow",
        }
    }

    /// The maximum size: an IP packet counts its bytes in 16 bits.
    fn most(self) -> u32 {
        match self {
            SizeOf::Packets => u32::from(u16::MAX),
            SizeOf::Flows => u32::MAX,
        }
    }
}

/// The distribution of sizes: `min` and `max`, or `cdf`, or `mixture`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SizeTable {
    /// The minimum of a uniform distribution over whole bytes.
    #[schemars(with = "Option<ByteCount>")]
    pub min: Option<Spanned<ByteCount>>,
    /// The maximum of the uniform distribution.
    #[schemars(with = "Option<ByteCount>")]
    pub max: Option<Spanned<ByteCount>>,
    /// A CSV file with the columns `bytes` and `cumulative_probability`, or with two columns without a
    /// header, bytes and percent, as in the generators of ns-3 and HPCC. The path is relative to the scenario
    /// file.
    #[schemars(with = "Option<PathBuf>")]
    pub cdf: Option<Spanned<PathBuf>>,
    /// Several distributions, each with a weight.
    pub mixture: Option<Vec<Component>>,
}

/// A component of a mixture.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// The sizes of the component.
    #[schemars(with = "SizeSpec")]
    pub size: Spanned<SizeSpec>,
    /// The relative weight of the component: the weights need not add up to 1.
    #[schemars(with = "f64")]
    pub weight: Spanned<f64>,
}

/// Sizes from `min` to `max`, all with equal probability, with their total weight.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    min: u32,
    max: u32,
    weight: f64,
}

/// A size distribution, ready to draw from.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizes {
    parts: Arc<[Part]>,
    /// The probability of each part; not needed for a single part.
    choice: Option<Arc<WeightedIndex<f64>>>,
    mean: f64,
}

impl Sizes {
    /// The constant size `bytes`.
    pub fn constant(bytes: u32) -> Self {
        Sizes::of(vec![Part { min: bytes, max: bytes, weight: 1.0 }])
    }

    /// Resolves the distribution of packets or flows in a scenario; `find` turns a file name into a path.
    ///
    /// # Errors
    /// A size that a packet cannot have, an invalid table, or an invalid file.
    pub fn resolve(
        spec: &Spanned<SizeSpec>,
        sized: SizeOf,
        find: &mut dyn FnMut(&Spanned<PathBuf>) -> Option<PathBuf>,
    ) -> Result<Self, Mistake> {
        let mut parts = Vec::new();
        add_parts(spec, sized, 1.0, find, &mut parts)?;
        Ok(Sizes::of(parts))
    }

    fn of(parts: Vec<Part>) -> Self {
        let total: f64 = parts.iter().map(|part| part.weight).sum();
        let mean = |part: &Part| part.weight * (f64::from(part.min) + f64::from(part.max)) / 2.0;
        let mean = parts.iter().map(mean).sum::<f64>() / total;
        let weights = parts.iter().map(|part| part.weight);
        let choice = (parts.len() > 1).then(|| {
            Arc::new(WeightedIndex::new(weights).expect("weights are checked: finite and above zero"))
        });
        Sizes { parts: parts.into(), choice, mean }
    }

    /// The mean size in bytes.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The maximum size in bytes.
    pub fn max(&self) -> u32 {
        self.parts.iter().map(|part| part.max).max().unwrap_or(0)
    }

    /// Draws a size.
    #[inline]
    pub(super) fn draw(&self, random: &mut Stream) -> u32 {
        let part = match &self.choice {
            None => self.parts[0],
            Some(choice) => self.parts[choice.sample(random)],
        };
        if part.min == part.max { part.min } else { part.min + below(random, part.max - part.min + 1) }
    }
}

/// Adds the parts of a distribution, with a total weight of `weight`.
fn add_parts(
    spec: &Spanned<SizeSpec>,
    sized: SizeOf,
    weight: f64,
    find: &mut dyn FnMut(&Spanned<PathBuf>) -> Option<PathBuf>,
    parts: &mut Vec<Part>,
) -> Result<(), Mistake> {
    const SHAPES: &str = "write \"1000 B\", { min = \"64 B\", max = \"1500 B\" }, { cdf = \"sizes.csv\" } or \
                          { mixture = [{ size = \"64 B\", weight = 1 }, ...] }";
    let table = match spec.get_ref() {
        SizeSpec::Constant(size) => {
            let bytes = length(*size, sized, spec.span())?;
            parts.push(Part { min: bytes, max: bytes, weight });
            return Ok(());
        }
        SizeSpec::Named(named) => {
            let steps = between(&named.table(), 100.0);
            return add_steps(&steps, weight, (sized, named.name(), spec.span()), parts);
        }
        SizeSpec::Table(table) => table,
    };
    match &**table {
        SizeTable { min: Some(least), max: Some(greatest), cdf: None, mixture: None } => {
            let min = length(*least.get_ref(), sized, least.span())?;
            let max = length(*greatest.get_ref(), sized, greatest.span())?;
            if min > max {
                let (least_size, most) = (least.get_ref(), greatest.get_ref());
                let message = format!("`min` is {least_size}, which is more than `max`, {most}");
                return Err(Mistake::new(least.span(), message));
            }
            parts.push(Part { min, max, weight });
        }
        SizeTable { min: None, max: None, cdf: Some(file), mixture: None } => {
            if let Some(path) = find(file) {
                let steps = read_cdf(&path).map_err(|message| {
                    let help = "its columns are `bytes` and `cumulative_probability`, both increasing, up to 1; or bytes and \
                                percent without a header, up to 100";
                    Mistake::new(file.span(), message).with_help(help)
                })?;
                let name = file.get_ref().display().to_string();
                return add_steps(&steps, weight, (sized, &name, file.span()), parts);
            }
            parts.push(Part { min: 1, max: 1, weight });
        }
        SizeTable { min: None, max: None, cdf: None, mixture: Some(mixture) } => {
            if mixture.is_empty() {
                return Err(Mistake::new(spec.span(), "the mixture is empty").with_help(SHAPES));
            }
            let weights = mixture.iter().map(|component| positive(&component.weight, "a weight"));
            let weights = weights.collect::<Result<Vec<_>, _>>()?;
            let total: f64 = weights.iter().sum();
            for (component, part) in mixture.iter().zip(weights) {
                add_parts(&component.size, sized, weight * part / total, find, parts)?;
            }
        }
        _ => {
            let message = "a size is either `min` and `max`, or a `cdf`, or a `mixture`";
            return Err(Mistake::new(spec.span(), message).with_help(SHAPES));
        }
    }
    Ok(())
}

/// Adds the steps of the named distribution.
fn add_steps(
    steps: &[Part],
    weight: f64,
    (sized, name, span): (SizeOf, &str, std::ops::Range<usize>),
    parts: &mut Vec<Part>,
) -> Result<(), Mistake> {
    let greatest = steps.iter().map(|step| step.max).max().unwrap_or(0);
    if greatest > sized.most() {
        let message = format!(
            "`{name}` has sizes up to {greatest} B, but a packet has at most {} B: these are sizes of flows",
            sized.most()
        );
        let help = "use it in `kind = \"flows\"`, whose `size` is that of a flow over TCP; write packet lengths here";
        return Err(Mistake::new(span, message).with_help(help));
    }
    parts.extend(steps.iter().map(|step| Part { weight: weight * step.weight, ..*step }));
    Ok(())
}

/// Checks the size of a packet or a flow.
fn length(size: ByteCount, sized: SizeOf, span: std::ops::Range<usize>) -> Result<u32, Mistake> {
    match u32::try_from(size.get()) {
        Ok(bytes) if bytes > 0 && bytes <= sized.most() => Ok(bytes),
        _ => Err(Mistake::new(span, format!("a {} cannot have {size}", sized.noun()))
            .with_help(format!("the length is from 1 B to {} B", sized.most()))),
    }
}

/// The steps of a cumulative distribution, with uniform sizes between two rows. Each row has the amount of no
/// larger sizes; the total is `all`.
fn between(rows: &[(u32, f64)], all: f64) -> Vec<Part> {
    let mut steps = Vec::new();
    let (mut last, mut reached) = (0, 0.0);
    for (place, (bytes, part)) in rows.iter().enumerate() {
        if *part > reached {
            // The amount of the first row belongs to its own size.
            let min = if place == 0 { *bytes } else { last + 1 };
            steps.push(Part { min, max: *bytes, weight: (part - reached) / all });
        }
        (last, reached) = (*bytes, *part);
    }
    steps
}

/// Reads the steps of a cumulative distribution from a file.
fn read_cdf(path: &Path) -> Result<Vec<Part>, String> {
    let shown = path.display();
    let text = limits::read_text(path).map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    match first.and_then(|line| fields(line).next()).is_some_and(|field| field.parse::<f64>().is_ok()) {
        true => read_percent(&text, &shown.to_string()),
        false => read_probabilities(&text, &shown.to_string()),
    }
}

/// The numbers of a line, separated by spaces or commas.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| c.is_whitespace() || c == ',').filter(|field| !field.is_empty())
}

/// Reads rows of bytes and cumulative percent or probability; sizes are uniform between two rows.
fn read_percent(text: &str, shown: &str) -> Result<Vec<Part>, String> {
    let mut rows: Vec<(u32, f64)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let at = |what: String| Err(format!("line {number} of `{shown}`: {what}"));
        let numbers: Result<Vec<f64>, _> = fields(line).map(str::parse::<f64>).collect();
        let Ok([bytes, part]) = numbers.as_deref() else {
            return at(format!("`{line}` is not two numbers, bytes and percent"));
        };
        let first = rows.is_empty();
        let (last, reached) = rows.last().copied().unwrap_or_default();
        if !(0.0..=f64::from(u32::MAX)).contains(bytes) || (!first && *bytes <= f64::from(last)) {
            return at(format!("{bytes} bytes after {last}: sizes must increase"));
        }
        if !(*part >= reached && *part <= 100.0 + 1e-9) || (first && *bytes < 1.0 && *part > 0.0) {
            return at(format!("{part} after {reached}: percentages must not decrease or exceed 100"));
        }
        rows.push((bytes.round() as u32, *part));
    }
    let reached = rows.last().map_or(0.0, |row| row.1);
    let all = if (reached - 1.0).abs() < 1e-9 { 1.0 } else { 100.0 };
    if (reached - all).abs() > 1e-9 * all {
        return Err(format!("`{shown}`: the last row reaches {reached}, neither 100 percent nor 1"));
    }
    Ok(between(&rows, all))
}

/// Reads rows of `bytes` and `cumulative_probability`. Each size has the increase of its row; no other sizes
/// occur.
fn read_probabilities(text: &str, shown: &str) -> Result<Vec<Part>, String> {
    #[derive(Deserialize)]
    struct Row {
        bytes: u32,
        cumulative_probability: f64,
    }
    let mut reader =
        csv::ReaderBuilder::new().comment(Some(b'#')).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut steps: Vec<Part> = Vec::new();
    let (mut last_bytes, mut reached) = (0, 0.0);
    for (number, row) in reader.deserialize::<Row>().enumerate() {
        let row = row.map_err(|error| format!("`{shown}`: {error}"))?;
        let at = |what: &str| Err(format!("row {} of `{shown}`: {what}", number + 1));
        if row.bytes <= last_bytes {
            return at(&format!("{} bytes after {last_bytes}: sizes must increase", row.bytes));
        }
        let probability = row.cumulative_probability;
        if !(probability >= reached && probability <= 1.0 + 1e-9) {
            return at(&format!(
                "a cumulative probability of {probability} after {reached}: it must not decrease or exceed 1"
            ));
        }
        if probability > reached {
            steps.push(Part { min: row.bytes, max: row.bytes, weight: probability - reached });
        }
        (last_bytes, reached) = (row.bytes, probability);
    }
    if (reached - 1.0).abs() > 1e-9 {
        return Err(format!("`{shown}`: the last cumulative probability is {reached}, not 1"));
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;

    #[derive(Deserialize)]
    struct File {
        size: Spanned<SizeSpec>,
    }

    fn resolve(text: &str, csv: &str) -> Result<Sizes, String> {
        resolve_of(SizeOf::Packets, text, csv)
    }

    fn resolve_of(sized: SizeOf, text: &str, csv: &str) -> Result<Sizes, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sizes.csv");
        std::fs::write(&path, csv).unwrap();
        let document = crate::config::Document::parse("f", &format!("size = {text}")).unwrap();
        let file: File = document.deserialize().map_err(|error| error.to_string())?;
        Sizes::resolve(&file.size, sized, &mut |_| Some(path.clone()))
            .map_err(|mistake| mistake.message.replace(&folder.path().display().to_string(), ""))
    }

    fn counts(sizes: &Sizes, draws: usize) -> indexmap::IndexMap<u32, usize> {
        let mut random = stream(1, "test", "size");
        let mut counts = indexmap::IndexMap::new();
        (0..draws).for_each(|_| *counts.entry(sizes.draw(&mut random)).or_default() += 1);
        counts.sort_unstable_keys();
        counts
    }

    #[test]
    fn a_constant_size_needs_no_draw() {
        let sizes = resolve("\"1000 B\"", "").unwrap();
        assert_eq!(sizes.mean(), 1000.0);
        assert_eq!(counts(&sizes, 10), [(1000, 10)].into());
    }

    #[test]
    fn a_uniform_size_takes_every_length() {
        let sizes = resolve("{ min = \"64 B\", max = \"67 B\" }", "").unwrap();
        assert_eq!(sizes.mean(), 65.5);
        let counts = counts(&sizes, 40_000);
        assert_eq!(counts.keys().copied().collect::<Vec<_>>(), [64, 65, 66, 67]);
        assert!(counts.values().all(|count| count.abs_diff(10_000) < 400), "{counts:?}");
    }

    #[test]
    fn a_cdf_has_its_quantiles() {
        let csv = "# made up\nbytes, cumulative_probability\n40, 0.5\n576, 0.6\n1500, 1\n";
        let sizes = resolve("{ cdf = \"sizes.csv\" }", csv).unwrap();
        assert!((sizes.mean() - (20.0 + 57.6 + 600.0)).abs() < 1e-9);
        let counts = counts(&sizes, 100_000);
        for (bytes, expected) in [(40, 50_000), (576, 10_000), (1500, 40_000)] {
            assert!(counts[&bytes].abs_diff(expected) < 600, "{counts:?}");
        }
        assert_eq!(counts.len(), 3);
    }

    #[test]
    fn a_mixture_has_its_weights() {
        let text = "{ mixture = [{ size = \"64 B\", weight = 3 }, \
                    { size = { min = \"100 B\", max = \"101 B\" }, weight = 1 }] }";
        let sizes = resolve(text, "").unwrap();
        assert_eq!(sizes.mean(), 0.75 * 64.0 + 0.25 * 100.5);
        let counts = counts(&sizes, 80_000);
        for (bytes, expected) in [(64, 60_000), (100, 10_000), (101, 10_000)] {
            assert!(counts[&bytes].abs_diff(expected) < 500, "{counts:?}");
        }
    }

    #[test]
    fn a_named_distribution_has_its_mean_and_its_quantiles() {
        for (name, mean, below, part) in [
            ("web-search", 1_711_250.0, 80_000, 0.53),
            ("hadoop", 120_420.75, 700, 0.50),
            ("ali-storage", 40_869.8, 8_000, 0.6921),
            ("google-rpc", 2_890.5, 512, 0.784_921),
        ] {
            let sizes = resolve_of(SizeOf::Flows, &format!("\"{name}\""), "").unwrap();
            assert!((sizes.mean() / mean - 1.0).abs() < 1e-3, "{name}: {}", sizes.mean());
            let mut random = stream(1, "test", name);
            let within = (0..100_000).filter(|_| sizes.draw(&mut random) <= below).count();
            assert!((within as f64 / 1e5 - part).abs() < 0.005, "{name}: {within}");
        }
    }

    #[test]
    fn a_table_of_percent_is_even_between_its_rows() {
        for csv in ["0 0\n100 50\n# half\n300 100\n", "0, 0\n100, 0.5\n300, 1\n"] {
            let sizes = resolve("{ cdf = \"x\" }", csv).unwrap();
            assert!((sizes.mean() - 125.5).abs() < 1e-9, "{}", sizes.mean());
            let counts = counts(&sizes, 60_000);
            assert_eq!((counts.len(), sizes.max()), (300, 300));
            assert!(counts.values().take(100).all(|count| count.abs_diff(300) < 90), "{counts:?}");
        }
        // The amount of the first row belongs to its own size.
        let counts = counts(&resolve("{ cdf = \"x\" }", "64 50\n66 100\n").unwrap(), 40_000);
        assert_eq!(counts.keys().copied().collect::<Vec<_>>(), [64, 65, 66]);
        assert!(counts[&64].abs_diff(20_000) < 500, "{counts:?}");
    }

    #[test]
    fn sizes_of_flows_are_none_of_packets() {
        let flows = "0 0\n1000 50\n65536 100\n";
        let told = [resolve("{ cdf = \"load.txt\" }", flows), resolve("\"web-search\"", "")];
        assert_eq!(
            told.map(|told| told.unwrap_err()),
            [
                "`load.txt` has sizes up to 65536 B, but a packet has at most 65535 B: these are sizes of flows",
                "`web-search` has sizes up to 30000000 B, but a packet has at most 65535 B: these are sizes of flows",
            ]
        );
        assert!(resolve_of(SizeOf::Flows, "{ cdf = \"load.txt\" }", flows).is_ok());
        assert!(resolve_of(SizeOf::Flows, "\"3 GB\"", "").is_ok());
    }

    #[test]
    fn every_mistake_is_told() {
        let head = "bytes,cumulative_probability\n";
        let cases = [
            ("\"0 B\"", String::new(), "a packet cannot have 0 B"),
            ("\"5 GB\"", String::new(), "a packet cannot have 5 GB"),
            ("\"65536 B\"", String::new(), "a packet cannot have 65.536 kB"),
            (
                "\"web-serch\"",
                String::new(),
                "f:1:8: unknown distribution `web-serch` (did you mean `web-search`?",
            ),
            ("{ cdf = \"x\" }", "0 0 0\n".into(), "line 1 of `/sizes.csv`: `0 0 0` is not two numbers"),
            (
                "{ cdf = \"x\" }",
                "10 1\n5 100\n".into(),
                "line 2 of `/sizes.csv`: 5 bytes after 10: sizes must increase",
            ),
            (
                "{ cdf = \"x\" }",
                "10 9\n20 3\n".into(),
                "line 2 of `/sizes.csv`: 3 after 9: percentages must not decrease",
            ),
            ("{ cdf = \"x\" }", "10 9\n20 30\n".into(), "`/sizes.csv`: the last row reaches 30, neither"),
            ("1000", String::new(), "f:1:8: a size needs a unit"),
            (
                "{ min = \"2 B\", max = \"1 B\" }",
                String::new(),
                "`min` is 2 B, which is more than `max`, 1 B",
            ),
            ("{ min = \"2 B\" }", String::new(), "a size is either"),
            ("{ mixture = [] }", String::new(), "the mixture is empty"),
            ("{ mixture = [{ size = \"1 B\", weight = 0 }] }", String::new(), "a weight cannot be 0"),
            ("{ mixture = [{ size = \"1 B\", weight = nan }] }", String::new(), "a weight cannot be NaN"),
            (
                "{ mixtur = [] }",
                String::new(),
                "f:1:10: unknown key `mixtur` in `size` (did you mean `mixture`?",
            ),
            (
                "{ cdf = \"x\" }",
                format!("{head}10,0.5\n10,1\n"),
                "row 2 of `/sizes.csv`: 10 bytes after 10: sizes must increase",
            ),
            ("{ cdf = \"x\" }", format!("{head}10,0.5\n20,0.4\n"), "row 2 of `/sizes.csv`: a cumulative"),
            ("{ cdf = \"x\" }", format!("{head}10,0.5\n20,nan\n"), "row 2 of `/sizes.csv`: a cumulative"),
            (
                "{ cdf = \"x\" }",
                format!("{head}10,0.5\n20,0.9\n"),
                "`/sizes.csv`: the last cumulative probability is 0.9",
            ),
            ("{ cdf = \"x\" }", "a,b\n1,1\n".to_owned(), "`/sizes.csv`: CSV deserialize error: record 1"),
            ("{ cdf = \"x\" }", head.to_owned(), "`/sizes.csv`: the last cumulative probability is 0, not 1"),
        ];
        for (text, csv, expected) in cases {
            let told = resolve(text, &csv).unwrap_err();
            assert!(told.starts_with(expected), "{text}: {told}");
        }
    }
}
