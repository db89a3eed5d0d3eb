//! Small state: how often something happened, and what happened before.
//!
//! Rules keep none. What a program of rules says of an event is a pure function of its record, also where it says that the event
//! *counts*: it writes a [`Note`] into the verdict. The sensor's own code then looks the note's window up, by state and key,
//! and decides whether the rule matches. The interpreter's [model] does the same.
//!
//! [model]: ../../sensor_rules/struct.Memory.html

/// Most rules of a generation that need state.
pub const STATES_MAX: u32 = 1024;
/// Most notes about one event: a power of two.
pub const NOTES_MAX: usize = 16;
/// How many windows are kept; of more, those that were not used for the longest time are forgotten.
pub const WINDOWS_MAX: u32 = 16_384;

/// What an event means for a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Step {
    /// One more of what is counted. The rule matches if there were more than so many within so long.
    Count = 0,
    /// The first of two.
    First = 1,
    /// The second of two. The rule matches if the first was within so long before.
    Second = 2,
}

/// Written by rules: this event is a step for a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Note {
    /// Number of the state in its generation.
    pub state: u32,
    /// [`Step`] as its discriminant.
    pub step: u32,
    /// Of which of the processes, users, objects … that are told apart.
    pub key: u64,
}

impl Note {
    /// No note.
    pub const NONE: Self = Self { state: 0, step: 0, key: 0 };
}

/// What the sensor knows of the rule behind a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Tracked {
    /// Number of the rule in its generation.
    pub rule: u32,
    /// Its [`Action`](crate::verdict::Action), as its discriminant.
    pub action: u32,
    /// How long a window is, nanoseconds.
    pub within: u64,
    /// How many steps within it are still no match.
    pub more_than: u64,
}

/// Which window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct WindowKey {
    /// Id of the generation: a new one begins with no state.
    pub generation: u64,
    /// Number of the state in it.
    pub state: u64,
    /// The note's key.
    pub key: u64,
}

/// What happened from some time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Window {
    /// Since when: `CLOCK_BOOTTIME`, nanoseconds.
    pub since: u64,
    /// How often.
    pub count: u64,
}

impl Window {
    /// The window of what happens now for the first time.
    pub const fn new(now: u64) -> Self {
        Self { since: now, count: 1 }
    }

    /// Whether what happens at `now` is outside.
    pub const fn is_over(self, now: u64, within: u64) -> bool {
        now.wrapping_sub(self.since) > within
    }
}
