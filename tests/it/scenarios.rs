//! Scenarios from files: how they are resolved, and the messages for mistakes.

use std::fs;
use std::path::PathBuf;

use taunet::config::ConfigError;
use taunet::scenario::{CaptureClock, DelayScope, Direction, Scenario, Traffic};
use taunet::units::{Span, Time};

const TOPOLOGY: &str = r#"
name = "line"
device = [
    { name = "a", kind = "host" },
    { name = "r1", kind = "switch" },
    { name = "b", kind = "host" },
]
link = [
    { between = ["a:0", "r1:0"], bandwidth = "1 Gbps" },
    { between = ["r1:1", "b:0"], bandwidth = "1 Gbps" },
]
"#;

const SCENARIO: &str = r#"name = "s"
topology = "line.toml"
until = "2 s"

[[traffic]]
kind = "replay"
capture = "in.pcap"
at = { port = "r1:0", direction = "ingress" }

[[traffic]]
kind = "cbr"
from = "a"
to = "b"
size = "1000 B"
interval = "1 ms"
packets = 10
start = "1 s"

[[measured]]
capture = "out.pcap"
at = { port = "r1:1", direction = "egress" }

[[measured]]
capture = "in.pcap"
at = { port = "a:0", direction = "egress" }
delay = "hop"
accept = { mae = "1 ms" }

[accept]
pearson = 0.99
"#;

const NAME_HELP: &str =
    "write for example \"two-routers\": the name of a scenario becomes that of a directory";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.write("line.toml", TOPOLOGY);
        folder.write("in.pcap", "");
        folder.write("out.pcap", "");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn load(&self, text: &str) -> Result<Scenario, ConfigError> {
        Scenario::load(&self.write("s.toml", text), &[], None)
    }

    /// The mistakes of the scenario in which `from` became `to`: line and message.
    fn told(&self, from: &str, to: &str) -> Vec<(usize, String)> {
        assert!(SCENARIO.contains(from));
        let error = self.load(&SCENARIO.replacen(from, to, 1)).unwrap_err();
        let folder = format!("{}/", self.0.path().display());
        error
            .iter()
            .map(|mistake| {
                let line = mistake.line_column().map_or(0, |(line, _)| line);
                let help = mistake.help().map_or(String::new(), |help| format!(" | {help}"));
                (line, format!("{}{help}", mistake.message()).replace(&folder, ""))
            })
            .collect()
    }
}

fn one(line: usize, message: &str) -> Vec<(usize, String)> {
    vec![(line, message.to_owned())]
}

#[test]
fn a_measured_capture_may_have_a_clock_of_its_own() {
    let folder = Folder::new();
    let with = |clock: &str| SCENARIO.replacen("delay = \"hop\"", &format!("clock = \"{clock}\""), 1);
    let clocks = folder.load(&with("skewed")).unwrap().measured.iter().map(|it| it.clock).collect::<Vec<_>>();
    assert_eq!(clocks, [CaptureClock::Same, CaptureClock::Skewed]);
    let mistakes = folder.told("delay = \"hop\"", "clock = \"own\"");
    assert_eq!((mistakes.len(), mistakes[0].0), (1, 26));
    assert!(mistakes[0].1.contains("own") && mistakes[0].1.contains("skewed"), "{mistakes:?}");
}

#[test]
fn names_are_resolved() {
    let folder = Folder::new();
    let scenario = folder.load(SCENARIO).unwrap();
    assert_eq!((scenario.name.as_str(), scenario.seed), ("s", 1));
    assert_eq!(scenario.until, Some(Time::ZERO + Span::SECOND + Span::SECOND));
    let Traffic::Replay { capture, at, .. } = &scenario.traffic[0] else { panic!("a replay") };
    assert_eq!(*capture, folder.path("in.pcap"));
    assert_eq!((scenario.topology.port_name(at.port).as_str(), at.direction), ("r1:0", Direction::Ingress));
    let Traffic::Generated(generator) = &scenario.traffic[1] else { panic!("generated") };
    assert_eq!(scenario.topology.device(generator.senders[0].host).name, "a");
    assert_eq!(scenario.topology.device(generator.hosts[1]).name, "b");
    assert_eq!((generator.sizes.mean(), generator.limits.packets), (1000.0, Some(10)));
    assert_eq!(generator.start, Time::ZERO + Span::SECOND);

    // [accept] holds for the first, the second has its own.
    let [first, second] = &scenario.measured[..] else { panic!("two measured") };
    assert_eq!((first.delay, first.accept.pearson, first.accept.mae), (DelayScope::Path, Some(0.99), None));
    let millisecond = Some(Span::from_ns(1_000_000));
    assert_eq!(
        (second.delay, second.accept.pearson, second.accept.mae),
        (DelayScope::Hop, None, millisecond)
    );

    let inputs = ["s.toml", "line.toml", "in.pcap", "out.pcap"].map(|name| folder.path(name));
    assert_eq!(scenario.inputs, inputs);
}

