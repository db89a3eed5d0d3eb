//! FIFOs, pipes and other files by `io_uring`.

use std::{ffi::CString, os::fd::AsRawFd as _, path::Path, rc::Rc};

use anyhow::{Context as _, Result, anyhow};
use io_uring::{
    IoUring,
    opcode::{
        FixedFdInstall, MsgRingSendFd, OpenAt, OpenAt2, Pipe as MakePipe, Read, ReadFixed, Readv, Splice, Tee, Write,
        WriteFixed, Writev,
    },
    types::{DestinationSlot, Fd, Fixed, OpenHow},
};
use sensor_common::event::Event::{
    FifoOpen, MqueueOpen, PipeCreate, PipeOpen, PipePayload, PipeRead, PipeReceive, PipeSplice, PipeTee, PipeWrite,
    ShmOpen,
};
use serde_json::json;

use super::{
    super::{
        call::{Room, segments},
        fifo, gaps,
        known::{self, UNKNOWN, Values, values},
        pipe::{Pipe, Transfer, moved},
        plan::{Plan, seen},
    },
    Way,
    ring::Ring,
};
use crate::conformance::setting::{PAYLOAD, PAYLOAD_LENGTH, at};

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan, ring: &Rc<Ring>) -> Result<()> {
    openings(plan, ring)?;
    for through in &Transfer::both()? {
        transfers(plan, ring, through);
    }
    registered(plan, ring)?;
    splices(plan, ring)?;
    ring.step(plan, MakePipe::CODE, "PIPE", vec![seen(PipeCreate, &Values::new())], |ring| {
        let mut ends = [0; 2];
        ring.run(MakePipe::new(ends.as_mut_ptr()).build()).map(drop)
    });
    Ok(())
}

/// What is seen when a file is opened: the kernel lets its first try not block, whatever was asked for, but
/// not a worker's.
fn opened(ring: &Ring, file: &Values, flags: i32) -> Values {
    let mut values = known::all([file, &known::opening(flags)]);
    if ring.way != Way::Worker {
        values.insert("nonblock".to_owned(), UNKNOWN);
    }
    values
}

fn openings(plan: &mut Plan, ring: &Rc<Ring>) -> Result<()> {
    let pipe = Pipe::new()?;
    let fifo = at("fifo");
    let here = format!("/proc/{}/fd/{}", std::process::id(), pipe.writer);
    let (memory, queue) = (Path::new("/dev/shm/conformance"), Path::new("/dev/mqueue/conformance"));
    for (what, path, event, file) in [
        ("OPENAT of a FIFO", fifo.as_path(), FifoOpen, known::named(&fifo)?),
        ("OPENAT of a pipe through /proc/PID/fd/N", Path::new(&here), PipeOpen, pipe.known.clone()),
        ("OPENAT of shared memory", memory, ShmOpen, known::named(memory)?),
        ("OPENAT of a queue", queue, MqueueOpen, known::named(queue)?),
    ] {
        let seen = vec![seen(event, &opened(ring, &file, libc::O_RDWR))];
        let name = fifo::path(path)?;
        ring.step(plan, OpenAt::CODE, what, seen, move |ring| {
            ring.run(OpenAt::new(Fd(libc::AT_FDCWD), name.as_ptr()).flags(libc::O_RDWR).build()).map(drop)
        });
    }
    let seen = vec![seen(FifoOpen, &opened(ring, &known::named(&fifo)?, libc::O_RDWR))];
    let name: CString = fifo::path(&fifo)?;
    ring.step(plan, OpenAt2::CODE, "OPENAT2 of a FIFO", seen, move |ring| {
        let how = OpenHow::new().flags(u64::try_from(libc::O_RDWR)?);
        ring.run(OpenAt2::new(Fd(libc::AT_FDCWD), name.as_ptr(), &raw const how).build()).map(drop)
    });
    Ok(())
}

