use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::config::ConfigError;
use crate::topology::{DeviceId, Topology};

fn topology(parameters: &str) -> Topology {
    Topology::from_toml("t.toml", &text(parameters)).unwrap_or_else(|error| panic!("{error}"))
}

fn text(parameters: &str) -> String {
    format!("name = \"t\"\ndefaults.link = {{ bandwidth = \"1 Gbps\" }}\n[generate]\n{parameters}\n")
}

/// The neighbouring devices, by port number.
fn neighbours(topology: &Topology, device: DeviceId) -> Vec<(u16, DeviceId)> {
    let ports = topology.device(device).ports.iter().map(|&port| topology.port(port));
    ports.map(|port| (port.number, topology.port(topology.link(port.egress).to).device)).collect()
}

fn neighbour_names(topology: &Topology, name: &str) -> String {
    let device = topology.device_named(name).unwrap();
    let ends = neighbours(topology, device);
    let ends = ends.iter().map(|(port, other)| format!("{port}:{}", topology.device(*other).name));
    ends.collect::<Vec<_>>().join(" ")
}

/// The number of links to every device; `None` if there is no path.
fn distances(topology: &Topology, from: DeviceId) -> Vec<Option<usize>> {
    let mut distances = vec![None; topology.devices().len()];
    distances[from.index()] = Some(0);
    let mut queue = VecDeque::from([from]);
    while let Some(device) = queue.pop_front() {
        for (_, next) in neighbours(topology, device) {
            if distances[next.index()].is_none() {
                distances[next.index()] = distances[device.index()].map(|distance| distance + 1);
                queue.push_back(next);
            }
        }
    }
    distances
}

/// The diameter; panics if the network is not connected.
fn diameter(topology: &Topology) -> usize {
    let all = topology.devices().flat_map(|(id, _)| distances(topology, id));
    all.map(|distance| distance.expect("it is connected")).max().unwrap()
}

fn counts(topology: &Topology) -> (usize, usize, usize) {
    let hosts = topology.devices().filter(|(_, device)| device.kind == DeviceKind::Host).count();
    (hosts, topology.devices().len() - hosts, topology.links().len() / 2)
}

fn addresses(topology: &Topology) -> Vec<String> {
    topology
        .devices()
        .flat_map(|(_, device)| &device.addresses)
        .map(|address| address.addr().to_string())
        .collect()
}

#[test]
fn line() {
    let line = topology("kind = \"line\"\nswitches = 4\nhosts = 2");
    assert_eq!(counts(&line), (8, 4, 8 + 3));
    assert_eq!(diameter(&line), 5);
    assert_eq!(neighbour_names(&line, "s0"), "0:h0 1:h1 3:s1");
    assert_eq!(neighbour_names(&line, "s2"), "0:h4 1:h5 2:s1 3:s3");
    assert_eq!(addresses(&line)[7], "10.0.0.8");
    let ends = topology("kind = \"line\"\nswitches = 4\nhosts = 2\nends_only = true");
    assert_eq!(counts(&ends), (4, 4, 4 + 3));
    assert_eq!(
        (neighbour_names(&ends, "s1"), neighbour_names(&ends, "s3")),
        ("2:s0 3:s2".into(), "0:h2 1:h3 2:s2".into())
    );
    assert_eq!(counts(&topology("kind = \"line\"\nswitches = 1")), (1, 1, 1));
}

#[test]
fn ring() {
    let ring = topology("kind = \"ring\"\nswitches = 6");
    assert_eq!((counts(&ring), diameter(&ring)), ((6, 6, 12), 5));
    assert_eq!(neighbour_names(&ring, "s0"), "0:h0 1:s5 2:s1");
    assert_eq!(neighbour_names(&ring, "s5"), "0:h5 1:s4 2:s0");
}

#[test]
fn star() {
    let star = topology("kind = \"star\"\nhosts = 300");
    assert_eq!((counts(&star), diameter(&star)), ((300, 1, 300), 2));
    assert_eq!((addresses(&star)[254].as_str(), addresses(&star)[255].as_str()), ("10.0.0.255", "10.0.1.0"));
    assert!(neighbour_names(&star, "s0").ends_with("299:h299"));
}

#[test]
fn dumbbell() {
    let dumbbell = topology("kind = \"dumbbell\"\nleft = 2\nright = 3");
    assert_eq!((counts(&dumbbell), diameter(&dumbbell)), ((5, 2, 6), 3));
    assert_eq!(neighbour_names(&dumbbell, "s0"), "0:h0 1:h1 2:s1");
    assert_eq!(neighbour_names(&dumbbell, "s1"), "0:h2 1:h3 2:h4 3:s0");
}

