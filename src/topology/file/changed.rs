//! A `[[link]]` beside `[generate]` that names both ends of a generated link changes that link.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use rustc_hash::{FxHashMap, FxHashSet};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::{DirectionFile, LinkFile};
use crate::config::{ConfigError, Document, Spanned, listed};
use crate::topology::PortName;
use crate::topology::names::NameTextError;

/// One end of a link: a port, `r1:0`, or, of a generated link, its device alone, `r1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndName {
    /// The device's name.
    pub device: String,
    /// The port's number at the device.
    pub port: Option<u16>,
}

impl EndName {
    /// The port, where it is named.
    pub(super) fn port_name(&self) -> Option<PortName> {
        self.port.map(|port| PortName::new(self.device.as_str(), port))
    }

    fn fits(&self, port: &PortName) -> bool {
        self.device == port.device && self.port.is_none_or(|number| number == port.port)
    }
}

impl From<PortName> for EndName {
    fn from(name: PortName) -> Self {
        EndName { device: name.device, port: Some(name.port) }
    }
}

impl fmt::Display for EndName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.device)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl FromStr for EndName {
    type Err = NameTextError;

    fn from_str(text: &str) -> Result<Self, NameTextError> {
        match text.is_empty() || text.contains(|c: char| c == ':' || c.is_whitespace()) {
            true => text.parse::<PortName>().map(EndName::from),
            false => Ok(EndName { device: text.to_owned(), port: None }),
        }
    }
}

impl<'de> Deserialize<'de> for EndName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = EndName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port as text, such as \"r1:0\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<EndName, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for EndName {
    fn schema_name() -> Cow<'static, str> {
        "EndName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "an end of a link: its device's name and the number of the port; of a generated link, the \
                            device's name alone where no other generated link joins the two devices",
            "examples": ["r1:0"],
            "pattern": "^[^:\\s]+(:[0-9]{1,5})?$",
        })
    }
}

/// The generated links with the changes that the links of the file make to them, and then the other links of
/// the file.
pub(super) fn changed(
    generated: Vec<LinkFile>,
    own: Vec<LinkFile>,
    document: &Document,
) -> Result<Vec<LinkFile>, ConfigError> {
    let mut errors = Vec::new();
    let ends = match own.is_empty() {
        true => Vec::new(),
        false => generated.iter().map(ports).collect(),
    };
    let by_port: FxHashMap<&PortName, usize> = ends
        .iter()
        .enumerate()
        .flat_map(|(link, ports)| ports.iter().map(move |port| (port, link)))
        .collect();
    let mut seen = FxHashSet::default();
    let mut changes = Vec::new();
    let mut others = Vec::new();
    for link in own {
        let mut wrong = |message: String, help: String| {
            errors.push(document.error(link.between.span(), message).with_help(help));
        };
        let [from, to] = &link.between.get_ref()[..] else {
            others.push(link);
            continue;
        };
        let (from, to) = (from.get_ref(), to.get_ref());
        let found: Vec<usize> = match (from.port_name(), to.port_name()) {
            (Some(from), Some(to)) => {
                let links = [by_port.get(&from), by_port.get(&to)];
                links[0].filter(|_| links[0] == links[1] && from != to).copied().into_iter().collect()
            }
            _ => {
                let fits = |ports: &[PortName]| match ports {
                    [a, b] => (from.fits(a) && to.fits(b)) || (from.fits(b) && to.fits(a)),
                    _ => false,
                };
                (0..ends.len()).filter(|link| fits(&ends[*link])).collect()
            }
        };
        match (&found[..], from.port.and(to.port)) {
            ([one], _) if !seen.insert(*one) => {
                let help = "write all its keys in one [[link]]".to_owned();
                wrong(format!("the link between `{from}` and `{to}` is changed twice"), help);
            }
            ([one], _) => changes.push((*one, link)),
            ([], Some(_)) => others.push(link),
            ([], None) => {
                let of_device = |ports: &&Vec<PortName>| ports.iter().any(|port| from.device == port.device);
                let ports = ends.iter().filter(of_device).map(|ports| written(ports)).collect::<Vec<_>>();
                let help = match ports.is_empty() {
                    true => "for a link that is not generated, name both ports: between = [\"a:0\", \"b:0\"]"
                        .to_owned(),
                    false => {
                        format!("links of `{}`: {}", from.device, listed(ports.iter().map(String::as_str)))
                    }
                };
                wrong(format!("no generated link joins `{from}` and `{to}`"), help);
            }
            (several, _) => {
                let ports = several.iter().map(|link| written(&ends[*link])).collect::<Vec<_>>();
                let help = format!("name the ports of one: {}", listed(ports.iter().map(String::as_str)));
                wrong(format!("{} generated links join `{from}` and `{to}`", several.len()), help);
            }
        }
    }
    if let Some(error) = ConfigError::all(errors) {
        return Err(error);
    }
    let mut links = generated;
    for (number, change) in changes {
        let link = &links[number];
        let is_turned = !change.between.get_ref()[0].get_ref().fits(&ends[number][0])
            || !change.between.get_ref()[1].get_ref().fits(&ends[number][1]);
        let change = if is_turned { turned(change) } else { change };
        links[number] = with_ports(merged(link.clone(), change), &ends[number]);
    }
    links.extend(others);
    Ok(links)
}

