use super::*;
use crate::topology::LinkId;

const TEXT: &str = r#"name = "t"
[defaults.link]
bandwidth = "1 Gbps"
delay = "5 us"
overhead = "24 B"

[[device]]
name = "a"
kind = "host"
addresses = ["10.0.1.0/24"]

[[device]]
name = "r1"
kind = "router"
ptm = { kind = "fifo", buffer = "64 KiB" }
routes = [{ to = "10.9.0.0/16", port = 1 }]

[[device]]
name = "b"
kind = "host"
addresses = ["10.0.2.2", "fd00::/64"]

[[link]]
between = ["a:0", "r1:0"]

[[link]]
between = ["r1:1", "b:0"]
bandwidth = "unlimited"
ptm = { kind = "token-bucket", rate = "10 Mbps", burst = "2000 B" }
backward = { length = "2 km", overhead = "1 B", ptm = { kind = "fifo", buffer = "3 packets" } }
"#;

/// `line:column message` of every mistake after replacing `from` by `to`.
fn told(from: &str, to: &str) -> Vec<String> {
    assert!(TEXT.contains(from), "{from}");
    let error = Topology::from_toml("t.toml", &TEXT.replacen(from, to, 1)).unwrap_err();
    let place = |error: &ConfigError| error.line_column().unwrap();
    error.iter().map(|error| format!("{}:{} {}", place(error).0, place(error).1, error.message())).collect()
}

#[test]
fn tables_are_merged() {
    let topology = Topology::from_toml("t.toml", TEXT).unwrap();
    let link = |id| topology.link(LinkId::new(id)).link;
    let gigabit: Bandwidth = "1 Gbps".parse().unwrap();
    let overhead = ByteCount::new(24);
    assert_eq!((link(0).bandwidth, link(0).delay), (gigabit, Some(Span::from_ns(5_000))));
    assert_eq!(link(0), link(1));
    assert_eq!((link(2).bandwidth, link(2).overhead), (Bandwidth::Unlimited, overhead));
    // A length replaces the default delay; the other values stay.
    assert_eq!((link(3).bandwidth, link(3).overhead), (Bandwidth::Unlimited, ByteCount::new(1)));
    assert_eq!((link(3).delay, link(3).propagation_delay()), (None, Span::from_ns(10_000)));

    let ptms = topology
        .ports()
        .map(|(id, port)| {
            let ptm = match &port.ptm {
                PtmSpec::TokenBucket(_) => "token-bucket".to_owned(),
                PtmSpec::Fifo(fifo) => {
                    format!("fifo {}", fifo.buffer.map_or("-".to_owned(), |buffer| buffer.to_string()))
                }
                _ => "another".to_owned(),
            };
            format!("{} {ptm}", topology.port_name(id))
        })
        .collect::<Vec<_>>();
    assert_eq!(ptms, ["a:0 fifo -", "r1:0 fifo 65.536 kB", "r1:1 token-bucket", "b:0 fifo 3 packets"]);
}

