//! Forwarding: link costs, choice among equal paths, and explicit paths.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rule::{Rule, RuleSpec};
use super::{DeviceId, DeviceKind, NameError, PortId, PortName, Prefix, Topology};
use crate::config::{ConfigError, Document, Spanned};

/// The cost of a link. A packet takes the cheapest path; among equally cheap paths, one of those with the
/// fewest links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// 1: the fewest hops.
    #[default]
    Hops,
    /// The propagation delay.
    Delay,
    /// 1 / bandwidth, as is usual in OSPF (an unlimited link costs nothing).
    InverseCapacity,
}

/// The choice among equally good egress ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Multipath {
    /// The port with the lowest number.
    #[default]
    LowestPort,
    /// By a seeded hash of the flow's 5-tuple, different at each device (RFC 2992, hash-threshold).
    Ecmp,
    /// By the destination: at a device `l` levels above those next to the hosts, with `n` equal ports, the
    /// destination host's number / n^l modulo n (Zahavi, "D-Mod-K routing providing non-blocking traffic for
    /// shift permutations", 2010). Hosts are numbered in the order of the file.
    DModK,
    /// Each packet independently, at random (seeded).
    Spray,
}

/// The forwarding configuration of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forwarding {
    /// The cost of a link.
    pub weight: Weight,
    /// The choice among equal paths.
    pub multipath: Multipath,
    /// Paths that override static routes and cheapest paths. The first path that matches a flow applies.
    pub paths: Vec<ExplicitPath>,
    /// A rule of another crate, which replaces `multipath` where no path and no static route applies.
    pub rule: Option<Rule>,
}

/// The path of some flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplicitPath {
    /// The source addresses of the flows; empty for any.
    pub sources: Vec<IpNet>,
    /// The destination addresses of the flows.
    pub destinations: Vec<IpNet>,
    /// The egress port at each device on the path.
    pub egress: Vec<(DeviceId, PortId)>,
}

/// The forwarding configuration, as written.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardingFile {
    /// The cost of a link; packets take the cheapest path (default: hops).
    #[serde(default)]
    pub weight: Weight,
    /// The choice among equally good egress ports (default: lowest-port).
    #[serde(default)]
    pub multipath: Multipath,
    /// A rule that replaces this choice, added by a program that embeds taunet.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub rule: Option<RuleSpec>,
}

/// An explicit path, as written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathFile {
    /// The source: a host's name or a prefix (default: any).
    #[schemars(with = "Option<String>")]
    pub from: Option<Spanned<String>>,
    /// The destination: a host's name or a prefix.
    #[schemars(with = "String")]
    pub to: Spanned<String>,
    /// The devices on the path, each joined to the next by a link. `r1:2` names the egress port if several
    /// lead to the next device.
    #[schemars(with = "Vec<String>", length(min = 2))]
    pub via: Vec<Spanned<String>>,
}

/// Resolves the names of the paths.
///
/// # Errors
/// Every name and step that does not match the topology, with its position.
pub(super) fn forwarding(
    file: &ForwardingFile,
    paths: &[PathFile],
    topology: &Topology,
    document: &Document,
) -> Result<Forwarding, ConfigError> {
    let mut errors = Vec::new();
    let mut resolved = Vec::new();
    for path in paths {
        let sources = path.from.as_ref().map_or(Ok(Vec::new()), |from| prefixes(from, topology, document));
        let egress = steps(&path.via, topology, document);
        match (sources, prefixes(&path.to, topology, document), egress) {
            (Ok(sources), Ok(destinations), Ok(egress)) => {
                resolved.push(ExplicitPath { sources, destinations, egress });
            }
            (sources, destinations, egress) => {
                errors.extend([sources.err(), destinations.err(), egress.err()].into_iter().flatten());
            }
        }
    }
    match ConfigError::all(errors) {
        Some(error) => Err(error),
        None => {
            let rule = file.rule.as_ref().map(|rule| rule.resolve(topology, document)).transpose()?;
            Ok(Forwarding { weight: file.weight, multipath: file.multipath, paths: resolved, rule })
        }
    }
}

/// The prefixes that a text names: those of a host, or the text itself.
fn prefixes(
    text: &Spanned<String>,
    topology: &Topology,
    document: &Document,
) -> Result<Vec<IpNet>, ConfigError> {
    if let Ok(prefix) = text.get_ref().parse::<Prefix>() {
        return Ok(vec![prefix.0]);
    }
    match topology.device_named(text.get_ref()) {
        Some(id) if topology.device(id).kind == DeviceKind::Host => Ok(topology.device(id).addresses.clone()),
        Some(_) => {
            let message = format!("`{}` is not a host: it has no addresses", text.get_ref());
            Err(document.error(text.span(), message).with_help("name a host or a prefix".to_owned()))
        }
        None => Err(unknown(text, topology, document)),
    }
}

fn unknown(text: &Spanned<String>, topology: &Topology, document: &Document) -> ConfigError {
    let names: Vec<&str> = topology.devices().map(|(_, device)| device.name.as_str()).collect();
    let error = NameError::device(text.get_ref(), names.iter().copied());
    document.error(text.span(), error.to_string()).with_help(error.help().to_owned())
}

/// The egress port at each device of `via` except the last.
fn steps(
    via: &[Spanned<String>],
    topology: &Topology,
    document: &Document,
) -> Result<Vec<(DeviceId, PortId)>, ConfigError> {
    let mut places = Vec::new();
    for text in via {
        let (name, port) = match text.get_ref().parse::<PortName>() {
            Ok(port) => (port.device, Some(port.port)),
            Err(_) => (text.get_ref().clone(), None),
        };
        let device = topology
            .device_named(&name)
            .ok_or_else(|| unknown(&Spanned::new(text.span(), name.clone()), topology, document))?;
        if places.iter().any(|(passed, _, _)| *passed == device) {
            return Err(document.error(text.span(), format!("the path passes `{name}` twice")));
        }
        places.push((device, port, text));
    }
    if via.len() < 2 {
        let span = via.first().map_or(0..0, Spanned::span);
        let help = "write for example via = [\"r1\", \"r2\", \"server\"]";
        return Err(document.error(span, "a path needs two devices or more").with_help(help.to_owned()));
    }
    let step = |pair: &[(DeviceId, Option<u16>, &Spanned<String>)]| {
        let [(here, number, text), (there, _, next)] = pair else { unreachable!("windows of two") };
        let leads_there = |port: &&PortId| {
            let far = topology.link(topology.port(**port).egress).to;
            topology.port(far).device == *there
                && number.is_none_or(|number| topology.port(**port).number == number)
        };
        let port = topology.device(*here).ports.iter().find(leads_there).ok_or_else(|| {
            let message = format!("no link leads from `{}` to `{}`", text.get_ref(), next.get_ref());
            document.error(next.span(), message).with_help("name every device on the path".to_owned())
        })?;
        Ok((*here, *port))
    };
    places.windows(2).map(step).collect()
}
