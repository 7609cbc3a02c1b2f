//! An imported network before interpretation.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::ImportedText;
use super::attributes::Attributes;
use super::notes::Notes;
use super::words::shortened;
use crate::config::ConfigError;
use crate::units::Rate;

/// The maximum number of nodes of an imported network.
const MOST_NODES: usize = 200_000;
/// The maximum number of edges of an imported network.
const MOST_EDGES: usize = 1_000_000;

/// A position in the file, if its format provides one.
pub(super) type Place = Option<Range<usize>>;

/// Nodes, edges and demands.
#[derive(Debug, Default)]
pub(super) struct Network {
    pub name: Option<String>,
    /// Whether edges have a direction, unless an edge sets its own.
    pub directed: bool,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    pub demands: Vec<RawDemand>,
    /// The unit of demands, if the file states it.
    pub demand_unit: Option<Rate>,
    /// The attributes of the graph.
    pub attributes: Attributes,
    pub remarks: Vec<String>,
    pub notes: Notes,
    index: FxHashMap<String, usize>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub id: String,
    pub attributes: Attributes,
    pub place: Place,
    /// Whether it represents an edge with more than two ends, and is not a source of traffic.
    pub is_hyperedge: bool,
}

#[derive(Debug)]
pub(super) struct Edge {
    pub ends: [usize; 2],
    pub attributes: Attributes,
    pub place: Place,
    /// Whether it is one direction of a link.
    pub directed: bool,
}

#[derive(Debug)]
pub(super) struct RawDemand {
    pub ends: [usize; 2],
    pub value: f64,
}

impl Network {
    pub fn new(name: Option<String>, directed: bool) -> Self {
        Network { name, directed, ..Network::default() }
    }

    /// Adds a node with a unique id.
    pub fn add_node(
        &mut self,
        source: &ImportedText,
        id: &str,
        mut attributes: Attributes,
        place: Place,
    ) -> Result<usize, ConfigError> {
        let index = self.nodes.len();
        if self.index.insert(id.to_owned(), index).is_some() {
            return Err(at(source, place, format!("two nodes have the id `{}`", shortened(id))));
        }
        if index >= MOST_NODES {
            return Err(at(source, place, format!("there are more than {MOST_NODES} nodes")));
        }
        let is_hyperedge = attributes.take(&["hyperedge"]).is_some_and(|text| text == "1" || text == "true");
        self.nodes.push(Node { id: id.to_owned(), attributes, place, is_hyperedge });
        Ok(index)
    }

    /// Adds an edge. It is directed if the network's edges are.
    pub fn add_edge(
        &mut self,
        source: &ImportedText,
        ends: [usize; 2],
        attributes: Attributes,
        place: Place,
    ) -> Result<&mut Edge, ConfigError> {
        if self.edges.len() >= MOST_EDGES {
            return Err(at(source, place, format!("there are more than {MOST_EDGES} edges")));
        }
        self.edges.push(Edge { ends, attributes, place, directed: self.directed });
        Ok(self.edges.last_mut().expect("one was added"))
    }

    /// The node with this id, if there is one.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The node with this id.
    pub fn node(&self, source: &ImportedText, id: &str, place: Place) -> Result<usize, ConfigError> {
        self.find(id).ok_or_else(|| at(source, place, format!("no node has the id `{}`", shortened(id))))
    }
}

/// A mistake at a position, or of the whole file if the format provides no positions.
pub(super) fn at(source: &ImportedText, place: Place, message: String) -> ConfigError {
    match place {
        Some(span) => source.error(span, message),
        None => source.whole(message),
    }
}
