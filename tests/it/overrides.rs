//! `--set path.to.key=value`.

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
    told_of("link.a=3", 6, "`link` is an array: name an element by its index from 0");
    told_of("link.0.bandwidth=1000", 18, "a rate needs a unit: \"1000\" has none");
    told_of("link.0.bandwidth= 10 Mbit", 19, "\"Mbit\" is not a unit of a rate");
    told_of("link.0.between=[\"a:0\", \"é:0\"]", 24, "no device is named `é`");
    told_of("device.0.ptm={ kind = \"fifo\", bufer = 1 }", 31, "unknown key `bufer` in `fifo`");
}
