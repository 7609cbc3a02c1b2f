//! Random networks in which nearby switches are joined more often.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::line::one;
use super::{GenerateError, Plan, at_least, at_most, check_size, fits_ports};
use crate::random::Draws;
use crate::topology::{Draft, Position};
use crate::units::Distance;

/// The maximum number of switches: every pair is examined.
const MOST_SWITCHES: u32 = 10_000;

/// Switches `s0`, `s1`, ... at random positions in a square. Two of them at distance d are joined with
/// probability `beta · exp(-d / (alpha · L))`, where L is the diagonal of the square.
///
/// If the network is not connected, the shortest links that connect it are added. The length of a link is the
/// distance of its ends, which gives its propagation delay. At each switch, ports 0 to `hosts - 1` lead to
/// its hosts and the following ports to its neighbours, in the order of their numbers. Hosts are numbered
/// switch by switch.
///
/// A seed gives the same network on every machine. With more switches, the first ones keep their positions.
///
/// # Source
/// B. M. Waxman, "Routing of multipoint connections", IEEE JSAC 6(9), 1988: its first model, with the
/// diagonal as the maximum distance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
#[schemars(description = "A random network in which nearby switches are joined more often.")]
pub struct Waxman {
    /// The number of switches
    #[cfg_attr(feature = "cli", arg(long))]
    pub switches: u32,
    /// The length of links: larger values allow longer links; above 0, at most 1
    #[serde(default = "default_alpha")]
    #[cfg_attr(feature = "cli", arg(long, default_value_t = default_alpha()))]
    pub alpha: f64,
    /// The number of links: larger values give more links; above 0, at most 1
    #[serde(default = "default_beta")]
    #[cfg_attr(feature = "cli", arg(long, default_value_t = default_beta()))]
    pub beta: f64,
    /// The side of the square
    #[serde(default = "default_side")]
    #[cfg_attr(feature = "cli", arg(long, default_value_t = default_side()))]
    pub side: Distance,
    /// The seed of the positions and links
    #[serde(default = "default_seed")]
    #[cfg_attr(feature = "cli", arg(long, default_value_t = default_seed()))]
    pub seed: u64,
    /// Hosts at each switch
    #[serde(default = "one")]
    #[cfg_attr(feature = "cli", arg(long, default_value_t = one()))]
    pub hosts: u32,
}

fn default_alpha() -> f64 {
    0.2
}

fn default_beta() -> f64 {
    0.4
}

fn default_side() -> Distance {
    Distance::from_um(1_000_000_000_000)
}

fn default_seed() -> u64 {
    1
}

/// A position, in micrometres.
type Place = (u64, u64);

impl Waxman {
    pub(super) fn draft(&self) -> Result<Draft, GenerateError> {
        at_least("switches", self.switches, 1, "a network needs a switch")?;
        at_most("switches", self.switches, MOST_SWITCHES, "every pair of switches is examined")?;
        fits_ports("hosts", self.hosts)?;
        // A switch has ports for its hosts and for at most all other switches.
        let why = "a device has no ports for these hosts and its neighbours";
        at_most("hosts", self.hosts, 65_000 - self.switches, why)?;
        for (parameter, value) in [("alpha", self.alpha), ("beta", self.beta)] {
            if !(value > 0.0 && value <= 1.0) {
                return Err(GenerateError::OutOfRange { parameter, value, most: 1.0 });
            }
        }
        let (switches, hosts) = (u128::from(self.switches), u128::from(self.hosts));
        check_size("hosts", switches * (1 + hosts), switches * hosts)?;
        let places = self.places();
        let mut links = self.links(&places);
        check_size("beta", 0, links.len() as u128)?;
        connect(&places, &mut links);
        links.sort_unstable();
        Ok(self.build(&places, &links))
    }

