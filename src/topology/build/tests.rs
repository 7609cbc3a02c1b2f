use super::*;
use crate::topology::Element;

fn host(name: &str) -> DeviceSpec {
    DeviceSpec::new(name, DeviceKind::Host)
}

fn switch(name: &str) -> DeviceSpec {
    DeviceSpec::new(name, DeviceKind::Switch)
}

fn link(from: (&str, u16), to: (&str, u16)) -> LinkSpec {
    let timing = Link::with_delay("1 Gbps".parse().unwrap(), Span::from_ps(1));
    LinkSpec::new(PortName::new(from.0, from.1), PortName::new(to.0, to.1), timing)
}

fn prefix(text: &str) -> IpNet {
    text.parse().unwrap()
}

/// a - r1 - b, with a valid route; `change` makes it invalid.
fn refused(change: impl FnOnce(&mut Vec<DeviceSpec>, &mut Vec<LinkSpec>)) -> TopologyError {
    let mut devices = vec![host("a"), switch("r1"), host("b")];
    devices[0].addresses.push(prefix("10.0.1.0/24"));
    devices[1].routes.push(RouteSpec { destination: prefix("10.9.0.0/16"), port: 7 });
    let mut links = vec![link(("a", 0), ("r1", 7)), link(("r1", 3), ("b", 0))];
    assert!(Topology::new("t", devices.clone(), links.clone()).is_ok());
    change(&mut devices, &mut links);
    Topology::new("t", devices, links).unwrap_err()
}

#[test]
fn no_devices() {
    let error = Topology::new("t", Vec::new(), Vec::new()).unwrap_err();
    assert_eq!((error.clone(), error.element()), (TopologyError::NoDevices, Element::Whole));
}

#[test]
fn empty_name() {
    let error = refused(|devices, _| devices.push(host("")));
    assert_eq!(error, TopologyError::EmptyName { device: 3 });
    assert_eq!(error.element(), Element::Device(3));
}

#[test]
fn bad_name() {
    for (name, character) in [("r:1", ':'), ("r 1", ' '), ("r\t", '\t')] {
        let error = refused(|devices, _| devices.push(host(name)));
        assert_eq!(error, TopologyError::BadName { device: 3, name: name.to_owned(), character });
        assert_eq!(error.element(), Element::Device(3));
    }
}

#[test]
fn duplicate_name() {
    let error = refused(|devices, _| devices.push(switch("a")));
    assert_eq!(error, TopologyError::DuplicateName { device: 3, name: "a".to_owned() });
    assert_eq!(error.element(), Element::Device(3));
}

#[test]
fn address_of_forwarder() {
    let error = refused(|devices, _| devices[1].addresses.push(prefix("10.0.0.1/32")));
    assert_eq!(error.to_string(), "`r1` is a switch: only a host has addresses");
    assert_eq!(error.element(), Element::Address(1, 0));
}

#[test]
fn duplicate_prefix() {
    let error =
        refused(|devices, _| devices[2].addresses = vec![prefix("10.0.2.0/24"), prefix("10.0.1.9/24")]);
    assert_eq!(error.to_string(), "`10.0.1.0/24` is already an address of `a`");
    assert_eq!(error.element(), Element::Address(2, 1));
}

#[test]
fn unknown_device() {
    let error = refused(|_, links| links[1].between[1].device = "bb".to_owned());
    assert_eq!(error.to_string(), "no device is named `bb`");
    assert_eq!(error.help().as_deref(), Some("did you mean `b`? devices: `a`, `r1`, `b`"));
    assert_eq!(error.element(), Element::LinkEnd(1, 1));
}

#[test]
fn port_taken() {
    let error = refused(|_, links| links[1].between[0].port = 7);
    let port = PortName::new("r1", 7);
    assert_eq!(error, TopologyError::PortTaken { link: 1, end: 0, port, free: Some(0) });
    assert_eq!(error.element(), Element::LinkEnd(1, 0));
}

#[test]
fn link_to_itself() {
    let error = refused(|_, links| links.push(link(("b", 1), ("b", 1))));
    assert_eq!(error, TopologyError::LinkToItself { link: 2, port: PortName::new("b", 1) });
    assert_eq!(error.element(), Element::Link(2));
}

