//! The daemon and command line of Creance, as a library: the VM tests use its client.

pub mod baseline;
pub mod cli;
pub mod content;
pub mod control;
pub mod daemon;
pub mod event;
pub mod files;
pub mod kernel;
pub mod log;
pub mod metrics;
pub mod publisher;
pub mod sources;
pub mod status;
