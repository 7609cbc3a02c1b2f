//! Converts interpreted attributes to devices and links, with remarks on defaults and on what is left out.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use rustc_hash::FxHashSet;

use super::facts::{EdgeFacts, NodeFacts, jitter};
use super::names::{Names, cleaned};
use super::network::{Edge, Network, Node, at};
use super::notes::{Note, Notes};
use super::pairs::{Pair, Ports, pairs};
use super::reason::Owner;
use super::words::{counted, shortened};
use super::{Demand, ImportFormat, ImportOptions, Imported, ImportedText};
use crate::config::ConfigError;
use crate::impairment::{Distribution, Jitter, Order};
use crate::link::Link;
use crate::topology::{
    DeviceKind, Draft, DraftDevice, DraftLink, DraftTiming, FileText, PortName, TimingText,
};
use crate::units::{Bandwidth, Probability, Rate, Span, Speed};

/// A network with interpreted attributes.
struct Import<'a> {
    source: &'a ImportedText,
    network: &'a Network,
    options: &'a ImportOptions,
    nodes: Vec<NodeFacts>,
    /// The device of each node.
    names: Vec<String>,
}

/// The hosts of the nodes.
struct Hosts {
    /// Whether each node gets a host.
    added: Vec<bool>,
    /// The host of each node: the added one, or the node itself.
    names: Vec<Option<String>>,
}

pub(super) fn convert(
    source: &ImportedText,
    mut network: Network,
    format: ImportFormat,
    options: &ImportOptions,
) -> Result<Imported, ConfigError> {
    if network.nodes.is_empty() {
        return Err(source.whole("there are no nodes in this file"));
    }
    let mut notes = std::mem::take(&mut network.notes);
    let nodes = node_facts(source, &mut network.nodes)?;
    let edges = edge_facts(&nodes, &mut network.edges, options, &mut notes);
    let mut names = Names::default();
    let device_names = device_names(&network, &nodes, &mut names, &mut notes);
    let import = Import { source, network: &network, options, nodes, names: device_names };
    let hosts = import.hosts(&mut names);
    let pairs = pairs(&network.edges, &edges, &mut notes);
    let mut draft = import.devices(&hosts, &mut notes);
    draft.links = import.links(&pairs, &hosts, &mut notes)?;
    let (demands, demand_remarks) = import.demands(&hosts);
    notes.leave(Owner::Graph, &network.attributes);
    network.nodes.iter().for_each(|node| notes.leave(Owner::Node, &node.attributes));
    network.edges.iter().for_each(|edge| notes.leave(Owner::Edge, &edge.attributes));
    let mut remarks = network.remarks.clone();
    remarks.extend(notes.told(options, pairs.len()));
    remarks.extend(pieces(network.nodes.len(), &pairs));
    remarks.extend(demand_remarks);
    remarks.extend(hosts.remark(&draft, options));
    let has_added = hosts.added.contains(&true);
    let (name, file) = import.file(format, &remarks, has_added);
    Ok(Imported { name, draft, demands, remarks, file })
}

/// The name of each node's device.
fn device_names(network: &Network, nodes: &[NodeFacts], names: &mut Names, notes: &mut Notes) -> Vec<String> {
    let name = |(node, facts): (&Node, &NodeFacts)| {
        let label = facts.label.as_deref().unwrap_or(&node.id);
        let name = names.take(label);
        if name != label {
            notes.count(Note::OtherName, label);
        }
        name
    };
    network.nodes.iter().zip(nodes).map(name).collect()
}

fn node_facts(source: &ImportedText, nodes: &mut [Node]) -> Result<Vec<NodeFacts>, ConfigError> {
    let facts = |node: &mut Node| {
        NodeFacts::take(&mut node.attributes).map_err(|text| {
            let id = shortened(&node.id);
            let message = format!("the node `{id}` has no valid position on the Earth: {}", shortened(&text));
            at(source, node.place.clone(), message)
                .with_help("latitude is from -90 to 90, longitude from -180 to 180".to_owned())
        })
    };
    nodes.iter_mut().map(facts).collect()
}

