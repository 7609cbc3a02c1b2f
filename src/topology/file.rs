//! The topology file, as written.

mod changed;
mod drafted;

use std::path::{Path, PathBuf};

use rustc_hash::FxHashSet;
use schemars::JsonSchema;
use serde::Deserialize;

pub use changed::EndName;

use super::build::{DeviceSpec, LinkSpec, RouteSpec, problems};
use super::forwarding::{ForwardingFile, PathFile, forwarding};
use super::generate::GenerateSpec;
use super::impairment::{Impairing, JitterFile};
use super::position::PositionFile;
use super::{DeviceKind, Element, Prefix, Topology};
use crate::config::{ConfigError, Document, FileKind, Registry, Spanned};
use crate::link::Link;
use crate::ptm::{ModelCache, PtmSpec};
use crate::units::{Bandwidth, ByteCount, Distance, Probability, Span, Speed};

/// A network: devices, and links between their ports.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopologyFile {
    /// The topology's name. It must contain a letter or a digit.
    #[serde(deserialize_with = "crate::config::name")]
    #[schemars(length(min = 1))]
    pub name: String,
    /// A description for readers.
    pub description: Option<String>,
    /// Defaults of devices and links.
    #[serde(default)]
    pub defaults: TopologyDefaults,
    /// A generated network of a known shape. The devices and links below are added to it.
    pub generate: Option<GenerateSpec>,
    /// The devices.
    #[serde(default)]
    pub device: Vec<DeviceFile>,
    /// The links.
    #[serde(default)]
    pub link: Vec<LinkFile>,
    /// The forwarding configuration.
    #[serde(default)]
    pub forwarding: ForwardingFile,
    /// Paths that override static routes and cheapest paths. The first path that matches a flow applies.
    #[serde(default)]
    pub path: Vec<PathFile>,
}

/// Defaults of devices and links.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopologyDefaults {
    /// Defaults of links.
    #[serde(default)]
    pub link: LinkDefaults,
    /// Defaults of links with a host at one end; override `link`.
    #[serde(default)]
    pub access_link: LinkDefaults,
    /// Defaults of devices.
    #[serde(default)]
    pub device: DeviceDefaults,
    /// Defaults of hosts; override `device`.
    #[serde(default)]
    pub host: DeviceDefaults,
    /// Defaults of switches; override `device`.
    #[serde(default)]
    pub switch: DeviceDefaults,
    /// Defaults of routers; override `device`.
    #[serde(default)]
    pub router: DeviceDefaults,
}

/// Defaults of devices.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceDefaults {
    /// The time from ingress until the packet joins the egress port's PTM (default: 0 s).
    pub processing: Option<Span>,
    /// The traffic management of each egress port (default: an unlimited fifo).
    pub ptm: Option<PtmSpec>,
}

impl TopologyDefaults {
    fn ptms_mut(&mut self) -> impl Iterator<Item = &mut PtmSpec> {
        let defaults = [&mut self.device, &mut self.host, &mut self.switch, &mut self.router];
        defaults.into_iter().filter_map(|defaults| defaults.ptm.as_mut())
    }

    /// The defaults of devices of this kind.
    fn of(&self, kind: DeviceKind) -> DeviceDefaults {
        let own = match kind {
            DeviceKind::Host => &self.host,
            DeviceKind::Switch => &self.switch,
            DeviceKind::Router => &self.router,
        };
        DeviceDefaults {
            processing: own.processing.or(self.device.processing),
            ptm: own.ptm.as_ref().or(self.device.ptm.as_ref()).cloned(),
        }
    }
}

