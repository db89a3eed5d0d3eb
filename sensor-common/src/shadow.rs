//! What is counted while a candidate judges events beside the generation in force: layouts of the maps behind
//! a shadow run.
//!
//! A candidate lies in a bank of its own, which `SHADOW` names. The needs of the generation in force say with
//! [`SHADOWED`](crate::event::Groups::SHADOWED) for which events the candidate has rules; where none has, an
//! event costs what it did before. An event is judged by the generation in force to its end, verdict carried
//! out and report sent; then its record goes to the candidate, whose verdict is counted and nothing else.

use crate::bank::BANKS;

/// Array of one `u32`: the bank of a generation that is not in force yet; [`NO_BANK`] where there is none.
pub const SHADOW: &str = "SHADOW";
/// Per-CPU array of one [`ShadowCounts`].
pub const SHADOW_COUNTS: &str = "SHADOW_COUNTS";
/// Hash from [`ShadowKey`] to [`Matches`]: the rules that matched an event that both generations judged.
pub const SHADOW_MATCHES: &str = "SHADOW_MATCHES";
/// Ring buffer of [`Record`](crate::record::Record)s: examples of what the candidate's rules match.
pub const SHADOW_EXAMPLES: &str = "SHADOW_EXAMPLES";
/// As [`WINDOWS`](crate::maps::WINDOWS), of the candidate: it must not crowd out what the generation in force
/// remembers.
pub const SHADOW_WINDOWS: &str = "SHADOW_WINDOWS";

/// In `SHADOW`: there is no candidate.
pub const NO_BANK: u32 = BANKS;
/// How many rules of both generations can be counted.
pub const MATCHES_MAX: u32 = 16_384;
/// Of so many events that a rule matches, an example is shown; and of as many for which the candidate asks
/// for more than the generation in force.
pub const EXAMPLES: u64 = 3;
/// Size of the ring buffer of examples.
pub const EXAMPLES_BYTES: u32 = 1 << 18;
/// How many classes of cost there are: 2^n ns and more, the last without end.
pub const COSTS: usize = 32;
/// Most programs that one event can pass through: `MAX_TAIL_CALL_CNT` of the kernel, which is 33 or 32.
pub const CALLS_MAX: u32 = 32;

/// A rule of a generation in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct ShadowKey {
    /// The generation's bank.
    pub bank: u32,
    /// The rule's number, or [`UNNAMED`](crate::brakes::UNNAMED).
    pub rule: u32,
}

/// What a rule did since the candidate judges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Matches {
    /// Events that it matched.
    pub events: u64,
    /// Of these, events for which the candidate asks for more than the generation in force did. Of the
    /// candidate's rules only.
    pub beyond: u64,
}

/// Counts since the candidate judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ShadowCounts {
    /// Events that at least one of its rules matched.
    pub matched: u64,
    /// Events that it should have judged and did not, or not by all of its rules.
    pub missed: u64,
    /// Events that it judged, by class of what that took.
    pub judged: [u64; COSTS],
    /// What that took, nanoseconds, by the same classes.
    pub time: [u64; COSTS],
}

impl ShadowCounts {
    /// Nothing.
    pub const ZERO: Self = Self { matched: 0, missed: 0, judged: [0; COSTS], time: [0; COSTS] };
}
