//! A forwarding rule of another crate.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{DeviceId, PortId, Topology};
use crate::config::{ConfigError, CustomTable, Document, Registry};
use crate::packet::{FlowKey, Packet};

/// The key whose table it is.
const KEY: &str = "rule";

/// A rule by which devices choose egress ports, where no explicit path and no static route prescribes one.
///
/// A rule is a function: what it answers depends on its arguments alone, since engines ask in orders of their own.
pub trait ForwardingRule: Send + Sync {
    /// Every egress port of the device that it may choose for packets of a flow; `choice.best` are those on cheapest paths, and
    /// the packet is an empty one. By default all of these.
    fn ways(&self, choice: &ForwardingChoice<'_>) -> Vec<PortId> {
        choice.best.to_vec()
    }

    /// The egress port of one packet: one of its [`ways`](ForwardingRule::ways); `None` for no route.
    fn choose(&self, choice: &ForwardingChoice<'_>) -> Option<PortId>;
}

/// What there is to choose from.
#[derive(Debug, Clone, Copy)]
pub struct ForwardingChoice<'a> {
    /// Where.
    pub device: DeviceId,
    /// The packet's flow.
    pub flow: FlowKey,
    /// 64 bits that are the flow's own.
    pub flow_hash: u64,
    /// The packet.
    pub packet: &'a Packet,
    /// The egress ports on cheapest paths to its destination, by number; none where no path leads there.
    pub best: &'a [PortId],
}

/// A rule at work in a topology.
#[derive(Clone)]
pub struct Rule(Arc<dyn ForwardingRule>);

/// Makes the rule for a network.
struct Make(Box<MakeFn>);

type MakeFn = dyn Fn(&Topology) -> Arc<dyn ForwardingRule> + Send + Sync;

/// A rule, as written.
#[derive(Debug, Clone, Deserialize)]
pub enum RuleSpec {
    /// One that another crate defines.
    #[serde(rename = "$custom")]
    Custom {
        /// Its kind and parameters.
        table: CustomTable,
    },
}

impl Registry {
    /// Adds a forwarding rule: `[forwarding]` with `rule = { kind = "my-rule", ... }`. `make` makes it for a network.
    pub fn forwarding_rule<P, R>(
        &mut self,
        kind: &str,
        make: impl Fn(&P, &Topology) -> R + Clone + Send + Sync + 'static,
    ) where
        P: DeserializeOwned + Send + Sync + 'static,
        R: ForwardingRule + 'static,
    {
        self.add(KEY, kind, move |parameters: P| {
            let make = make.clone();
            Make(Box::new(move |topology| Arc::new(make(&parameters, topology))))
        });
    }
}

impl Rule {
    /// The rule of another crate, made in code.
    pub fn new(rule: impl ForwardingRule + 'static) -> Self {
        Rule(Arc::new(rule))
    }

    /// The rule itself.
    pub fn get(&self) -> &dyn ForwardingRule {
        &*self.0
    }
}

impl RuleSpec {
    /// Reads its parameters.
    ///
    /// # Errors
    /// Every parameter that does not fit, with its place.
    pub(super) fn resolve(&self, topology: &Topology, document: &Document) -> Result<Rule, ConfigError> {
        let RuleSpec::Custom { table } = self;
        let mut table = table.clone();
        table.make(KEY, document)?;
        let make = table.made::<Make>().expect("kinds of rules make rules");
        Ok(Rule((make.0)(topology)))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rule")
    }
}

impl PartialEq for Rule {
    /// The same rule.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Rule {}
