//! The integration tests: one module per behaviour.

mod browser;
mod calibrate;
mod calibrate_aqm;
mod calibrate_lab;
mod calibrate_path;
mod calibrate_recordings;
mod calibration_page;
mod capture_damage;
mod capture_formats;
mod capture_frames;
mod capture_order;
mod classes;
mod commands;
mod compare_runs;
mod deepqueuenet;
mod disciplines;
mod ecn;
mod engine;
mod engines;
mod forwarding;
mod generated;
mod house;
mod inspect;
mod invariants;
mod lab;
mod learned;
mod long_times;
mod matching;
mod mtu;
mod no_resequencing;
mod overrides;
mod packets_table;
mod pcapng;
mod random_networks;
mod report;
mod rtt;
mod scenarios;
mod schemas;
mod simulate;
mod theory;
mod traffic;
mod training;
mod topologies;

#[path = "../../benches/lookalike.rs"]
mod lookalike;
