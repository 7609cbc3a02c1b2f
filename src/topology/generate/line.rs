//! Switches in a row, or in a ring.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GenerateError, Plan, at_least, check_size, fits_ports};
use crate::topology::Draft;

/// Switches `s0`, `s1`, ... in a row, with hosts at each of them.
///
/// Hosts are numbered along the row. At each switch, ports 0 to `hosts - 1` lead to its hosts, port `hosts`
/// to the previous switch and port `hosts + 1` to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The number of switches
    #[cfg_attr(feature = "cli", arg(long))]
    pub switches: u32,
    /// Hosts at each switch
    #[serde(default = "one")]
    #[cfg_attr(feature = "cli", arg(long, default_value_t = one()))]
    pub hosts: u32,
    /// Hosts at the first and the last switch only
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "cli", arg(long))]
    pub ends_only: bool,
}

/// Switches `s0`, `s1`, ... in a ring, with hosts at each of them.
///
/// Hosts and ports are numbered as in a line; the switch after the last is `s0`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Ring {
    /// The number of switches, 3 or more
    #[cfg_attr(feature = "cli", arg(long))]
    pub switches: u32,
    /// Hosts at each switch
    #[serde(default = "one")]
    #[cfg_attr(feature = "cli", arg(long, default_value_t = one()))]
    pub hosts: u32,
}

/// The default number of hosts of a switch.
pub(super) fn one() -> u32 {
    1
}

impl Line {
    pub(super) fn draft(&self) -> Result<Draft, GenerateError> {
        at_least("switches", self.switches, 1, "a line needs a switch")?;
        let last = self.switches - 1;
        let has_hosts = |switch: u32| !self.ends_only || switch == 0 || switch == last;
        row(self.switches, self.hosts, has_hosts, false)
    }
}

impl Ring {
    pub(super) fn draft(&self) -> Result<Draft, GenerateError> {
        at_least("switches", self.switches, 3, "a ring needs three switches")?;
        row(self.switches, self.hosts, |_| true, true)
    }
}

fn row(
    switches: u32,
    hosts: u32,
    has_hosts: impl Fn(u32) -> bool,
    closed: bool,
) -> Result<Draft, GenerateError> {
    fits_ports("hosts", hosts)?;
    check_size("switches", u128::from(switches), u128::from(switches))?;
    let with_hosts = (0..switches).filter(|&switch| has_hosts(switch)).count() as u32;
    let all_hosts = u128::from(with_hosts) * u128::from(hosts);
    check_size("hosts", u128::from(switches) + all_hosts, u128::from(switches) + all_hosts)?;
    let mut plan = Plan::default();
    plan.add_hosts(with_hosts * hosts);
    for switch in 0..switches {
        plan.add_switch(format!("s{switch}"), None);
    }
    let mut host = 0;
    for switch in (0..switches).filter(|&switch| has_hosts(switch)) {
        for port in 0..hosts {
            plan.attach(host, &format!("s{switch}"), port);
            host += 1;
        }
    }
    for switch in 0..if closed { switches } else { switches - 1 } {
        let next = (switch + 1) % switches;
        plan.join((&format!("s{switch}"), hosts + 1), (&format!("s{next}"), hosts), None);
    }
    Ok(plan.draft)
}
