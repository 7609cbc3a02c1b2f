//! The lengths of packets: constant, uniform, from a table of their distribution, or a mixture.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::draw::below;
use super::mistake::{Mistake, positive};
use super::text_or_table::text_or_table;
use crate::config::Spanned;
use crate::random::Stream;
use crate::units::ByteCount;

/// The lengths of packets, as a scenario gives them: `"1000 B"`, or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum SizeSpec {
    /// Every packet has this length.
    Constant(ByteCount),
    /// Any other distribution.
    Table(Box<SizeTable>),
}

text_or_table!(
    SizeSpec,
    "a size as text, such as \"1000 B\", or a table such as { min = \"64 B\", max = \"1500 B\" }",
    |text| ByteCount => Ok(SizeSpec::Constant(text.parse()?)),
    |table| SizeTable => SizeSpec::Table(Box::new(table))
);

/// The distribution of lengths: `min` and `max`, or `cdf`, or `mixture`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SizeTable {
    /// The least length of a uniform distribution over whole bytes.
    #[schemars(with = "Option<ByteCount>")]
    pub min: Option<Spanned<ByteCount>>,
    /// The greatest length of the uniform distribution.
    #[schemars(with = "Option<ByteCount>")]
    pub max: Option<Spanned<ByteCount>>,
    /// A CSV file with the columns `bytes` and `cumulative_probability`, relative to the scenario file.
    #[schemars(with = "Option<PathBuf>")]
    pub cdf: Option<Spanned<PathBuf>>,
    /// Several distributions, each with its weight.
    pub mixture: Option<Vec<Component>>,
}

/// A part of a mixture.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Its lengths.
    #[schemars(with = "SizeSpec")]
    pub size: Spanned<SizeSpec>,
    /// Its part of the packets, in any unit: the weights need not add up to 1.
    #[schemars(with = "f64")]
    pub weight: Spanned<f64>,
}

/// Lengths from `min` to `max`, each as likely, with the weight of them together.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    min: u32,
    max: u32,
    weight: f64,
}

/// The lengths of packets, ready to draw from.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizes {
    parts: Arc<[Part]>,
    /// How likely each part is; not needed for one.
    choice: Option<Arc<WeightedIndex<f64>>>,
    mean: f64,
}

impl Sizes {
    /// Every packet has `bytes`.
    pub fn constant(bytes: u32) -> Self {
        Sizes::of(vec![Part { min: bytes, max: bytes, weight: 1.0 }])
    }

