//! FIFOs: made, opened, written to, read from, handed over.

use std::{
    ffi::CString,
    os::{fd::RawFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use sensor_common::event::Event::{FifoCreate, FifoOpen, FifoPayload, FifoRead, FifoReceive, FifoWrite};
use serde_json::json;

use super::{
    call::{Room, call, segments, syscall},
    known::{self, values},
    plan::{Plan, Seen, seen},
    setting::{PAYLOAD, at},
};

/// A path as system calls take it.
pub fn path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).context("a path with a NUL")
}

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan) -> Result<()> {
    creations(plan)?;
    openings(plan)?;
    let fifo = at("fifo");
    let fd = known::leak(&fifo, libc::O_RDWR)?;
    let file = known::named(&fifo)?;
    writes(plan, fd, &[seen(FifoWrite, &file), seen(FifoPayload, &known::all([&file, &known::payload(PAYLOAD)]))]);
    reads(plan, fd, &[seen(FifoRead, &file)]);
    let pidfd = i32::try_from(syscall!(SYS_pidfd_open, std::process::id(), 0)?)?;
    plan.step("pidfd_getfd of a FIFO", vec![seen(FifoReceive, &file)], move || {
        syscall!(SYS_pidfd_getfd, pidfd, fd, 0).map(drop)
    });
    Ok(())
}

fn creations(plan: &mut Plan) -> Result<()> {
    let made = |name: &str, mode: u32| {
        values([("path", json!(at(name).to_string_lossy())), ("mode", json!(libc::S_IFIFO | mode))])
    };
    let [first, second, third] = [path(&at("made-1"))?, path(&at("made-2"))?, path(&at("made-3"))?];
    plan.step("mkfifo", vec![seen(FifoCreate, &made("made-1", 0o640))], move || {
        call!(mkfifo(first.as_ptr(), 0o640)).map(drop)
    });
    plan.step("mknod", vec![seen(FifoCreate, &made("made-2", 0o604))], move || {
        syscall!(SYS_mknod, second.as_ptr(), libc::S_IFIFO | 0o604, 0).map(drop)
    });
    plan.step("mknodat", vec![seen(FifoCreate, &made("made-3", 0o660))], move || {
        syscall!(SYS_mknodat, libc::AT_FDCWD, third.as_ptr(), libc::S_IFIFO | 0o660, 0).map(drop)
    });
    Ok(())
}

fn openings(plan: &mut Plan) -> Result<()> {
    let fifo = at("fifo");
    let file = known::named(&fifo)?;
    for (what, flags) in [
        ("open for reading", libc::O_RDONLY | libc::O_NONBLOCK),
        ("open for both", libc::O_RDWR),
        ("open for writing", libc::O_WRONLY | libc::O_NONBLOCK),
        ("open with O_CREAT", libc::O_RDWR | libc::O_CREAT),
    ] {
        let name = path(&fifo)?;
        let opened = known::all([&file, &known::opening(flags)]);
        plan.step(what, vec![seen(FifoOpen, &opened)], move || syscall!(SYS_open, name.as_ptr(), flags, 0).map(drop));
    }
    let both = known::all([&file, &known::opening(libc::O_RDWR)]);
    let name = path(&fifo)?;
    plan.step("openat", vec![seen(FifoOpen, &both)], move || {
        syscall!(SYS_openat, libc::AT_FDCWD, name.as_ptr(), libc::O_RDWR, 0).map(drop)
    });
    let name = path(&fifo)?;
    plan.step("openat2", vec![seen(FifoOpen, &both)], move || {
        let how = [u64::try_from(libc::O_RDWR)?, 0, 0];
        syscall!(SYS_openat2, libc::AT_FDCWD, name.as_ptr(), how.as_ptr(), size_of_val(&how)).map(drop)
    });
    let fd = known::leak(&fifo, libc::O_RDWR)?;
    let name = CString::new(format!("/proc/self/fd/{fd}"))?;
    plan.step("open of a FIFO through /proc/PID/fd/N", vec![seen(FifoOpen, &both)], move || {
        syscall!(SYS_openat, libc::AT_FDCWD, name.as_ptr(), libc::O_RDWR, 0).map(drop)
    });
    Ok(())
}

/// The three calls that write, to a FIFO or a pipe, of which `wrote` is seen each time.
pub fn writes(plan: &mut Plan, fd: RawFd, wrote: &[Seen]) {
    plan.step("write", wrote.to_vec(), move || syscall!(SYS_write, fd, PAYLOAD.as_ptr(), PAYLOAD.len()).map(drop));
    plan.step("writev", wrote.to_vec(), move || {
        let parts = segments(&[&PAYLOAD[..2], &PAYLOAD[2..7], &PAYLOAD[7..]]);
        syscall!(SYS_writev, fd, parts.as_ptr(), parts.len()).map(drop)
    });
    plan.step("pwritev2", wrote.to_vec(), move || {
        let parts = segments(&[&PAYLOAD[..9], &PAYLOAD[9..]]);
        syscall!(SYS_pwritev2, fd, parts.as_ptr(), parts.len(), -1_i64, -1_i64, 0).map(drop)
    });
}

/// The three calls that read, as [`writes`].
pub fn reads(plan: &mut Plan, fd: RawFd, read: &[Seen]) {
    plan.step("read", read.to_vec(), move || {
        syscall!(SYS_read, fd, Room::new(PAYLOAD.len()).start(), PAYLOAD.len()).map(drop)
    });
    plan.step("readv", read.to_vec(), move || {
        let mut room = Room::new(PAYLOAD.len());
        syscall!(SYS_readv, fd, [room.segment()].as_ptr(), 1).map(drop)
    });
    plan.step("preadv2", read.to_vec(), move || {
        let mut room = Room::new(PAYLOAD.len());
        syscall!(SYS_preadv2, fd, [room.segment()].as_ptr(), 1, -1_i64, -1_i64, 0).map(drop)
    });
}
