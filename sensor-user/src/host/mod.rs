//! What lies on the host's disk for the daemon: where its owner configures it, and where it keeps its state.

pub mod files;
pub mod places;
pub mod ramps;
pub mod settings;
