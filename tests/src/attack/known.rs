//! What still gets through unseen, each with its reason. The suite fails on the day when it does no longer.

use std::{fs, ops::Range};

use anyhow::Result;

use crate::conformance::known::kernel;

/// `(major, minor)`.
type Version = (u32, u32);

/// An attempt that is missed.
pub struct Remain {
    /// Its name.
    pub attempt: &'static str,
    /// Why it is.
    pub why: &'static str,
    /// The first kernel on which it is, and the first on which it is no longer.
    kernels: Range<Version>,
    /// Only where a task is preempted inside the kernel.
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

/// What moves pages into a pipe, instead of writing to it.
const MOVED: &str = "judged are writes, not pages that are moved into a pipe (issue 13, A1)";
const CHANGED: &str = "judged is user memory before the kernel copies it (issue 13, A1)";
const WRITTEN: &str = "a payload is the first 256 bytes of one write (docs/language.md)";
const UNASKED: &str = "the kernel moves pages into the socket, and asks no security module";
const TYPED: &str = "judged is the address as it was typed (issue 13, B4)";
const FORGED: &str = "judged is the path in the process's own mounts (issue 13, B5)";

const HELD: &str =
    "preempted tasks hold all records of a processor; modify-return programs are skipped (issue 13, D11)";

/// All of them.
pub const REMAINS: &[Remain] = &[
    // Older kernels write the data, from memory that the hook does not read: then the rule is undecided, and quarantines.
    on((5, 11)..(u32::MAX, 0), "sendfile from a memfd", MOVED),
    always("vmsplice", MOVED),
    always("vmsplice, and write the memory afterwards", MOVED),
    always("splice from a file", MOVED),
    always("tee from another pipe", MOVED),
    always("write from memory that another thread changes", CHANGED),
    always("send from memory that another thread changes", CHANGED),
    always("a text in two writes", WRITTEN),
    always("a text behind 300 other bytes", WRITTEN),
    always("a message in two sends", WRITTEN),
    always("a message behind 300 other bytes", WRITTEN),
    always(
        "a message as the second of sendmmsg",
        "the kernel asks once for messages in a row to one address (docs/gaps.md)",
    ),
    on((0, 0)..(6, 5), "sendfile from a memfd into a socket", UNASKED),
    on((0, 0)..(6, 5), "splice from a pipe into a socket", UNASKED),
    always("connect by two slashes", TYPED),
    always("connect by dot dot", TYPED),
    always("connect by /proc/self/root", TYPED),
    always("connect by a symbolic link", TYPED),
    always("connect by a relative name", TYPED),
    always("connect by a bind mount elsewhere", TYPED),
    always("sendto by two slashes", TYPED),
    always("sendto by /proc/self/root", TYPED),
    always("bind by two slashes", TYPED),
    always("bind by a relative name", TYPED),
    always("bind by a symbolic link to the directory", TYPED),
    always("run as a copy on a tmpfs over /opt", FORGED),
    always("run as a copy in a root of one's own", FORGED),
    always("open by a bind mount elsewhere", FORGED),
    preempted("open while 32 idle threads do so too", HELD),
    preempted("open in each of 40 processes at once", HELD),
    always("open by a hard link made elsewhere", "a rule on a path is about a name, and this is another one"),
];

/// Those on the running kernel.
pub fn here() -> Result<Vec<&'static Remain>> {
    let kernel = kernel()?;
    // Without a word of the owner's kernels preempt lazily since 6.13, and not at all before.
    let preempts = kernel >= (6, 13) || fs::read_to_string("/proc/cmdline")?.contains("preempt=full");
    Ok(REMAINS.iter().filter(|remain| remain.kernels.contains(&kernel) && (preempts || !remain.preempted)).collect())
}