fn edge_facts(
    nodes: &[NodeFacts],
    edges: &mut [Edge],
    options: &ImportOptions,
    notes: &mut Notes,
) -> Vec<EdgeFacts> {
    let facts = |edge: &mut Edge| {
        let mut facts = EdgeFacts::take(&mut edge.attributes, options, notes);
        let timing = &mut facts.timing;
        if edge.ends[0] == edge.ends[1] {
            return facts;
        }
        if timing.bandwidth.is_none() {
            notes.count(Note::NoBandwidth, "");
        }
        if timing.delay.is_none() && timing.length.is_none() {
            // The great-circle distance between the ends.
            let [from, to] = edge.ends.map(|end| nodes[end].position);
            timing.length = from.zip(to).and_then(|(from, to)| from.distance(to));
            let note = if timing.length.is_some() { Note::ByCoordinates } else { Note::NoLength };
            notes.count(note, "");
        }
        let propagation = timing.delay.or_else(|| {
            let length = timing.length?;
            Some(Link::new(Bandwidth::Unlimited, length, Speed::IN_CABLE).propagation_delay())
        });
        let propagation = propagation.or(Some(options.delay));
        if let Some((delay, jitter)) = jitter(&mut edge.attributes, propagation, options, notes) {
            (timing.delay, timing.length, timing.jitter) = (Some(delay), None, Some(jitter));
        }
        facts
    };
    edges.iter_mut().map(facts).collect()
}

