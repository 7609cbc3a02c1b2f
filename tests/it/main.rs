//! The integration tests: one module per behaviour.

mod commands;
mod engine;
mod overrides;
mod scenarios;
mod schemas;
