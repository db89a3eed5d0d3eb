//! What no hook sees; `docs/gaps.md` is made of it. Each gap is shown by a step of the plan, which fails on
//! the day when it is one no more.

use sensor_common::event::Event;
#[cfg(test)]
use sensor_common::event::Mode;

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
    why: "hugetlbfs makes it, not shmem: its creation, its seals and its maps are not seen.",
};
/// `memfd_secret`.
pub const SECRET: Gap = Gap {
    what: "memfd_secret",
    event: Event::ShmCreate,
    why: "Not a shmem file; the kernel offers no hook. Nobody else can map it unless the descriptor is handed over.",
};
/// A map that becomes executable later.
pub const MPROTECT: Gap = Gap {
    what: "mprotect(PROT_EXEC) of mapped shared memory",
    event: Event::ShmMap,
    why: "The map is seen as it was made; `file_mprotect` is not hooked.",
};
/// Memory shared without a file.
pub const ANONYMOUS: Gap = Gap {
    what: "mmap(MAP_SHARED with MAP_ANONYMOUS)",
    event: Event::ShmMap,
    why: "Shared only with children, and not an object that a rule could name.",
};
/// `sendmmsg` to the same address.
pub const SENDMMSG: Gap = Gap {
    what: "sendmmsg, second message to the same address",
    event: Event::UnixSend,
    why: "For consecutive messages to the same address the kernel asks its security modules only before the first; `unix.datagram` is seen for each, and `unix.copied`, with the data.",
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
    why: "The kernel asks no security module; the pipe's side is seen as `pipe.splice` and, with the data, as `pipe.moved_payload`.",
};
/// Semaphores set.
pub const SEMCTL: Gap =
    Gap { what: "semctl(SETVAL)", event: Event::SysvSemOperate, why: "`sem_semctl` is not hooked." };
/// A signal by way of a file.
pub const SIGIO: Gap = Gap {
    what: "signal by O_ASYNC and F_SETOWN",
    event: Event::ProcessSignal,
    why: "The kernel sends it when the file becomes ready; `file_send_sigiotask` is not hooked.",
};

/// Data in registered memory.
pub const REGISTERED: Gap = Gap {
    what: "io_uring WRITE_FIXED from registered memory",
    event: Event::PipePayload,
    why: "The write is seen, its data is not: `payload` is empty, and counted as `payload_unread`.",
};

/// An open file on its way from ring to ring.
pub const SEND_FD: Gap = Gap {
    what: "io_uring MSG_RING, an open pipe put into another ring",
    event: Event::PipeReceive,
    why: "The kernel asks no security module. When a process takes it out (FIXED_FD_INSTALL), that is seen.",
};
/// Before 5.11.
pub const SENDFILE: Gap = Gap {
    what: "sendfile into a pipe before 5.11, where the kernel writes the data",
    event: Event::PipePayload,
    why: "The write is seen, its data is not: `payload` is empty, and counted as `payload_unread`. Later kernels move pages: see `pipe.moved_payload`.",
};

/// Without a copy, by a 32-bit program.
pub const COMPAT_VMSPLICE: Gap = Gap {
    what: "vmsplice by a 32-bit program",
    event: Event::PipeVmsplice,
    why: "The sensor attaches to the 64-bit system call; there is no common function to attach to.",
};

/// What else is not seen, of events that are, where system calls are observed by their tracepoints: by the
/// name of a step of the plan, and one event of it. The others of a step are seen.
pub const TRACED: &[Gap] = &[
    Gap {
        what: "bind",
        event: Event::UnixCreate,
        why: "The kernel makes the file inside the call; `unix.bind` is seen, with the path of the file.",
    },
    Gap { what: "sendmmsg", event: Event::UnixSend, why: "One event for each call: that of its first message." },
    Gap {
        what: "recvmsg with SCM_RIGHTS",
        event: Event::PipeReceive,
        why: "Only the memory of the process says which descriptors came; `unix.receive` is seen.",
    },
];

/// What is otherwise there, and cannot be shown by what is missing.
#[cfg(test)]
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "Calls of 32-bit programs, and `io_uring`",
        "Not seen: the kernel's tracepoints skip 32-bit calls, and `io_uring` makes no system calls. The conformance test tries both.",
    ),
    (
        "When an event comes",
        "After its call, and only if that succeeded. A call that waits, such as a read of an empty pipe, is seen when it returns.",
    ),
    (
        "What a call pointed to: data, an address, the path of `mknod`",
        "The sensor reads it from the memory of the process after the kernel has: another thread can have changed it.",
    ),
    (
        "`path` of `fifo.create` and of `unix.create`",
        "As given, joined to the directory where it begins: it still contains symbolic links and `..`.",
    ),
    (
        "`mode` of `fifo.create` and of `unix.create`",
        "As requested, less the umask: the sensor does not look at default access control lists of the directory.",
    ),
    (
        "`path` of `unix.bind`",
        "The path of the file, which exists by then, not as given. `unix.create` is seen if `mknod` makes the file.",
    ),
    (
        "Datagram sockets that are connected",
        "No `unix.connect` in any mode, and no `unix.datagram` here: `unix.send` is seen.",
    ),
    ("`size`", "The number of bytes written or sent, not the number requested."),
    (
        "Data that `splice`, `tee`, `vmsplice` or `sendfile` moves into a pipe",
        "No `pipe.moved_payload` and no `fifo.moved_payload`; the calls are seen (`pipe.splice`, …).",
    ),
    ("Data that `splice`, `tee` or `sendfile` put into a socket", "No `unix.send`."),
    (
        "What `sendfile` puts into a pipe before 5.11, where the kernel writes it",
        "No `pipe.write` and no `pipe.payload`.",
    ),
    ("Several messages of one call (`sendmmsg`, `recvmmsg`)", "One event, for the first message."),
    (
        "Events while another tracing program runs on the same CPU",
        "Skipped; the kernel counts them as recursion misses since 6.7, not before. Programs at tracepoints can be preempted on the newest \
         kernels (seen on 7.3, not on 6.18): while one is preempted, all events on its CPU are skipped.",
    ),
];

