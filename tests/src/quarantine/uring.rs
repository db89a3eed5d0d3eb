//! Reads, receives and splices by `io_uring`.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::{net::UnixStream, process::ExitStatusExt as _},
    },
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Result, bail, ensure};
use io_uring::{opcode, types::Fd};
use sensor_common::maps::Kept;

use super::setting::{CONTENT, kept, released};
use crate::{
    fifo,
    protocol::Table,
    report,
    ring::{Ring, Way},
    rules::{self, Draft},
    sensor::Sensor,
    shared, wait, work,
};

const RULE: Draft<'_> = Draft { events: &["unix.send", "pipe.payload", "fifo.payload"], ..super::setting::RULE };
/// Where content is spliced to, and what somebody makes who got at it.
const TARGET: &str = "/tmp/kept-target";
const TAKEN: &str = "/tmp/kept-taken";
const OWNED: &str = "/tmp/owned";
#[expect(clippy::cast_possible_truncation, reason = "it is short")]
const LENGTH: u32 = CONTENT.len() as u32;

fn guarding() -> Result<Sensor> {
    shared::enforcing(vec![rules::file("kept.yaml", &[RULE])])
}

/// What is taken out of `from` by this request, as a number of bytes; below 0 an error number.
fn take(ring: &mut Ring, request: &str, from: RawFd, room: &mut [u8]) -> Result<i32> {
    let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    // SAFETY: numbers and pointers, for which all bits at zero are a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
    let (start, from) = (room.as_mut_ptr(), Fd(from));
    let spliced =
        |ring: &mut Ring, to: &File| ring.run(opcode::Splice::new(from, -1, Fd(to.as_raw_fd()), -1, LENGTH).build());
    match request {
        "READ" => ring.run(opcode::Read::new(from, start, LENGTH).build()),
        "READV" => ring.run(opcode::Readv::new(from, &raw const part, 1).build()),
        "RECV" => ring.run(opcode::Recv::new(from, start, LENGTH).build()),
        "RECVMSG" => ring.run(opcode::RecvMsg::new(from, &raw mut header).build()),
        "SPLICE to a file" => spliced(ring, &File::create(TAKEN)?),
        "SPLICE to a pipe" => spliced(ring, &fifo::open(TARGET)?),
        "TEE" => ring.run(opcode::Tee::new(from, Fd(fifo::open(TARGET)?.as_raw_fd()), LENGTH).build()),
        _ => bail!("no such request: {request}"),
    }
}

/// What is asked for of a pipe and of a socket that is refused.
const OF_PIPES: &[&str] = &["READ", "READV", "SPLICE to a file"];
const OF_SOCKETS: &[&str] = &["READ", "READV", "RECV", "RECVMSG"];
/// What moves the content into another pipe, and the mark with it.
const INTO_PIPES: &[&str] = &["SPLICE to a pipe", "TEE"];

/// Begun when the content is there already.
pub fn later() -> Result<()> {
    let sensor = guarding()?;
    for way in Way::ALL {
        let mut ring = Ring::new(way)?;
        let (reader, mut writer) = fifo::pipe()?;
        let (mut near, far) = UnixStream::pair()?;
        writer.write_all(CONTENT)?;
        near.write_all(CONTENT)?;
        let of_pipes = OF_PIPES.iter().map(|request| (*request, reader.as_raw_fd()));
        for (request, from) in of_pipes.chain(OF_SOCKETS.iter().map(|request| (*request, far.as_raw_fd()))) {
            let denied = kept(&sensor, Kept::Denied)?;
            let mut room = [0; CONTENT.len()];
            let result = take(&mut ring, request, from, &mut room)?;
            ensure!(result == -libc::EPERM, "{request}{} returned {result}", way.words());
            ensure!(room == [0; CONTENT.len()], "{request}{}: something is there", way.words());
            ensure!(kept(&sensor, Kept::Denied)? > denied, "{request}{} is not counted", way.words());
        }
        ensure!(fs::metadata(TAKEN)?.len() == 0, "something was written");
        for request in INTO_PIPES.iter().rev() {
            fifo::remake(TARGET)?;
            let mut target = fifo::open(TARGET)?;
            let moved = take(&mut ring, request, reader.as_raw_fd(), &mut [])?;
            ensure!(moved == LENGTH.cast_signed(), "{request}{} moved {moved}", way.words());
            ensure!(fifo::is_refused(&target.read(&mut [0])), "{request}{}: the content came through", way.words());
        }
        report::fact(Table::Stops, &format!("quarantine: every later read by `io_uring`{}", way.words()), "denied");
        released()?;
    }
    shared::park(sensor);
    Ok(())
}

/// The role: takes what comes to its standard input, and does something with it.
///
/// # Errors
/// The kernel's.
pub fn taker(way: &str, request: &str) -> Result<()> {
    let mut ring = Ring::new(Way::from_name(way)?)?;
    let taken = take(&mut ring, request, 0, &mut [0; CONTENT.len()])?;
    ensure!(taken > 0, "the request: {}", io::Error::from_raw_os_error(-taken));
    Ok(fs::write(OWNED, "")?)
}

fn start(way: Way, request: &str, from: OwnedFd) -> Result<Child> {
    let mut command = Command::new(work::PROGRAM);
    command.args(["work", "ring-taker", way.name(), request]).stdin(Stdio::from(from)).stderr(Stdio::null());
    let taker = command.spawn()?;
    wait::asleep_in(taker.id(), libc::SYS_io_uring_enter)?;
    Ok(taker)
}

/// Asleep when the content comes: refused where the kernel only waits for it, killed where it is in the read itself.
pub fn asleep() -> Result<()> {
    let sensor = guarding()?;
    for way in Way::ALL {
        for (request, is_socket) in OF_PIPES[..2]
            .iter()
            .map(|request| (*request, false))
            .chain(OF_SOCKETS.iter().map(|request| (*request, true)))
        {
            fs::remove_file(OWNED).ok();
            let (from, mut to): (OwnedFd, Box<dyn io::Write>) = if is_socket {
                let (near, far) = UnixStream::pair()?;
                (far.into(), Box::new(near))
            } else {
                let (reader, writer) = fifo::pipe()?;
                (reader.into(), Box::new(writer))
            };
            let before = kept(&sensor, Kept::Killed)? + kept(&sensor, Kept::Denied)?;
            let mut taker = start(way, request, from)?;
            to.write_all(CONTENT)?;
            let status = wait::until("the taker to end", || Ok(taker.try_wait()?))?;
            let stopped = status.signal() == Some(libc::SIGKILL) || status.code().is_some_and(|code| code != 0);
            ensure!(stopped, "{request}{}: the taker ended with {status}", way.words());
            ensure!(!Path::new(OWNED).exists(), "{request}{}: it did something with the content", way.words());
            let counted = kept(&sensor, Kept::Killed)? + kept(&sensor, Kept::Denied)? - before;
            ensure!(counted > 0, "{request}{} is not counted", way.words());
        }
        for request in INTO_PIPES {
            fifo::remake(TARGET)?;
            let mut target = fifo::open(TARGET)?;
            let (reader, mut writer) = fifo::pipe()?;
            let mut taker = start(way, request, reader.into())?;
            writer.write_all(CONTENT)?;
            wait::until("the taker to end", || Ok(taker.try_wait()?))?;
            ensure!(fifo::is_refused(&target.read(&mut [0])), "{request}{}: the content came through", way.words());
        }
        released()?;
        report::fact(
            Table::Stops,
            &format!("quarantine: a request of `io_uring` that slept{}", way.words()),
            "stopped",
        );
    }
    shared::park(sensor);
    Ok(())
}