/// Defaults of links.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkDefaults {
    /// The bandwidth, or "unlimited".
    pub bandwidth: Option<Bandwidth>,
    /// The propagation delay; replaces `length / propagation_speed`.
    #[schemars(with = "Option<Span>")]
    pub delay: Option<Spanned<Span>>,
    /// The length of the link.
    #[schemars(with = "Option<Distance>")]
    pub length: Option<Spanned<Distance>>,
    /// The propagation speed (default: 2e8 m/s).
    #[schemars(with = "Option<Speed>")]
    pub propagation_speed: Option<Spanned<Speed>>,
    /// Bytes on the wire per packet, in addition to its recorded length (default: 0 B).
    pub overhead: Option<ByteCount>,
    /// The maximum frame length, with the Ethernet header and without the FCS. Longer packets cause a warning
    /// (default: 1514 B, for generated traffic).
    pub mtu: Option<ByteCount>,
    /// The probability that the link loses a packet, independently of others (default: 0).
    pub loss: Option<Probability>,
    /// Random extra delay of each packet (default: none).
    #[schemars(with = "Option<JitterFile>")]
    pub jitter: Option<Spanned<JitterFile>>,
}

/// A host, switch or router.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceFile {
    /// Its name, unique in the file, without colons and spaces.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// The forwarding behaviour.
    pub kind: DeviceKind,
    /// Its addresses or prefixes (hosts only).
    #[serde(default)]
    #[schemars(with = "Vec<Prefix>")]
    pub addresses: Vec<Spanned<Prefix>>,
    /// The time from ingress until the packet joins the egress port's PTM (default: 0 s).
    pub processing: Option<Span>,
    /// The traffic management of each egress port whose link does not set its own (default: an unlimited
    /// fifo).
    #[schemars(with = "Option<PtmSpec>")]
    pub ptm: Option<Spanned<PtmSpec>>,
    /// Routes that override the shortest path.
    #[serde(default)]
    pub routes: Vec<RouteFile>,
    /// Its position. Used for pictures only.
    #[schemars(with = "Option<PositionFile>")]
    pub position: Option<Spanned<PositionFile>>,
}

/// A static route.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteFile {
    /// The destination addresses.
    pub to: Prefix,
    /// The number of the egress port.
    #[schemars(with = "u16")]
    pub port: Spanned<u16>,
}

/// A link between two ports.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkFile {
    /// Its two ends. Those of a generated link: this table changes that link.
    #[schemars(with = "[EndName; 2]")]
    pub between: Spanned<Vec<Spanned<EndName>>>,
    /// The bandwidth, or "unlimited".
    pub bandwidth: Option<Bandwidth>,
    /// The propagation delay; replaces `length / propagation_speed` (default: 0 s).
    #[schemars(with = "Option<Span>")]
    pub delay: Option<Spanned<Span>>,
    /// The length of the link.
    #[schemars(with = "Option<Distance>")]
    pub length: Option<Spanned<Distance>>,
    /// The propagation speed (default: 2e8 m/s).
    #[schemars(with = "Option<Speed>")]
    pub propagation_speed: Option<Spanned<Speed>>,
    /// Bytes on the wire per packet, in addition to its recorded length (default: 0 B).
    pub overhead: Option<ByteCount>,
    /// The maximum frame length, with the Ethernet header and without the FCS. Longer packets cause a warning
    /// (default: 1514 B, for generated traffic).
    pub mtu: Option<ByteCount>,
    /// The probability that the link loses a packet, independently of others (default: 0).
    pub loss: Option<Probability>,
    /// Random extra delay of each packet (default: none).
    #[schemars(with = "Option<JitterFile>")]
    pub jitter: Option<Spanned<JitterFile>>,
    /// The traffic management of the first end's egress port (default: that of its device).
    #[schemars(with = "Option<PtmSpec>")]
    pub ptm: Option<Spanned<PtmSpec>>,
    /// Keys that differ in the direction from the first end to the second.
    #[serde(default)]
    pub forward: DirectionFile,
    /// Keys that differ in the direction from the second end to the first.
    #[serde(default)]
    pub backward: DirectionFile,
}

