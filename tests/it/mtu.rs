//! Packets longer than the MTU of a link on their path cause a warning, from `check` and from `run`.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

/// `a` -- r1 -- r2 -- `b`, with these keys of the link in the middle and of all links.
fn topology(folder: &Path, middle: &str, all: &str) {
    let text = format!(
        r#"
name = "three"
device = [
    {{ name = "a", kind = "host" }},
    {{ name = "b", kind = "host" }},
    {{ name = "r1", kind = "router" }},
    {{ name = "r2", kind = "router" }},
]
[defaults.link]
bandwidth = "1 Gbps"
{all}
[[link]]
between = ["a:0", "r1:0"]
[[link]]
between = ["r1:1", "r2:0"]
{middle}
[[link]]
between = ["r2:1", "b:0"]
"#
    );
    fs::write(folder.join("topology.toml"), text).unwrap();
}

fn scenario(folder: &Path, size: &str) {
    fs::write(folder.join("sizes.csv"), "bytes,cumulative_probability\n64,0.5\n9000,1\n").unwrap();
    let traffic = format!(
        "[[traffic]]\nname = \"bulk\"\nkind = \"cbr\"\nfrom = \"a\"\nto = \"b\"\ninterval = \"1 ms\"\nsize = {size}\npackets = 3\n"
    );
    let text = format!("name = \"long\"\ntopology = \"topology.toml\"\n{traffic}");
    fs::write(folder.join("scenario.toml"), text).unwrap();
}

/// The warnings of `check`, which `run` repeats.
fn warnings(folder: &Path) -> Vec<String> {
    let told = |arguments: &[&str]| {
        let output =
            Command::cargo_bin("taunet").unwrap().current_dir(folder).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        stderr
            .lines()
            .filter_map(|line| line.strip_prefix("warning: "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let check = told(&["check", "scenario.toml"]);
    assert_eq!(check, told(&["run", "scenario.toml", "--out", "run", "--force"]));
    check
}

#[test]
fn a_table_of_sizes_beyond_ethernet_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    topology(folder, "", "");
    scenario(folder, "{ cdf = \"sizes.csv\" }");
    let told = warnings(folder);
    assert_eq!(
        told,
        [
            "[[traffic]] `bulk` sends packets of up to 9000 B, and the link of a:0 carries 1514 B (and 2 other links): a real \
             network fragments or drops them, the simulation forwards them whole; make `size` smaller, or give the link a larger `mtu`"
        ]
    );
    scenario(folder, "\"1514 B\"");
    assert!(warnings(folder).is_empty());
    scenario(folder, "\"1515 B\"");
    assert_eq!(warnings(folder).len(), 1);
    scenario(folder, "\"1518 B\"\nvlan = 5");
    assert!(warnings(folder).is_empty(), "a tag is not counted");
}

#[test]
fn jumbo_frames_fit_where_the_links_carry_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    scenario(folder, "{ mixture = [{ size = \"64 B\", weight = 1 }, { size = \"9000 B\", weight = 1 }] }");
    topology(folder, "", "mtu = \"9014 B\"");
    assert!(warnings(folder).is_empty());
    topology(folder, "mtu = \"1514 B\"", "mtu = \"9014 B\"");
    let [told] = &warnings(folder)[..] else { panic!("one link is narrow") };
    assert!(told.contains("the link of r1:1 carries 1514 B: "), "{told}");
    // The other direction carries nothing.
    topology(folder, "backward = { mtu = \"1514 B\" }", "mtu = \"9014 B\"");
    assert!(warnings(folder).is_empty());
}