    /// The distribution that a scenario gives; `find` turns the name of a file into its path.
    ///
    /// # Errors
    /// A length that no packet can have, a table that is none, or a file that is wrong.
    pub fn resolve(
        spec: &Spanned<SizeSpec>,
        find: &mut dyn FnMut(&Spanned<PathBuf>) -> Option<PathBuf>,
    ) -> Result<Self, Mistake> {
        let mut parts = Vec::new();
        add_parts(spec, 1.0, find, &mut parts)?;
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

    /// The mean length in bytes.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The greatest length in bytes.
    pub fn max(&self) -> u32 {
        self.parts.iter().map(|part| part.max).max().unwrap_or(0)
    }

    /// One length.
    #[inline]
    pub(super) fn draw(&self, random: &mut Stream) -> u32 {
        let part = match &self.choice {
            None => self.parts[0],
            Some(choice) => self.parts[choice.sample(random)],
        };
        if part.min == part.max { part.min } else { part.min + below(random, part.max - part.min + 1) }
    }
}

/// Adds the parts of a distribution, whose weight together is `weight`.
fn add_parts(
    spec: &Spanned<SizeSpec>,
    weight: f64,
    find: &mut dyn FnMut(&Spanned<PathBuf>) -> Option<PathBuf>,
    parts: &mut Vec<Part>,
) -> Result<(), Mistake> {
    const SHAPES: &str = "write \"1000 B\", { min = \"64 B\", max = \"1500 B\" }, { cdf = \"sizes.csv\" } or \
                          { mixture = [{ size = \"64 B\", weight = 1 }, ...] }";
    let table = match spec.get_ref() {
        SizeSpec::Constant(size) => {
            let bytes = length(*size, spec.span())?;
            parts.push(Part { min: bytes, max: bytes, weight });
            return Ok(());
        }
        SizeSpec::Table(table) => table,
    };
    match &**table {
        SizeTable { min: Some(min), max: Some(max), cdf: None, mixture: None } => {
            let least = length(*min.get_ref(), min.span())?;
            let greatest = length(*max.get_ref(), max.span())?;
            if least > greatest {
                let message =
                    format!("`min` is {}, which is more than `max`, {}", min.get_ref(), max.get_ref());
                return Err(Mistake::new(min.span(), message));
            }
            parts.push(Part { min: least, max: greatest, weight });
        }
        SizeTable { min: None, max: None, cdf: Some(file), mixture: None } => {
            if let Some(path) = find(file) {
                let steps = read_cdf(&path).map_err(|message| {
                    let help = "its columns are `bytes` and `cumulative_probability`, both rising, to 1";
                    Mistake::new(file.span(), message).with_help(help)
                })?;
                let step = |(bytes, step): (u32, f64)| Part { min: bytes, max: bytes, weight: weight * step };
                parts.extend(steps.into_iter().map(step));
            } else {
                parts.push(Part { min: 1, max: 1, weight });
            }
        }
        SizeTable { min: None, max: None, cdf: None, mixture: Some(mixture) } => {
            if mixture.is_empty() {
                return Err(Mistake::new(spec.span(), "the mixture is empty").with_help(SHAPES));
            }
            let weights = mixture.iter().map(|component| positive(&component.weight, "a weight"));
            let weights = weights.collect::<Result<Vec<_>, _>>()?;
            let total: f64 = weights.iter().sum();
            for (component, part) in mixture.iter().zip(weights) {
                add_parts(&component.size, weight * part / total, find, parts)?;
            }
        }
        _ => {
            let message = "a size is either `min` and `max`, or a `cdf`, or a `mixture`";
            return Err(Mistake::new(spec.span(), message).with_help(SHAPES));
        }
    }
    Ok(())
}

/// A length that a packet can have.
fn length(size: ByteCount, span: std::ops::Range<usize>) -> Result<u32, Mistake> {
    match u32::try_from(size.get()) {
        Ok(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(Mistake::new(span, format!("a packet cannot have {size}"))
            .with_help("the length is from 1 B to 4294967295 B")),
    }
}

/// The steps of a cumulative distribution: length and probability.
fn read_cdf(path: &Path) -> Result<Vec<(u32, f64)>, String> {
    #[derive(Deserialize)]
    struct Row {
        bytes: u32,
        cumulative_probability: f64,
    }
    let shown = path.display();
    let mut reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    let mut steps: Vec<(u32, f64)> = Vec::new();
    let (mut last_bytes, mut reached) = (0, 0.0);
    for (number, row) in reader.deserialize::<Row>().enumerate() {
        let row = row.map_err(|error| format!("`{shown}`: {error}"))?;
        let at = |what: &str| Err(format!("row {} of `{shown}`: {what}", number + 1));
        if row.bytes <= last_bytes {
            return at(&format!("{} bytes do not follow {last_bytes}", row.bytes));
        }
        let probability = row.cumulative_probability;
        if !(probability >= reached && probability <= 1.0 + 1e-9) {
            return at(&format!("a cumulative probability of {probability} does not follow {reached}"));
        }
        if probability > reached {
            steps.push((row.bytes, probability - reached));
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sizes.csv");
        std::fs::write(&path, csv).unwrap();
        let document = crate::config::Document::parse("f", &format!("size = {text}")).unwrap();
        let file: File = document.deserialize().map_err(|error| error.to_string())?;
        Sizes::resolve(&file.size, &mut |_| Some(path.clone()))
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
    fn every_mistake_is_told() {
        let head = "bytes,cumulative_probability\n";
        let cases = [
            ("\"0 B\"", String::new(), "a packet cannot have 0 B"),
            ("\"5 GB\"", String::new(), "a packet cannot have 5 GB"),
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
                "row 2 of `/sizes.csv`: 10 bytes do not follow 10",
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
