//! The keys of a link that impair it: loss and jitter.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use crate::config::{ConfigError, Document, Spanned, toml_value};
use crate::impairment::{Distribution, ImpairmentSpec, Jitter, Order};
use crate::units::{Probability, Span};

/// Random extra delay: `jitter = { distribution = "normal", mean = "2 ms", std = "500 us" }`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JitterFile {
    /// The distribution.
    pub distribution: JitterKind,
    /// The mean; not allowed with "uniform".
    #[schemars(with = "Option<Span>")]
    pub mean: Option<Spanned<Span>>,
    /// The standard deviation; with "normal" only.
    #[schemars(with = "Option<Span>")]
    pub std: Option<Spanned<Span>>,
    /// The shape parameter, above 1: larger values make large delays rarer; with "pareto" only (default: 3).
    #[serde(default, deserialize_with = "shape")]
    #[schemars(with = "Option<f64>")]
    pub shape: Option<Spanned<f64>>,
    /// The maximum; required with "uniform".
    #[schemars(with = "Option<Span>")]
    pub max: Option<Spanned<Span>>,
    /// Whether packets keep their order (default: "keep").
    #[serde(default)]
    pub order: Order,
}

/// The distribution of a jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JitterKind {
    /// The uniform distribution from zero to `max`.
    Uniform,
    /// The normal distribution, truncated at zero.
    Normal,
    /// The exponential distribution.
    Exponential,
    /// The Pareto distribution.
    Pareto,
}

const DEFAULT_SHAPE: f64 = 3.0;

fn shape<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Spanned<f64>>, D::Error> {
    let shape = Spanned::<f64>::deserialize(deserializer)?;
    let number = *shape.get_ref();
    if !(number.is_finite() && number > 1.0) {
        let message =
            "not a valid shape of a Pareto distribution with a mean; write a number above 1, such as 3";
        return Err(de::Error::custom(format_args!("{number} is {message}")));
    }
    Ok(Some(shape))
}

/// The keys of one table.
#[derive(Debug, Clone, Default)]
pub(super) struct Impairing {
    pub loss: Option<Probability>,
    pub jitter: Option<Spanned<JitterFile>>,
}

impl Impairing {
    /// This table's keys, completed by those of the outer table.
    pub fn over(self, outer: &Impairing) -> Impairing {
        let jitter = self.jitter.or_else(|| outer.jitter.clone());
        Impairing { loss: self.loss.or(outer.loss), jitter }
    }

    /// The impairment; `None` if [`mistakes`](Self::mistakes) finds any.
    pub fn spec(&self) -> Option<ImpairmentSpec> {
        let jitter = match &self.jitter {
            None => None,
            Some(jitter) => {
                let file = jitter.get_ref();
                let distribution = file.distribution()?;
                Some(Jitter { distribution, order: file.order })
            }
        };
        Some(ImpairmentSpec { loss: self.loss.unwrap_or_default(), jitter })
    }

    /// Keys of a jitter that are missing, or have no effect.
    pub fn mistakes(&self, document: &Document) -> Vec<ConfigError> {
        let Some(jitter) = &self.jitter else { return Vec::new() };
        let file = jitter.get_ref();
        let (name, example) = file.distribution.described();
        let mut mistakes = Vec::new();
        for (key, span) in file.superfluous() {
            let message = format!("`{key}` has no effect in a jitter that is {name}");
            mistakes.push(document.error(span, message).with_help(format!("write for example {example}")));
        }
        if file.distribution().is_none() {
            let message = format!("a jitter that is {name} needs {}", file.distribution.needs());
            let error = document.error(jitter.span(), message);
            mistakes.push(error.with_help(format!("write for example {example}")));
        }
        mistakes
    }
}

impl JitterKind {
    /// The name, and an example.
    fn described(self) -> (&'static str, &'static str) {
        match self {
            JitterKind::Uniform => ("uniform", "{ distribution = \"uniform\", max = \"4 ms\" }"),
            JitterKind::Normal => {
                ("normal", "{ distribution = \"normal\", mean = \"2 ms\", std = \"500 us\" }")
            }
            JitterKind::Exponential => ("exponential", "{ distribution = \"exponential\", mean = \"2 ms\" }"),
            JitterKind::Pareto => ("pareto", "{ distribution = \"pareto\", mean = \"2 ms\", shape = 3 }"),
        }
    }

    fn needs(self) -> &'static str {
        match self {
            JitterKind::Uniform => "a `max`",
            JitterKind::Normal => "a `mean` and a `std`",
            JitterKind::Exponential | JitterKind::Pareto => "a `mean`",
        }
    }
}