#[test]
fn a_seed_of_the_caller_overrules_the_files() {
    let folder = Folder::new();
    let path = folder.write("s.toml", &format!("seed = 7\n{SCENARIO}"));
    assert_eq!(Scenario::load(&path, &[], None).unwrap().seed, 7);
    assert_eq!(Scenario::load(&path, &[], Some(9)).unwrap().seed, 9);
}

#[test]
fn every_name_that_leads_nowhere_is_told() {
    let folder = Folder::new();
    let cases = [
        ("\"line.toml\"", "\"lien.toml\"", 2, "no such file: `lien.toml` | did you mean `line.toml`?"),
        ("\"line.toml\"", "\".\"", 2, "this is a directory, not a file: `.` | name a file in it"),
        ("\"in.pcap\"", "\"im.pcap\"", 7, "no such file: `im.pcap` | did you mean `in.pcap`?"),
        ("\"in.pcap\"", "\"x/in.pcap\"", 7, "no such file: `x/in.pcap` | there is no folder `x`"),
        ("r1:0", "r1:7", 8, "the device `r1` has no port 7 | its ports: `r1:0`, `r1:1`"),
        ("r1:0", "rr1:0", 8, "no device is named `rr1` | did you mean `r1`? devices: `a`, `r1`, `b`"),
        (
            "ingress",
            "ingres",
            8,
            "unknown direction `ingres` | did you mean `ingress`? it is one of: `ingress`, `egress`",
        ),
        ("\"a\"", "\"r1\"", 12, "`r1` is not a host: it forwards only | hosts: `a`, `b`"),
        ("\"a\"", "\"c\"", 12, "no device is named `c` | did you mean `a`? devices: `a`, `b`"),
        ("\"b\"", "\"a\"", 13, "`a` cannot send to itself | name another host in `to`"),
        ("1000 B", "0 B", 14, "a packet cannot have 0 B | the length is from 1 B to 65535 B"),
        ("packets = 10", "packets = 0", 16, "0 packets send nothing | write 1 or more"),
        ("\"hop\"", "\"hopp\"", 26, "unknown delay `hopp` | did you mean `hop`? it is one of: `path`, `hop`"),
        ("0.99", "1.5", 30, "1.5 is not a valid bound | the bound must be from -1 to 1"),
        ("pearson = 0.99", "ks = nan", 30, "NaN is not a valid bound | the bound must be zero or more"),
        (
            "a:0\", direction = \"egress",
            "b:0\", direction = \"ingress",
            26,
            "a packet has no delay at the ingress of its own device | use delay = \"hop\" at egress vantages only",
        ),
        (
            "r1:1\", direction = \"egress",
            "r1:0\", direction = \"ingress",
            21,
            "the replay enters at this vantage: it would be compared with itself \
             | compare at a vantage that its packets reach later",
        ),
        ("\"s\"", "\"\"", 1, &format!("the name is empty | {NAME_HELP}")),
        ("\"s\"", "\".\"", 1, &format!("a name needs a letter or a digit | {NAME_HELP}")),
        ("\"s\"", "\"..\"", 1, &format!("a name needs a letter or a digit | {NAME_HELP}")),
        ("\"s\"", "\"- -\"", 1, &format!("a name needs a letter or a digit | {NAME_HELP}")),
        ("name = \"s\"", "", 1, "missing key `name` at the top of the file"),
    ];
    for (from, to, line, message) in cases {
        assert_eq!(folder.told(from, to), one(line, message));
    }
}

#[test]
fn several_mistakes_are_told_at_once() {
    let folder = Folder::new();
    let told = folder.told("r1:0\", direction = \"ingress\"", "r1:7\", direction = \"ingress\"").len()
        + folder
            .told(
                "[[traffic]]\nkind = \"replay\"\ncapture = \"in.pcap\"\nat",
                "[[traffic]]\nkind = \"replay\"\ncaptre = \"no\"\nat",
            )
            .len();
    assert_eq!(told, 1 + 2);
}

