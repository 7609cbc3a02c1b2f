//! The integration tests: a module per behaviour.

mod capture_damage;
mod capture_formats;
mod capture_frames;
mod capture_order;
mod inspect;
mod packets_table;
mod pcapng;

#[path = "../../benches/lookalike.rs"]
mod lookalike;
