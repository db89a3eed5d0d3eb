//! FIFOs, pipes and memory with a descriptor, as a 32-bit program uses them.

use std::{ffi::CString, path::Path, rc::Rc};

use anyhow::Result;
use sensor_common::event::Event::{
    FifoCreate, FifoOpen, FifoReceive, MqueueOpen, MqueueReceive, MqueueSend, PipeCreate, PipeSplice, PipeTee,
    ShmCreate, ShmMap, ShmOpen, ShmSeal,
};
use serde_json::json;

use super::{
    super::{
        call::{call as native, syscall},
        fifo::path,
        gaps,
        known::{self, values},
        pipe::{self, Pipe, Transfer},
        plan::{Plan, seen},
    },
    entry::{Low, call, segments, word},
};
use crate::conformance::setting::{PAYLOAD, PAYLOAD_LENGTH, at};

/// `AT_FDCWD`
const HERE: u32 = libc::AT_FDCWD.cast_unsigned();

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan, low: &Rc<Low>) -> Result<()> {
    creations(plan, low)?;
    openings(plan, low)?;
    let through = Transfer::both()?;
    for through in &through {
        transfers(plan, low, through);
    }
    let (fd, file) = (through[0].writer, known::named(&at("fifo"))?);
    let pidfd = i32::try_from(syscall!(SYS_pidfd_open, std::process::id(), 0)?)?;
    plan.step("32-bit pidfd_getfd of a FIFO", vec![seen(FifoReceive, &file)], move || {
        call("pidfd_getfd", 438, &[word(pidfd), word(fd), 0]).map(drop)
    });
    pipes(plan, low)?;
    memory(plan, low)?;
    queues(plan, low)
}

fn creations(plan: &mut Plan, low: &Rc<Low>) -> Result<()> {
    let fifo = |mode: u32| libc::S_IFIFO | mode;
    for (what, number, mode) in [("mknod", 14, fifo(0o640)), ("mknodat", 297, fifo(0o604))] {
        let file = at(&format!("made-by-32-bit-{what}"));
        let made = values([("path", json!(file.to_string_lossy())), ("mode", json!(mode))]);
        let name = low.text(&path(&file)?);
        let arguments = if what == "mknod" { vec![name, mode, 0] } else { vec![HERE, name, mode, 0] };
        plan.step(&format!("32-bit {what}"), vec![seen(FifoCreate, &made)], move || {
            call(what, number, &arguments).map(drop)
        });
    }
    Ok(())
}

fn openings(plan: &mut Plan, low: &Rc<Low>) -> Result<()> {
    let fifo = at("fifo");
    let both = known::all([&known::named(&fifo)?, &known::opening(libc::O_RDWR)]);
    let (name, flags) = (low.text(&path(&fifo)?), word(libc::O_RDWR));
    let how = low.bytes(&[u64::from(flags), 0, 0].map(u64::to_ne_bytes).concat());
    for (what, number, arguments) in [
        ("open", 5, vec![name, flags, 0]),
        ("openat", 295, vec![HERE, name, flags, 0]),
        ("openat2", 437, vec![HERE, name, how, 24]),
    ] {
        plan.step(&format!("32-bit {what} of a FIFO"), vec![seen(FifoOpen, &both)], move || {
            call(what, number, &arguments).map(drop)
        });
    }
    Ok(())
}

/// Writes to the first of two descriptors and reads from the second, by each call.
fn transfers(plan: &mut Plan, low: &Rc<Low>, through: &Transfer) {
    let Transfer { what, writer, reader, wrote, read } = through;
    let (data, room) = (low.bytes(PAYLOAD), low.room(PAYLOAD.len()));
    let parts = segments(low, &[&PAYLOAD[..2], &PAYLOAD[2..7], &PAYLOAD[7..]]);
    let part = low.words(&[room, PAYLOAD_LENGTH]);
    // Position -1, in two halves: where the file is.
    let here = u32::MAX;
    for (write, number, arguments) in [
        ("write", 4, vec![data, PAYLOAD_LENGTH]),
        ("writev", 146, vec![parts, 3]),
        ("pwritev2", 379, vec![parts, 3, here, here, 0]),
    ] {
        let arguments: Vec<_> = [word(*writer)].into_iter().chain(arguments).collect();
        plan.step(&format!("32-bit {write} to {what}"), wrote.to_vec(), move || {
            call(write, number, &arguments).map(drop)
        });
    }
    for (way, number, arguments) in [
        ("read", 3, vec![room, PAYLOAD_LENGTH]),
        ("readv", 145, vec![part, 1]),
        ("preadv2", 378, vec![part, 1, here, here, 0]),
    ] {
        let arguments: Vec<_> = [word(*reader)].into_iter().chain(arguments).collect();
        plan.step(&format!("32-bit {way} from {what}"), vec![read.clone()], move || {
            call(way, number, &arguments).map(drop)
        });
    }
}