    fn places(&self) -> Vec<Place> {
        let draws = Draws::new(self.seed, "waxman", "places");
        let side = self.side.as_um();
        // Rounds to a millimetre if the square is large enough, for readability.
        let step = if side > 1_000_000 { 1_000 } else { 1 };
        let coordinate = |number: u64| (draws.unit(number) * side as f64) as u64 / step * step;
        (0..u64::from(self.switches))
            .map(|switch| (coordinate(2 * switch), coordinate(2 * switch + 1)))
            .collect()
    }

    fn links(&self, places: &[Place]) -> Vec<(usize, usize)> {
        let draws = Draws::new(self.seed, "waxman", "links");
        let reach = self.alpha * self.side.as_um() as f64 * std::f64::consts::SQRT_2;
        let mut links = Vec::new();
        for (to, &place) in places.iter().enumerate() {
            for (from, &other) in places[..to].iter().enumerate() {
                // A reach of zero joins only switches at the same position.
                let distance = squared(place, other).sqrt();
                let probability =
                    if distance == 0.0 { self.beta } else { self.beta * libm::exp(-distance / reach) };
                if draws.unit((to as u64) << 32 | from as u64) < probability {
                    links.push((from, to));
                }
            }
        }
        links
    }

    fn build(&self, places: &[Place], links: &[(usize, usize)]) -> Draft {
        let mut plan = Plan::default();
        plan.add_hosts(self.switches * self.hosts);
        let position = |(x, y): Place| Position::Plane { x: Distance::from_um(x), y: Distance::from_um(y) };
        let names = (0..places.len()).map(|switch| format!("s{switch}")).collect::<Vec<_>>();
        for (name, &place) in names.iter().zip(places) {
            plan.add_switch(name.clone(), Some(position(place)));
        }
        for host in 0..self.switches * self.hosts {
            plan.attach(host, &names[(host / self.hosts) as usize], host % self.hosts);
        }
        let mut neighbours = vec![Vec::new(); places.len()];
        for &(from, to) in links {
            neighbours[from].push(to);
            neighbours[to].push(from);
        }
        for list in &mut neighbours {
            list.sort_unstable();
        }
        let port_to = |switch: usize, neighbour: usize| {
            let place = neighbours[switch].binary_search(&neighbour).expect("the two are joined");
            self.hosts + place as u32
        };
        for &(from, to) in links {
            let length = position(places[from]).distance(position(places[to]));
            plan.join((&names[from], port_to(from, to)), (&names[to], port_to(to, from)), length);
        }
        plan.draft
    }
}

fn squared(from: Place, to: Place) -> f64 {
    let (x, y) = (from.0.abs_diff(to.0) as f64, from.1.abs_diff(to.1) as f64);
    x * x + y * y
}

/// Adds the shortest links that connect all components (Prim's algorithm, with a cost of zero for existing
/// links).
fn connect(places: &[Place], links: &mut Vec<(usize, usize)>) {
    let mut neighbours = vec![Vec::new(); places.len()];
    for &(from, to) in links.iter() {
        neighbours[from].push(to);
        neighbours[to].push(from);
    }
    let mut inside = vec![false; places.len()];
    // For each switch outside: the nearest switch inside.
    let mut nearest = vec![(f64::INFINITY, 0); places.len()];
    let mut entered = vec![0];
    inside[0] = true;
    loop {
        while let Some(switch) = entered.pop() {
            for (other, near) in nearest.iter_mut().enumerate() {
                let distance = squared(places[switch], places[other]);
                if distance < near.0 {
                    *near = (distance, switch);
                }
            }
            for &next in &neighbours[switch] {
                if !std::mem::replace(&mut inside[next], true) {
                    entered.push(next);
                }
            }
        }
        let outside = (0..places.len()).filter(|&switch| !inside[switch]);
        let Some(next) = outside.min_by(|&a, &b| nearest[a].0.total_cmp(&nearest[b].0)) else { return };
        let from = nearest[next].1;
        links.push((from.min(next), from.max(next)));
        inside[next] = true;
        entered.push(next);
    }
}