#[test]
fn unknown_route_port() {
    let error = refused(|devices, _| devices[1].routes[0].port = 4);
    assert_eq!(error.to_string(), "`r1:4` is not a port: no link ends there");
    assert_eq!(error.help().as_deref(), Some("its ports: 3, 7"));
    assert_eq!(error.element(), Element::Route(1, 0));
}

#[test]
fn duplicate_route() {
    let again = RouteSpec { destination: prefix("10.9.1.1/16"), port: 3 };
    let error = refused(|devices, _| devices[1].routes.push(again));
    assert_eq!(error.to_string(), "`r1` has two routes to `10.9.1.1/16`");
    assert_eq!(error.element(), Element::Route(1, 1));
}

#[test]
fn device_ptm() {
    let error = refused(|devices, _| devices[1].ptm = PtmSpec::Priority(Default::default()));
    assert_eq!(error.to_string(), "`priority` has no classes");
    assert_eq!(error.help().as_deref(), Some("add a `class` table for each class"));
    assert_eq!(error.element(), Element::DevicePtm(1));
}

#[test]
fn link_ptm() {
    let error = refused(|_, links| links[1].ptm[0] = Some(PtmSpec::Drr(Default::default())));
    assert_eq!(error.to_string(), "`drr` has no classes");
    assert_eq!(error.element(), Element::LinkPtm(1, 0));
}

#[test]
fn ids_follow_devices_port_numbers_and_links() {
    let devices = vec![host("a"), switch("r1"), host("b")];
    let mut links = vec![link(("r1", 9), ("b", 0)), link(("a", 0), ("r1", 2))];
    links[0].ptm[0] = Some(PtmSpec::TokenBucket(
        serde_json::from_str(r#"{ "rate": "1 Mbps", "burst": "2000 B" }"#).unwrap(),
    ));
    links[1].backward.delay = Some(Span::from_ps(5));
    let topology = Topology::new("t", devices, links).unwrap();

    let names = topology.ports().map(|(id, _)| topology.port_name(id)).collect::<Vec<_>>();
    assert_eq!(names, ["a:0", "r1:2", "r1:9", "b:0"]);
    let ends = topology
        .links()
        .map(|(_, link)| (topology.port_name(link.from), topology.port_name(link.to)))
        .collect::<Vec<_>>();
    let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(ends, [pair("r1:9", "b:0"), pair("b:0", "r1:9"), pair("a:0", "r1:2"), pair("r1:2", "a:0")]);
    for (id, port) in topology.ports() {
        assert_eq!(topology.link(port.egress).from, id);
        assert_eq!(topology.link(port.ingress).to, id);
        assert!(topology.device(port.device).ports.contains(&id));
        let shaped = matches!(port.ptm, PtmSpec::TokenBucket(_));
        assert_eq!(shaped, topology.port_name(id) == "r1:9");
    }
    assert_eq!(topology.link(LinkId::new(2)).link.delay, Some(Span::from_ps(1)));
    assert_eq!(topology.link(LinkId::new(3)).link.delay, Some(Span::from_ps(5)));
    let node = |id: LinkId| topology.graph().edge_endpoints(petgraph::graph::EdgeIndex::new(id.index()));
    assert_eq!(node(LinkId::new(0)), Some((NodeIndex::new(1), NodeIndex::new(2))));
}

#[test]
fn hosts_without_addresses_get_free_ones() {
    let addresses = |devices: Vec<DeviceSpec>| {
        let topology = Topology::new("t", devices, Vec::new()).unwrap();
        topology.devices().map(|(_, device)| device.addresses[0].to_string()).collect::<Vec<_>>()
    };
    let given = |name: &str, address: &str| DeviceSpec { addresses: vec![prefix(address)], ..host(name) };
    assert_eq!(addresses(vec![host("a"), given("b", "10.0.0.1/32"), host("c")])[2], "fd00::3/128");
    assert_eq!(
        addresses(vec![
            host("a"),
            given("b", "fd00::1/128"),
            given("c", "fd00::2/128"),
            host("d"),
            host("e")
        ]),
        ["fd00::3/128", "fd00::1/128", "fd00::2/128", "fd00::4/128", "fd00::5/128"]
    );
    assert_eq!(
        addresses(vec![host("a"), given("b", "fd00::/64")])[0],
        "fd00::1/128",
        "the longer prefix wins"
    );
}
