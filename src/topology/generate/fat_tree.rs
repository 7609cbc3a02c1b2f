//! The three layers of switches of a data centre.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GenerateError, Plan, at_least, at_most, check_size};
use crate::topology::Draft;

/// A fat tree of switches with `k` ports each: k pods of k/2 edge and k/2 aggregation switches, (k/2)² core
/// switches and k³/4 hosts.
///
/// | device | name | ports |
/// |---|---|---|
/// | host n = (pod · k/2 + edge) · k/2 + place | `h{n}`, address 10.pod.edge.(place + 2) | 0: its edge switch |
/// | edge switch | `edge{pod}-{i}` | 0 to k/2 - 1: hosts, by place; k/2 + a: `agg{pod}-{a}` |
/// | aggregation switch | `agg{pod}-{a}` | 0 to k/2 - 1: `edge{pod}-{i}`; k/2 + j: `core{a·k/2 + j}` |
/// | core switch | `core{i}` | p: `agg{p}-{a}` of pod p, where a = i / (k/2) |
///
/// # Source
/// M. Al-Fares, A. Loukissas, A. Vahdat, "A scalable, commodity data center network architecture", SIGCOMM
/// 2008: its wiring and its addresses of hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
#[schemars(description = "A fat tree of switches with `k` ports each.")]
pub struct FatTree {
    /// The number of ports of a switch, and of pods: even
    #[cfg_attr(feature = "cli", arg(long))]
    pub k: u32,
}

impl FatTree {
    pub(super) fn draft(&self) -> Result<Draft, GenerateError> {
        let k = self.k;
        at_least("k", k, 2, "a switch needs a port down and a port up")?;
        if k % 2 == 1 {
            return Err(GenerateError::Odd { k });
        }
        let wide = u128::from(k);
        let hosts = wide.pow(3) / 4;
        check_size("k", hosts + wide * wide * 5 / 4, 3 * hosts)?;
        // The pod is one byte of an address.
        at_most("k", k, 256, "an address has a byte for the pod")?;
        Ok(self.build())
    }

    fn build(&self) -> Draft {
        let (pods, half) = (self.k, self.k / 2);
        let edge = |pod: u32, edge: u32| format!("edge{pod}-{edge}");
        let aggregation = |pod: u32, aggregation: u32| format!("agg{pod}-{aggregation}");
        let core = |core: u32| format!("core{core}");
        let mut plan = Plan::default();
        for host in 0..pods * half * half {
            let (pod, edge, place) = (host / (half * half), host / half % half, host % half);
            let [pod, edge, place] = [pod, edge, place + 2].map(|part| part as u8);
            plan.add_host(host, Ipv4Addr::new(10, pod, edge, place));
        }
        for name in [edge, aggregation] {
            for pod in 0..pods {
                for switch in 0..half {
                    plan.add_switch(name(pod, switch), None);
                }
            }
        }
        for switch in 0..half * half {
            plan.add_switch(core(switch), None);
        }
        for host in 0..pods * half * half {
            plan.attach(host, &edge(host / (half * half), host / half % half), host % half);
        }
        for pod in 0..pods {
            for down in 0..half {
                for up in 0..half {
                    plan.join((&edge(pod, down), half + up), (&aggregation(pod, up), down), None);
                }
            }
        }
        for pod in 0..pods {
            for down in 0..half {
                for up in 0..half {
                    plan.join((&aggregation(pod, down), half + up), (&core(down * half + up), pod), None);
                }
            }
        }
        plan.draft
    }
}
