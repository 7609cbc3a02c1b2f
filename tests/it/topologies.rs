//! The included topologies: each starts with a comment, is valid and connected.

use std::fs;
use std::path::{Path, PathBuf};

use taunet::topology::Topology;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect::<Vec<_>>();
    files.sort();
    files
}

#[test]
fn every_one_loads_and_says_what_it_is() {
    let files = files();
    assert!(files.len() >= 13, "{files:?}");
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("#:schema ../schemas/topology.schema.json"), "{}", path.display());
        assert!(
            lines.next().is_some_and(|line| line.starts_with("# ") && line.len() > 40),
            "{}",
            path.display()
        );
        let topology = Topology::load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(topology.name(), path.file_stem().unwrap(), "a file is found by the name of its topology");
    }
}