#[test]
fn torus() {
    let torus = topology("kind = \"torus\"\ndimensions = [3, 4]");
    assert_eq!((counts(&torus), diameter(&torus)), ((12, 12, 12 + 24), 1 + 2 + 2));
    assert_eq!(neighbour_names(&torus, "s0-0"), "0:h0 1:s2-0 2:s1-0 3:s0-3 4:s0-1");
    assert_eq!(neighbour_names(&torus, "s1-2"), "0:h6 1:s0-2 2:s2-2 3:s1-1 4:s1-3");
    let cube = topology("kind = \"torus\"\ndimensions = [3, 3, 3]\nhosts = 2");
    assert_eq!((counts(&cube), diameter(&cube)), ((54, 27, 54 + 81), 5));
    assert_eq!(
        neighbour_names(&cube, "s0-0-0"),
        "0:h0 1:h1 2:s2-0-0 3:s1-0-0 4:s0-2-0 5:s0-1-0 6:s0-0-2 7:s0-0-1"
    );
    // In a dimension of two there is one link, not two.
    let flat = topology("kind = \"torus\"\ndimensions = [2, 3]\nhosts = 0");
    assert_eq!(counts(&flat), (0, 6, 3 + 6));
    assert_eq!(
        (neighbour_names(&flat, "s0-0"), neighbour_names(&flat, "s1-0")),
        ("1:s1-0 2:s0-2 3:s0-1".into(), "0:s0-0 2:s1-2 3:s1-1".into())
    );
}

#[test]
fn fat_tree() {
    for k in [2, 4, 6, 8] {
        let tree = topology(&format!("kind = \"fat-tree\"\nk = {k}"));
        let hosts = k * k * k / 4;
        assert_eq!(counts(&tree), (hosts, k * k * 5 / 4, 3 * hosts));
        assert_eq!(diameter(&tree), 6);
        for (id, device) in tree.devices() {
            let ports = neighbours(&tree, id).iter().map(|(port, _)| usize::from(*port)).collect::<Vec<_>>();
            let degree = if device.kind == DeviceKind::Host { 1 } else { k };
            assert_eq!(ports, (0..degree).collect::<Vec<_>>(), "{}", device.name);
        }
    }
    let tree = topology("kind = \"fat-tree\"\nk = 4");
    assert_eq!(neighbour_names(&tree, "edge1-0"), "0:h4 1:h5 2:agg1-0 3:agg1-1");
    assert_eq!(neighbour_names(&tree, "agg1-1"), "0:edge1-0 1:edge1-1 2:core2 3:core3");
    assert_eq!(neighbour_names(&tree, "core2"), "0:agg0-1 1:agg1-1 2:agg2-1 3:agg3-1");
    assert_eq!(addresses(&tree)[4..8], ["10.1.0.2", "10.1.0.3", "10.1.1.2", "10.1.1.3"]);
}

#[test]
fn a_large_fat_tree_is_built_at_once() {
    let start = std::time::Instant::now();
    let tree = topology("kind = \"fat-tree\"\nk = 32");
    assert_eq!(counts(&tree), (8192, 1280, 24_576));
    assert!(start.elapsed().as_secs_f64() < 5.0, "{:?}: it takes 0.1 s on an idle machine", start.elapsed());
    let mut addresses = addresses(&tree);
    assert_eq!(addresses.last().unwrap(), "10.31.15.17");
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 8192);
}

#[test]
fn leaf_spine() {
    let fabric = topology("kind = \"leaf-spine\"\nleaves = 3\nspines = 2\nhosts = 4");
    assert_eq!((counts(&fabric), diameter(&fabric)), ((12, 5, 12 + 6), 4));
    assert_eq!(neighbour_names(&fabric, "leaf1"), "0:h4 1:h5 2:h6 3:h7 4:spine0 5:spine1");
    assert_eq!(neighbour_names(&fabric, "spine1"), "0:leaf0 1:leaf1 2:leaf2");
    assert_eq!(addresses(&fabric)[7], "10.0.1.4");
}

#[test]
fn waxman() {
    let text = "kind = \"waxman\"\nswitches = 40\nside = \"500 km\"\nseed = 7";
    let network = topology(text);
    diameter(&network);
    let links = |network: &Topology| network.links().map(|(_, link)| link.clone()).collect::<Vec<_>>();
    assert_eq!(links(&network), links(&topology(text)), "the same seed, the same network");
    assert_ne!(links(&network), links(&topology(&text.replace("seed = 7", "seed = 8"))));
    for (_, link) in network.links() {
        let [from, to] = [link.from, link.to].map(|port| network.device(network.port(port).device));
        if let (Some(from), Some(to)) = (from.position, to.position) {
            assert_eq!(Some(link.link.length), from.distance(to));
            assert!(link.link.length.as_um() < 708_000_000_000);
        }
    }
    // The smallest alpha and beta leave only the shortest links that keep it connected.
    let tree = topology("kind = \"waxman\"\nswitches = 40\nalpha = 1e-9\nbeta = 1e-9");
    assert_eq!(counts(&tree).2, 40 + 39);
}