/// All gaps of the hooks.
#[cfg(test)]
pub const ALL: &[Gap] = &[
    HUGE_MEMFD,
    SECRET,
    MPROTECT,
    ANONYMOUS,
    SENDMMSG,
    RECVMMSG,
    SPLICE_FROM_SOCKET,
    SEMCTL,
    SIGIO,
    REGISTERED,
    SEND_FD,
    SENDFILE,
    COMPAT_VMSPLICE,
];

/// `docs/gaps.md`.
#[cfg(test)]
fn markdown() -> String {
    let rows = |gaps: &[Gap]| -> String {
        let rows: Vec<_> =
            gaps.iter().map(|Gap { what, event, why }| format!("| {what} | `{}` | {why} |\n", event.name())).collect();
        rows.concat()
    };
    let unseen = Event::ALL.iter().filter(|event| !event.hook().is_seen_in(Mode::Tracepoints));
    let unseen: Vec<_> = unseen.map(|event| format!("`{}`", event.name())).collect();
    let differences: Vec<_> = DIFFERENCES.iter().map(|(what, how)| format!("| {what} | {how} |\n")).collect();
    [
        HEAD.to_owned(),
        rows(ALL),
        NAMES.to_owned(),
        MODIFY_RETURN.to_owned(),
        TRACED_HEAD.replace("UNSEEN", &unseen.join(", ")),
        rows(TRACED),
        DIFFERENCES_HEAD.to_owned(),
        differences.concat(),
    ]
    .concat()
}

#[cfg(test)]
const NAMES: &str = "
## The event may name another object

No step of the conformance test does this; `tests/src/quarantine/splice.rs` does it with `vmsplice` and the quarantine.

| Operation | What differs |
|---|---|
| `vmsplice`, `sendfile`, `mq_timedsend`, `mq_timedreceive` while another thread gives the descriptor's number to another file | The event names the file that the number meant when the call began; the call itself may work on another. The sensor judges data moved into a pipe on the pipe that the call uses (`pipe.moved_payload`), and so also data that `vmsplice` takes out of a pipe in quarantine. |
";

#[cfg(test)]
const MODIFY_RETURN: &str = "
## Without `bpf` among the security modules

In this mode (`creance status` says `modify-return`) programs on the kernel's `security_…` functions decide whether these run. The sensor
sees the same events, and blocks, kills and quarantines the same. The differences from LSM programs:

| What | How |
|---|---|
| An event while the same program is active on that CPU, preempted or interrupted | The kernel skips the program, and allows the operation (since 5.12; it does not skip LSM programs). It counts as a recursion miss of the hook, in `creance status` and the metrics. If the kernel can be preempted (`preempt=full`), an ordinary user can cause this. |
| Order among the security modules | First, not last: the sensor sees an event that another module denies, and it counts for rules. The kernel does not ask the other modules about an operation that Creance denies. |
| Other programs of this kind on the same function | They run in the order in which they were attached; after one that denies, the kernel asks no other. |
| What a `security_…` function does beside asking the modules | If Creance denies, it is left out; if Creance allows, all of it is done. |
| A kernel whose compiler made such a function part of its callers, so that the type information lacks it | The hook does not exist there, as `creance doctor` says. No tested kernel is like that. |
";

#[cfg(test)]
const TRACED_HEAD: &str = "
## On tracepoints of system calls

If a host permits neither LSM nor fentry programs, the daemon observes system calls by their tracepoints (`creance status` says
`tracepoints`). In this mode these events are never seen; the daemon accepts rules for them, and `creance push` and `creance status`
say that they have no effect: UNSEEN.

Of the other events, these operations are not seen, in addition to those above. The conformance test performs them in this mode too.

| Operation | Event that does not come | Why |
|---|---|---|
";

#[cfg(test)]
const DIFFERENCES_HEAD: &str = "
Events that are seen differ from those of the other modes:

| What | How |
|---|---|
";

#[cfg(test)]
const HEAD: &str = "<!-- Made from tests/src/conformance/gaps.rs: do not edit. A test fails while it is stale. -->
# Known gaps

This page is for rule authors and assessors: it lists the operations that no hook sees, or sees only in part, and what differs in the weaker
modes. The conformance test performs each operation, and fails when one is seen after all.

| Operation | Event that does not come | Why |
|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_current() {
        let path = "../docs/gaps.md";
        let written = std::fs::read_to_string(path).unwrap_or_default();
        if std::env::var_os("CREANCE_BLESS").is_some() {
            std::fs::write(path, markdown()).unwrap();
            return;
        }
        assert_eq!(written, markdown(), "docs/gaps.md is stale: run `CREANCE_BLESS=1 cargo test -p creance-tests`");
    }
}
