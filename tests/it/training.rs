//! The files of `training/`: they are valid, and every port has the stated load.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taunet::engine::{Hop, Observed, Observer, Settings, simulate};
use taunet::scenario::Scenario;
use taunet::topology::{DeviceKind, Topology};

use crate::generated::injections;

fn files(folder: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        all.filter(|path| path.extension().is_some_and(|it| it == "toml")).collect();
    files.sort();
    files
}

fn load(path: &Path, set: &[&str]) -> Scenario {
    let set: Vec<String> = set.iter().map(|&set| set.to_owned()).collect();
    Scenario::load(path, &set, None).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_file_is_sound_and_says_what_it_is() {
    let folders = ["training", "training/networks", "training/topologies"].map(files);
    for path in folders.iter().flatten() {
        let text = fs::read_to_string(path).unwrap();
        let words: Vec<&str> = text.lines().skip(1).take_while(|line| line.starts_with('#')).collect();
        assert!(words.join(" ").to_lowercase().contains("synthetic"), "{} says too little", path.display());
    }
    let [switches, networks, topologies] = folders;
    switches.iter().chain(&networks).for_each(|path| drop(load(path, &[])));
    for path in &topologies {
        Topology::load(path).unwrap_or_else(|error| panic!("{error}"));
    }
    for discipline in ["priority", "wrr", "drr", "wfq", "fifo-10-times"] {
        load(&switches[1], &[&format!("topology=topologies/{discipline}.toml")]);
    }
}

/// For how many picoseconds each port that is no host's sends.
struct Busy<'t>(&'t Topology, Vec<u64>);

impl Observer for Busy<'_> {
    fn hop(&mut self, hop: &Hop) -> Observed {
        let link = &self.0.link(self.0.port(hop.port).egress).link;
        if self.0.device(hop.device).kind != DeviceKind::Host {
            self.1[hop.port.index()] += link.transmission_time(hop.packet.byte_count()).as_ps();
        }
        Ok(())
    }
}

/// The loads of the switch ports in use, in order.
fn loads(path: &Path, set: &[&str]) -> Vec<f64> {
    let scenario = load(path, set);
    let mut busy = Busy(&scenario.topology, vec![0; scenario.topology.ports().len()]);
    let settings = Settings { until: scenario.until, seed: scenario.seed, threads: 1, ..Settings::default() };
    let injections = injections(&scenario, scenario.seed);
    let outcome = simulate(Arc::clone(&scenario.topology), injections, settings, &mut busy).unwrap();
    let load = |busy: &u64| *busy as f64 / outcome.end.as_ps() as f64;
    let mut loads: Vec<f64> = busy.1.iter().map(load).filter(|load| *load > 0.0).collect();
    loads.sort_by(f64::total_cmp);
    loads
}

#[test]
fn ports_are_loaded_as_told() {
    let eight = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
    for path in files("training") {
        let expected: &[f64] = if path.ends_with("8-ports.toml") { &eight } else { &[0.3, 0.5, 0.7, 0.9] };
        let loads = loads(&path, &[]);
        let are_near = loads.iter().zip(expected).all(|(load, expected)| (load - expected).abs() < 0.025);
        assert!(are_near && loads.len() == expected.len(), "{}: {loads:?}", path.display());
    }
    for path in files("training/networks") {
        // `--set 'KEY=VALUE'` in its comment is for more.
        let text = fs::read_to_string(&path).unwrap();
        let set: Vec<&str> = text.split('\'').skip(1).step_by(2).collect();
        for (set, load) in [(&[][..], 0.5), (&set, 0.8)] {
            let busiest = loads(&path, set).pop().unwrap();
            assert!((busiest - load).abs() < 0.03, "{}: {busiest}", path.display());
        }
    }
}