#[test]
fn defaults_hold_for_generated_devices() {
    let text = "name = \"t\"\n[generate]\nkind = \"dumbbell\"\nleft = 1\nright = 1\n\
        [defaults.link]\nbandwidth = \"1 Mbps\"\n[defaults.access_link]\nbandwidth = \"1 Gbps\"\n\
        [defaults.device]\nprocessing = \"1 us\"\nptm = { kind = \"fifo\", buffer = \"9 packets\" }\n\
        [defaults.host]\nprocessing = \"3 us\"\n[defaults.switch]\nptm = { kind = \"fifo\", buffer = \"5 packets\" }\n\
        [[device]]\nname = \"r\"\nkind = \"router\"\n[[link]]\nbetween = [\"s0:7\", \"r:0\"]\n";
    let topology = Topology::from_toml("t.toml", text).unwrap();
    let told = topology.ports().map(|(id, port)| {
        let link = topology.link(port.egress).link;
        let buffer = serde_json::to_value(&port.ptm).unwrap()["fifo"]["buffer"].clone();
        let processing = topology.device(port.device).processing;
        format!(
            "{} {} {processing} {}",
            topology.port_name(id),
            link.bandwidth,
            buffer.as_str().unwrap_or_default()
        )
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "h0:0 1 Gbps 3 us 9 packets",
            "h1:0 1 Gbps 3 us 9 packets",
            "s0:0 1 Gbps 1 us 5 packets",
            "s0:1 1 Mbps 1 us 5 packets",
            "s0:7 1 Mbps 1 us 5 packets",
            "s1:0 1 Gbps 1 us 5 packets",
            "s1:1 1 Mbps 1 us 5 packets",
            "r:0 1 Mbps 1 us 9 packets",
        ]
    );
}

