//! The `[record]` table of a scenario: the output of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::reader::Reader;
use super::{Direction, Vantage, VantageSpec};
use crate::config::Spanned;
use crate::topology::{PortId, PortName, Topology};
use crate::transport::Sampling;
use crate::units::Span;

/// The output of a run, besides the tables of flows and ports.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Whether to write one row per packet.
    pub packets: bool,
    /// Whether to write one row per packet and device.
    pub hops: bool,
    /// The sampling of queue lengths over time.
    pub queues: Option<QueueSamples>,
    /// The sampling of the state of connections over time.
    pub transport: Option<Sampling>,
    /// The vantages where captures are written, each once.
    pub vantages: Vec<Vantage>,
    /// Whether to write DeepQueueNet's table of a network.
    pub deepqueuenet: bool,
}

/// The ports at which queue lengths are sampled, and the interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSamples {
    /// The interval between samples; never zero.
    pub every: Span,
    /// The ports, in order, each once.
    pub ports: Vec<PortId>,
}

impl Default for Record {
    /// Only the table of packets.
    fn default() -> Self {
        Record {
            packets: true,
            hops: false,
            queues: None,
            transport: None,
            vantages: Vec::new(),
            deepqueuenet: false,
        }
    }
}

/// The output of a run, besides the tables of flows and ports.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordFile {
    /// The table of packets: one row per packet (default: true).
    #[serde(default = "yes")]
    pub packets: bool,
    /// The table of hops: one row per packet and device (default: false).
    #[serde(default)]
    pub hops: bool,
    /// The table of queues: their lengths over time (default: none).
    pub queues: Option<QueuesFile>,
    /// The table of transport: congestion windows, round-trip times and other state of connections over time
    /// (default: false).
    #[serde(default)]
    pub transport: TransportFile,
    /// A pcapng file for each of these ports and directions (default: none).
    #[serde(default)]
    #[schemars(with = "Vec<VantageText>")]
    pub vantages: Vec<Spanned<VantageText>>,
    /// DeepQueueNet's table of a network: one row per delivered packet, with its path (default: false).
    #[serde(default)]
    pub deepqueuenet: bool,
}

/// The sampling of queue lengths.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueuesFile {
    /// The interval between samples. The first sample is taken at the run's start.
    #[serde(deserialize_with = "above_zero")]
    pub every: Span,
    /// The egress ports (default: all).
    #[schemars(with = "Option<Vec<PortName>>")]
    pub ports: Option<Vec<Spanned<PortName>>>,
}

/// When the state of connections is sampled: `true` for every change, or a table such as
/// `{ every = "50 ms" }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransportFile(pub Option<Sampling>);

/// The sampling of the state of connections.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TransportSamples {
    /// The interval between samples. The first sample is taken at the run's start.
    #[serde(deserialize_with = "above_zero")]
    every: Span,
}

impl<'de> Deserialize<'de> for TransportFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = TransportFile;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, for a row at every change, or a table such as { every = \"50 ms\" }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<TransportFile, E> {
                let message = format!("`{text}` does not say when connections are sampled");
                let help = "write true, for a row at every change, or { every = \"50 ms\" }";
                Err(E::custom(format!("{message}; {help}")))
            }
            fn visit_bool<E: de::Error>(self, wanted: bool) -> Result<TransportFile, E> {
                Ok(TransportFile(wanted.then_some(Sampling::Changes)))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<TransportFile, A::Error> {
                let samples = TransportSamples::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(TransportFile(Some(Sampling::Every(samples.every))))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for TransportFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TransportFile".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "true, for a row at every change, or a table with the interval between samples",
            "anyOf": [{ "type": "boolean" }, generator.subschema_for::<TransportSamples>()],
        })
    }
}

/// A vantage as text, `"r1:1 egress"`, or as a table, `{ port = "r1:1", direction = "egress" }`.
#[derive(Debug, Clone, PartialEq)]
pub struct VantageText {
    /// The port.
    pub port: PortName,
    /// The direction, seen from the port's device.
    pub direction: Direction,
}

impl std::str::FromStr for VantageText {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a vantage; write the port and the direction, for example \"r1:1 egress\""
            )
        };
        let (port, direction) = text.trim().rsplit_once(' ').ok_or_else(wrong)?;
        let direction = match direction {
            "ingress" => Direction::Ingress,
            "egress" => Direction::Egress,
            _ => return Err(wrong()),
        };
        let port = port.trim_end().parse::<PortName>().map_err(|error| error.to_string())?;
        Ok(VantageText { port, direction })
    }
}

impl<'de> Deserialize<'de> for VantageText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = VantageText;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "a vantage, such as \"r1:1 egress\" or { port = \"r1:1\", direction = \"egress\" }",
                )
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<VantageText, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<VantageText, A::Error> {
                /// Like [`VantageSpec`], without a position of its own for the port.
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Table {
                    port: PortName,
                    direction: Direction,
                }
                let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(VantageText { port: table.port, direction: table.direction })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for VantageText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "VantageText".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "a port and a direction, as text or as a table",
            "examples": ["r1:1 egress"],
            "anyOf": [
                { "type": "string", "pattern": "^[^:\\s]+:[0-9]{1,5} +(ingress|egress)$" },
                generator.subschema_for::<VantageSpec>(),
            ],
        })
    }
}

fn yes() -> bool {
    true
}

fn above_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let span = Span::deserialize(deserializer)?;
    match span {
        Span::ZERO => {
            Err(de::Error::custom("the interval between samples is zero; write for example \"1 ms\""))
        }
        _ => Ok(span),
    }
}

impl Reader<'_> {
    /// Resolves the names in `[record]`.
    pub(super) fn record(&mut self, file: &RecordFile, topology: &Topology) -> Record {
        let queues = file.queues.as_ref().map(|queues| {
            let mut ports: Vec<PortId> = match &queues.ports {
                None => topology.ports().map(|(port, _)| port).collect(),
                Some(names) => names.iter().filter_map(|name| self.port(name, topology)).collect(),
            };
            ports.sort_unstable();
            ports.dedup();
            QueueSamples { every: queues.every, ports }
        });
        let mut vantages: Vec<Vantage> = Vec::new();
        for spec in &file.vantages {
            let VantageText { port, direction } = spec.get_ref();
            let port = match topology.port_named(port) {
                Ok(port) => port,
                Err(error) => {
                    self.wrong(spec.span(), error.to_string(), Some(error.help().to_owned()));
                    continue;
                }
            };
            let vantage = Vantage { port, direction: *direction };
            if !vantages.contains(&vantage) {
                vantages.push(vantage);
            }
        }
        let RecordFile { packets, hops, deepqueuenet, transport: TransportFile(transport), .. } = *file;
        Record { packets, hops, queues, transport, vantages, deepqueuenet }
    }
}
