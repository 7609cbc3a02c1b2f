//! The reasons why attributes are left out, by owner and key.

use super::keys::{BANDWIDTH, BUFFER, DELAY, KIND, LABEL, LENGTH, LOSS, PORTS};
use super::words::counted;
use crate::config::nearest;

/// The owner of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Graph,
    Subgraph,
    Node,
    Edge,
    Port,
    Demand,
}

impl Owner {
    pub fn name(self) -> &'static str {
        match self {
            Owner::Graph => "graph",
            Owner::Subgraph => "subgraph",
            Owner::Node => "node",
            Owner::Edge => "edge",
            Owner::Port => "port",
            Owner::Demand => "demand",
        }
    }

    /// The owners as a count; `None` for a single one.
    pub fn counted(self, number: usize) -> Option<String> {
        (self != Owner::Graph || number > 1).then(|| counted(number, self.name()))
    }
}

/// Attributes for pictures only: of Graphviz, yEd, Gephi, D3 and vis.js.
const PICTURE: &[&str] = &[
    "arrowhead",
    "arrows",
    "arrowsize",
    "arrowtail",
    "b",
    "bb",
    "bgcolor",
    "center",
    "clusterrank",
    "color",
    "colorscheme",
    "compass",
    "compound",
    "concentrate",
    "constraint",
    "curve",
    "dash",
    "dashes",
    "decorate",
    "distortion",
    "dpi",
    "edgegraphics",
    "fill",
    "fillcolor",
    "fixed",
    "fixedsize",
    "font",
    "fontcolor",
    "fontname",
    "fontpath",
    "fontsize",
    "forcelabels",
    "fx",
    "fy",
    "g",
    "gradientangle",
    "graphics",
    "headclip",
    "height",
    "hidden",
    "icon",
    "image",
    "imagepos",
    "imagescale",
    "label_pos",
    "labelangle",
    "labeldistance",
    "labelfloat",
    "labelfontcolor",
    "labelfontname",
    "labelfontsize",
    "labelgraphics",
    "labeljust",
    "labelloc",
    "landscape",
    "layout",
    "len",
    "lhead",
    "lp",
    "ltail",
    "lwidth",
    "lheight",
    "margin",
    "minlen",
    "mindist",
    "newrank",
    "nodegraphics",
    "nodesep",
    "nojustify",
    "opacity",
    "ordering",
    "orientation",
    "outline",
    "outlinecolor",
    "outputorder",
    "overlap",
    "pack",
    "packmode",
    "pad",
    "pencolor",
    "penwidth",
    "peripheries",
    "physics",
    "pin",
    "portgraphics",
    "pos",
    "quantum",
    "r",
    "radius",
    "rank",
    "rankdir",
    "ranksep",
    "ratio",
    "rects",
    "regular",
    "resources",
    "rotate",
    "samehead",
    "sametail",
    "sep",
    "shape",
    "sides",
    "size",
    "skew",
    "splines",
    "style",
    "stylesheet",
    "svg",
    "tailclip",
    "tooltip",
    "truecolor",
    "vertices",
    "viewport",
    "viz",
    "vx",
    "vy",
    "width",
    "x",
    "xlp",
    "y",
    "z",
];

/// Metrics of routing protocols.
const METRICS: &[&str] = &[
    "cost",
    "cost_text",
    "igp",
    "igp_cost",
    "igp_metric",
    "igpcost",
    "isis_metric",
    "linkweight",
    "link_weight",
    "metric",
    "ospf",
    "ospf_cost",
    "ospf_weight",
    "ospfcost",
    "routingcost",
    "te_metric",
    "weight",
];

/// Names of edges.
const EDGE_NAMES: &[&str] =
    &["id", "key", "name", "label", "linklabel", "xlabel", "edge_id", "linkid", "link_id"];

/// The reason for an attribute whose name is not that of a link property.
const NOTHING_OF_LINKS: &str = "taunet's links have no such property";

/// The key that was probably meant, for such an attribute.
pub(super) fn likely_meant(why: &str, key: &str) -> Option<&'static str> {
    const KEYS: [&str; 9] = [
        "bandwidth",
        "capacity",
        "delay",
        "latency",
        "length",
        "distance",
        "jitter",
        "max_queue_size",
        "packet_loss",
    ];
    if why == NOTHING_OF_LINKS { nearest(key, KEYS) } else { None }
}

/// The reason why an attribute with this key is left out.
pub(super) fn reason(owner: Owner, key: &str) -> &'static str {
    let among = |keys: &[&str]| keys.iter().any(|known| known.eq_ignore_ascii_case(key));
    let named = |keys: &[&str]| {
        keys.iter().any(|known| key.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known)))
    };
    if among(PICTURE) {
        return "for pictures only";
    }
    match owner {
        Owner::Edge if among(EDGE_NAMES) => "links have no names",
        Owner::Edge if among(METRICS) => "paths depend on hops, delay or capacity, as set in [forwarding]",
        Owner::Edge if named(BANDWIDTH) => "another attribute gives the bandwidth, or this is not one",
        Owner::Edge if named(DELAY) || named(LENGTH) => {
            "another attribute gives the delay, or this is not one"
        }
        Owner::Edge if named(LOSS) => "another attribute gives the loss, or this is not one",
        Owner::Edge if named(BUFFER) => "another attribute gives the queue, or this is not one",
        Owner::Edge if PORTS.iter().any(|keys| among(keys)) => "another attribute gives the port",
        Owner::Edge => NOTHING_OF_LINKS,
        Owner::Node if among(LABEL) => "another attribute gives the name",
        Owner::Node if among(KIND) => "devices are hosts, switches or routers",
        Owner::Node => "taunet's devices have no such property",
        Owner::Port => "taunet's ports have numbers only",
        Owner::Demand => "taunet's demands are a source, a destination and a rate",
        Owner::Graph | Owner::Subgraph => "taunet's topologies have no such property",
    }
}
