//! Anonymous pipes: made, opened again, written to, read from, filled and emptied without a copy, handed over.

use std::{ffi::CString, os::fd::RawFd};

use anyhow::Result;
use sensor_common::event::Event::{
    FifoMovedPayload, FifoPayload, FifoRead, FifoWrite, PipeCreate, PipeMovedPayload, PipeOpen, PipePayload, PipeRead,
    PipeReceive, PipeSendfile, PipeSplice, PipeTee, PipeVmsplice, PipeWrite, ProcessPtrace,
};
use serde_json::json;

use super::{
    call::{Room, call, segments, syscall},
    fifo, gaps,
    known::{self, Values, values},
    plan::{Plan, Seen, seen},
    setting::{PAYLOAD, at},
};

/// A pipe, and all that is known of it.
pub struct Pipe {
    /// Its reading end.
    pub reader: RawFd,
    /// Its writing end.
    pub writer: RawFd,
    /// Inode, device, owner.
    pub known: Values,
}

impl Pipe {
    /// A new one.
    pub fn new() -> Result<Self> {
        let mut ends = [0; 2];
        call!(pipe2(ends.as_mut_ptr(), 0))?;
        Ok(Self { reader: ends[0], writer: ends[1], known: known::open(ends[0])? })
    }

    /// One with [`PAYLOAD`] in it.
    pub fn full() -> Result<Self> {
        let pipe = Self::new()?;
        call!(write(pipe.writer, PAYLOAD.as_ptr().cast(), PAYLOAD.len()))?;
        Ok(pipe)
    }

    /// What is seen of one write of [`PAYLOAD`].
    pub fn written(&self) -> [Seen; 2] {
        let payload = known::all([&self.known, &known::payload(PAYLOAD)]);
        [seen(PipeWrite, &self.known), seen(PipePayload, &payload)]
    }
}

/// What is seen of pages with this content that are moved into a pipe, behind the event of the call.
pub fn moved(pipe: &Values, data: &[u8]) -> Seen {
    seen(PipeMovedPayload, &known::all([pipe, &known::payload(data)]))
}

/// The same of pages of the process's own memory: it can change them until they are read, so they are not looked at.
pub fn lent(pipe: &Values, data: &[u8]) -> Seen {
    moved(pipe, data).with("payload", "")
}

/// What goes through a FIFO or pipe, and how it is seen.
pub struct Transfer {
    /// What it goes through.
    pub what: &'static str,
    /// The end that is written to.
    pub writer: RawFd,
    /// The end that is read from.
    pub reader: RawFd,
    /// What is seen of one write of [`PAYLOAD`].
    pub wrote: [Seen; 2],
    /// What is seen of one read.
    pub read: Seen,
}

impl Transfer {
    /// Through the FIFO that is there, and through a new pipe.
    pub fn both() -> Result<[Self; 2]> {
        let fifo = at("fifo");
        let fd = known::leak(&fifo, libc::O_RDWR)?;
        let file = known::named(&fifo)?;
        let data = known::all([&file, &known::payload(PAYLOAD)]);
        let wrote = [seen(FifoWrite, &file), seen(FifoPayload, &data)];
        let fifo = Self { what: "a FIFO", writer: fd, reader: fd, wrote, read: seen(FifoRead, &file) };
        let pipe = Pipe::new()?;
        let (wrote, read) = (pipe.written(), seen(PipeRead, &pipe.known));
        Ok([fifo, Self { what: "a pipe", writer: pipe.writer, reader: pipe.reader, wrote, read }])
    }
}

/// How many bytes are sent from a file.
pub const SENT: usize = 4;

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan) -> Result<()> {
    let made = seen(PipeCreate, &Values::new());
    plan.step("pipe", vec![made.clone()], || syscall!(SYS_pipe, [0; 2].as_mut_ptr()).map(drop));
    plan.step("pipe2", vec![made], || syscall!(SYS_pipe2, [0; 2].as_mut_ptr(), libc::O_NONBLOCK).map(drop));

    let pipe = Pipe::new()?;
    fifo::writes(plan, pipe.writer, &pipe.written());
    fifo::reads(plan, pipe.reader, &[seen(PipeRead, &pipe.known)]);
    long(plan)?;
    openings(plan)?;
    splices(plan)?;
    memory(plan)?;
    files(plan)?;
    taken(plan)
}

/// More than a record keeps.
fn long(plan: &mut Plan) -> Result<()> {
    const LONG: [u8; 300] = [b'x'; 300];
    let pipe = Pipe::new()?;
    let payload = known::all([&pipe.known, &known::payload(&LONG)]);
    plan.step("write of 300 bytes", vec![seen(PipeWrite, &pipe.known), seen(PipePayload, &payload)], move || {
        syscall!(SYS_write, pipe.writer, LONG.as_ptr(), LONG.len()).map(drop)
    });
    Ok(())
}

