//! Who makes rules match, and how often: the layout of the map behind every decision that takes content back.
//!
//! Events are counted by *actor*, because one ordinary user can cause as many events as he likes: what he causes alone must not
//! take a rule away from everybody.

/// LRU hash from [`NoiseKey`] to [`Noise`].
pub const NOISE: &str = "NOISE";
/// How many triples of rule, role and actor are counted; those that matched longest ago are forgotten first.
pub const NOISE_MAX: u32 = 16_384;
/// Stands in [`NoiseKey::rule`] for all rules of a generation: an event that several match counts once.
pub const EVERY: u32 = u32::MAX;
/// Users from here on are people; those below are services of the system.
pub const PEOPLE: u32 = 1000;
/// Set in an actor that is a service: the rest is the id of its cgroup. Else the actor is a user's id.
pub const SERVICE: u64 = 1 << 63;

/// The actor behind a process: its user; of a system user, which many services share, the cgroup.
pub const fn actor(uid: u32, cgroup: u64) -> u64 {
    if uid < PEOPLE { SERVICE | cgroup } else { uid as u64 }
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

/// What an actor caused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Noise {
    /// Events that matched since the generation is in this role.
    pub events: u64,
    /// Which second it was at the last of them, since boot; 0 where nobody asks.
    pub second: u64,
    /// How many there were in that second.
    pub lately: u64,
    /// How many were not reported, since the actor had caused enough reports.
    pub limited: u64,
}
