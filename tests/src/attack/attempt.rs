//! What an attempt is.

use anyhow::Result;

/// Tries the forbidden thing: whether it succeeded. What stands in its way otherwise is an error.
pub type Try = fn() -> Result<bool>;

/// One way to get around a rule.
pub struct Attempt {
    /// Unique, and stable: rows of `docs/evasion.md` are known by it.
    pub name: &'static str,
    /// The rule of `rules.yaml` that forbids it.
    pub rule: &'static str,
    /// By the first of the users.
    pub run: Try,
    /// By another user afterwards: then this is the forbidden thing, and `run` only prepares it.
    pub then: Option<Try>,
    /// It tries many times, and what comes of it depends on luck: an event of a try that was refused tells
    /// nothing of one that was not.
    pub races: bool,
}

impl Attempt {
    /// One that is tried once each time.
    pub const fn new(name: &'static str, rule: &'static str, run: Try) -> Self {
        Self { name, rule, run, then: None, races: false }
    }

    /// One whose luck decides.
    pub const fn race(name: &'static str, rule: &'static str, run: Try) -> Self {
        Self { races: true, ..Self::new(name, rule, run) }
    }
}
