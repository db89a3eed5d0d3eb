//! What is blocked or killed is so too where the process lets `io_uring` do it.

use std::{
    ffi::CString,
    os::unix::process::ExitStatusExt as _,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use io_uring::{
    IoUring, opcode,
    squeue::{Entry, Flags},
    types::Fd,
};

use crate::{
    fifo,
    protocol::Table,
    report,
    rules::{self, Draft},
    shared,
    suite::{Boot, Test},
    work,
};

/// See the [module](self).
pub const TESTS: &[Test] = &[
    Test { name: "uring::what_is_blocked_is_refused_there_too", boot: Boot::Plain, run: refused },
    Test { name: "uring::kill_ends_the_process_whose_request_it_is", boot: Boot::Plain, run: killed },
];

const GUARDED: &str = "/tmp/guarded-from-rings";

/// Submits one request and waits until it is done: what it returned, below 0 an error number.
fn request(entry: Entry, flags: Flags) -> Result<i32> {
    let mut ring = IoUring::new(2).context("io_uring_setup")?;
    // SAFETY: the memory that the entry names is the caller's, and this returns only when the kernel is done with it.
    unsafe { ring.submission().push(&entry.flags(flags)) }.context("the ring is full")?;
    ring.submit_and_wait(1).context("io_uring_enter")?;
    Ok(ring.completion().next().context("nothing is done")?.result())
}

fn open(path: &str, flags: Flags) -> Result<i32> {
    let name = CString::new(path)?;
    request(opcode::OpenAt::new(Fd(libc::AT_FDCWD), name.as_ptr()).flags(libc::O_RDWR).build(), flags)
}

fn refused() -> Result<()> {
    fifo::remake(GUARDED)?;
    let both = fifo::open(GUARDED)?;
    let fd = Fd(std::os::fd::AsRawFd::as_raw_fd(&both));
    let guard = [Draft::block("guard", &["fifo.open", "fifo.write", "fifo.read"], "path == '/tmp/guarded-from-rings'")];
    let sensor = shared::enforcing(vec![rules::file("guard.yaml", &guard)])?;
    for flags in [Flags::empty(), Flags::ASYNC] {
        let mut room = [0; 1];
        for (what, result) in [
            ("fifo.open", open(GUARDED, flags)?),
            ("fifo.write", request(opcode::Write::new(fd, b"x".as_ptr(), 1).build(), flags)?),
            ("fifo.read", request(opcode::Read::new(fd, room.as_mut_ptr(), 1).build(), flags)?),
        ] {
            ensure!(result == -libc::EPERM, "{what} with {flags:?} returned {result}");
            report::fact(Table::Stops, &format!("block `{what}` by `io_uring`"), "denied");
        }
    }
    let denied = sensor.reports()?.iter().filter(|report| report["outcome"] == "denied").count();
    ensure!(denied == 6, "{denied} reports say denied, not 6");
    shared::park(sensor);
    Ok(())
}

/// The role: opens a FIFO by a worker of the kernel.
pub fn opener(path: &str) -> Result<()> {
    open(path, Flags::ASYNC).map(drop)
}

fn killed() -> Result<()> {
    fifo::remake(GUARDED)?;
    let deadly =
        Draft { action: "kill", ..Draft::alert("deadly", &["fifo.open"], "path == '/tmp/guarded-from-rings'") };
    let sensor = shared::enforcing(vec![rules::file("kill.yaml", &[deadly])])?;
    let mut opener = Command::new(work::PROGRAM);
    let status = opener.args(["work", "ring-opener", GUARDED]).stdin(Stdio::null()).status()?;
    ensure!(status.signal() == Some(libc::SIGKILL), "the process ended with {status}");
    let reports = sensor.reports()?;
    ensure!(reports.len() == 1 && reports[0]["outcome"] == "killed", "{reports:#?}");
    report::fact(Table::Stops, "kill by `io_uring`", "killed");
    shared::park(sensor);
    Ok(())
}