#[test]
fn every_broken_property_has_its_place() {
    let cases = [
        ("name = \"a\"", "name = \"\"", "8:8 the device's name is empty"),
        ("name = \"t\"", "name = \"\"", "1:8 the name is empty"),
        ("name = \"t\"", "name = \"..\"", "1:8 a name needs a letter or a digit"),
        ("\"2000 B\"", "\"0 B\"", "29:58 a bucket of 0 B lets no packet through"),
        ("name = \"b\"", "name = \"a\"", "19:8 two devices are named `a`"),
        (
            "kind = \"router\"\n",
            "kind = \"router\"\naddresses = [\"::1\"]\n",
            "15:14 `r1` is a router: only a host has addresses",
        ),
        ("\"fd00::/64\"", "\"10.0.1.0/24\"", "21:26 `10.0.1.0/24` is already an address of `a`"),
        ("\"b:0\"", "\"c:0\"", "27:20 no device is named `c`"),
        ("\"r1:0\"", "\"a:0\"", "24:11 the link joins `a:0` to itself"),
        ("\"r1:1\"", "\"r1:0\"", "27:12 the port `r1:0` is already the end of another link"),
        ("port = 1", "port = 2", "16:40 `r1:2` is not a port: no link ends there"),
        (
            "[\"a:0\", \"r1:0\"]",
            "[\"a:0\", \"r1:0\", \"b:1\"]",
            "24:11 a link joins two ports, but this one has 3",
        ),
        ("[\"a:0\", \"r1:0\"]", "[]", "24:11 a link joins two ports, but this one has 0"),
        ("bandwidth = \"1 Gbps\"", "", "24:11 this link has no `bandwidth`"),
        (
            "length = \"2 km\"",
            "length = \"2 km\", delay = \"1 s\"",
            "30:23 a link has a `delay` or a `length`, not both",
        ),
        (
            "bandwidth = \"unlimited\"",
            "delay = \"1 s\"\npropagation_speed = \"1 m/s\"",
            "29:21 `propagation_speed` has no effect beside a `delay` of 1 s",
        ),
        ("port = 1", "port = 65536", "16:40 expected a whole number from 0 to 65535, found `65536`"),
        ("\"10.0.2.2\"", "\"10.0.2\"", "21:14 `10.0.2` is not an address"),
        ("\"r1:0\"", "\"r1\"", "24:19 `r1` is not a port"),
        ("\"r1:0\"", "3", "24:19 expected a port as text, such as \"r1:0\", found `3`"),
        ("kind = \"router\"", "kind = \"ruter\"", "14:8 unknown kind `ruter`"),
        ("kind = \"router\"", "", "12:1 missing key `kind` in [[device]]"),
        ("buffer = \"64 KiB\"", "bufer = \"64 KiB\"", "15:24 unknown key `bufer` in `fifo`"),
        ("kind = \"fifo\", buffer = \"3", "buffer = \"3", "30:55 missing key `kind` in `backward.ptm`"),
        ("[defaults.link]", "[defaults.links]", "2:11 unknown key `links` in `defaults`"),
        ("delay = \"5 us\"", "delai = \"5 us\"", "4:1 unknown key `delai` in `defaults.link`"),
    ];
    let mut wrong = Vec::new();
    for (from, to, expected) in cases {
        let told = told(from, to);
        if told.len() > 2 || !told.iter().any(|line| line == expected) {
            wrong.push(format!("{from} -> {to}: {told:#?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn several_mistakes_are_told_at_once() {
    let text = TEXT
        .replace("\"1 Gbps\"", "1")
        .replace("kind = \"host\"", "kind = \"hots\"")
        .replace("burst", "brust")
        .replace("\"2 km\"", "\"2 kms\"");
    let error = Topology::from_toml("t.toml", &text).unwrap_err();
    let lines = error.iter().map(|error| error.line_column().unwrap().0).collect::<Vec<_>>();
    assert_eq!(lines, [3, 9, 20, 29, 29, 30]);
}

#[test]
fn impairments_are_merged() {
    use crate::impairment::{Distribution, ImpairmentSpec, Jitter, Order};

    let loss = |value| Probability::new(value).unwrap();
    let text = TEXT.replacen("overhead", "loss = 0.01\noverhead", 1).replacen(
        "backward = {",
        "loss = 1\njitter = { distribution = \"exponential\", mean = \"2 ms\", order = \"break\" }\nbackward = { loss = 0,",
        1,
    );
    let topology = Topology::from_toml("t.toml", &text).unwrap();
    let of = |id| topology.link(LinkId::new(id)).impairment;
    let distribution = Distribution::Exponential { mean: Span::from_ns(2_000_000), max: None };
    let jitter = Some(Jitter { distribution, order: Order::Break });
    assert_eq!(of(0), ImpairmentSpec { loss: loss(0.01), jitter: None });
    assert_eq!(of(2), ImpairmentSpec { loss: loss(1.0), jitter });
    assert_eq!(of(3), ImpairmentSpec { loss: loss(0.0), jitter });
    assert_eq!(
        Topology::from_toml("t.toml", TEXT).unwrap().link(LinkId::new(0)).impairment,
        ImpairmentSpec::default()
    );
}

#[test]
fn impairments_that_cannot_be() {
    let link = |keys: &str| told("overhead = \"24 B\"", keys);
    for (number, said) in [("1.5", "1.5"), ("-0.1", "-0.1"), ("nan", "NaN"), ("inf", "inf")] {
        let told = link(&format!("loss = {number}"));
        assert!(told[0].starts_with(&format!("5:8 {said} is not a probability")), "{told:?}");
    }
    assert!(link("loss = \"1 %\"")[0].contains("a probability"));
    let jitter = |keys: &str| link(&format!("jitter = {{ distribution = {keys} }}"));
    assert_eq!(jitter("\"uniform\""), ["5:10 a jitter that is uniform needs a `max`"]);
    assert_eq!(
        jitter("\"normal\", mean = \"1 ms\""),
        ["5:10 a jitter that is normal needs a `mean` and a `std`"]
    );
    assert_eq!(jitter("\"exponential\""), ["5:10 a jitter that is exponential needs a `mean`"]);
    assert_eq!(jitter("\"pareto\""), ["5:10 a jitter that is pareto needs a `mean`"]);
    assert_eq!(
        jitter("\"uniform\", max = \"1 ms\", mean = \"1 ms\""),
        ["5:59 `mean` has no effect in a jitter that is uniform"]
    );
    assert_eq!(
        jitter("\"pareto\", mean = \"1 ms\", std = \"1 ms\""),
        ["5:58 `std` has no effect in a jitter that is pareto"]
    );
    let shape = jitter("\"pareto\", mean = \"1 ms\", shape = 1");
    assert!(shape[0].contains("1 is not a valid shape"), "{shape:?}");
    assert!(jitter("\"gauss\"")[0].contains("gauss"));
    assert!(jitter("\"normal\", sigma = \"1 ms\"")[0].contains("unknown key `sigma`"));
    assert!(jitter("\"uniform\", max = \"1 ms\", order = \"lose\"")[0].contains("lose"));
}

#[test]
fn disciplines_that_cannot_be() {
    let ptm = |keys: &str| told("kind = \"fifo\", buffer = \"64 KiB\"", keys).join("; ");
    for (keys, said) in [
        (r#"kind = "red", min = "9 packets", max = "8 packets""#, "`min` must not be more than `max`"),
        (r#"kind = "red", min = "9 packets", max = "9 kB""#, "must both be in bytes or both in packets"),
        (r#"kind = "red", min = "1 kB", max = "9 kB", max_p = 0"#, "0 has no effect"),
        (r#"kind = "red", min = "1 kB", max = "9 kB", weight = 1.1"#, "is not a probability"),
        (r#"kind = "red", min = "1 kB", max = "9 kB", mean_packet = "0 B""#, "0 B is not allowed"),
        (r#"kind = "red", max = "9 kB""#, "min"),
        (r#"kind = "codel", interval = "0 s""#, "0 s is not allowed"),
        (r#"kind = "codel", target = 5"#, "unit"),
        (r#"kind = "fq-codel", flows = 0"#, "0 queues are out of range"),
        (r#"kind = "fq-codel", quantum = "255 B""#, "255 B is too small"),
        (r#"kind = "fq-codel", drop_batch = 0"#, "makes no room"),
        (r#"kind = "cake", rtt = "0 s""#, "0 s is not allowed"),
        (r#"kind = "cake", memory_limit = "0 B""#, "0 B is not allowed"),
        (r#"kind = "cake", isolation = "flow""#, "flow"),
        (r#"kind = "cake", ack_filter = true"#, "cake does not filter acknowledgements here"),
        (r#"kind = "cake", autorate_ingress = true"#, "cake does not measure the rate here"),
        (r#"kind = "cake", nat = true"#, "not those before a NAT"),
        (r#"kind = "pie", t_update = "999 ns""#, "999 ns between updates is too short"),
        (r#"kind = "pie", alpha = -1.0"#, "-1 is out of range"),
        (r#"kind = "pie", mark_ecnth = 2"#, "is not a probability"),
        (r#"kind = "fq-pie", flows = 0"#, "0 queues are out of range"),
        (r#"kind = "fq-pie", quantum = "2 MiB""#, "is out of range: 256 B to 1 MiB"),
        (r#"kind = "fq-pie", t_update = "0 s""#, "too short"),
        (r#"kind = "fq-pie", memory_limit = "1 MiB""#, "unknown key"),
        (r#"kind = "pie", tupdate = "1 ms""#, "unknown key"),
    ] {
        assert!(ptm(keys).contains(said), "{keys}: {}", ptm(keys));
        assert!(ptm(keys).starts_with("15:"), "{keys}: {}", ptm(keys));
    }
}

const STAR: &str = r#"name = "star"
[defaults.link]
bandwidth = "1 Gbps"
delay = "5 us"
[generate]
kind = "star"
hosts = 3
"#;

fn star(links: &str) -> Result<Topology, ConfigError> {
    Topology::from_toml("t.toml", &format!("{STAR}{links}"))
}

#[test]
fn a_link_that_names_both_ends_of_a_generated_one_changes_it() {
    let plain = star("").unwrap();
    let links = |topology: &Topology| -> Vec<Link> { topology.links().map(|(_, link)| link.link).collect() };
    let slow: Bandwidth = "10 Mbps".parse().unwrap();
    for ends in ["\"h1:0\", \"s0:1\"", "\"s0:1\", \"h1:0\"", "\"h1\", \"s0\"", "\"s0\", \"h1:0\""] {
        let changed = star(&format!("[[link]]\nbetween = [{ends}]\nbandwidth = \"10 Mbps\"\n")).unwrap();
        let mut expected = links(&plain);
        expected[2..4].iter_mut().for_each(|link| link.bandwidth = slow);
        assert_eq!(links(&changed), expected, "{ends}");
        let ports = |topology: &Topology| -> Vec<_> {
            topology.ports().map(|(_, port)| (port.egress, port.ingress)).collect()
        };
        assert_eq!(ports(&changed), ports(&plain));
    }
    // From the other end, what is forward there is backward here.
    let keys = "forward = { delay = \"1 ms\" }\nptm = { kind = \"fifo\", buffer = \"3 packets\" }\n";
    let changed = star(&format!("[[link]]\nbetween = [\"s0\", \"h2\"]\n{keys}")).unwrap();
    let delays: Vec<_> =
        links(&changed)[4..].iter().map(|link| link.propagation_delay().to_string()).collect();
    assert_eq!(delays, ["5 us", "1 ms"]);
    let ptms = changed.ports().filter(|(_, port)| port.ptm != PtmSpec::default());
    assert_eq!(ptms.map(|(id, _)| changed.port_name(id)).collect::<Vec<_>>(), ["s0:2"]);
    // A link to a further device is another link.
    let further = "[[device]]\nname = \"x\"\nkind = \"host\"\n[[link]]\nbetween = [\"s0:3\", \"x:0\"]\n";
    assert_eq!(star(further).unwrap().links().len(), 8);
}

#[test]
fn changes_that_cannot_be() {
    let told = |links: &str| -> Vec<String> {
        star(links).unwrap_err().iter().map(|error| error.to_string()).collect()
    };
    let link = |ends: &str| format!("[[link]]\nbetween = [{ends}]\n");
    let twice = link("\"h1\", \"s0\"") + &link("\"s0:1\", \"h1:0\"");
    assert_eq!(
        told(&twice),
        [
            "t.toml:11:11: the link between `s0:1` and `h1:0` is changed twice (write all its keys in one [[link]])"
        ]
    );
    assert_eq!(
        told(&link("\"h1\", \"h2\"")),
        ["t.toml:9:11: no generated link joins `h1` and `h2` (links of `h1`: `[\"h1:0\", \"s0:1\"]`)"]
    );
    assert!(told(&link("\"h1:0\", \"s0:2\""))[0].contains("`h1:0` is already the end of another link"));
}
