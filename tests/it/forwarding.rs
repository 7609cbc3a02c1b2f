//! Forwarding: weights, equal-cost paths, explicit paths, and the size of tables.

use std::collections::BTreeSet;
use std::net::IpAddr;

use taunet::flow::Flows;
use taunet::packet::{FlowKey, Packet};
use taunet::pfm::Pfm;
use taunet::topology::{DeviceId, Topology};

fn flow(from: IpAddr, to: IpAddr, port: u16) -> FlowKey {
    FlowKey::Ip { source: from, destination: to, protocol: 17, ports: Some((port, 9)) }
}

/// a - s, then three ways to t - b: straight (slow, long), over x (short delay), over y and z (fast).
fn three_ways(forwarding: &str) -> Topology {
    let text = format!(
        r#"
        name = "three-ways"
        forwarding = {{ {forwarding} }}
        device = [
            {{ name = "a", kind = "host", addresses = ["10.0.0.1"] }},
            {{ name = "b", kind = "host", addresses = ["10.0.0.2"] }},
            {{ name = "s", kind = "switch" }}, {{ name = "t", kind = "switch" }}, {{ name = "x", kind = "switch" }},
            {{ name = "y", kind = "switch" }}, {{ name = "z", kind = "switch" }},
        ]
        link = [
            {{ between = ["a:0", "s:0"], bandwidth = "1 Gbps" }},
            {{ between = ["s:1", "t:1"], bandwidth = "1 Gbps", delay = "9 ms" }},
            {{ between = ["s:2", "x:0"], bandwidth = "1 Gbps", delay = "1 ms" }},
            {{ between = ["x:1", "t:2"], bandwidth = "1 Gbps", delay = "1 ms" }},
            {{ between = ["s:3", "y:0"], bandwidth = "100 Gbps", delay = "2 ms" }},
            {{ between = ["y:1", "z:0"], bandwidth = "100 Gbps", delay = "2 ms" }},
            {{ between = ["z:1", "t:3"], bandwidth = "100 Gbps", delay = "2 ms" }},
            {{ between = ["t:0", "b:0"], bandwidth = "1 Gbps" }},
        ]
        "#
    );
    Topology::from_toml("three-ways.toml", &text).unwrap()
}

/// The devices on a flow's way from `a` to `b`.
fn way(topology: &Topology, from: &str, key: &FlowKey) -> String {
    let (mut flows, mut pfm) = (Flows::default(), Pfm::new(topology.clone(), 1));
    flows.add(*key);
    let fid = pfm.add_flow(key);
    let mut names = Vec::new();
    let mut here = topology.device_named(from).unwrap();
    while !pfm.ends_at(fid, here) {
        names.push(topology.device(here).name.clone());
        let mut packet = Packet { fid, ttl: 64, ..Packet::default() };
        let port = pfm.forward(&flows, here, &mut packet).unwrap();
        here = topology.port(topology.link(topology.port(port).egress).to).device;
    }
    names.join(" ")
}