/// The keys of one direction of a link that differ from the link's.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectionFile {
    /// The bandwidth, or "unlimited".
    pub bandwidth: Option<Bandwidth>,
    /// The propagation delay; replaces `length / propagation_speed`.
    #[schemars(with = "Option<Span>")]
    pub delay: Option<Spanned<Span>>,
    /// The length of the link.
    #[schemars(with = "Option<Distance>")]
    pub length: Option<Spanned<Distance>>,
    /// The propagation speed.
    #[schemars(with = "Option<Speed>")]
    pub propagation_speed: Option<Spanned<Speed>>,
    /// Bytes on the wire per packet, in addition to its recorded length.
    pub overhead: Option<ByteCount>,
    /// The maximum frame length, with the Ethernet header and without the FCS.
    pub mtu: Option<ByteCount>,
    /// The probability that the link loses a packet, independently of others.
    pub loss: Option<Probability>,
    /// Random extra delay of each packet.
    #[schemars(with = "Option<JitterFile>")]
    pub jitter: Option<Spanned<JitterFile>>,
    /// The traffic management of the sending end's egress port (default: that of its device).
    #[schemars(with = "Option<PtmSpec>")]
    pub ptm: Option<Spanned<PtmSpec>>,
}

/// The keys of a link that one table sets.
#[derive(Debug, Clone, Default)]
struct Timing {
    bandwidth: Option<Bandwidth>,
    delay: Option<Spanned<Span>>,
    length: Option<Spanned<Distance>>,
    propagation_speed: Option<Spanned<Speed>>,
    overhead: Option<ByteCount>,
    mtu: Option<ByteCount>,
}

macro_rules! timed {
    ($($table:ident),+) => {$(
        impl $table {
            fn timing(&self) -> Timing {
                Timing {
                    bandwidth: self.bandwidth,
                    delay: self.delay.clone(),
                    length: self.length.clone(),
                    propagation_speed: self.propagation_speed.clone(),
                    overhead: self.overhead,
                    mtu: self.mtu,
                }
            }

            fn impairing(&self) -> Impairing {
                Impairing { loss: self.loss, jitter: self.jitter.clone() }
            }
        }
    )+};
}
timed!(LinkDefaults, LinkFile, DirectionFile);

impl Timing {
    /// This table's keys, completed by those of the outer table. A delay replaces the outer table's length,
    /// and a length its delay.
    fn over(self, outer: &Timing) -> Timing {
        let outer = outer.clone();
        let by_length = self.length.is_some() || (self.delay.is_none() && outer.length.is_some());
        let inherited_speed = outer.propagation_speed.filter(|_| self.delay.is_none());
        Timing {
            bandwidth: self.bandwidth.or(outer.bandwidth),
            delay: self.delay.or(outer.delay.filter(|_| !by_length)),
            length: self.length.or(outer.length.filter(|_| by_length)),
            propagation_speed: self.propagation_speed.or(inherited_speed),
            overhead: self.overhead.or(outer.overhead),
            mtu: self.mtu.or(outer.mtu),
        }
    }

    /// A contradiction between keys of one table.
    fn contradiction(&self, document: &Document) -> Option<ConfigError> {
        let delay = self.delay.as_ref()?;
        if let Some(length) = &self.length {
            let message = "a link has a `delay` or a `length`, not both";
            return Some(document.error(length.span(), message).with_help(
                "`delay` is the propagation delay; `length / propagation_speed` is another way to write it"
                    .to_owned(),
            ));
        }
        let speed = self.propagation_speed.as_ref()?;
        let message = format!("`propagation_speed` has no effect beside a `delay` of {}", delay.get_ref());
        Some(document.error(speed.span(), message).with_help("write a `length`, or remove it".to_owned()))
    }

