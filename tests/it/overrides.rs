//! `--set path.to.key=value`.

use proptest::prelude::*;
use taunet::config::{ConfigError, Document};
use taunet::topology::Topology;

const TEXT: &str = r#"
name = "line"
device = [{ name = "a", kind = "host" }, { name = "r1", kind = "switch" }]
link = [{ between = ["a:0", "r1:0"], bandwidth = "1 Gbps" }]
"#;

fn with(overrides: &[&str]) -> Result<Topology, ConfigError> {
    let mut document = Document::parse("t.toml", TEXT)?;
    for text in overrides {
        document.set(text)?;
    }
    Topology::from_document(&document)
}

/// Where and what the first mistake is.
fn told(overrides: &[&str]) -> (String, usize, String) {
    let error = with(overrides).unwrap_err();
    let (_, column) = error.line_column().unwrap();
    (error.source_text().text.clone(), column, error.message().to_owned())
}

#[test]
fn values_are_toml_or_else_text() {
    let bandwidth = |text: &str| {
        let topology = with(&[text]).unwrap();
        topology.links().next().unwrap().1.link.bandwidth.to_string()
    };
    assert_eq!(bandwidth("link.0.bandwidth=10 Mbps"), "10 Mbps");
    assert_eq!(bandwidth("link.0.bandwidth=\"10 Mbps\""), "10 Mbps");
    assert_eq!(bandwidth(" link.0.bandwidth = unlimited "), "unlimited");
    assert_eq!(bandwidth("link.0.forward.bandwidth=3 bps"), "3 bps");
    assert_eq!(bandwidth("link.0={ between = [\"a:0\", \"r1:0\"], bandwidth = \"7 bps\" }"), "7 bps");
    assert_eq!(with(&["name=x=y"]).unwrap().name(), "x=y");
    assert_eq!(with(&["device.1.ptm.kind=fifo", "name=z"]).unwrap().name(), "z");
}

#[test]
fn elements_are_named_by_index_by_name_or_by_an_end() {
    let processing = |text: &str| {
        let topology = with(&[text]).unwrap();
        topology.device(topology.device_named("r1").unwrap()).processing.to_string()
    };
    for path in ["device.1", "device.r1", " device . r1 ", "device.\"r1\"", "device.'r1'"] {
        assert_eq!(processing(&format!("{path}.processing=3 us")), "3 us", "{path}");
    }
    let topology = with(&["link.r1:0.delay=2 ms"]).unwrap();
    assert_eq!(topology.links().next().unwrap().1.link.propagation_delay().to_string(), "2 ms");
    // A name with a dot and an equals sign in it.
    let set =
        ["device.1.name=r.1=x", "link.0.between=[\"a:0\", \"r.1=x:0\"]", "device.\"r.1=x\".processing=4 us"];
    let topology = with(&set).unwrap();
    assert_eq!(topology.device(topology.device_named("r.1=x").unwrap()).processing.to_string(), "4 us");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A value that is set is one that the file has.
    #[test]
    fn to_set_a_value_is_to_write_it(bps in 1u64..1_000_000_000_000, ns in 0u64..1_000_000_000, by_name: bool) {
        let device = if by_name { "r1" } else { "1" };
        let link = if by_name { "a:0" } else { "0" };
        let set = [
            format!("link.{link}.bandwidth={bps} bps"),
            format!("link.{link}.backward.delay={ns} ns"),
            format!("device.{device}.ptm={{ kind = \"fifo\", buffer = \"{bps} B\" }}"),
            format!("device.{device}.processing={ns} ns"),
        ];
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        let written = TEXT
            .replace(
                "bandwidth = \"1 Gbps\"",
                &format!("bandwidth = \"{bps} bps\", backward = {{ delay = \"{ns} ns\" }}"),
            )
            .replace(
                "kind = \"switch\"",
                &format!(
                    "kind = \"switch\", ptm = {{ kind = \"fifo\", buffer = \"{bps} B\" }}, processing = \"{ns} ns\""
                ),
            );
        let written = Topology::from_toml("t.toml", &written).unwrap();
        prop_assert_eq!(format!("{:?}", with(&set).unwrap()), format!("{written:?}"));
    }

    /// Any text sets something or is told: no panic, and the mistake points into the text.
    #[test]
    fn no_text_panics(text in "[a-z0-9.=\"' \\[\\]{}:é]{0,40}") {
        if let Err(error) = with(&[&text]) {
            prop_assert!(error.line_column().is_some());
        }
    }
}

