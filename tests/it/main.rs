//! The integration tests: one module per behaviour.

mod commands;
mod overrides;
mod scenarios;
mod schemas;
