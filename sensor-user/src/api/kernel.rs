//! What the kernel side reports: programs, hooks, events that it does not see, the verifier's refusal.

use std::fmt;

use sensor_rules::Origin;
use serde::{Deserialize, Serialize};

/// A rule program that the kernel accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadedProgram {
    /// Name of the event that it judges.
    pub event: String,
    /// Its length, in instructions.
    pub instructions: usize,
    /// How many instructions the verifier looked at, all paths taken together (since 5.16).
    pub verified_instructions: Option<u32>,
}

/// State of one hook, for `creance status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HookState {
    /// Name of the hook.
    pub hook: String,
    /// The kernel function that the hook's program is attached to, or the tracepoints.
    pub function: String,
    /// Whether it is attached now: only while a rule needs it. It stays loaded afterwards.
    pub attached: bool,
    /// Why it is not attached, although a rule needs it.
    #[serde(default)]
    pub missing: Option<String>,
    /// How often the kernel skipped the program because it was already running on that CPU. A skipped event
    /// was not judged, and allowed.
    pub recursion_misses: u64,
    /// How many instructions the verifier looked at in the hook and its finish, all ways through them
    /// together (since 5.16).
    pub verified_instructions: Option<u32>,
}

/// An event that rules are for, and that cannot be seen in this mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// Its name.
    pub event: String,
    /// Ids of the rules.
    pub rules: Vec<String>,
}

impl fmt::Display for Unseen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: never judged in this mode, in vain are the rules {}", self.event, self.rules.join(", "))
    }
}

/// What the kernel's verifier said, and about which rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifierRefusal {
    /// Name of the event whose rules were refused.
    pub event: String,
    /// Index of the instruction that the verifier stopped at.
    pub instruction: Option<usize>,
    /// The rule and the part of its condition that the instruction was made from.
    pub origin: Option<Origin>,
    /// The reason at the end of the verifier's log, in its own words.
    pub log: String,
    /// See [`verifier_log::gave_up`]: smaller programs may help.
    #[serde(skip)]
    pub gave_up: bool,
}

impl std::error::Error for VerifierRefusal {}

impl fmt::Display for VerifierRefusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the kernel's verifier refused the rules for {}", self.event)?;
        if let Some(origin) = &self.origin {
            write!(out, "\n  rule `{}`, {}: {}", origin.rule, origin.place, origin.text)?;
        }
        write!(out, "\n  the verifier's own words:")?;
        self.log.lines().try_for_each(|line| write!(out, "\n    {line}"))
    }
}
