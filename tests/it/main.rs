//! The integration tests: one module per behaviour.

mod capture_damage;
mod capture_formats;
mod capture_frames;
mod capture_order;
mod commands;
mod disciplines;
mod engine;
mod engines;
mod forwarding;
mod house;
mod inspect;
mod invariants;
mod overrides;
mod packets_table;
mod pcapng;
mod random_networks;
mod rtt;
mod scenarios;
mod schemas;
mod simulate;
mod theory;
mod traffic;
mod topologies;

#[path = "../../benches/lookalike.rs"]
mod lookalike;
