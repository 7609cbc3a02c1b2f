//! DOT, the language of Graphviz.
//!
//! # Source
//! Graphviz documentation, "DOT Language": its grammar.

mod label;
mod labels;
mod tokens;

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::ImportedText;
use super::attributes::Attributes;
use super::network::Network;
use super::notes::Note;
use super::reason::Owner;
use crate::config::ConfigError;
use tokens::{Token, Tokens};

/// The maximum depth of subgraphs: the parser recurses for each.
const DEEPEST: usize = 64;

pub(super) fn read(source: &ImportedText) -> Result<Network, ConfigError> {
    let mut parser = Parser {
        source,
        tokens: Tokens::new(source)?,
        network: Network::default(),
        strict: false,
        seen: FxHashMap::default(),
    };
    parser.graph()?;
    labels::resolve(&mut parser.network);
    Ok(parser.network)
}

/// Swaps the attributes of the two ends of an edge.
fn reverse(attributes: &mut Attributes) {
    for [tail, head] in [["tailport", "headport"], ["taillabel", "headlabel"]] {
        let [of_tail, of_head] = [tail, head].map(|key| attributes.take(&[key]));
        attributes.add(tail, of_head.unwrap_or_default());
        attributes.add(head, of_tail.unwrap_or_default());
    }
}

struct Parser<'a> {
    source: &'a ImportedText,
    tokens: Tokens<'a>,
    network: Network,
    /// Whether two nodes are joined at most once.
    strict: bool,
    seen: FxHashMap<[usize; 2], usize>,
}

/// An end of an edge: a node, and the port after its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    node: usize,
    port: Option<String>,
    /// The side of the node where a picture's line ends.
    compass: Option<String>,
}

impl From<usize> for End {
    fn from(node: usize) -> Self {
        End { node, port: None, compass: None }
    }
}

/// The attributes set by `node [...]` and `edge [...]`, in this scope and outer ones.
#[derive(Clone, Default)]
struct Scope {
    node: Attributes,
    edge: Attributes,
}

