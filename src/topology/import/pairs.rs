//! Converts edges to links: finds the two directions of each link, and the ports at its ends.

use rustc_hash::{FxHashMap, FxHashSet};

use super::facts::EdgeFacts;
use super::network::Edge;
use super::notes::{Note, Notes};

/// A link: its edge, and the reverse edge, if that is a separate one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    pub edge: &'a Edge,
    pub facts: &'a EdgeFacts,
    pub back: Option<&'a EdgeFacts>,
    /// The ports at both ends, by name or number.
    pub ports: [Option<&'a str>; 2],
}

/// The links. Two directed edges in opposite directions form one link. Edges from a node to itself are left
/// out.
pub(super) fn pairs<'a>(edges: &'a [Edge], facts: &'a [EdgeFacts], notes: &mut Notes) -> Vec<Pair<'a>> {
    let mut pairs: Vec<Pair<'a>> = Vec::new();
    // By pair of nodes: links that still lack the reverse direction.
    let mut open: FxHashMap<[usize; 2], Vec<usize>> = FxHashMap::default();
    for (edge, facts) in edges.iter().zip(facts) {
        let [from, to] = edge.ends;
        if from == to {
            notes.count(Note::Loop, "");
            continue;
        }
        let ports = [facts.ports[0].as_deref(), facts.ports[1].as_deref()];
        if edge.directed {
            let waiting = open.get_mut(&[to, from]);
            let there = waiting.and_then(|waiting| {
                let fits = waiting.iter().position(|&pair| same_cable(pairs[pair].ports, ports))?;
                Some(waiting.remove(fits))
            });
            if let Some(there) = there {
                let pair = &mut pairs[there];
                pair.back = Some(facts);
                pair.ports = [pair.ports[0].or(ports[1]), pair.ports[1].or(ports[0])];
                continue;
            }
            open.entry([from, to]).or_default().push(pairs.len());
        }
        pairs.push(Pair { edge, facts, back: None, ports });
    }
    let mut seen = FxHashSet::default();
    for pair in &pairs {
        if pair.edge.directed && pair.back.is_none() {
            notes.count(Note::OneWay, "");
        }
        let [from, to] = pair.edge.ends;
        if !seen.insert([from.min(to), from.max(to)]) {
            notes.count(Note::Parallel, "");
        }
    }
    pairs
}

/// Whether an edge with the ports `back` may be the reverse of one with the ports `there`.
fn same_cable(there: [Option<&str>; 2], back: [Option<&str>; 2]) -> bool {
    let agree = |one: Option<&str>, other: Option<&str>| one.is_none() || other.is_none() || one == other;
    agree(there[0], back[1]) && agree(there[1], back[0])
}

/// The port numbers: those of the file if they are valid, otherwise in the order of the links.
pub(super) struct Ports {
    from_file: bool,
    /// The port of a node's added host.
    of_hosts: Vec<u16>,
    next: FxHashMap<usize, u16>,
}

/// The ports at both ends of a link.
pub(super) struct Ends {
    pub numbers: [u16; 2],
    /// Their names in the file, if they differ from the numbers.
    pub names: Option<String>,
}

impl Ports {
    /// The ports of `hosts.len()` nodes; the marked ones get a host.
    pub fn new(pairs: &[Pair<'_>], hosts: &[bool]) -> Self {
        let mut taken = FxHashSet::default();
        let from_file = pairs.iter().all(|pair| match numbers(pair) {
            Some(numbers) => pair.edge.ends.iter().zip(numbers).all(|end| taken.insert((*end.0, end.1))),
            None => false,
        });
        let mut of_hosts = vec![0; hosts.len()];
        if from_file {
            for (node, port) in of_hosts.iter_mut().enumerate() {
                *port = (0..u16::MAX).find(|port| !taken.contains(&(node, *port))).unwrap_or(u16::MAX);
            }
        }
        let next = hosts.iter().enumerate().map(|(node, has)| (node, u16::from(*has))).collect();
        Ports { from_file, of_hosts, next }
    }

    /// The port of a node's added host.
    pub fn of_host(&self, node: usize) -> u16 {
        self.of_hosts[node]
    }

    /// The next ports at the ends of a link; `None` if a node has no more.
    pub fn take(&mut self, pair: &Pair<'_>, notes: &mut Notes) -> Option<Ends> {
        if self.from_file {
            return numbers(pair).map(|numbers| Ends { numbers, names: None });
        }
        let mut numbers = [0; 2];
        for (number, node) in numbers.iter_mut().zip(pair.edge.ends) {
            let next = self.next.entry(node).or_default();
            *number = *next;
            *next = next.checked_add(1)?;
        }
        let example = pair.ports[0].or(pair.ports[1]);
        let names = example.map(|example| {
            notes.count(Note::NamedPorts, example);
            pair.ports.map(|name| name.unwrap_or("-")).join(" -- ")
        });
        Some(Ends { numbers, names })
    }
}

fn numbers(pair: &Pair<'_>) -> Option<[u16; 2]> {
    let number = |name: Option<&str>| name?.parse().ok();
    Some([number(pair.ports[0])?, number(pair.ports[1])?])
}
