//! The features of the crate: without `cli`, taunet is a library.

use std::collections::BTreeSet;
use std::process::Command;

/// The crates that belong to the command line alone.
const OF_THE_COMMAND: [&str; 5] =
    ["clap", "clap_complete", if cfg!(unix) { "nix" } else { "ctrlc" }, "indicatif", "miette"];

/// The names of all crates that taunet is built from.
fn crates(features: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--edges", "normal", "--prefix", "none", "--offline", "--locked"])
        .args(features)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    tree.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
}

#[test]
fn the_library_needs_no_crate_of_the_command_line() {
    let (command, library) = (crates(&[]), crates(&["--no-default-features"]));
    for name in OF_THE_COMMAND {
        assert!(command.contains(name), "{name} is no dependency at all");
        assert!(!library.contains(name), "{name} is a dependency of the library");
    }
    assert!(library.contains("arrow-array"), "{library:?}");
    assert!(!library.contains("burn"), "{library:?}");
}