#[test]
fn every_bad_parameter_has_its_place() {
    let cases = [
        (
            "k = 3\nkind = \"fat-tree\"",
            "4:5 `k` is 3: half of a switch's ports lead down and half lead up, so it must be even (write k = 2 or k = 4)",
        ),
        (
            "kind = \"fat-tree\"\nk = 0",
            "5:5 `k` is 0: a switch needs a port down and a port up (write k = 2 or more)",
        ),
        (
            "kind = \"fat-tree\"\nk = 400",
            "5:5 this network would have 16200000 devices: the maximum is 1000000 (write a smaller value)",
        ),
        ("kind = \"fat-tree\"\nk = -4", "5:5 expected a whole number of zero or more, found `-4`"),
        ("kind = \"fat-tree\"", "3:1 missing key `k` in `fat-tree`"),
        (
            "kind = \"fat-tree\"\nk = 4\nhosts = 1",
            "6:1 unknown key `hosts` in `fat-tree` (keys that fit: `k`)",
        ),
        (
            "kind = \"fattree\"\nk = 4",
            "4:8 unknown kind `fattree` (did you mean `fat-tree`? it is one of: `line`, `ring`, `star`, `dumbbell`, `torus`, `fat-tree`, `leaf-spine`, `waxman`)",
        ),
        (
            "kind = \"ring\"\nswitches = 2",
            "5:12 `switches` is 2: a ring needs three switches (write switches = 3 or more)",
        ),
        (
            "kind = \"line\"\nswitches = 0",
            "5:12 `switches` is 0: a line needs a switch (write switches = 1 or more)",
        ),
        (
            "kind = \"line\"\nswitches = 4_000_000_000",
            "5:12 this network would have 4000000000 devices: the maximum is 1000000 (write a smaller value)",
        ),
        (
            "kind = \"line\"\nswitches = 2\nhosts = 70_000",
            "6:9 `hosts` is 70000: a device has no more ports (write hosts = 65000 or less)",
        ),
        ("kind = \"star\"\nhosts = 0", "5:9 `hosts` is 0: a star needs a host (write hosts = 1 or more)"),
        (
            "kind = \"dumbbell\"\nleft = 1\nright = 0",
            "6:9 `right` is 0: each side of a dumbbell needs a host (write right = 1 or more)",
        ),
        (
            "kind = \"torus\"\ndimensions = []",
            "5:14 a torus needs at least one dimension (write for example dimensions = [4, 4])",
        ),
        (
            "kind = \"torus\"\ndimensions = [4, 1]",
            "5:14 `dimensions` is 1: each dimension of a torus needs two switches (write dimensions = 2 or more)",
        ),
        (
            "kind = \"torus\"\ndimensions = [4_000_000_000, 4_000_000_000, 4_000_000_000, 4_000_000_000, 4_000_000_000]",
            "5:14 this network would have 340282366920938463463374607431768211455 devices: the maximum is 1000000 (write a smaller value)",
        ),
        (
            "kind = \"leaf-spine\"\nleaves = 2\nspines = 0\nhosts = 1",
            "6:10 `spines` is 0: a fabric needs a spine (write spines = 1 or more)",
        ),
        (
            "kind = \"leaf-spine\"\nleaves = 2\nspines = 1\nhosts = 255",
            "7:9 `hosts` is 255: the addresses of a leaf have one byte for its hosts (write hosts = 254 or less)",
        ),
        (
            "kind = \"waxman\"\nswitches = 5\nalpha = 0.0",
            "6:9 `alpha` is 0: it must be above 0 and at most 1 (write for example alpha = 0.4)",
        ),
        (
            "kind = \"waxman\"\nswitches = 5\nbeta = nan",
            "6:8 `beta` is NaN: it must be above 0 and at most 1 (write for example beta = 0.4)",
        ),
        (
            "kind = \"waxman\"\nswitches = 5\nside = 5",
            "6:8 a distance needs a unit: \"5\" has none (write for example \"1.5 km\" (units: um, mm, cm, m, km))",
        ),
    ];
    let place = |error: &ConfigError| error.line_column().unwrap();
    let mut wrong = Vec::new();
    for (parameters, expected) in cases {
        let error = Topology::from_toml("t.toml", &text(parameters)).unwrap_err();
        let help = error.help().map_or(String::new(), |help| format!(" ({help})"));
        let told = format!("{}:{} {}{help}", place(&error).0, place(&error).1, error.message());
        if told != expected {
            wrong.push(format!("{told}\n  not\n{expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_added_must_fit() {
    let told = |added: &str| {
        let error = Topology::from_toml("t.toml", &(text("kind = \"star\"\nhosts = 2") + added)).unwrap_err();
        format!("{} {}", error.line_column().unwrap().0, error.message())
    };
    assert_eq!(told("[[device]]\nname = \"h1\"\nkind = \"host\""), "7 two devices are named `h1`");
    let address = "[[device]]\nname = \"x\"\nkind = \"host\"\naddresses = [\"10.0.0.1\"]";
    assert_eq!(told(address), "9 `10.0.0.1/32` is already an address of `h0`");
    let taken = "[[device]]\nname = \"x\"\nkind = \"host\"\n[[link]]\nbetween = [\"s0:1\", \"x:0\"]";
    assert_eq!(told(taken), "10 the port `s0:1` is already the end of another link");
    let error =
        Topology::from_toml("t.toml", "name = \"t\"\n[generate]\nkind = \"star\"\nhosts = 2").unwrap_err();
    assert_eq!((error.message(), error.iter().count()), ("the generated links have no `bandwidth`", 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_generated_network_is_sound_and_connected(
        kind in 0..8usize, a in 1..7u32, b in 1..5u32, hosts in 0..3u32, seed in 0..9u64,
    ) {
        let text = match kind {
            0 => format!("kind = \"line\"\nswitches = {a}\nhosts = {hosts}\nends_only = {}", seed % 2 == 0),
            1 => format!("kind = \"ring\"\nswitches = {}\nhosts = {hosts}", a + 2),
            2 => format!("kind = \"star\"\nhosts = {a}"),
            3 => format!("kind = \"dumbbell\"\nleft = {a}\nright = {b}"),
            4 => format!("kind = \"torus\"\ndimensions = [{}, {}]\nhosts = {hosts}", a + 1, b + 1),
            5 => format!("kind = \"fat-tree\"\nk = {}", 2 * b),
            6 => format!("kind = \"leaf-spine\"\nleaves = {a}\nspines = {b}\nhosts = {hosts}"),
            _ => format!("kind = \"waxman\"\nswitches = {}\nbeta = 0.3\nseed = {seed}\nhosts = {hosts}", a * b),
        };
        let network = topology(&text);
        diameter(&network);
        let mut ends = network.links().map(|(_, link)| (network.port(link.from).device, network.port(link.to).device)).collect::<Vec<_>>();
        let count = ends.len();
        ends.sort_unstable();
        ends.dedup();
        prop_assert_eq!(ends.len(), count, "no pair is joined twice");
    }
}
