//! The shared workload of all simulators in the bench: topology, routes and splitmix64 streams.

use std::net::{IpAddr, Ipv4Addr};

/// 1000 B at 1 Gbps.
pub const TRANSMISSION_NS: u64 = 8_000;
/// The propagation delay of a link.
pub const HOP_NS: u64 = 10_000;

/// splitmix64, seeded by the host.
pub struct Random(u64);

impl Random {
    pub fn new(host: u32) -> Self {
        Random(12_345u64.wrapping_add((u64::from(host) + 1).wrapping_mul(0xd1b5_4a32_d192_ed03)))
    }

    #[inline]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An exponential gap, rounded to nanoseconds.
    #[inline]
    #[expect(clippy::disallowed_methods, reason = "measured, and drawn like this by other simulators too")]
    pub fn gap(&mut self, mean_ns: f64) -> u64 {
        let uniform = ((self.next() >> 11) + 1) as f64 * (1.0 / 9_007_199_254_740_992.0);
        (-uniform.ln() * mean_ns + 0.5) as u64
    }

    /// Another host than `host`, all alike.
    #[inline]
    pub fn other_host(&mut self, host: u32, hosts: u64) -> u32 {
        let other = (self.next() % (hosts - 1)) as u32;
        if other >= host { other + 1 } else { other }
    }
}

/// One network with its senders. Hosts are the first nodes.
pub struct Workload {
    pub name: String,
    pub hosts: usize,
    pub nodes: usize,
    /// Per port: the node that it leads to.
    pub to: Vec<u32>,
    /// Per port: its node.
    pub from: Vec<u32>,
    /// `[nodes][hosts]`: the port; `u32::MAX` at the destination. Made for the reference alone.
    pub route: Vec<u32>,
    pub senders: Vec<u32>,
    pub only_destination: Option<u32>,
    pub mean_gap_ns: f64,
    pub is_fat_tree: bool,
}

impl Workload {
    /// `routed` says whether the routing table is made: the reference needs it.
    pub fn named(name: &str, routed: bool) -> Self {
        match name.strip_prefix("ft") {
            Some(k) => Self::fat_tree(k.parse().expect("a fat tree's k"), routed),
            None => Self::line(),
        }
    }

    /// host - 4 switches - host.
    fn line() -> Self {
        let mut workload = Workload {
            name: "line1".to_owned(),
            hosts: 2,
            nodes: 6,
            to: Vec::new(),
            from: Vec::new(),
            route: vec![u32::MAX; 6 * 2],
            senders: vec![0],
            only_destination: Some(1),
            mean_gap_ns: 8000.0 / 0.7,
            is_fat_tree: false,
        };
        for (from, to) in [(0, 2), (2, 3), (3, 4), (4, 5), (5, 1)] {
            workload.route[from * 2 + 1] = workload.add(from, to);
        }
        workload
    }

    /// A k-ary fat tree with D-mod-k routes.
    fn fat_tree(k: usize, routed: bool) -> Self {
        let half = k / 2;
        let (hosts, edges, cores) = (k * half * half, k * half, half * half);
        let nodes = hosts + 2 * edges + cores;
        let edge = |pod: usize, number: usize| hosts + pod * half + number;
        let aggregation = |pod: usize, number: usize| hosts + edges + pod * half + number;
        let core = |group: usize, number: usize| hosts + 2 * edges + group * half + number;
        let mut workload = Workload {
            name: format!("ft{k}"),
            hosts,
            nodes,
            to: Vec::new(),
            from: Vec::new(),
            route: vec![u32::MAX; if routed { nodes * hosts } else { 0 }],
            senders: (0..hosts as u32).collect(),
            only_destination: None,
            mean_gap_ns: 16_000.0,
            is_fat_tree: true,
        };
        let add = |workload: &mut Workload, from: usize, to: usize, serves: &dyn Fn(usize) -> bool| {
            let port = workload.add(from, to);
            for host in (0..hosts).filter(|host| routed && serves(*host)) {
                workload.route[from * hosts + host] = port;
            }
        };
        for host in 0..hosts {
            add(&mut workload, host, edge(host / (half * half), host / half % half), &|to| to != host);
        }
        for pod in 0..k {
            for e in 0..half {
                for a in 0..half {
                    let away = |to: usize| to / half != pod * half + e && to % half == a;
                    add(&mut workload, edge(pod, e), aggregation(pod, a), &away);
                }
            }
            for a in 0..half {
                for j in 0..half {
                    let away = |to: usize| to / (half * half) != pod && to / half % half == j;
                    add(&mut workload, aggregation(pod, a), core(a, j), &away);
                }
            }
        }
        for a in 0..half {
            for j in 0..half {
                for pod in 0..k {
                    add(&mut workload, core(a, j), aggregation(pod, a), &|to| to / (half * half) == pod);
                }
            }
        }
        for pod in 0..k {
            for a in 0..half {
                for e in 0..half {
                    add(&mut workload, aggregation(pod, a), edge(pod, e), &|to| to / half == pod * half + e);
                }
            }
        }
        for host in 0..hosts {
            add(&mut workload, edge(host / (half * half), host / half % half), host, &|to| to == host);
        }
        workload
    }

    fn add(&mut self, from: usize, to: usize) -> u32 {
        self.from.push(from as u32);
        self.to.push(to as u32);
        self.to.len() as u32 - 1
    }

    pub fn destination(&self, host: u32, random: &mut Random) -> u32 {
        self.only_destination.unwrap_or_else(|| random.other_host(host, self.hosts as u64))
    }
}

/// The address of a host.
pub fn address(host: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0001 + host).into()
}