#[test]
fn paths_from_the_command_line_are_the_shells() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    write("inner/net.toml", TEXT);
    write("other.toml", &TEXT.replace("line", "other"));
    write(
        "inner/s.toml",
        "name = \"s\"\ntopology = \"net.toml\"\nuntil = \"1 ms\"\n[[traffic]]\nkind = \"replay\"\ncapture = \"c\"\n\
         at = { port = \"r1:0\", direction = \"ingress\" }\n",
    );
    write("inner/c", "");
    write("c", "");
    let check = |file: &str, set: &[&str], code| {
        let mut command = assert_cmd::Command::cargo_bin("taunet").unwrap();
        command.current_dir(folder.path()).args(["check", file]);
        for text in set {
            command.args(["--set", text]);
        }
        let done = command.assert().code(code);
        let output = done.get_output();
        String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap()
    };
    assert!(check("inner/s.toml", &[], 0).contains("2 devices"));
    assert!(check("inner/s.toml", &["topology=other.toml", "traffic.0.capture=c"], 0).contains("2 devices"));
    assert!(check("inner/s.toml", &["topology=inner/net.toml"], 0).contains("2 devices"));
    assert!(check("inner/s.toml", &["topology=net.toml"], 2).contains("no such file: `net.toml`"));
    assert!(check("inner/s.toml", &["topology.link.0.bandwidth=3"], 2).contains("a rate needs a unit"));
    // A topology file takes the values of a topology, and nothing else.
    assert!(check("other.toml", &["topology.link.0.bandwidth=3"], 2).contains("a rate needs a unit"));
    assert!(check("other.toml", &["until=1 s"], 2).contains("--set until=1 s changes nothing"));
    assert!(check("other.toml", &["topology.name=z"], 0).contains("topology `z`"));
}

#[test]
fn the_last_of_two_counts() {
    assert_eq!(with(&["name=x", "name=y"]).unwrap().name(), "y");
}

#[test]
fn a_mistake_points_at_its_override() {
    let told_of = |text: &str, column, message: &str| {
        assert_eq!(told(&["name=other", text]), (text.to_owned(), column, message.to_owned()));
    };
    told_of("name", 1, "`name` sets nothing: it has no `=`");
    told_of("=3", 1, "there is no key before the `=`");
    told_of("a..b=3", 1, "`a..b` is not the path of a key");
    told_of("nam=3", 1, "unknown key `nam` at the top of the file");
    told_of("name=3", 6, "expected text in quotes, found `3`");
    told_of("name.x=3", 6, "`x` cannot be set: `name` is not a table but text");
    told_of("link.1.bandwidth=3", 6, "`link` has no element 1: its only one is 0");
    told_of("device.9=3", 8, "`device` has no element 9: they count from 0 to 1");
    told_of("link.a=3", 6, "`link` is an array: name an element by its index from 0, or by one of its ends");
    told_of("link.0.bandwidth=1000", 18, "a rate needs a unit: \"1000\" has none");
    told_of("link.0.bandwidth= 10 Mbit", 19, "\"Mbit\" is not a unit of a rate");
    told_of("link.0.between=[\"a:0\", \"é:0\"]", 24, "no device is named `é`");
    told_of("device.0.ptm={ kind = \"fifo\", bufer = 1 }", 31, "unknown key `bufer` in `fifo`");
}
