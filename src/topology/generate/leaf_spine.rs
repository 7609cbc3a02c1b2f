//! Two layers of switches, each switch joined to all of the other layer.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GenerateError, Plan, at_least, at_most, check_size, fits_ports};
use crate::topology::Draft;

/// Switches `leaf0`, `leaf1`, ..., each with hosts and joined to every switch `spine0`, `spine1`, ...
///
/// Hosts are numbered leaf by leaf. The host with index p at leaf l has the address 10.(l / 256).(l mod
/// 256).(p + 1). At a leaf, ports 0 to `hosts - 1` lead to its hosts and port `hosts + j` to `spine{j}`; at a
/// spine, port i leads to `leaf{i}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct LeafSpine {
    /// The number of leaf switches
    #[cfg_attr(feature = "cli", arg(long))]
    pub leaves: u32,
    /// The number of spine switches
    #[cfg_attr(feature = "cli", arg(long))]
    pub spines: u32,
    /// Hosts at each leaf, at most 254
    #[cfg_attr(feature = "cli", arg(long))]
    pub hosts: u32,
}

impl LeafSpine {
    pub(super) fn draft(&self) -> Result<Draft, GenerateError> {
        at_least("leaves", self.leaves, 1, "a fabric needs a leaf")?;
        at_least("spines", self.spines, 1, "a fabric needs a spine")?;
        fits_ports("leaves", self.leaves)?;
        fits_ports("spines", self.spines)?;
        at_most("hosts", self.hosts, 254, "the addresses of a leaf have one byte for its hosts")?;
        let [leaves, spines, hosts] = [self.leaves, self.spines, self.hosts].map(u128::from);
        check_size("leaves", leaves + spines + leaves * hosts, leaves * (hosts + spines))?;
        let mut plan = Plan::default();
        for host in 0..self.leaves * self.hosts {
            let (leaf, place) = (host / self.hosts, host % self.hosts);
            let address = Ipv4Addr::new(10, (leaf >> 8) as u8, leaf as u8, place as u8 + 1);
            plan.add_host(host, address);
        }
        for leaf in 0..self.leaves {
            plan.add_switch(format!("leaf{leaf}"), None);
        }
        for spine in 0..self.spines {
            plan.add_switch(format!("spine{spine}"), None);
        }
        for host in 0..self.leaves * self.hosts {
            plan.attach(host, &format!("leaf{}", host / self.hosts), host % self.hosts);
        }
        for leaf in 0..self.leaves {
            for spine in 0..self.spines {
                let (from, to) = (format!("leaf{leaf}"), format!("spine{spine}"));
                plan.join((&from, self.hosts + spine), (&to, leaf), None);
            }
        }
        Ok(plan.draft)
    }
}
