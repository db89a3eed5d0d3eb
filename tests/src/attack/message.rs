//! Ways to send a message that a rule forbids.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::net::{UnixDatagram, UnixStream},
    },
    ptr,
};

use anyhow::{Result, ensure};

use super::{
    Attempt,
    payload::{memory, segments, untouched},
};
use crate::{conformance::call::call, fifo};

const TEXT: &[u8] = b"here is a forbidden message";

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::new("send a message", "message", || through(|socket| socket.write_all(TEXT))),
    Attempt::new("send a message as a datagram", "message", datagram),
    Attempt::new("send from a mapped page never touched", "message", || {
        through(|socket| socket.write_all(&untouched(TEXT).map_err(io::Error::other)?))
    }),
    Attempt::new("sendmsg behind eight empty segments", "message", || {
        through(|socket| socket.write_vectored(&segments(TEXT)).map(drop))
    }),
    Attempt::new("sendfile from a memfd into a socket", "message", || through(sendfile)),
    Attempt::new("splice from a pipe into a socket", "message", || through(splice)),
    Attempt::new("a message in two sends", "message", || {
        through(|socket| TEXT.chunks(18).try_for_each(|part| socket.write_all(part)))
    }),
    Attempt::new("a message behind 300 other bytes", "message", || {
        through(|socket| socket.write_all(&[&[b'-'; 300], TEXT].concat()))
    }),
];

/// Sends it to a socket of one's own, and receives: whether it is there. Each of the two can be refused.
fn through(send: impl FnOnce(&mut UnixStream) -> io::Result<()>) -> Result<bool> {
    let (mut sender, mut receiver) = UnixStream::pair()?;
    let sent = send(&mut sender);
    if fifo::is_refused(&sent) {
        return Ok(false);
    }
    sent?;
    drop(sender);
    let mut all = Vec::new();
    received(receiver.read_to_end(&mut all), &all)
}

fn received(result: io::Result<usize>, bytes: &[u8]) -> Result<bool> {
    if fifo::is_refused(&result) {
        return Ok(false);
    }
    result?;
    let is_there = bytes.windows(17).any(|part| part == b"forbidden message");
    ensure!(is_there, "something else came: {:?}", String::from_utf8_lossy(bytes));
    Ok(true)
}

fn datagram() -> Result<bool> {
    let (sender, receiver) = UnixDatagram::pair()?;
    let sent = sender.send(TEXT);
    if fifo::is_refused(&sent) {
        return Ok(false);
    }
    sent?;
    let mut room = [0; 64];
    received(receiver.recv(&mut room), &room)
}

/// The error of a call, with its number.
fn last<T>(result: Result<T>) -> io::Result<()> {
    result.map(drop).map_err(|_| io::Error::last_os_error())
}

fn sendfile(socket: &mut UnixStream) -> io::Result<()> {
    let file: File = memory(TEXT).map_err(io::Error::other)?;
    last(call!(sendfile(socket.as_raw_fd(), file.as_raw_fd(), ptr::null_mut(), TEXT.len())))
}

fn splice(socket: &mut UnixStream) -> io::Result<()> {
    let (reader, mut writer) = fifo::pipe()?;
    writer.write_all(TEXT)?;
    last(call!(splice(reader.as_raw_fd(), ptr::null_mut(), socket.as_raw_fd(), ptr::null_mut(), TEXT.len(), 0)))
}
