//! What no hook sees; `docs/gaps.md` is made of it. Each gap is shown by a step of the plan, which fails on the day when it is one no more.

use sensor_common::event::Event;

/// An operation that is not seen, or not wholly.
pub struct Gap {
    /// The operation.
    pub what: &'static str,
    /// The event that does not come.
    pub event: Event,
    /// Why it does not, and what is known instead.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the document"))]
    pub why: &'static str,
}

/// `memfd_create` with `MFD_HUGETLB`.
pub const HUGE_MEMFD: Gap = Gap {
    what: "memfd_create with MFD_HUGETLB",
    event: Event::ShmCreate,
    why: "Made by hugetlbfs, not by shmem: its creation, its seals and its maps are not seen.",
};
/// `memfd_secret`.
pub const SECRET: Gap = Gap {
    what: "memfd_secret",
    event: Event::ShmCreate,
    why: "No shmem file; the kernel gives no hook, and nobody else can map it unless the descriptor is handed over.",
};
/// A map that becomes executable later.
pub const MPROTECT: Gap = Gap {
    what: "mprotect(PROT_EXEC) of mapped shared memory",
    event: Event::ShmMap,
    why: "Seen is the map as it was made; `file_mprotect` is not hooked.",
};
/// Memory shared without a file.
pub const ANONYMOUS: Gap = Gap {
    what: "mmap(MAP_SHARED with MAP_ANONYMOUS)",
    event: Event::ShmMap,
    why: "Shared with children only, and no object that a rule could name.",
};
/// `sendmmsg` to the same address.
pub const SENDMMSG: Gap = Gap {
    what: "sendmmsg, second message to the same address",
    event: Event::UnixSend,
    why: "The kernel asks its security modules once for each address in a row.",
};
/// `recvmmsg`.
pub const RECVMMSG: Gap = Gap {
    what: "recvmmsg, second message",
    event: Event::UnixReceive,
    why: "The kernel asks its security modules for the first message only.",
};
/// `splice` out of a socket.
pub const SPLICE_FROM_SOCKET: Gap = Gap {
    what: "splice from unix socket to pipe",
    event: Event::UnixReceive,
    why: "The kernel asks no security module; the pipe's side is seen as `pipe.splice`.",
};
/// Semaphores set.
pub const SEMCTL: Gap =
    Gap { what: "semctl(SETVAL)", event: Event::SysvSemOperate, why: "`sem_semctl` is not hooked." };
/// A signal by way of a file.
pub const SIGIO: Gap = Gap {
    what: "signal by O_ASYNC and F_SETOWN",
    event: Event::ProcessSignal,
    why: "Sent by the kernel when the file has news; `file_send_sigiotask` is not hooked.",
};

/// What else is not seen, of events that are, where system calls are observed by their tracepoints: by the name of a step of the
/// plan, and one event of it. The others of a step are seen.
pub const TRACED: &[Gap] = &[
    Gap { what: "sendmmsg", event: Event::UnixSend, why: "One event for each call: that of its first message." },
    Gap {
        what: "recvmsg with SCM_RIGHTS",
        event: Event::PipeReceive,
        why: "Which descriptors came is in the memory of the process only; `unix.receive` is seen.",
    },
];

/// All gaps that there are on every kernel that has the operation.
#[cfg(test)]
pub const ALL: &[Gap] =
    &[HUGE_MEMFD, SECRET, MPROTECT, ANONYMOUS, SENDMMSG, RECVMMSG, SPLICE_FROM_SOCKET, SEMCTL, SIGIO];

/// `docs/gaps.md`.
#[cfg(test)]
fn markdown() -> String {
    let rows = ALL.iter().map(|Gap { what, event, why }| format!("| {what} | `{}` | {why} |\n", event.name()));
    [HEAD.to_owned()].into_iter().chain(rows).collect()
}

#[cfg(test)]
const HEAD: &str = "<!-- Made from tests/src/conformance/gaps.rs: do not edit. A test fails while it is stale. -->
# Known gaps

Operations that no hook sees, or not wholly. The conformance test performs each of them, and fails on the day when it is seen.
Not tried yet: `io_uring`, and system calls of 32-bit programs.

| Operation | Event that does not come | Why |
|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/gaps.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        if std::env::var_os("CREANCE_WRITE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
            return;
        }
        assert_eq!(
            written,
            markdown(),
            "docs/gaps.md is stale: run `CREANCE_WRITE_DOCS=1 cargo test -p creance-tests`"
        );
    }
}
