//! Hosts on both sides of a bottleneck.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GenerateError, Plan, at_least, fits_ports};
use crate::topology::Draft;

/// Two switches, `s0` on the left and `s1` on the right, with hosts at each: `h0` to `h{left - 1}` on the
/// left, the others on the right.
///
/// Port `left` of `s0` leads to `s1`, and port `right` of `s1` to `s0`. `[defaults.link]` sets the link
/// between the two; `[defaults.access_link]` sets the links of the hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Dumbbell {
    /// The number of hosts on the left
    #[cfg_attr(feature = "cli", arg(long))]
    pub left: u32,
    /// The number of hosts on the right
    #[cfg_attr(feature = "cli", arg(long))]
    pub right: u32,
}

impl Dumbbell {
    pub(super) fn draft(&self) -> Result<Draft, GenerateError> {
        for (parameter, hosts) in [("left", self.left), ("right", self.right)] {
            at_least(parameter, hosts, 1, "each side of a dumbbell needs a host")?;
            fits_ports(parameter, hosts)?;
        }
        let mut plan = Plan::default();
        plan.add_hosts(self.left + self.right);
        plan.add_switch("s0".to_owned(), None);
        plan.add_switch("s1".to_owned(), None);
        for host in 0..self.left {
            plan.attach(host, "s0", host);
        }
        for host in 0..self.right {
            plan.attach(self.left + host, "s1", host);
        }
        plan.join(("s0", self.left), ("s1", self.right), None);
        Ok(plan.draft)
    }
}
