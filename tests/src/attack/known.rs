//! What still gets through unseen, each with its reason. The suite fails on the day when it does no longer.

use sensor_user::kernel::probe::Mode;

/// An attempt that is missed.
pub struct Remain {
    /// Its name.
    pub attempt: &'static str,
    /// Why it is.
    pub why: &'static str,
    /// The only mode in which it is; `None` for all.
    pub mode: Option<Mode>,
}

const fn always(attempt: &'static str, why: &'static str) -> Remain {
    Remain { attempt, why, mode: None }
}

/// What moves pages into a pipe, instead of writing to it.
const MOVED: &str = "judged are writes, not pages that are moved into a pipe (issue 13, A1)";
const CHANGED: &str = "judged is user memory before the kernel copies it (issue 13, A1)";
const WRITTEN: &str = "a payload is the first 256 bytes of one write (docs/language.md)";
const TYPED: &str = "judged is the address as it was typed (issue 13, B4)";
const FORGED: &str = "judged is the path in the process's own mounts (issue 13, B5)";

/// All of them.
pub const REMAINS: &[Remain] = &[
    always("sendfile from a memfd", MOVED),
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
    always("open by a hard link made elsewhere", "a rule on a path is about a name, and this is another one"),
];

/// That of an attempt in a mode, if it is one.
pub fn remain(attempt: &str, mode: Mode) -> Option<&'static Remain> {
    REMAINS.iter().find(|remain| remain.attempt == attempt && remain.mode.is_none_or(|only| only == mode))
}
