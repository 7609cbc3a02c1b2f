//! From what a file says to devices and links, with remarks on what it does not say.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use rustc_hash::{FxHashMap, FxHashSet};

use super::attributes::Known;
use super::names::{Names, cleaned};
use super::network::{Edge, Network, at, shortened};
use super::{Demand, ImportFormat, ImportOptions, Imported, Source};
use crate::config::ConfigError;
use crate::topology::{
    DeviceKind, Draft, DraftDevice, DraftLink, DraftTiming, FileText, PortName, Position, Prefix, TimingText,
};
use crate::units::{Bandwidth, Rate, Span};

/// A network in the making.
struct Import<'a> {
    source: &'a Source,
    network: &'a Network,
    options: &'a ImportOptions,
    /// The device of each node.
    names: Vec<String>,
    positions: Vec<Option<Position>>,
    remarks: Remarks,
}

/// How often something was not said.
#[derive(Default)]
struct Remarks {
    no_bandwidth: usize,
    unclear_bandwidth: Unclear,
    unitless_bandwidth: usize,
    no_length: usize,
    by_coordinates: usize,
    unclear_length: Unclear,
    loops: usize,
    one_way: usize,
    parallel: usize,
}

/// Texts that nobody understands: how many, and the first.
#[derive(Default)]
struct Unclear(usize, String);

impl Unclear {
    fn note(&mut self, text: &str) {
        if self.0 == 0 {
            self.1 = shortened(text);
        }
        self.0 += 1;
    }
}

/// A link: its edge, and the edge back where that is another one.
struct Pair<'a> {
    edge: &'a Edge,
    back: Option<&'a Edge>,
}

pub(super) fn convert(
    source: &Source,
    mut network: Network,
    format: ImportFormat,
    options: &ImportOptions,
) -> Result<Imported, ConfigError> {
    if network.nodes.is_empty() {
        return Err(source.whole("there are no nodes in this file"));
    }
    let first_remarks = std::mem::take(&mut network.remarks);
    let mut names = Names::default();
    let mut import = Import {
        source,
        network: &network,
        options,
        names: network
            .nodes
            .iter()
            .map(|node| names.take(node.attributes.label().unwrap_or(&node.id)))
            .collect(),
        positions: Vec::new(),
        remarks: Remarks::default(),
    };
    import.positions = import.positions()?;
    let (hosts, host_names) = import.hosts(&mut names);
    let pairs = import.pairs();
    let mut draft = import.devices(&hosts, &host_names);
    draft.links = import.links(&pairs, &hosts, &host_names)?;
    let (demands, demand_remarks) = import.demands(&host_names);
    let mut remarks = first_remarks;
    remarks.extend(import.remarks.told(options, pairs.len()));
    remarks.extend(parts(network.nodes.len(), &pairs));
    remarks.extend(demand_remarks);
    let added = hosts.iter().filter(|has| **has).count();
    if added > 0 {
        remarks.push(format!(
            "{} added, one at each node, with links of {} and no delay",
            counted(added, "host"),
            options.access_bandwidth
        ));
    } else if draft.devices.iter().all(|device| device.kind != DeviceKind::Host) {
        remarks.push("there are no hosts: no traffic can start or end".to_owned());
    }
    let name = options.name.clone().or_else(|| network.name.clone()).unwrap_or_default();
    let name = if name.chars().any(char::is_alphanumeric) { cleaned(&name) } else { "imported".to_owned() };
    let no_delay = Span::ZERO;
    let file = FileText {
        comment: comment(source, format, &remarks),
        name: name.clone(),
        generate: None,
        link: TimingText {
            bandwidth: Some(options.bandwidth),
            delay: (options.delay != no_delay).then_some(options.delay),
            length: None,
        },
        access_link: match added {
            0 => TimingText::default(),
            _ => {
                TimingText { bandwidth: Some(options.access_bandwidth), delay: Some(no_delay), length: None }
            }
        },
    };
    Ok(Imported { name, draft, demands, remarks, file })
}