fn openings(plan: &mut Plan) -> Result<()> {
    let pipe = Pipe::new()?;
    let child = plan.child(|| Ok(0))?;
    for (what, flags, owner) in [
        ("open of a pipe through /proc/self/fd/N", libc::O_RDONLY, "self".to_owned()),
        ("open of a pipe through /proc/PID/fd/N", libc::O_WRONLY | libc::O_NONBLOCK, child.pid.to_string()),
    ] {
        let name = CString::new(format!("/proc/{owner}/fd/{}", pipe.writer))?;
        let opened = known::all([&pipe.known, &known::opening(flags)]);
        plan.step(what, vec![seen(PipeOpen, &opened)], move || {
            syscall!(SYS_openat, libc::AT_FDCWD, name.as_ptr(), flags, 0).map(drop)
        });
    }
    Ok(())
}

fn splices(plan: &mut Plan) -> Result<()> {
    let none = std::ptr::null::<i64>();
    let splice = move |from: RawFd, to: RawFd| move || syscall!(SYS_splice, from, none, to, none, 4, 0).map(drop);
    let (full, empty) = (Pipe::full()?, Pipe::new()?);
    let file = known::leak(&at("file"), libc::O_RDWR)?;
    let moves = |pipe: &Pipe| vec![seen(PipeSplice, &pipe.known), moved(&pipe.known, &PAYLOAD[..4])];
    plan.step("splice from pipe to pipe", moves(&empty), splice(full.reader, empty.writer));
    plan.step("splice from file to pipe", moves(&empty), splice(file, empty.writer));
    plan.step("splice from pipe to file", vec![seen(PipeSplice, &empty.known)], splice(empty.reader, file));
    let copy = Pipe::new()?;
    plan.step("tee", vec![seen(PipeTee, &copy.known), moved(&copy.known, &PAYLOAD[4..8])], move || {
        syscall!(SYS_tee, full.reader, copy.writer, 4, 0).map(drop)
    });
    let path = at("fifo");
    let (fifo, name) = (known::leak(&path, libc::O_RDWR)?, known::named(&path)?);
    let data = known::all([&name, &known::payload(&PAYLOAD[..4])]);
    let start = known::leak(&at("file"), libc::O_RDONLY)?;
    plan.step(
        "splice from file to FIFO",
        vec![seen(PipeSplice, &name), seen(FifoMovedPayload, &data)],
        splice(start, fifo),
    );
    plan.step("read of what was moved into a FIFO", vec![seen(FifoRead, &name)], move || {
        let mut room = Room::new(PAYLOAD.len());
        syscall!(SYS_read, fifo, room.start(), PAYLOAD.len()).map(drop)
    });
    Ok(())
}

fn memory(plan: &mut Plan) -> Result<()> {
    let pipe = Pipe::new()?;
    let into = vec![seen(PipeVmsplice, &pipe.known), lent(&pipe.known, PAYLOAD)];
    plan.step("vmsplice into a pipe", into, move || {
        let parts = segments(&[PAYLOAD]);
        syscall!(SYS_vmsplice, pipe.writer, parts.as_ptr(), parts.len(), 0).map(drop)
    });
    plan.step("vmsplice out of a pipe", vec![seen(PipeVmsplice, &pipe.known)], move || {
        let mut room = Room::new(PAYLOAD.len());
        syscall!(SYS_vmsplice, pipe.reader, [room.segment()].as_ptr(), 1, 0).map(drop)
    });
    Ok(())
}

fn files(plan: &mut Plan) -> Result<()> {
    let pipe = Pipe::new()?;
    let file = known::leak(&at("file"), libc::O_RDONLY)?;
    let seen = sent(plan, &pipe);
    let act = move || syscall!(SYS_sendfile, pipe.writer, file, std::ptr::null::<i64>(), SENT).map(drop);
    if plan.kernel < (5, 11) {
        plan.gap(&gaps::SENDFILE, seen, act);
    } else {
        plan.step("sendfile", seen, act);
    }
    Ok(())
}

/// What is seen of [`SENT`] bytes of [`PAYLOAD`] that are sent from a file. Since 5.11 the kernel puts the
/// file's pages into the pipe, and asks nobody whether it may be written to; before, it wrote what lies at no
/// address, after asking three times.
pub fn sent(plan: &Plan, pipe: &Pipe) -> Vec<Seen> {
    let mut all = vec![seen(PipeSendfile, &pipe.known)];
    if plan.kernel < (5, 11) {
        let write = seen(PipeWrite, &pipe.known).inner();
        let unread = values([("payload", json!(""))]);
        let data = known::all([&pipe.known, &known::payload(&PAYLOAD[..SENT]), &unread]);
        all.extend([write.clone(), write.clone(), write, seen(PipePayload, &data).inner()]);
    } else {
        all.push(moved(&pipe.known, &PAYLOAD[..SENT]));
    }
    all
}

fn taken(plan: &mut Plan) -> Result<()> {
    let pipe = Pipe::new()?;
    let child = plan.child(|| Ok(0))?;
    let pidfd = i32::try_from(syscall!(SYS_pidfd_open, child.pid, 0)?)?;
    let taken = vec![seen(ProcessPtrace, &known::target(child.pid)?), seen(PipeReceive, &pipe.known)];
    plan.step("pidfd_getfd of a pipe", taken, move || syscall!(SYS_pidfd_getfd, pidfd, pipe.writer, 0).map(drop));
    Ok(())
}
