//! The integration tests: a module per behaviour.

mod capture_damage;
mod capture_formats;
mod capture_frames;
mod capture_order;
mod pcapng;