fn comment(source: &Source, format: ImportFormat, remarks: &[String]) -> Vec<String> {
    let file = source.0.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut lines = vec![format!("Imported by `taunet topology import` from {file} ({}).", format.name())];
    if !remarks.is_empty() {
        lines.push(String::new());
        lines.extend(remarks.iter().map(|remark| format!("- {remark}")));
    }
    lines
}

/// `1 link`, `2 links`.
pub(super) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// "has" or "have".
fn has(number: usize) -> &'static str {
    if number == 1 { "has" } else { "have" }
}

impl Remarks {
    fn told(&self, options: &ImportOptions, links: usize) -> Vec<String> {
        let mut told = Vec::new();
        let mut say = |number: usize, text: String| {
            if number > 0 {
                told.push(text);
            }
        };
        let link = |number: usize| format!("{} {}", counted(number, "link"), has(number));
        let Remarks { no_bandwidth, unitless_bandwidth, no_length, by_coordinates, .. } = *self;
        say(no_bandwidth, format!("{} no bandwidth: {} taken", link(no_bandwidth), options.bandwidth));
        let Unclear(number, text) = &self.unclear_bandwidth;
        say(
            *number,
            format!(
                "{} a bandwidth that is not understood, such as `{text}`: {} taken",
                link(*number),
                options.bandwidth
            ),
        );
        say(
            unitless_bandwidth,
            format!(
                "{} a capacity without a unit: 1 stands for {}",
                link(unitless_bandwidth),
                options.capacity_unit
            ),
        );
        say(
            by_coordinates,
            format!("{} no length: the great circle between its ends taken", link(by_coordinates)),
        );
        let Unclear(number, text) = &self.unclear_length;
        say(*number, format!("{} a length or delay that is not understood, such as `{text}`", link(*number)));
        say(no_length, format!("{} no length and no delay: {} taken", link(no_length), options.delay));
        say(self.loops, format!("{} left out: from a node to itself", counted(self.loops, "edge")));
        say(self.one_way, format!("{} one direction in the file: both taken", link(self.one_way)));
        say(self.parallel, format!("{} of {links} run beside another one", counted(self.parallel, "link")));
        told
    }
}