/// A remark on a network that is not connected.
fn pieces(nodes: usize, pairs: &[Pair<'_>]) -> Option<String> {
    let mut pieces = petgraph::unionfind::UnionFind::<usize>::new(nodes);
    let mut count = nodes;
    for pair in pairs {
        let [from, to] = pair.edge.ends;
        count -= usize::from(pieces.union(from, to));
    }
    (count > 1).then(|| format!("the network is in {count} pieces: no path leads from one to another"))
}

impl Hosts {
    fn remark(&self, draft: &Draft, options: &ImportOptions) -> Option<String> {
        let added = self.added.iter().filter(|added| **added).count();
        let there = draft.devices.iter().filter(|device| device.kind == DeviceKind::Host).count();
        match (added, there) {
            (0, 0) => Some("there are no hosts: no traffic can start or end".to_owned()),
            (0, _) if options.hosts => Some(format!("the file has {}: none added", counted(there, "host"))),
            (0, _) => None,
            _ => Some(format!(
                "{} added, one at each node, with links of {} and no delay",
                counted(added, "host"),
                options.access_bandwidth
            )),
        }
    }
}

impl Import<'_> {
    fn hosts(&self, names: &mut Names) -> Hosts {
        let is_host = |facts: &NodeFacts| facts.kind == Some(DeviceKind::Host);
        let has_its_own = self.nodes.iter().any(is_host);
        let gets_one = |node: &Node| self.options.hosts && !has_its_own && !node.is_hyperedge;
        let added = self.network.nodes.iter().map(gets_one).collect::<Vec<_>>();
        let host = |((facts, name), added): ((&NodeFacts, &String), &bool)| match added {
            true => Some(names.take(&format!("h-{name}"))),
            false => is_host(facts).then(|| name.clone()),
        };
        let names = self.nodes.iter().zip(&self.names).zip(&added).map(host).collect();
        Hosts { added, names }
    }

    fn devices(&self, hosts: &Hosts, notes: &mut Notes) -> Draft {
        let mut devices = Vec::new();
        let mut known = FxHashSet::default();
        for (facts, name) in self.nodes.iter().zip(&self.names) {
            let mut addresses = facts.addresses.clone();
            addresses.retain(|address| {
                let is_new = known.insert(*address);
                if !is_new {
                    notes.count(Note::SameAddress, &address.to_string());
                }
                is_new
            });
            let kind = facts.kind.unwrap_or(DeviceKind::Router);
            devices.push(DraftDevice { name: name.clone(), kind, addresses, position: facts.position });
        }
        let added = hosts.names.iter().zip(&hosts.added).filter(|(_, added)| **added);
        for (number, name) in (1..).zip(added.filter_map(|(name, _)| name.clone())) {
            let addresses = vec![IpNet::from(IpAddr::V4(Ipv4Addr::from_bits((10 << 24) + number)))];
            devices.push(DraftDevice { name, kind: DeviceKind::Host, addresses, position: None });
        }
        Draft { devices, links: Vec::new() }
    }

    fn links(
        &self,
        pairs: &[Pair<'_>],
        hosts: &Hosts,
        notes: &mut Notes,
    ) -> Result<Vec<DraftLink>, ConfigError> {
        let mut ports = Ports::new(pairs, &hosts.added);
        let mut links = Vec::new();
        for (node, host) in hosts.names.iter().enumerate().filter(|(node, _)| hosts.added[*node]) {
            let Some(host) = host else { continue };
            let between = [PortName::new(host, 0), PortName::new(&self.names[node], ports.of_host(node))];
            let forward = DraftTiming::default();
            links.push(DraftLink { between, is_access: true, forward, backward: None, comment: None });
        }
        for pair in pairs {
            let [from, to] = pair.edge.ends;
            let Some(ends) = ports.take(pair, notes) else {
                let message = "a node of this edge has more than 65535 links".to_owned();
                return Err(at(self.source, pair.edge.place.clone(), message));
            };
            let between = [
                PortName::new(&self.names[from], ends.numbers[0]),
                PortName::new(&self.names[to], ends.numbers[1]),
            ];
            let forward = pair.facts.timing;
            let backward = pair.back.map(|back| back.timing).filter(|backward| *backward != forward);
            let backward = backward.map(|backward| self.backward(forward, backward));
            let is_access = [from, to].iter().any(|&node| self.nodes[node].kind == Some(DeviceKind::Host));
            links.push(DraftLink { between, is_access, forward, backward, comment: ends.names });
        }
        Ok(links)
    }

    /// A complete direction: in a file, missing keys are taken from the forward direction.
    fn backward(&self, forward: DraftTiming, backward: DraftTiming) -> DraftTiming {
        let none = Jitter { distribution: Distribution::Uniform { max: Span::ZERO }, order: Order::Keep };
        DraftTiming {
            bandwidth: backward.bandwidth.or(Some(self.options.bandwidth)),
            delay: backward.delay.or((backward.length.is_none()).then_some(self.options.delay)),
            loss: backward.loss.or(forward.loss.map(|_| Probability::ZERO)),
            jitter: backward.jitter.or(forward.jitter.map(|_| none)),
            ..backward
        }
    }

    fn demands(&self, hosts: &Hosts) -> (Vec<Demand>, Vec<String>) {
        let mut demands = Vec::new();
        let (mut unclear, mut homeless, mut to_itself, mut zero) = (0, 0, 0, 0);
        let unit = self.network.demand_unit.unwrap_or(self.options.demand_unit);
        for demand in &self.network.demands {
            let bits = (demand.value * unit.as_bps() as f64).round();
            let [from, to] = demand.ends;
            let rate = (1.0..1e18).contains(&bits).then(|| Rate::from_bps(bits as u64)).flatten();
            let ends = hosts.names[from].clone().zip(hosts.names[to].clone());
            match (rate, ends) {
                (None, _) if bits == 0.0 => zero += 1,
                _ if from == to => to_itself += 1,
                (Some(bandwidth), Some((source, destination))) => {
                    demands.push(Demand { source, destination, bandwidth });
                }
                (None, _) => unclear += 1,
                (_, None) => homeless += 1,
            }
        }
        let mut remarks = Vec::new();
        if !demands.is_empty() {
            let unit = Bandwidth::Limited(unit);
            remarks.push(format!("{}, where 1 stands for {unit}", counted(demands.len(), "demand")));
        }
        let left = [
            (zero, "they are zero"),
            (to_itself, "from a node to itself"),
            (unclear, "no rate above zero"),
            (homeless, "no host at an end"),
        ];
        for (number, why) in left.into_iter().filter(|(number, _)| *number > 0) {
            remarks.push(format!("left out: {}: {why}", counted(number, "demand")));
        }
        (demands, remarks)
    }

    /// The topology's name, and the content of its file besides devices and links.
    fn file(&self, format: ImportFormat, remarks: &[String], has_added: bool) -> (String, FileText) {
        let name = self.options.name.clone().or_else(|| self.network.name.clone()).unwrap_or_default();
        let name =
            if name.chars().any(char::is_alphanumeric) { cleaned(&name) } else { "imported".to_owned() };
        let no_delay = Span::ZERO;
        let access_link = TimingText {
            bandwidth: Some(self.options.access_bandwidth),
            delay: Some(no_delay),
            length: None,
        };
        let file = FileText {
            comment: comment(self.source, format, remarks),
            name: name.clone(),
            generate: None,
            link: TimingText {
                bandwidth: Some(self.options.bandwidth),
                delay: (self.options.delay != no_delay).then_some(self.options.delay),
                length: None,
            },
            access_link: if has_added { access_link } else { TimingText::default() },
        };
        (name, file)
    }
}

fn comment(source: &ImportedText, format: ImportFormat, remarks: &[String]) -> Vec<String> {
    let file = source.0.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut lines = vec![format!("Imported by `taunet topology import` from {file} ({}).", format.name())];
    if !remarks.is_empty() {
        lines.push(String::new());
        lines.extend(remarks.iter().map(|remark| format!("- {remark}")));
    }
    lines
}
