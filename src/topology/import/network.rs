//! A network as a file tells it, before it is understood.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::ImportedText;
use super::attributes::Attributes;
use super::notes::Notes;
use super::words::shortened;
use crate::config::ConfigError;
use crate::units::Rate;

/// The most nodes of an imported network.
const MOST_NODES: usize = 200_000;
/// The most edges of an imported network.
const MOST_EDGES: usize = 1_000_000;

/// Where something stands in the file, if its format tells.
pub(super) type Place = Option<Range<usize>>;

/// Nodes, edges and demands.
#[derive(Debug, Default)]
pub(super) struct Network {
    pub name: Option<String>,
    /// Edges have a direction, unless one says otherwise.
    pub directed: bool,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    pub demands: Vec<RawDemand>,
    /// What a demand of 1 stands for, where the file says it.
    pub demand_unit: Option<Rate>,
    /// What the file says of the graph.
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
    /// It stands for an edge of more than two ends, and is no place where traffic starts.
    pub is_hyperedge: bool,
}

#[derive(Debug)]
pub(super) struct Edge {
    pub ends: [usize; 2],
    pub attributes: Attributes,
    pub place: Place,
    /// It is one direction of a link.
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

    /// Adds a node with an id of its own.
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

    /// Adds an edge, with a direction where the network's edges have one.
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

    /// The node of that id, if there is one.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The node of that id.
    pub fn node(&self, source: &ImportedText, id: &str, place: Place) -> Result<usize, ConfigError> {
        self.find(id).ok_or_else(|| at(source, place, format!("no node has the id `{}`", shortened(id))))
    }
}

/// A mistake at a place, or of the file where the format tells none.
pub(super) fn at(source: &ImportedText, place: Place, message: String) -> ConfigError {
    match place {
        Some(span) => source.error(span, message),
        None => source.whole(message),
    }
}
