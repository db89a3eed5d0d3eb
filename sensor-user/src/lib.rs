//! The daemon and command line of Creance, as a library: the VM tests use its client.

pub mod api;
pub mod cli;
pub mod control;
pub mod daemon;
pub mod event;
pub mod host;
pub mod kernel;
pub mod log;
pub mod metrics;
pub mod publisher;
pub mod rule_files;
