//! The state of a program that is attached to the kernel, for `creance status`.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd},
};

use anyhow::{Context, Result};
use aya::programs::ProgramFd;

/// State of one hook, for `creance status`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
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

/// Reads `recursion_misses` of a program, as the kernel shows it with the descriptor (since 5.12; 0 before).
pub(super) fn recursion_misses(program: &ProgramFd) -> Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd());
    let info = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let value = info.lines().find_map(|line| line.strip_prefix("recursion_misses:"));
    value.map_or(Ok(0), |value| {
        value.trim().parse().with_context(|| format!("{path} has no number of recursion misses"))
    })
}
