//! Hosts around one switch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GenerateError, Plan, at_least, fits_ports};
use crate::topology::Draft;

/// Hosts around the switch `s0`, whose port n leads to `h{n}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Star {
    /// The number of hosts
    #[cfg_attr(feature = "cli", arg(long))]
    pub hosts: u32,
}

impl Star {
    pub(super) fn draft(&self) -> Result<Draft, GenerateError> {
        at_least("hosts", self.hosts, 1, "a star needs a host")?;
        fits_ports("hosts", self.hosts)?;
        let mut plan = Plan::default();
        plan.add_hosts(self.hosts);
        plan.add_switch("s0".to_owned(), None);
        for host in 0..self.hosts {
            plan.attach(host, "s0", host);
        }
        Ok(plan.draft)
    }
}
