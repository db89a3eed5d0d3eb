//! A fleet on loopback: the publisher's commands, nginx, Prometheus, and hosts that are the daemon's own code on an engine without a
//! kernel. `CREANCE_FLEET=50` sets how many; `cargo xtask fleet` fetches the two servers.
#![allow(clippy::unwrap_used, reason = "a test")]

mod host;
mod orders;
mod rollout;
mod servers;
#[path = "../support/mod.rs"]
mod support;
mod world;