fn a_to_b() -> FlowKey {
    flow([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 1)
}

#[test]
fn the_weight_says_which_path_is_cheapest() {
    for (weight, expected) in [("hops", "a s t"), ("delay", "a s x t"), ("inverse-capacity", "a s y z t")] {
        let topology = three_ways(&format!("weight = \"{weight}\""));
        assert_eq!(way(&topology, "a", &a_to_b()), expected, "{weight}");
    }
}

/// The paths of `count` flows from h0 to the last host of a fat tree of k = 4.
fn fat_tree_ways(forwarding: &str, count: u16) -> Vec<String> {
    let text = format!(
        "name = \"ft\"\nforwarding = {{ {forwarding} }}\ngenerate = {{ kind = \"fat-tree\", k = 4 }}\n\
         [defaults.link]\nbandwidth = \"1 Gbps\"\n"
    );
    let topology = Topology::from_toml("ft.toml", &text).unwrap();
    let address = |name: &str| topology.device(topology.device_named(name).unwrap()).addresses[0].addr();
    (0..count).map(|port| way(&topology, "h0", &flow(address("h0"), address("h15"), port))).collect()
}

#[test]
fn equal_paths() {
    let lowest = fat_tree_ways("multipath = \"lowest-port\"", 3);
    assert!(lowest.iter().all(|way| way == "h0 edge0-0 agg0-0 core0 agg3-0 edge3-1"), "{lowest:?}");
    // Host 15: 15 mod 2 = 1 at the edge, 15 / 2 mod 2 = 1 at the aggregation.
    let modulo = fat_tree_ways("multipath = \"d-mod-k\"", 3);
    assert!(modulo.iter().all(|way| way == "h0 edge0-0 agg0-1 core3 agg3-1 edge3-1"), "{modulo:?}");
    let hashed = fat_tree_ways("multipath = \"ecmp\"", 400);
    let distinct: BTreeSet<&String> = hashed.iter().collect();
    assert_eq!(distinct.len(), 4, "all cores are in use");
    for way in distinct {
        let flows = hashed.iter().filter(|other| *other == way).count();
        assert!((60..140).contains(&flows), "{flows} of 400 flows over {way}");
    }
    assert_eq!(hashed, fat_tree_ways("multipath = \"ecmp\"", 400), "a flow keeps its path");
}

#[test]
fn spraying_picks_for_each_packet() {
    let text = "name = \"ft\"\nforwarding = { multipath = \"spray\" }\ngenerate = { kind = \"fat-tree\", k = 4 }\n\
                [defaults.link]\nbandwidth = \"1 Gbps\"\n";
    let topology = Topology::from_toml("ft.toml", text).unwrap();
    let address = |name: &str| topology.device(topology.device_named(name).unwrap()).addresses[0].addr();
    let key = flow(address("h0"), address("h15"), 1);
    let (mut flows, mut pfm) = (Flows::default(), Pfm::new(topology.clone(), 1));
    flows.add(key);
    let fid = pfm.add_flow(&key);
    let edge: DeviceId = topology.device_named("edge0-0").unwrap();
    let mut ports = vec![0; 4];
    for pid in 0..1000 {
        let port = pfm.forward(&flows, edge, &mut Packet { pid, fid, ..Packet::default() }).unwrap();
        ports[usize::from(topology.port(port).number)] += 1;
    }
    assert_eq!(ports[..2], [0, 0], "no packet goes down again");
    assert!(ports[2..].iter().all(|packets| (430..570).contains(packets)), "{ports:?}");
}

#[test]
fn an_explicit_path_comes_first_and_holds_for_its_flows_alone() {
    let text = r#"
        path = [
            { from = "10.0.0.1", to = "b", via = ["s", "y", "z", "t"] },
            { to = "10.0.0.2", via = ["s:2", "x", "t"] },
        ]
    "#;
    let mut topology = String::from(text);
    // The same network, with paths in front of its tables.
    let base = r#"
        name = "paths"
        device = [
            { name = "a", kind = "host", addresses = ["10.0.0.1", "10.0.0.3"] },
            { name = "b", kind = "host", addresses = ["10.0.0.2"] },
            { name = "s", kind = "switch" }, { name = "t", kind = "switch" }, { name = "x", kind = "switch" },
            { name = "y", kind = "switch" }, { name = "z", kind = "switch" },
        ]
        link = [
            { between = ["a:0", "s:0"], bandwidth = "1 Gbps" }, { between = ["s:1", "t:1"], bandwidth = "1 Gbps" },
            { between = ["s:2", "x:0"], bandwidth = "1 Gbps" }, { between = ["x:1", "t:2"], bandwidth = "1 Gbps" },
            { between = ["s:3", "y:0"], bandwidth = "1 Gbps" }, { between = ["y:1", "z:0"], bandwidth = "1 Gbps" },
            { between = ["z:1", "t:3"], bandwidth = "1 Gbps" }, { between = ["t:0", "b:0"], bandwidth = "1 Gbps" },
        ]
    "#;
    topology.push_str(base);
    let topology = Topology::from_toml("paths.toml", &topology).unwrap();
    let from = |last: u8| flow([10, 0, 0, last].into(), [10, 0, 0, 2].into(), 1);
    assert_eq!(way(&topology, "a", &from(1)), "a s y z t");
    assert_eq!(way(&topology, "a", &from(3)), "a s x t");
    let back = flow([10, 0, 0, 2].into(), [10, 0, 0, 1].into(), 1);
    assert_eq!(way(&topology, "b", &back), "b t s", "no path for this direction");
}
