//! Forwarding rules defined by other crates.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{DeviceId, PortId, Topology};
use crate::config::{ConfigError, CustomTable, Document, Registry};
use crate::packet::{FlowKey, Packet};

/// The key of the table of a rule.
const KEY: &str = "rule";

/// A rule for the choice of egress ports where no explicit path and no static route applies.
///
/// A rule is a function: its result depends only on its arguments, because the engines call it in different
/// orders.
pub trait ForwardingRule: Send + Sync {
    /// Every egress port of the device that the rule may choose for packets of a flow. `choice.best` holds
    /// the ports on cheapest paths, which are the default result; the packet is empty.
    fn ways(&self, choice: &ForwardingChoice<'_>) -> Vec<PortId> {
        choice.best.to_vec()
    }

    /// The egress port of one packet: one of its [`ways`](ForwardingRule::ways); `None` for no route.
    fn choose(&self, choice: &ForwardingChoice<'_>) -> Option<PortId>;
}

/// The input of a choice.
#[derive(Debug, Clone, Copy)]
pub struct ForwardingChoice<'a> {
    /// The device.
    pub device: DeviceId,
    /// The packet's flow.
    pub flow: FlowKey,
    /// A 64-bit hash of the flow.
    pub flow_hash: u64,
    /// The packet.
    pub packet: &'a Packet,
    /// The egress ports on cheapest paths to its destination, by number; empty if there is no path.
    pub best: &'a [PortId],
}

/// The rule of a topology.
#[derive(Clone)]
pub struct Rule(Arc<dyn ForwardingRule>);

/// Creates the rule for a network.
struct Make(Box<MakeFn>);

type MakeFn = dyn Fn(&Topology) -> Arc<dyn ForwardingRule> + Send + Sync;

/// A rule, as written.
#[derive(Debug, Clone, Deserialize)]
pub enum RuleSpec {
    /// A rule defined by another crate.
    #[serde(rename = "$custom")]
    Custom {
        /// Its kind and parameters.
        table: CustomTable,
    },
}

impl Registry {
    /// Registers a forwarding rule: `[forwarding]` with `rule = { kind = "my-rule", ... }`. `make` creates it
    /// for a network.
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
    /// A rule of another crate, created in code.
    pub fn new(rule: impl ForwardingRule + 'static) -> Self {
        Rule(Arc::new(rule))
    }

    /// The rule itself.
    pub fn get(&self) -> &dyn ForwardingRule {
        &*self.0
    }
}

impl RuleSpec {
    /// Reads the parameters of the rule.
    ///
    /// # Errors
    /// Every invalid parameter, with its position.
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
    /// Whether both are the same rule.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Rule {}