impl JitterFile {
    /// The jitter as a file writes it, at `span`.
    pub(super) fn of(jitter: Jitter, span: &std::ops::Range<usize>) -> Self {
        let value = |value: Option<Span>| value.map(|value| Spanned::new(span.clone(), value));
        let (distribution, mean, std, shape, max) = match jitter.distribution {
            Distribution::Uniform { max } => (JitterKind::Uniform, None, None, None, Some(max)),
            Distribution::Normal { mean, std, max } => (JitterKind::Normal, Some(mean), Some(std), None, max),
            Distribution::Exponential { mean, max } => (JitterKind::Exponential, Some(mean), None, None, max),
            Distribution::Pareto { mean, shape, max } => {
                (JitterKind::Pareto, Some(mean), None, Some(shape), max)
            }
        };
        JitterFile {
            distribution,
            mean: value(mean),
            std: value(std),
            shape: shape.map(|shape| Spanned::new(span.clone(), shape)),
            max: value(max),
            order: jitter.order,
        }
    }

    /// The jitter as TOML.
    pub(super) fn to_toml(&self) -> String {
        let span = |value: &Option<Spanned<Span>>| value.as_ref().map(|value| span_text(*value.get_ref()));
        let name = self.distribution.described().0;
        let keys = [
            Some(format!("distribution = {}", toml_value(&name))),
            span(&self.mean).map(|mean| format!("mean = {mean}")),
            span(&self.std).map(|std| format!("std = {std}")),
            self.shape.as_ref().map(|shape| format!("shape = {}", toml_value(shape.get_ref()))),
            span(&self.max).map(|max| format!("max = {max}")),
            (self.order == Order::Break).then(|| "order = \"break\"".to_owned()),
        ];
        format!("{{ {} }}", keys.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }

    fn distribution(&self) -> Option<Distribution> {
        let value = |span: &Option<Spanned<Span>>| span.as_ref().map(|span| *span.get_ref());
        let (mean, max) = (value(&self.mean), value(&self.max));
        Some(match self.distribution {
            JitterKind::Uniform => Distribution::Uniform { max: max? },
            JitterKind::Normal => Distribution::Normal { mean: mean?, std: value(&self.std)?, max },
            JitterKind::Exponential => Distribution::Exponential { mean: mean?, max },
            JitterKind::Pareto => {
                let shape = self.shape.as_ref().map_or(DEFAULT_SHAPE, |shape| *shape.get_ref());
                Distribution::Pareto { mean: mean?, shape, max }
            }
        })
    }

    /// The keys that do not belong to the distribution, with their positions.
    fn superfluous(&self) -> Vec<(&'static str, std::ops::Range<usize>)> {
        let kind = self.distribution;
        let mean = self.mean.as_ref().filter(|_| kind == JitterKind::Uniform);
        let std = self.std.as_ref().filter(|_| kind != JitterKind::Normal);
        let shape = self.shape.as_ref().filter(|_| kind != JitterKind::Pareto);
        let mut keys = Vec::new();
        keys.extend(mean.map(|value| ("mean", value.span())));
        keys.extend(std.map(|value| ("std", value.span())));
        keys.extend(shape.map(|value| ("shape", value.span())));
        keys
    }
}

/// A span of time as TOML.
pub(super) fn span_text(span: Span) -> String {
    if span == Span::ZERO { toml_value(&"0 s") } else { toml_value(&span) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;

    #[test]
    fn what_is_written_reads_back() {
        let [mean, std] = [2, 1].map(|ms| Span::from_ns(ms * 1_000_000));
        let max = Some(Span::SECOND);
        for distribution in [
            Distribution::Uniform { max: Span::ZERO },
            Distribution::Normal { mean, std, max: None },
            Distribution::Exponential { mean, max },
            Distribution::Pareto { mean, shape: 2.5, max },
        ] {
            for order in [Order::Keep, Order::Break] {
                let jitter = Jitter { distribution, order };
                let text = format!(
                    "name = \"t\"\n\
                     device = [{{ name = \"a\", kind = \"host\" }}, {{ name = \"b\", kind = \"host\" }}]\n\
                     link = [{{ between = [\"a:0\", \"b:0\"], bandwidth = \"1 Gbps\", jitter = {} }}]",
                    JitterFile::of(jitter, &(0..0)).to_toml()
                );
                let topology = Topology::from_toml("t.toml", &text).unwrap_or_else(|error| panic!("{error}"));
                let (_, link) = topology.links().next().unwrap();
                assert_eq!(link.impairment.jitter, Some(jitter), "{text}");
            }
        }
    }
}
