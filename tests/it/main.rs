//! The integration tests: one module per behaviour.

mod another_crate;
mod bbr;
#[cfg(unix)]
mod book;
mod browser;
mod bytes;
mod calibrate;
mod calibrate_aqm;
mod calibrate_lab;
mod calibrate_path;
mod calibrate_recordings;
mod calibration_page;
mod capture_damage;
mod capture_formats;
mod capture_frames;
mod capture_interfaces;
mod capture_link_types;
mod capture_order;
mod classes;
mod closed_loops;
mod commands;
#[cfg(unix)]
mod corpora;
mod compare_runs;
mod dctcp;
mod dctcp_example;
mod deepqueuenet;
mod determinism;
mod disciplines;
mod ecn;
#[cfg(unix)]
mod endless;
mod engine;
mod engines;
mod fct_study;
mod features;
mod forwarding;
mod fragments;
mod generated;
mod house;
mod imports;
mod inspect;
mod invariants;
#[cfg(target_os = "linux")]
mod kills;
mod lab;
mod learned;
mod library;
mod long_times;
mod matching;
mod mtu;
mod newreno;
mod no_resequencing;
mod overrides;
mod overview;
mod packets_table;
mod pcapng;
mod random_networks;
mod report;
mod report_charts;
mod response;
mod robustness;
mod rtt;
mod scenarios;
#[cfg(unix)]
mod schedulers;
mod schemas;
#[cfg(target_os = "linux")]
mod signals;
mod simulate;
mod statistics;
mod sweep;
mod tune;
mod tcp_lab;
mod tcp_recordings;
mod theory;
mod traffic;
mod training;
mod transmissions;
mod transport;
mod tunnels;
mod workloads;
mod topologies;
#[cfg(target_os = "linux")]
mod writers;

#[path = "../../benches/lookalike.rs"]
mod lookalike;
