//! A fleet on loopback: the publisher's commands, nginx, Prometheus, and hosts that are the daemon's own code
//! on an engine without a kernel. `cargo xtask fleet` fetches the two servers, says how many hosts there are,
//! and may boot VMs that belong to the fleet.
#![allow(clippy::unwrap_used, reason = "a test")]

mod host;
mod orders;
mod rollout;
mod servers;
#[path = "../support/mod.rs"]
mod support;
mod vm;
mod world;
