//! What still gets through unseen, each with its reason. The suite fails as soon as one no longer does,
//! unless it depends on who is faster.

use std::{fs, ops::Range};

use anyhow::Result;
use sensor_user::kernel::probe::Mode;

use crate::conformance::known::kernel;

/// `(major, minor)`.
type Version = (u32, u32);

/// An attempt that is missed.
pub struct Remain {
    /// Its name.
    pub attempt: &'static str,
    /// Why it is, in the words of the document.
    pub why: &'static str,
    /// The first kernel on which it is, and the first on which it is no longer.
    kernels: Range<Version>,
    /// Only by modify-return programs, where a task is preempted inside the kernel.
    preempted: bool,
}

const fn always(attempt: &'static str, why: &'static str) -> Remain {
    on((0, 0)..(u32::MAX, 0), attempt, why)
}

const fn on(kernels: Range<Version>, attempt: &'static str, why: &'static str) -> Remain {
    Remain { attempt, why, kernels, preempted: false }
}

const fn preempted(attempt: &'static str, why: &'static str) -> Remain {
    Remain { preempted: true, ..always(attempt, why) }
}

// The words that stand in the document; `xtask/src/testing/evasion-head.md` explains each.
const CHANGED: &str = "changed meanwhile";
const WRITTEN: &str = "not in the first 256 bytes of one write";
const UNASKED: &str = "nobody is asked";
const NAMED: &str = "another name";
const HELD: &str = "preempted";

/// All of them.
pub const REMAINS: &[Remain] = &[
    always("splice from a file, and write to the file afterwards", CHANGED),
    always("write from memory that another thread changes", CHANGED),
    always("a text in two writes", WRITTEN),
    always("a text behind 300 other bytes", WRITTEN),
    always("a message in two sends", WRITTEN),
    always("a message behind 300 other bytes", WRITTEN),
    // Since 6.5 the kernel sends messages there, and asks.
    on((0, 0)..(6, 5), "sendfile from a memfd into a socket", UNASKED),
    on((0, 0)..(6, 5), "splice from a pipe into a socket", UNASKED),
    preempted("open while 32 idle threads do so too", HELD),
    preempted("open in each of 40 processes at once", HELD),
    always("open by a hard link made elsewhere", NAMED),
];

/// Those on the running kernel, in this mode.
pub fn here(mode: Mode) -> Result<Vec<&'static Remain>> {
    let kernel = kernel()?;
    // Without a word of the owner's kernels preempt lazily since 6.13, and not at all before.
    let preempts = kernel >= (6, 13) || fs::read_to_string("/proc/cmdline")?.contains("preempt=full");
    let skips = preempts && mode == Mode::ModifyReturn;
    Ok(REMAINS.iter().filter(|remain| remain.kernels.contains(&kernel) && (skips || !remain.preempted)).collect())
}