/// The ends of the file's links that name no port: only a link of `[generate]` may be named so.
pub(super) fn without_port(links: &[LinkFile], document: &Document) -> Option<ConfigError> {
    let ends = links.iter().flat_map(|link| link.between.get_ref());
    let errors = ends.filter(|end| end.get_ref().port.is_none()).map(|end| {
        let device = &end.get_ref().device;
        let help = format!("write the device and the port's number, for example \"{device}:0\"");
        document.error(end.span(), format!("`{device}` is not a port")).with_help(help)
    });
    ConfigError::all(errors.collect())
}

fn ports(link: &LinkFile) -> Vec<PortName> {
    link.between.get_ref().iter().filter_map(|end| end.get_ref().port_name()).collect()
}

/// A link as a file writes its ends.
fn written(ports: &[PortName]) -> String {
    let ports: Vec<String> = ports.iter().map(|port| format!("\"{port}\"")).collect();
    format!("[{}]", ports.join(", "))
}

/// The same link from its other end.
fn turned(link: LinkFile) -> LinkFile {
    let LinkFile { between, ptm, forward, backward, .. } = link.clone();
    let (span, mut ends) = (between.span(), between.into_inner());
    ends.reverse();
    let backward_ptm = forward.ptm.clone().or(ptm);
    LinkFile {
        between: Spanned::new(span, ends),
        ptm: None,
        forward: backward,
        backward: DirectionFile { ptm: backward_ptm, ..forward },
        ..link
    }
}

/// A link whose ends are these ports.
fn with_ports(link: LinkFile, ports: &[PortName]) -> LinkFile {
    let span = link.between.span();
    let spans = link.between.get_ref().iter().map(Spanned::span);
    let ends = spans.zip(ports).map(|(span, port)| Spanned::new(span, port.clone().into())).collect();
    LinkFile { between: Spanned::new(span, ends), ..link }
}

/// A generated link, which is the same both ways, with the keys of `change` in place of its own.
fn merged(generated: LinkFile, change: LinkFile) -> LinkFile {
    // A delay replaces a length, and the reverse.
    let (by_delay, by_length) = (change.delay.is_some(), change.length.is_some());
    LinkFile {
        bandwidth: change.bandwidth.or(generated.bandwidth),
        delay: change.delay.or(generated.delay.filter(|_| !by_length)),
        length: change.length.or(generated.length.filter(|_| !by_delay)),
        loss: change.loss.or(generated.loss),
        jitter: change.jitter.or(generated.jitter),
        ptm: change.ptm.or(generated.ptm),
        ..change
    }
}