    fn link(&self) -> Option<Link> {
        let bandwidth = self.bandwidth?;
        let mut link = match &self.delay {
            Some(delay) => Link::with_delay(bandwidth, *delay.get_ref()),
            None => Link::new(
                bandwidth,
                self.length.as_ref().map_or(Distance::default(), |length| *length.get_ref()),
                self.propagation_speed.as_ref().map_or(Speed::IN_CABLE, |speed| *speed.get_ref()),
            ),
        };
        link.overhead = self.overhead.unwrap_or(ByteCount::ZERO);
        link.mtu = self.mtu;
        Some(link)
    }
}

impl Topology {
    /// Reads a topology file.
    ///
    /// # Errors
    /// Every mistake in the file, with its position.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, &Registry::default())
    }

    /// Like [`load`](Topology::load), for a file that may also name the kinds in `registry`.
    ///
    /// # Errors
    /// The same as for [`load`](Topology::load).
    pub fn load_with(path: &Path, registry: &Registry) -> Result<Self, ConfigError> {
        Self::from_document(&Document::read(path)?.with(registry))
    }

    /// Reads a topology from text. `name` is the name of its file in errors.
    ///
    /// # Errors
    /// Every mistake in the text, with its position.
    ///
    /// # Examples
    /// ```
    /// use taunet::topology::Topology;
    ///
    /// let text = r#"
    ///     name = "pair"
    ///     device = [{ name = "a", kind = "host" }, { name = "b", kind = "host" }]
    ///     link = [{ between = ["a:0", "b:0"], bandwidth = "1 Gbps", length = "1 km" }]
    /// "#;
    /// let topology = Topology::from_toml("pair.toml", text)?;
    /// assert_eq!(topology.links().len(), 2); // one per direction
    ///
    /// let error = Topology::from_toml("pair.toml", "nam = 1").unwrap_err();
    /// assert_eq!(error.to_string().split(" (").next(), Some("pair.toml:1:1: unknown key `nam` at the top of the file"));
    /// # Ok::<(), taunet::config::ConfigError>(())
    /// ```
    pub fn from_toml(name: &str, text: &str) -> Result<Self, ConfigError> {
        Self::from_toml_with(name, text, &Registry::default())
    }

    /// Like [`from_toml`](Topology::from_toml), for text that may also name the kinds in `registry`.
    ///
    /// # Errors
    /// The same as for [`from_toml`](Topology::from_toml).
    pub fn from_toml_with(name: &str, text: &str, registry: &Registry) -> Result<Self, ConfigError> {
        Self::from_document(&Document::parse(name, text)?.with(registry))
    }

    /// Reads a topology from a document.
    ///
    /// # Errors
    /// Every mistake in the document, with its position.
    pub fn from_document(document: &Document) -> Result<Self, ConfigError> {
        document.must_be(FileKind::Topology)?;
        let mut file: TopologyFile = document.deserialize()?;
        expand(&mut file, document)?;
        let models = load_models(&mut file, document);
        if let Some(error) = ConfigError::all(make_custom(&mut file, document)) {
            return Err(error);
        }
        let mut errors = Vec::new();
        errors.extend(misplaced(&file, document));
        let devices =
            file.device.iter().map(|device| device_spec(device, &file.defaults)).collect::<Vec<_>>();
        let links = link_specs(&file, document, &mut errors);
        // Without a link, the checks would report consequential mistakes.
        let whole = links.len() == file.link.len();
        for problem in if whole { problems(&devices, &links) } else { Vec::new() } {
            let span = match problem.element() {
                Element::Whole => 0..0,
                Element::Device(device) => file.device[device].name.span(),
                Element::Address(device, address) => file.device[device].addresses[address].span(),
                Element::Route(device, route) => file.device[device].routes[route].port.span(),
                Element::Link(link) => file.link[link].between.span(),
                Element::LinkEnd(link, end) => file.link[link].between.get_ref()[end].span(),
                Element::DevicePtm(device) => {
                    // A device without its own has that of the defaults.
                    let device = &file.device[device];
                    device.ptm.as_ref().map_or_else(|| device.name.span(), Spanned::span)
                }
                Element::LinkPtm(link, end) => span_of(link_ptm(&file.link[link], end)),
            };
            errors.push(document.error(span, problem.to_string()).with_help(problem.help()));
        }
        if let Some(error) = ConfigError::all(errors) {
            return Err(error);
        }
        let topology = Self::new(file.name.clone(), devices, links)
            .map_err(|error| document.error(0..0, error.to_string()))?;
        let forwarding = forwarding(&file.forwarding, &file.path, &topology, document)?;
        Ok(Topology { models, ..topology.with_forwarding(forwarding) })
    }
}

