//! DOT, the language of Graphviz.
//!
//! # Source
//! Graphviz documentation, "DOT Language": its grammar.

mod tokens;

use std::ops::Range;

use rustc_hash::FxHashSet;

use super::Source;
use super::attributes::Attributes;
use super::network::Network;
use crate::config::ConfigError;
use tokens::{Token, Tokens};

/// The deepest subgraph: the parser calls itself for each.
const DEEPEST: usize = 64;

pub(super) fn read(source: &Source) -> Result<Network, ConfigError> {
    let mut parser = Parser {
        source,
        tokens: Tokens::new(source)?,
        network: Network::default(),
        strict: false,
        seen: FxHashSet::default(),
    };
    parser.graph()?;
    Ok(parser.network)
}

struct Parser<'a> {
    source: &'a Source,
    tokens: Tokens<'a>,
    network: Network,
    /// Two nodes are joined once.
    strict: bool,
    seen: FxHashSet<[usize; 2]>,
}

/// What `node [...]` and `edge [...]` said, here and outside.
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

    /// Statements up to the closing brace; the nodes that they name.
    fn statements(&mut self, scope: &mut Scope, depth: usize) -> Result<Vec<usize>, ConfigError> {
        if depth > DEEPEST {
            let span = self.tokens.span();
            return Err(self.source.error(span, format!("subgraphs are more than {DEEPEST} deep")));
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
                    _ => {}
                }
                return Ok(Vec::new());
            }
        }
        if let Some(id) = self.tokens.plain_id() {
            let span = self.tokens.span();
            self.tokens.advance()?;
            if self.take("=")? {
                // An attribute of the graph.
                return self.id().map(|_| Vec::new());
            }
            let node = self.node(&id, scope, span.clone())?;
            self.node_port()?;
            return self.after_end(vec![node], Some(node), span, scope, depth);
        }
        let span = self.tokens.span();
        let members = self.subgraph(scope, depth)?;
        self.after_end(members, None, span, scope, depth)
    }

    /// What follows the first end of an edge, or a node alone.
    fn after_end(
        &mut self,
        first: Vec<usize>,
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
        Ok(ends.into_iter().flatten().collect())
    }

    fn edges(
        &mut self,
        from: &[usize],
        to: &[usize],
        attributes: &Attributes,
        span: &Range<usize>,
    ) -> Result<(), ConfigError> {
        for &from in from {
            for &to in to {
                let pair = if self.network.directed { [from, to] } else { [from.min(to), from.max(to)] };
                if self.strict && !self.seen.insert(pair) {
                    continue;
                }
                self.network.add_edge(self.source, [from, to], attributes.clone(), Some(span.clone()))?;
            }
        }
        Ok(())
    }

    /// An end of an edge behind an arrow: a node or a subgraph.
    fn end(&mut self, scope: &Scope, depth: usize) -> Result<Vec<usize>, ConfigError> {
        let span = self.tokens.span();
        let Some(id) = self.tokens.plain_id() else { return self.subgraph(scope, depth) };
        self.tokens.advance()?;
        let node = self.node(&id, scope, span)?;
        self.node_port()?;
        Ok(vec![node])
    }

    /// `[subgraph [name]] { ... }`
    fn subgraph(&mut self, scope: &Scope, depth: usize) -> Result<Vec<usize>, ConfigError> {
        if self.tokens.take_word("subgraph")? && matches!(self.tokens.peek(), Token::Id(_)) {
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

    /// `:port:compass`, which says where a picture's line ends.
    fn node_port(&mut self) -> Result<(), ConfigError> {
        while self.take(":")? {
            self.id()?;
        }
        Ok(())
    }

    /// `[a=1, b="2"; c] [...]`
    fn attributes(&mut self) -> Result<Attributes, ConfigError> {
        let mut attributes = Attributes::default();
        while self.take("[")? {
            while !self.take("]")? {
                let key = self.id()?;
                let value = if self.take("=")? { self.id()? } else { "true".to_owned() };
                // `\N` is the node's own name.
                if !(key == "label" && value == "\\N") {
                    attributes.set(&key, value);
                }
                while self.take(",")? || self.take(";")? {}
            }
        }
        Ok(attributes)
    }

    fn id(&mut self) -> Result<String, ConfigError> {
        let Token::Id(id) = self.tokens.peek() else { return Err(self.unexpected("a name or a value")) };
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