#[test]
fn a_scenario_needs_traffic() {
    let folder = Folder::new();
    let error = folder.load("name = \"s\"\ntopology = \"line.toml\"\n").unwrap_err();
    assert_eq!(error.message(), "the scenario has no traffic");
}

#[test]
fn accept_without_measured_is_told() {
    let folder = Folder::new();
    let text = SCENARIO.split("[[measured]]").next().unwrap().to_owned() + "[accept]\npearson = 0.9\n";
    let error = folder.load(&text).unwrap_err();
    assert_eq!(error.message(), "[accept] has no effect: there is no [[measured]] capture");
    assert_eq!(error.line_column(), Some((19, 1)));
}

#[test]
fn a_mistake_in_the_topology_points_there() {
    let folder = Folder::new();
    folder.write("line.toml", "name = \"line\"\ndevices = []\n");
    let error = folder.load(SCENARIO).unwrap_err();
    assert!(error.source_text().name.ends_with("line.toml"), "{error}");
    assert_eq!(error.line_column(), Some((2, 1)));
    assert_eq!(error.message(), "unknown key `devices` at the top of the file");
}

#[test]
fn a_topology_is_no_scenario() {
    let folder = Folder::new();
    let error = Scenario::load(&folder.path("line.toml"), &[], None).unwrap_err();
    assert_eq!(error.iter().count(), 1, "{:?}", error.iter().collect::<Vec<_>>());
    assert_eq!(error.message(), "this is a topology, not a scenario");
    let help = "a scenario has the key `topology`, which names a topology file, and [[traffic]] tables; `taunet check` \
                checks either";
    assert_eq!(error.help(), Some(help));
}

#[test]
fn a_topology_that_is_none_is_told_where_it_is_named() {
    let folder = Folder::new();
    folder.write("s2.toml", SCENARIO);
    let told = folder.told("line.toml", "s2.toml");
    assert_eq!(told[0].0, 2);
    assert!(
        told[0].1.starts_with("`s2.toml`: this is a scenario, not a topology | name a topology file"),
        "{told:?}"
    );
    fs::write(folder.path("c.pcap"), [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]).unwrap();
    let told = folder.told("line.toml", "c.pcap");
    assert_eq!(told[0].0, 2);
    assert!(told[0].1.starts_with("`c.pcap`: this is a capture (pcap), not a TOML file"), "{told:?}");
}

/// The senders of the first entry of traffic with their destinations, by name.
fn pairs(scenario: &Scenario) -> Vec<(String, Vec<String>)> {
    let name = |id| scenario.topology.device(id).name.clone();
    let Traffic::Generated(generator) = &scenario.traffic[0] else { panic!("{:?}", scenario.traffic[0]) };
    let to = |places: &[usize]| places.iter().map(|place| name(generator.hosts[*place])).collect();
    generator.senders.iter().map(|sender| (name(sender.host), to(sender.to.as_deref().unwrap()))).collect()
}