/// Writes to the first of two descriptors and reads from the second.
fn transfers(plan: &mut Plan, ring: &Rc<Ring>, through: &Transfer) {
    let Transfer { what, writer, reader, wrote, read } = through;
    let (writer, reader) = (*writer, *reader);
    ring.step(plan, Write::CODE, &format!("WRITE to {what}"), wrote.to_vec(), move |ring| {
        ring.run(Write::new(Fd(writer), PAYLOAD.as_ptr(), PAYLOAD_LENGTH).build()).map(drop)
    });
    ring.step(plan, Read::CODE, &format!("READ from {what}"), vec![read.clone()], move |ring| {
        let mut room = Room::new(PAYLOAD.len());
        ring.run(Read::new(Fd(reader), room.start().cast(), PAYLOAD_LENGTH).build()).map(drop)
    });
    ring.step(plan, Writev::CODE, &format!("WRITEV to {what}"), wrote.to_vec(), move |ring| {
        let parts = segments(&[&PAYLOAD[..2], &PAYLOAD[2..7], &PAYLOAD[7..]]);
        ring.run(Writev::new(Fd(writer), parts.as_ptr().cast(), 3).build()).map(drop)
    });
    ring.step(plan, Readv::CODE, &format!("READV from {what}"), vec![read.clone()], move |ring| {
        let mut room = Room::new(PAYLOAD.len());
        let parts = [room.segment()];
        ring.run(Readv::new(Fd(reader), parts.as_ptr(), 1).build()).map(drop)
    });
}

/// With memory and files that were registered before.
fn registered(plan: &mut Plan, ring: &Rc<Ring>) -> Result<()> {
    let pipe = Pipe::new()?;
    let memory: &'static mut [u8] = PAYLOAD.to_vec().leak();
    let start = memory.as_mut_ptr();
    let part = [libc::iovec { iov_base: start.cast(), iov_len: memory.len() }];
    // SAFETY: the memory is never freed.
    unsafe { ring.io.borrow().submitter().register_buffers(&part) }.context("IORING_REGISTER_BUFFERS")?;
    ring.io.borrow().submitter().register_files(&[pipe.reader]).context("IORING_REGISTER_FILES")?;
    // The pages are known to the kernel by their number, and lie at no address of the process.
    let unread = known::all([&pipe.known, &known::payload(PAYLOAD), &values([("payload", json!(""))])]);
    let wrote = vec![seen(PipeWrite, &pipe.known), seen(PipePayload, &unread)];
    ring.gap(plan, WriteFixed::CODE, &gaps::REGISTERED, wrote, move |ring| {
        ring.run(WriteFixed::new(Fd(pipe.writer), start, PAYLOAD_LENGTH, 0).build()).map(drop)
    });
    ring.step(plan, ReadFixed::CODE, "READ_FIXED from a pipe", vec![seen(PipeRead, &pipe.known)], move |ring| {
        ring.run(ReadFixed::new(Fixed(0), start, PAYLOAD_LENGTH, 0).build()).map(drop)
    });
    if ring.probe.is_supported(MsgRingSendFd::CODE) {
        let other = IoUring::new(2).context("io_uring_setup")?;
        other.submitter().register_files_sparse(1).context("IORING_REGISTER_FILES2")?;
        ring.gap(plan, MsgRingSendFd::CODE, &gaps::SEND_FD, vec![], move |ring| {
            let slot = DestinationSlot::try_from_slot_target(0).map_err(|slot| anyhow!("no slot {slot}"))?;
            ring.run(MsgRingSendFd::new(Fd(other.as_raw_fd()), Fixed(0), slot, 0).build()).map(drop)
        });
    }
    ring.step(plan, FixedFdInstall::CODE, "FIXED_FD_INSTALL of a pipe", vec![seen(PipeReceive, &pipe.known)], |ring| {
        ring.run(FixedFdInstall::new(Fixed(0), 0).build()).map(drop)
    });
    Ok(())
}

fn splices(plan: &mut Plan, ring: &Rc<Ring>) -> Result<()> {
    let (full, empty, copy) = (Pipe::full()?, Pipe::new()?, Pipe::new()?);
    ring.step(
        plan,
        Tee::CODE,
        "TEE",
        vec![seen(PipeTee, &copy.known), moved(&copy.known, &PAYLOAD[..4])],
        move |ring| ring.run(Tee::new(Fd(full.reader), Fd(copy.writer), 4).build()).map(drop),
    );
    ring.step(
        plan,
        Splice::CODE,
        "SPLICE",
        vec![seen(PipeSplice, &empty.known), moved(&empty.known, &PAYLOAD[..4])],
        move |ring| ring.run(Splice::new(Fd(full.reader), -1, Fd(empty.writer), -1, 4).build()).map(drop),
    );
    Ok(())
}
