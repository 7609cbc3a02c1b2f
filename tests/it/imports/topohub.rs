//! All files of TopoHub.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use taunet::topology::Topology;

use super::command;

/// Reads every file of TopoHub (`pip install topohub`; its folder `topohub/data` in TAUNET_TOPOHUB), and prints what was
/// kept and what left out.
#[test]
#[ignore = "needs the files of TopoHub"]
fn every_file_of_topohub_is_read_and_none_is_poorer() {
    let folder = std::env::var("TAUNET_TOPOHUB").expect("TAUNET_TOPOHUB names the folder topohub/data");
    let mut files = Vec::new();
    collect(Path::new(&folder), &mut files);
    assert!(files.len() > 600, "only {} files", files.len());
    let mut counts = indexmap::IndexMap::<String, usize>::new();
    for path in &files {
        for (what, number) in kept_and_left(path) {
            *counts.entry(what).or_default() += number;
        }
    }
    println!("{} files", files.len());
    counts.sort_keys();
    counts.iter().for_each(|(what, number)| println!("{what}: {number}"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
}

/// Imports one file of TopoHub, and holds what is in the topology or told against what is in the file: counts of each
/// kind.
fn kept_and_left(path: &Path) -> Vec<(String, usize)> {
    let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let [nodes, edges] = ["nodes", "edges"].map(|key| file[key].as_array().unwrap());
    let answer = command(path, &[]);
    assert_eq!(answer.code, 0, "{}: {}", path.display(), answer.told);
    let topology = Topology::from_toml("t.toml", &answer.toml).unwrap();
    assert_eq!(topology.devices().len(), 2 * nodes.len(), "{}: a router and a host for each", path.display());
    assert_eq!(topology.links().len(), 2 * (nodes.len() + edges.len()), "{}", path.display());
    let delays = topology.links().skip(2 * nodes.len()).step_by(2);
    for ((_, link), edge) in delays.zip(edges) {
        const PS_PER_KM: f64 = 5e6;
        let expected = edge["dist"].as_f64().unwrap() * PS_PER_KM;
        let found = link.link.propagation_delay().as_ps() as f64;
        assert!((found - expected).abs() < 1e3, "{}: {edge}: {found} ps", path.display());
    }
    let mut found = vec![("nodes: kept".to_owned(), nodes.len()), ("edges: kept".to_owned(), edges.len())];
    let positions = topology.devices().filter(|(_, device)| device.position.is_some()).count();
    let of_nodes = keys(nodes).into_iter().map(|(key, count)| ("node", key, count));
    let of_edges = keys(edges).into_iter().map(|(key, count)| ("edge", key, count));
    let of_graph = keys(&[file["graph"].clone()]).into_iter().map(|(key, count)| ("graph", key, count));
    for (owner, key, count) in of_nodes.chain(of_edges).chain(of_graph) {
        let told = if owner == "graph" { format!("`{key}` (") } else { format!("`{key}` ({count} {owner}") };
        let is_told = answer.told.lines().any(|line| line.starts_with("left out: ") && line.contains(&told));
        let is_kept = match (owner, key.as_str()) {
            // Demands are counted below.
            (_, "id" | "name" | "source" | "target" | "dist" | "demands") => true,
            ("node", "pos") => positions == count,
            _ => false,
        };
        assert!(is_told != is_kept, "{}: {owner} {key} ({count}):\n{}", path.display(), answer.told);
        found.push((
            format!("{owner} attribute `{key}`: {}", if is_told { "left out" } else { "kept" }),
            count,
        ));
    }
    let rows = file["graph"]["demands"].as_object().unwrap().values();
    let demands = rows.map(|row| row.as_object().unwrap().len()).sum::<usize>();
    let number = |line: &str| line.split(' ').next().unwrap().parse::<usize>().unwrap();
    let kept =
        answer.told.lines().filter(|line| line.contains("demand") && line.contains(", where 1 stands for"));
    let kept = kept.map(number).sum::<usize>();
    let left = answer.told.lines().filter_map(|line| line.strip_prefix("left out: "));
    let left = left.filter(|line| line.contains(" demand")).map(number).sum::<usize>();
    assert_eq!(kept + left, demands, "{}", path.display());
    found.extend([("demands: kept".to_owned(), kept), ("demands: left out".to_owned(), left)]);
    found
}

/// How often each key has a value.
fn keys(objects: &[Value]) -> Vec<(String, usize)> {
    let mut keys = indexmap::IndexMap::<String, usize>::new();
    for (key, value) in objects.iter().flat_map(|object| object.as_object().unwrap()) {
        let is_empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
        *keys.entry(key.clone()).or_default() += usize::from(!is_empty);
    }
    keys.into_iter().filter(|(_, count)| *count > 0).collect()
}