/// A remark on a network in pieces.
fn parts(nodes: usize, pairs: &[Pair<'_>]) -> Option<String> {
    let mut pieces = petgraph::unionfind::UnionFind::<usize>::new(nodes);
    let mut count = nodes;
    for pair in pairs {
        let [from, to] = pair.edge.ends;
        count -= usize::from(pieces.union(from, to));
    }
    (count > 1).then(|| format!("the network is in {count} pieces: nothing can cross from one to another"))
}

impl<'a> Import<'a> {
    fn positions(&self) -> Result<Vec<Option<Position>>, ConfigError> {
        let position = |node: &super::network::Node| {
            node.attributes.position().map_err(|text| {
                let message = format!(
                    "the node `{}` is at no place on the Earth: {}",
                    shortened(&node.id),
                    shortened(&text)
                );
                at(self.source, node.place.clone(), message)
                    .with_help("latitude is from -90 to 90, longitude from -180 to 180".to_owned())
            })
        };
        self.network.nodes.iter().map(position).collect()
    }

    /// Which nodes get a host, and the name of the host that stands for each node.
    fn hosts(&self, names: &mut Names) -> (Vec<bool>, Vec<Option<String>>) {
        let nodes = &self.network.nodes;
        let is_host = |node: &super::network::Node| node.attributes.kind() == Some(DeviceKind::Host);
        let has_its_own = nodes.iter().any(is_host);
        let gets_one = nodes
            .iter()
            .map(|node| self.options.hosts && !has_its_own && !node.is_hyperedge)
            .collect::<Vec<_>>();
        let host_names = nodes
            .iter()
            .zip(&self.names)
            .zip(&gets_one)
            .map(|((node, name), gets_one)| match gets_one {
                true => Some(names.take(&format!("h-{name}"))),
                false => is_host(node).then(|| name.clone()),
            })
            .collect();
        (gets_one, host_names)
    }

    fn devices(&self, hosts: &[bool], host_names: &[Option<String>]) -> Draft {
        let mut devices = Vec::new();
        for ((node, name), &position) in self.network.nodes.iter().zip(&self.names).zip(&self.positions) {
            let kind = node.attributes.kind().unwrap_or(DeviceKind::Router);
            let addresses = node.attributes.get(&["addresses"]).filter(|_| kind == DeviceKind::Host);
            let addresses = addresses
                .into_iter()
                .flat_map(str::split_whitespace)
                .filter_map(|text| text.parse().ok().map(|Prefix(net)| net))
                .collect();
            devices.push(DraftDevice { name: name.clone(), kind, addresses, position });
        }
        let mut number = 0;
        for name in
            host_names.iter().zip(hosts).filter(|(_, added)| **added).filter_map(|(name, _)| name.clone())
        {
            number += 1;
            let addresses = vec![IpNet::from(IpAddr::V4(Ipv4Addr::from_bits((10 << 24) + number)))];
            devices.push(DraftDevice { name, kind: DeviceKind::Host, addresses, position: None });
        }
        Draft { devices, links: Vec::new() }
    }

    /// The links: in a directed network, two edges that go there and back make one.
    fn pairs(&mut self) -> Vec<Pair<'a>> {
        let edges = &self.network.edges;
        let straight = edges.iter().filter(|edge| edge.ends[0] != edge.ends[1]);
        self.remarks.loops = edges.len() - straight.clone().count();
        let mut pairs: Vec<Pair<'a>> = Vec::new();
        // For each pair of nodes: links that still lack the way back.
        let mut open: FxHashMap<[usize; 2], Vec<usize>> = FxHashMap::default();
        for edge in straight {
            let [from, to] = edge.ends;
            if self.network.directed {
                if let Some(there) = open.get_mut(&[to, from]).and_then(Vec::pop) {
                    pairs[there].back = Some(edge);
                    continue;
                }
                open.entry([from, to]).or_default().push(pairs.len());
            }
            pairs.push(Pair { edge, back: None });
        }
        if self.network.directed {
            self.remarks.one_way = pairs.iter().filter(|pair| pair.back.is_none()).count();
        }
        let mut seen = FxHashSet::default();
        let again = pairs.iter().filter(|pair| {
            let [from, to] = pair.edge.ends;
            !seen.insert([from.min(to), from.max(to)])
        });
        self.remarks.parallel = again.count();
        pairs
    }

    fn links(
        &mut self,
        pairs: &[Pair<'a>],
        hosts: &[bool],
        host_names: &[Option<String>],
    ) -> Result<Vec<DraftLink>, ConfigError> {
        let mut ports = Ports::new(pairs, hosts);
        let mut links = Vec::new();
        for (node, host) in host_names.iter().enumerate().filter(|(node, _)| hosts[*node]) {
            let Some(host) = host else { continue };
            let between = [PortName::new(host, 0), PortName::new(&self.names[node], 0)];
            links.push(DraftLink {
                between,
                is_access: true,
                forward: DraftTiming::default(),
                backward: None,
            });
        }
        for pair in pairs {
            let [from, to] = pair.edge.ends;
            let Some(numbers) = ports.take(pair) else {
                let message = "a node of this edge has more than 65535 links".to_owned();
                return Err(at(self.source, pair.edge.place.clone(), message));
            };
            let between =
                [PortName::new(&self.names[from], numbers[0]), PortName::new(&self.names[to], numbers[1])];
            let forward = self.timing(pair.edge);
            let backward = pair.back.map(|edge| self.timing(edge)).filter(|backward| *backward != forward);
            // A direction has all its own keys: what it does not say is the forward direction's in a file.
            let backward = backward.map(|backward| DraftTiming {
                bandwidth: backward.bandwidth.or(Some(self.options.bandwidth)),
                delay: backward.delay.or((backward.length.is_none()).then_some(self.options.delay)),
                ..backward
            });
            let is_access = [from, to]
                .iter()
                .any(|&node| self.network.nodes[node].attributes.kind() == Some(DeviceKind::Host));
            links.push(DraftLink { between, is_access, forward, backward });
        }
        Ok(links)
    }

    fn timing(&mut self, edge: &Edge) -> DraftTiming {
        let bandwidth = match edge.attributes.bandwidth(self.options) {
            Known::Value(bandwidth) => Some(bandwidth),
            Known::Unitless(bandwidth) => {
                self.remarks.unitless_bandwidth += 1;
                Some(bandwidth)
            }
            Known::Unclear(text) => {
                self.remarks.unclear_bandwidth.note(&text);
                None
            }
            Known::Nothing => {
                self.remarks.no_bandwidth += 1;
                None
            }
        };
        DraftTiming { bandwidth, ..self.propagation(edge) }
    }

    /// A delay, else a length, else the great circle between the ends.
    fn propagation(&mut self, edge: &Edge) -> DraftTiming {
        match edge.attributes.delay() {
            Known::Value(delay) => return DraftTiming { delay: Some(delay), ..DraftTiming::default() },
            Known::Unclear(text) => self.remarks.unclear_length.note(&text),
            _ => {}
        }
        let length = match edge.attributes.length() {
            Known::Value(length) => Some(length),
            other => {
                if let Known::Unclear(text) = other {
                    self.remarks.unclear_length.note(&text);
                }
                let [from, to] = edge.ends.map(|end| self.positions[end]);
                let length = from.zip(to).and_then(|(from, to)| from.distance(to));
                match length {
                    Some(_) => self.remarks.by_coordinates += 1,
                    None => self.remarks.no_length += 1,
                }
                length
            }
        };
        DraftTiming { length, ..DraftTiming::default() }
    }

    fn demands(&self, host_names: &[Option<String>]) -> (Vec<Demand>, Vec<String>) {
        let mut demands = Vec::new();
        let (mut unclear, mut homeless) = (0, 0);
        for demand in &self.network.demands {
            let bits = (demand.value * self.options.demand_unit.as_bps() as f64).round();
            let [from, to] = demand.ends;
            if bits == 0.0 || from == to {
                continue;
            }
            let rate = (1.0..1e18).contains(&bits).then(|| Rate::from_bps(bits as u64)).flatten();
            let ends = host_names[from].clone().zip(host_names[to].clone());
            match (rate, ends) {
                (Some(bandwidth), Some((source, destination))) => {
                    demands.push(Demand { source, destination, bandwidth });
                }
                (None, _) => unclear += 1,
                (_, None) => homeless += 1,
            }
        }
        let mut remarks = Vec::new();
        if !demands.is_empty() {
            let unit = Bandwidth::Limited(self.options.demand_unit);
            remarks.push(format!("{}, where 1 stands for {unit}", counted(demands.len(), "demand")));
        }
        if unclear > 0 {
            remarks.push(format!("{} left out: no rate above zero", counted(unclear, "demand")));
        }
        if homeless > 0 {
            remarks.push(format!("{} left out: no host at an end", counted(homeless, "demand")));
        }
        (demands, remarks)
    }
}

/// Numbers of ports: those of the file where it has a sound set of them, else in the order of the links.
struct Ports {
    from_file: bool,
    next: FxHashMap<usize, u16>,
}

impl Ports {
    fn new(pairs: &[Pair<'_>], hosts: &[bool]) -> Self {
        let mut taken = FxHashSet::default();
        let first = |node: &usize| u16::from(hosts[*node]);
        let from_file = pairs.iter().all(|pair| {
            let Some(numbers) = pair.edge.attributes.ports() else { return false };
            pair.edge
                .ends
                .iter()
                .zip(numbers)
                .all(|(node, number)| number >= first(node) && taken.insert((*node, number)))
        });
        let next = hosts.iter().enumerate().map(|(node, has)| (node, u16::from(*has))).collect();
        Ports { from_file, next }
    }

    /// The next ports at the ends of a link; `None` when a node has no more.
    fn take(&mut self, pair: &Pair<'_>) -> Option<[u16; 2]> {
        if self.from_file {
            return pair.edge.attributes.ports();
        }
        let mut numbers = [0; 2];
        for (number, node) in numbers.iter_mut().zip(pair.edge.ends) {
            let next = self.next.entry(node).or_default();
            *number = *next;
            *next = next.checked_add(1)?;
        }
        Some(numbers)
    }
}