#[test]
fn each_host_of_from_sends_to_each_host_of_to_but_itself() {
    let folder = Folder::new();
    folder.write(
        "line.toml",
        "name = \"star\"\ngenerate = { kind = \"star\", hosts = 4 }\ndefaults.link.bandwidth = \"1 Gbps\"\n",
    );
    let load = |from: &str, to: &str, rate: &str| {
        folder.load(&format!(
            "name = \"s\"\ntopology = \"line.toml\"\nuntil = \"1 s\"\n[[traffic]]\nkind = \"cbr\"\nfrom = {from}\n\
             to = {to}\nrate = {rate}\nsize = \"1000 B\"\n"
        ))
    };
    let owned = |pairs: &[(&str, &[&str])]| -> Vec<(String, Vec<String>)> {
        let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        pairs.iter().map(|(from, to)| ((*from).to_owned(), strings(to))).collect()
    };
    let several = load("[\"h0\", \"h1\"]", "[\"h1\", \"h3\"]", "\"1 Mbps\"").unwrap();
    assert_eq!(pairs(&several), owned(&[("h0", &["h1", "h3"]), ("h1", &["h3"])]));
    assert_eq!(pairs(&load("\"h0\"", "[\"h2\"]", "\"1 Mbps\"").unwrap()), owned(&[("h0", &["h2"])]));
    // A rate is that of each sending host; a load of one link is shared among them.
    let gap = |scenario: &Scenario| {
        let Traffic::Generated(generator) = &scenario.traffic[0] else { panic!() };
        generator.senders.iter().map(|sender| sender.gap.unwrap().as_ps_f64()).collect::<Vec<_>>()
    };
    assert_eq!(gap(&several), [8e9, 8e9]);
    let shared = load("[\"h0\", \"h1\"]", "\"h3\"", "{ load = 0.5, of = \"s0:3\" }").unwrap();
    assert_eq!(gap(&shared), [3.2e7, 3.2e7]);
    let told = |from: &str, to: &str| load(from, to, "\"1 Mbps\"").unwrap_err().to_string();
    assert!(told("[\"h0\", \"h0\"]", "\"h1\"").contains("s.toml:6:15: `h0` is there twice"));
    assert!(told("[\"h0\", \"h1\"]", "\"h1\"").contains("s.toml:7:6: `h1` cannot send to itself"));
    assert!(told("[]", "\"h1\"").contains("s.toml:6:8: no host is named here"), "{}", told("[]", "\"h1\""));
    assert!(told("3", "\"h1\"").contains("s.toml:6:8: expected a host, such as \"h0\", or several"));
}

#[test]
fn hosts_that_no_links_join_cause_a_warning() {
    let folder = Folder::new();
    let island = TOPOLOGY.replace("[\"r1:1\", \"b:0\"]", "[\"r1:1\", \"r1:2\"]");
    folder.write("line.toml", &island);
    let warnings = folder.load(SCENARIO).unwrap().warnings();
    assert_eq!(
        warnings,
        [
            "traffic `1`: no links lead from `a` to `b`: what is sent there is dropped; add a [[link]] to the topology"
        ]
    );
    folder.write("line.toml", TOPOLOGY);
    assert!(folder.load(SCENARIO).unwrap().warnings().is_empty());
}

#[test]
fn values_of_the_topology_are_set_through_the_scenario() {
    let folder = Folder::new();
    folder.write("other.toml", &TOPOLOGY.replace("1 Gbps", "2 Gbps"));
    let path = folder.write("s.toml", SCENARIO);
    let load = |set: &[&str]| {
        let set: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
        Scenario::load(&path, &set, None)
    };
    let bandwidths = |set: &[&str]| -> Vec<String> {
        let scenario = load(set).unwrap_or_else(|error| panic!("{error}"));
        let links = scenario.topology.links().map(|(_, link)| link.link.bandwidth.to_string());
        links.step_by(2).collect()
    };
    assert_eq!(bandwidths(&[]), ["1 Gbps", "1 Gbps"]);
    assert_eq!(bandwidths(&["topology.link.1.bandwidth=10 Mbps"]), ["1 Gbps", "10 Mbps"]);
    assert_eq!(bandwidths(&["topology.link.b:0.bandwidth=10 Mbps"]), ["1 Gbps", "10 Mbps"]);
    // The order of a file and its keys does not matter.
    for set in [
        ["topology=other.toml", "topology.link.0.bandwidth=3 bps"],
        ["topology.link.0.bandwidth=3 bps", "topology=other.toml"],
    ] {
        assert_eq!(bandwidths(&set), ["3 bps", "2 Gbps"]);
    }
    let told = |set: &str| {
        let error = load(&["until=1 s", set]).unwrap_err();
        (error.source_text().text.clone(), error.line_column().unwrap().1, error.message().to_owned())
    };
    for (set, column, message) in [
        ("topology.link.0.bandwidth=10", 27, "a rate needs a unit: \"10\" has none"),
        ("topology.link.0.bandwith=1 bps", 17, "unknown key `bandwith` in [[link]]"),
        ("topology.link.2.bandwidth=1 bps", 15, "`link` has no element 2: they count from 0 to 1"),
        ("topology.seed=3", 10, "`seed` belongs in a scenario, and this is a topology"),
        (
            "topology.device.r2.processing=1 us",
            17,
            "`device` has no element `r2`: name an element by its index from 0, or by its name; did you mean `r1`?",
        ),
    ] {
        assert_eq!(told(set), (set.to_owned(), column, message.to_owned()));
    }
}
