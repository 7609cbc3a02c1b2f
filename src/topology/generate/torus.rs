//! A grid of switches with wrap-around links.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::line::one;
use super::{GenerateError, Plan, at_least, check_size, fits_ports};
use crate::topology::{Draft, Position};
use crate::units::Distance;

/// Switches in a grid of any number of dimensions, each joined to its neighbours in every dimension. The last
/// switch of a dimension is joined to the first.
///
/// A switch is named by its coordinates: `s0-2` in two dimensions, `s0-2-1` in three. Switches and hosts are
/// numbered with the last coordinate varying fastest. At each switch, ports 0 to `hosts - 1` lead to its
/// hosts; in dimension d (from 0), port `hosts + 2d` leads to the previous neighbour and port
/// `hosts + 2d + 1` to the next. In a dimension of size 2 the two neighbours are the same switch, and there
/// is a single link: from the "next" port of the first switch to the "previous" port of the second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Torus {
    /// The number of switches in each dimension, such as 4,4
    #[cfg_attr(feature = "cli", arg(long, value_delimiter = ',', required = true))]
    pub dimensions: Vec<u32>,
    /// Hosts at each switch
    #[serde(default = "one")]
    #[cfg_attr(feature = "cli", arg(long, default_value_t = one()))]
    pub hosts: u32,
}

impl Torus {
    pub(super) fn draft(&self) -> Result<Draft, GenerateError> {
        if self.dimensions.is_empty() {
            return Err(GenerateError::NoDimensions);
        }
        for &size in &self.dimensions {
            at_least("dimensions", size, 2, "each dimension of a torus needs two switches")?;
        }
        fits_ports("hosts", self.hosts)?;
        let switches = self.dimensions.iter().fold(1u128, |all, &size| all.saturating_mul(size.into()));
        let hosts = switches.saturating_mul(self.hosts.into());
        let links = switches.saturating_mul(self.dimensions.len() as u128);
        check_size("dimensions", switches, links)?;
        check_size("hosts", switches + hosts, links + hosts)?;
        Ok(self.build(switches as u32))
    }

    fn build(&self, switches: u32) -> Draft {
        let mut plan = Plan::default();
        plan.add_hosts(switches * self.hosts);
        let names = (0..switches).map(|switch| self.name(switch)).collect::<Vec<_>>();
        for (switch, name) in names.iter().enumerate() {
            plan.add_switch(name.clone(), self.position(switch as u32));
        }
        for (switch, name) in names.iter().enumerate() {
            for port in 0..self.hosts {
                plan.attach(switch as u32 * self.hosts + port, name, port);
            }
        }
        for (switch, name) in names.iter().enumerate() {
            // The last coordinate varies fastest: the stride of a dimension is the product of those after it.
            let mut stride = switches;
            for (dimension, &size) in self.dimensions.iter().enumerate() {
                stride /= size;
                let switch = switch as u32;
                let at = switch / stride % size;
                if size == 2 && at == 1 {
                    continue;
                }
                let next = if at + 1 == size { switch - at * stride } else { switch + stride };
                let port = self.hosts + 2 * dimension as u32;
                plan.join((name, port + 1), (&names[next as usize], port), None);
            }
        }
        plan.draft
    }

    /// The coordinates of a switch.
    fn coordinates(&self, switch: u32) -> Vec<u32> {
        let mut rest = switch;
        let mut coordinates = self
            .dimensions
            .iter()
            .rev()
            .map(|&size| {
                let at = rest % size;
                rest /= size;
                at
            })
            .collect::<Vec<_>>();
        coordinates.reverse();
        coordinates
    }

    fn name(&self, switch: u32) -> String {
        let coordinates = self.coordinates(switch).iter().map(u32::to_string).collect::<Vec<_>>();
        format!("s{}", coordinates.join("-"))
    }

    /// A position in a picture: the grid of the first two dimensions. A third dimension shifts it a little to
    /// the right and down.
    fn position(&self, switch: u32) -> Option<Position> {
        let [down, right, deep] = match self.coordinates(switch)[..] {
            [down, right] => [down, right, 0],
            [down, right, deep] => [down, right, deep],
            _ => return None,
        };
        let depth = self.dimensions.get(2).copied().unwrap_or(1);
        let metres = |grid: u32, shift: u32| {
            let thousandths = u64::from(grid) * 1_000 + u64::from(shift) * 600 / u64::from(depth);
            Distance::from_um(thousandths * 1_000)
        };
        Some(Position::Plane { x: metres(right, deep), y: metres(down, deep) })
    }
}