/// Reads the learned models that the file names. Paths are relative to it. Returns the files read.
fn load_models(file: &mut TopologyFile, document: &Document) -> Vec<PathBuf> {
    let base = Path::new(&document.source().name).parent().unwrap_or(Path::new(""));
    let mut cache = ModelCache::default();
    ptms_mut(file).for_each(|ptm| ptm.load_models(base, &mut cache));
    cache.files()
}

/// Reads the parameters of disciplines of other crates. Returns the mistakes.
fn make_custom(file: &mut TopologyFile, document: &Document) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for ptm in ptms_mut(file) {
        ptm.each_mut(&mut |ptm| {
            if let PtmSpec::Custom(spec) = ptm {
                errors.extend(spec.resolve(document).err());
            }
        });
    }
    errors
}

/// Every traffic management in the file.
fn ptms_mut(file: &mut TopologyFile) -> impl Iterator<Item = &mut PtmSpec> {
    let links =
        file.link.iter_mut().flat_map(|link| [&mut link.forward.ptm, &mut link.ptm, &mut link.backward.ptm]);
    let devices = file.device.iter_mut().map(|device| &mut device.ptm);
    let ptms = devices.chain(links).flatten().map(Spanned::get_mut);
    ptms.chain(file.defaults.ptms_mut())
}

/// The traffic management that a link sets at one of its ends.
fn link_ptm(link: &LinkFile, end: usize) -> Option<&Spanned<PtmSpec>> {
    match end {
        0 => link.forward.ptm.as_ref().or(link.ptm.as_ref()),
        _ => link.backward.ptm.as_ref(),
    }
}

fn span_of(ptm: Option<&Spanned<PtmSpec>>) -> std::ops::Range<usize> {
    ptm.map_or(0..0, Spanned::span)
}

fn device_spec(device: &DeviceFile, defaults: &TopologyDefaults) -> DeviceSpec {
    let defaults = defaults.of(device.kind);
    let route = |route: &RouteFile| RouteSpec { destination: route.to.0, port: *route.port.get_ref() };
    DeviceSpec {
        name: device.name.get_ref().clone(),
        kind: device.kind,
        addresses: device.addresses.iter().map(|prefix| prefix.get_ref().0).collect(),
        processing: device.processing.or(defaults.processing).unwrap_or_default(),
        ptm: device.ptm.as_ref().map(|ptm| ptm.get_ref().clone()).or(defaults.ptm).unwrap_or_default(),
        routes: device.routes.iter().map(route).collect(),
        position: device.position.as_ref().and_then(|position| position.get_ref().position().ok()),
    }
}

