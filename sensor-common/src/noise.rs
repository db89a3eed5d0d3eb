//! Who makes rules match, and how often: the layout of the map behind every decision that takes content back.
//!
//! Events are counted by *actor*, because one ordinary user can cause as many events as he likes: what he
//! causes alone must not take a rule away from everybody.

use crate::actor::{CGROUP, FIRST_USER};

/// LRU hash from [`NoiseKey`] to `u64`: how many events matched since the generation is in this role.
pub const NOISE: &str = "NOISE";
/// How many triples of rule, role and actor are counted; those that matched longest ago are forgotten first.
pub const NOISE_MAX: u32 = 16_384;
/// Stands in [`NoiseKey::rule`] for all rules of a generation: an event that several match counts once.
pub const EVERY: u32 = u32::MAX;
/// The actor behind a process: its user; of a system user, which many services share, the cgroup.
pub const fn actor(uid: u32, cgroup: u64) -> u64 {
    if uid < FIRST_USER { CGROUP | cgroup } else { uid as u64 }
}

/// In which role a generation judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Role {
    /// It is in force.
    InForce = 0,
    /// Of an event that a candidate judged too: both generations, since the candidate judges.
    Compared = 1,
}

/// Whose events are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct NoiseKey {
    /// The generation.
    pub generation: u64,
    /// See [`actor`].
    pub actor: u64,
    /// The rule's number in it, or [`EVERY`].
    pub rule: u32,
    /// A [`Role`].
    pub role: u32,
}
