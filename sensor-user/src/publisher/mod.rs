//! The publisher's side of a roll-out: what is remembered between two steps, and who is asked how the fleet is.

mod desk;
mod health;

pub use desk::{Desk, Rollout};
pub use health::Prometheus;