impl Parser<'_> {
    fn graph(&mut self) -> Result<(), ConfigError> {
        self.strict = self.tokens.take_word("strict")?;
        self.network.directed = self.tokens.take_word("digraph")?;
        if !self.network.directed && !self.tokens.take_word("graph")? {
            return Err(self.unexpected("`graph` or `digraph`"));
        }
        if let Token::Id(name) = self.tokens.peek() {
            self.network.name = Some(name.clone());
            self.tokens.advance()?;
        }
        self.expect("{")?;
        self.statements(&mut Scope::default(), 0)?;
        match self.tokens.peek() {
            Token::End => Ok(()),
            _ => Err(self.unexpected("the end of the file: one graph is read")),
        }
    }

    /// Reads statements up to the closing brace. Returns the nodes that they name.
    fn statements(&mut self, scope: &mut Scope, depth: usize) -> Result<Vec<usize>, ConfigError> {
        if depth > DEEPEST {
            let span = self.tokens.span();
            return Err(self.source.error(span, format!("subgraphs are nested more than {DEEPEST} deep")));
        }
        let mut members = Vec::new();
        loop {
            match self.tokens.peek() {
                Token::Mark("}") => {
                    self.tokens.advance()?;
                    return Ok(members);
                }
                Token::Mark(";") | Token::Mark(",") => self.tokens.advance()?,
                _ => members.extend(self.statement(scope, depth)?),
            }
        }
    }

    fn statement(&mut self, scope: &mut Scope, depth: usize) -> Result<Vec<usize>, ConfigError> {
        for (word, what) in [("graph", 0), ("node", 1), ("edge", 2)] {
            if self.tokens.take_word(word)? {
                let said = self.attributes()?;
                match what {
                    1 => scope.node = said.or(&scope.node),
                    2 => scope.edge = said.or(&scope.edge),
                    _ => self.describe(&said, depth),
                }
                return Ok(Vec::new());
            }
        }
        if let Some(id) = self.tokens.plain_id() {
            let span = self.tokens.span();
            self.tokens.advance()?;
            if self.take("=")? {
                let mut said = Attributes::default();
                said.set(&id, self.value()?);
                self.describe(&said, depth);
                return Ok(Vec::new());
            }
            let node = self.node(&id, scope, span.clone())?;
            let end = self.node_port(node)?;
            return self.after_end(vec![end], Some(node), span, scope, depth);
        }
        let span = self.tokens.span();
        let members = self.subgraph(scope, depth)?;
        self.after_end(members.into_iter().map(End::from).collect(), None, span, scope, depth)
    }

    /// Attributes of the graph, or of a subgraph.
    fn describe(&mut self, said: &Attributes, depth: usize) {
        if depth > 0 {
            self.network.notes.leave(Owner::Subgraph, said);
            return;
        }
        for attribute in said.iter() {
            self.network.attributes.set(&attribute.key, attribute.text.as_str());
        }
    }

    /// Reads what follows the first end of an edge, or a single node.
    fn after_end(
        &mut self,
        first: Vec<End>,
        node: Option<usize>,
        span: Range<usize>,
        scope: &Scope,
        depth: usize,
    ) -> Result<Vec<usize>, ConfigError> {
        let arrow = if self.network.directed { "->" } else { "--" };
        let mut ends = vec![first];
        while let Token::Mark(mark @ ("->" | "--")) = *self.tokens.peek() {
            if mark != arrow {
                return Err(self.unexpected(&format!("`{arrow}` in this kind of graph")));
            }
            self.tokens.advance()?;
            ends.push(self.end(scope, depth)?);
        }
        let said = self.attributes()?;
        if let (1, Some(node)) = (ends.len(), node) {
            let known = std::mem::take(&mut self.network.nodes[node].attributes);
            self.network.nodes[node].attributes = said.or(&known);
        } else {
            let attributes = said.or(&scope.edge);
            for pair in ends.windows(2) {
                self.edges(&pair[0], &pair[1], &attributes, &span)?;
            }
        }
        Ok(ends.into_iter().flatten().map(|end| end.node).collect())
    }

    fn edges(
        &mut self,
        from: &[End],
        to: &[End],
        attributes: &Attributes,
        span: &Range<usize>,
    ) -> Result<(), ConfigError> {
        for (from, to) in from.iter().flat_map(|from| to.iter().map(move |to| (from, to))) {
            let mut attributes = attributes.clone();
            for (end, key) in [(from, "tailport"), (to, "headport")] {
                if let Some(port) = &end.port {
                    attributes.set(key, port.as_str());
                }
                attributes.add("compass", end.compass.as_deref().unwrap_or_default());
            }
            let mut ends = [from.node, to.node];
            let mut directed = self.network.directed;
            if directed {
                match attributes.take(&["dir"]).as_deref() {
                    Some("none" | "both") => directed = false,
                    Some("back") => {
                        ends.reverse();
                        reverse(&mut attributes);
                    }
                    _ => {}
                }
            }
            let pair = if directed { ends } else { [ends[0].min(ends[1]), ends[0].max(ends[1])] };
            if let (true, Some(&known)) = (self.strict, self.seen.get(&pair)) {
                let known = &mut self.network.edges[known].attributes;
                *known = attributes.or(known);
                continue;
            }
            self.seen.insert(pair, self.network.edges.len());
            let edge = self.network.add_edge(self.source, ends, attributes, Some(span.clone()))?;
            edge.directed = directed;
        }
        Ok(())
    }

    /// Reads the end of an edge after an arrow: a node or a subgraph.
    fn end(&mut self, scope: &Scope, depth: usize) -> Result<Vec<End>, ConfigError> {
        let span = self.tokens.span();
        let Some(id) = self.tokens.plain_id() else {
            return Ok(self.subgraph(scope, depth)?.into_iter().map(End::from).collect());
        };
        self.tokens.advance()?;
        let node = self.node(&id, scope, span)?;
        Ok(vec![self.node_port(node)?])
    }

    /// `[subgraph [name]] { ... }`
    fn subgraph(&mut self, scope: &Scope, depth: usize) -> Result<Vec<usize>, ConfigError> {
        if self.tokens.take_word("subgraph")?
            && let Token::Id(name) = self.tokens.peek()
        {
            // A cluster is drawn as a frame; another subgraph is not drawn.
            if name.starts_with("cluster") {
                self.network.notes.count(Note::Group, name);
            }
            self.tokens.advance()?;
        }
        if !self.take("{")? {
            return Err(self.unexpected("a node, an edge or `}`"));
        }
        let mut members = self.statements(&mut scope.clone(), depth + 1)?;
        members.sort_unstable();
        members.dedup();
        Ok(members)
    }

    fn node(&mut self, id: &str, scope: &Scope, span: Range<usize>) -> Result<usize, ConfigError> {
        match self.network.find(id) {
            Some(node) => Ok(node),
            None => self.network.add_node(self.source, id, scope.node.clone(), Some(span)),
        }
    }

    /// `:port`, `:compass` or `:port:compass` after a node.
    fn node_port(&mut self, node: usize) -> Result<End, ConfigError> {
        const COMPASS: [&str; 10] = ["n", "ne", "e", "se", "s", "sw", "w", "nw", "c", "_"];
        let mut end = End::from(node);
        while self.take(":")? {
            let word = self.id()?;
            match COMPASS.contains(&word.as_str()) {
                true => end.compass = Some(word),
                false => end.port = Some(word),
            }
        }
        Ok(end)
    }

    /// `[a=1, b="2"; c] [...]`
    fn attributes(&mut self) -> Result<Attributes, ConfigError> {
        let mut attributes = Attributes::default();
        while self.take("[")? {
            while !self.take("]")? {
                let key = self.id()?;
                let value = if self.take("=")? { self.value()? } else { "true".to_owned() };
                attributes.set(&key, value);
                while self.take(",")? || self.take(";")? {}
            }
        }
        Ok(attributes)
    }

    /// A value of an attribute; an HTML value as the text that it shows.
    fn value(&mut self) -> Result<String, ConfigError> {
        let Token::Html(html) = self.tokens.peek() else { return self.id() };
        let text = label::from_html(html);
        self.tokens.advance()?;
        Ok(text)
    }

    fn id(&mut self) -> Result<String, ConfigError> {
        let (Token::Id(id) | Token::Html(id)) = self.tokens.peek() else {
            return Err(self.unexpected("a name or a value"));
        };
        let id = id.clone();
        self.tokens.advance()?;
        Ok(id)
    }

    fn take(&mut self, mark: &str) -> Result<bool, ConfigError> {
        let taken = matches!(self.tokens.peek(), Token::Mark(found) if *found == mark);
        if taken {
            self.tokens.advance()?;
        }
        Ok(taken)
    }

    fn expect(&mut self, mark: &str) -> Result<(), ConfigError> {
        if self.take(mark)? { Ok(()) } else { Err(self.unexpected(&format!("`{mark}`"))) }
    }

    fn unexpected(&self, expected: &str) -> ConfigError {
        let what = match self.tokens.peek() {
            Token::End => "the file ends here",
            _ => "this does not fit here",
        };
        self.source.error(self.tokens.span(), format!("{what}: expected {expected}"))
    }
}