fn pipes(plan: &mut Plan, low: &Rc<Low>) -> Result<()> {
    for (what, number) in [("pipe", 42), ("pipe2", 331)] {
        let ends = low.room(8);
        plan.step(&format!("32-bit {what}"), vec![seen(PipeCreate, &known::Values::new())], move || {
            call(what, number, &[ends, 0]).map(drop)
        });
    }
    let (full, empty, copy) = (Pipe::full()?, Pipe::new()?, Pipe::new()?);
    plan.step("32-bit tee", vec![seen(PipeTee, &copy.known), pipe::moved(&copy.known, &PAYLOAD[..4])], move || {
        call("tee", 315, &[word(full.reader), word(copy.writer), 4, 0]).map(drop)
    });
    let moved = vec![seen(PipeSplice, &empty.known), pipe::moved(&empty.known, &PAYLOAD[..4])];
    plan.step("32-bit splice", moved, move || {
        call("splice", 313, &[word(full.reader), 0, word(empty.writer), 0, 4, 0]).map(drop)
    });
    let parts = segments(low, &[PAYLOAD]);
    let pipe = Pipe::new()?;
    plan.gap(&gaps::COMPAT_VMSPLICE, vec![pipe::lent(&pipe.known, PAYLOAD)], move || {
        call("vmsplice", 316, &[word(pipe.writer), parts, 1, 0]).map(drop)
    });
    for (what, number) in [("sendfile", 187), ("sendfile64", 239)] {
        let pipe = Pipe::new()?;
        let file = known::leak(&at("file"), libc::O_RDONLY)?;
        let seen = pipe::sent(plan, &pipe);
        plan.step(&format!("32-bit {what}"), seen, move || {
            call(what, number, &[word(pipe.writer), word(file), 0, word(i32::try_from(pipe::SENT)?)]).map(drop)
        });
    }
    Ok(())
}

fn memory(plan: &mut Plan, low: &Rc<Low>) -> Result<()> {
    let name = low.text(c"a known name");
    plan.step("32-bit memfd_create", vec![seen(ShmCreate, &values([("path", json!("a known name"))]))], move || {
        call("memfd_create", 356, &[name, 0]).map(drop)
    });
    let memory = i32::try_from(native!(memfd_create(c"low".as_ptr(), libc::MFD_ALLOW_SEALING))?)?;
    native!(ftruncate(memory, 4096))?;
    let mut known = known::open(memory)?;
    known.insert("path".to_owned(), json!("/memfd:low"));
    let how = known::all([&known, &values([("writable", json!(true)), ("executable", json!(false))])]);
    let (protection, flags) = (word(libc::PROT_READ | libc::PROT_WRITE), word(libc::MAP_SHARED));
    let old = low.words(&[0, 4096, protection, flags, word(memory), 0]);
    for (what, number, arguments) in
        [("mmap", 90, vec![old]), ("mmap2", 192, vec![0, 4096, protection, flags, word(memory), 0])]
    {
        plan.step(&format!("32-bit {what}(MAP_SHARED)"), vec![seen(ShmMap, &how)], move || {
            call(what, number, &arguments).map(drop)
        });
    }
    let again = low.text(&CString::new(format!("/proc/self/fd/{memory}"))?);
    let opened = known::all([&known, &known::opening(libc::O_RDONLY)]);
    plan.step("32-bit open of a memfd through /proc/PID/fd/N", vec![seen(ShmOpen, &opened)], move || {
        call("open", 5, &[again, 0, 0]).map(drop)
    });
    let seals = libc::F_SEAL_SHRINK;
    for (what, number) in [("fcntl", 55), ("fcntl64", 221)] {
        plan.step(
            &format!("32-bit {what}(F_ADD_SEALS)"),
            vec![seen(ShmSeal, &known).with("seals", seals)],
            move || call(what, number, &[word(memory), word(libc::F_ADD_SEALS), word(seals)]).map(drop),
        );
    }
    Ok(())
}

fn queues(plan: &mut Plan, low: &Rc<Low>) -> Result<()> {
    // Opened by its name, its path begins at the root of the queues.
    let mut queue = known::file(Path::new("/dev/mqueue/conformance"))?;
    queue.insert("path".to_owned(), json!("/conformance"));
    let fd = i32::try_from(native!(mq_open(c"/conformance".as_ptr(), libc::O_RDWR))?)?;
    let opened = known::all([&queue, &known::opening(libc::O_RDWR)]);
    let name = low.text(c"conformance");
    plan.step("32-bit mq_open", vec![seen(MqueueOpen, &opened)], move || {
        call("mq_open", 277, &[name, word(libc::O_RDWR), 0, 0]).map(drop)
    });
    let sent = known::all([&queue, &values([("message_type", json!(5))]), &known::payload(PAYLOAD)]);
    let (data, room, priority) = (low.bytes(PAYLOAD), low.room(8192), 5);
    for (send, sends, receive, receives) in
        [("mq_timedsend", 279, "mq_timedreceive", 280), ("mq_timedsend_time64", 418, "mq_timedreceive_time64", 419)]
    {
        plan.step(&format!("32-bit {send}"), vec![seen(MqueueSend, &sent)], move || {
            call(send, sends, &[word(fd), data, PAYLOAD_LENGTH, priority, 0]).map(drop)
        });
        plan.step(&format!("32-bit {receive}"), vec![seen(MqueueReceive, &queue)], move || {
            call(receive, receives, &[word(fd), room, 8192, 0, 0]).map(drop)
        });
    }
    Ok(())
}
