//! The publisher's side of a roll-out: what is remembered between two steps, and who is asked how the fleet is.

mod health;
mod rollout_store;

pub use health::Prometheus;
pub use rollout_store::{Rollout, RolloutStore};