/// The links of the file, except invalid ones: each of these is an error.
fn link_specs(file: &TopologyFile, document: &Document, errors: &mut Vec<ConfigError>) -> Vec<LinkSpec> {
    let [link, access] = [&file.defaults.link, &file.defaults.access_link];
    for table in [link, access] {
        errors.extend(table.timing().contradiction(document));
        errors.extend(table.impairing().mistakes(document));
    }
    let access = (access.timing().over(&link.timing()), access.impairing().over(&link.impairing()));
    let link = (link.timing(), link.impairing());
    let hosts = file.device.iter().filter(|device| device.kind == DeviceKind::Host);
    let hosts = hosts.map(|host| host.name.get_ref().as_str()).collect::<FxHashSet<_>>();
    let defaults_of = |link_file: &LinkFile| {
        let mut ends = link_file.between.get_ref().iter().map(|end| end.get_ref().device.as_str());
        if ends.any(|end| hosts.contains(end)) { &access } else { &link }
    };
    file.link
        .iter()
        .filter_map(|link| {
            let own = link.timing();
            let directions = [&link.forward, &link.backward];
            for table in [own.clone(), link.forward.timing(), link.backward.timing()] {
                errors.extend(table.contradiction(document));
            }
            for table in [link.impairing(), link.forward.impairing(), link.backward.impairing()] {
                errors.extend(table.mistakes(document));
            }
            let (timing, impaired) = defaults_of(link);
            let common = own.over(timing);
            let impaired = link.impairing().over(impaired);
            // A mistake in them is already recorded.
            let impairment =
                directions.map(|direction| direction.impairing().over(&impaired).spec().unwrap_or_default());
            let [forward, backward] = directions.map(|direction| direction.timing().over(&common).link());
            let ends = link.between.get_ref();
            let (forward, backward, between) = match (forward, backward, &ends[..]) {
                (Some(forward), Some(backward), [from, to]) => {
                    (forward, backward, [from.get_ref().port_name()?, to.get_ref().port_name()?])
                }
                (_, _, [_, _]) => {
                    let message = "this link has no `bandwidth`";
                    let help = "write for example bandwidth = \"1 Gbps\", here or in [defaults.link]";
                    errors.push(document.error(link.between.span(), message).with_help(help.to_owned()));
                    return None;
                }
                _ => {
                    let message = format!("a link joins two ports, but this one has {}", ends.len());
                    let help = "write for example between = [\"a:0\", \"b:0\"]";
                    errors.push(document.error(link.between.span(), message).with_help(help.to_owned()));
                    return None;
                }
            };
            let ptm = [0, 1].map(|end| link_ptm(link, end).map(|ptm| ptm.get_ref().clone()));
            Some(LinkSpec { between, forward, backward, ptm, impairment })
        })
        .collect()
}

/// Inserts the devices and links of `[generate]` before those of the file. Each has the table's position, or that of the
/// `[[link]]` that changes it.
fn expand(file: &mut TopologyFile, document: &Document) -> Result<(), ConfigError> {
    let Some(spec) = &file.generate else {
        return changed::without_port(&file.link, document).map_or(Ok(()), Err);
    };
    let draft = spec.draft().map_err(|error| {
        let span = document.span_in_table("generate", error.parameter());
        document.error(span, error.to_string()).with_help(error.help())
    })?;
    let span = document.span_in_table("generate", "kind");
    let [link, access] = [&file.defaults.link, &file.defaults.access_link].map(|table| table.bandwidth);
    if link.is_none() && (access.is_none() || draft.has_links_between_forwarders()) {
        let message = "the generated links have no `bandwidth`";
        let help = "write for example bandwidth = \"10 Gbps\" in [defaults.link]";
        return Err(document.error(span, message).with_help(help.to_owned()));
    }
    let devices = draft.devices.into_iter().map(|device| device.into_file(&span));
    file.device.splice(0..0, devices);
    let links = draft.links.into_iter().map(|link| link.into_file(&span)).collect();
    file.link = changed::changed(links, std::mem::take(&mut file.link), document)?;
    Ok(())
}

/// The invalid positions.
fn misplaced(file: &TopologyFile, document: &Document) -> Vec<ConfigError> {
    let positions = file.device.iter().filter_map(|device| device.position.as_ref());
    let wrong =
        positions.filter_map(|position| Some((position.span(), position.get_ref().position().err()?)));
    wrong.map(|(span, (message, help))| document.error(span, message).with_help(help.to_owned())).collect()
}

#[cfg(test)]
mod tests;
