//! Ways to send a message that a rule forbids.

use std::{
    fs::{self, File},
    io::{self, IoSlice, Read as _, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::net::{UnixDatagram, UnixStream},
    },
    ptr,
    sync::atomic::AtomicU8,
    thread,
};

use anyhow::{Result, anyhow, ensure};

use super::{
    attempt::Attempt,
    payload::{TRIES, behind_empty, changing, memory, untouched},
    setting,
};
use crate::{
    conformance::{
        call::{call, segments},
        unix::{self, Address},
    },
    fifo,
};

const TEXT: &[u8] = b"here is a forbidden message";

/// The same in memory that this process has touched.
fn text() -> Vec<u8> {
    TEXT.to_vec()
}

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::new("send a message", "message", || through(|socket| socket.write_all(&text()))),
    Attempt::new("send a message as a datagram", "message", datagram),
    Attempt::new("send from a mapped page never touched", "message", || {
        through(|socket| socket.write_all(&untouched(TEXT).map_err(io::Error::other)?))
    }),
    Attempt::new("sendmsg behind eight empty segments", "message", || {
        through(|socket| socket.write_vectored(&behind_empty(&text())).map(drop))
    }),
    Attempt::new("sendfile from a memfd into a socket", "message", || through(sendfile)),
    Attempt::new("splice from a pipe into a socket", "message", || through(splice)),
    Attempt::new("a message in two sends", "message", || {
        through(|socket| text().chunks(18).try_for_each(|part| socket.write_all(part)))
    }),
    Attempt::new("a message behind 300 other bytes", "message", || {
        through(|socket| socket.write_all(&[&[b'-'; 300], TEXT].concat()))
    }),
    Attempt::new("a message as the second of sendmmsg", "message", second),
    Attempt::race("send from memory that another thread changes", "message", flipping),
    Attempt::race("send from memory that another thread changes, to one who reads all the time", "message", spinning),
];

/// Sends it to a socket of one's own, and receives: whether it is there. Each of the two can be refused.
fn through(send: impl FnOnce(&mut UnixStream) -> io::Result<()>) -> Result<bool> {
    let (mut sender, mut receiver) = UnixStream::pair()?;
    let result = send(&mut sender);
    if fifo::is_refused(&result) {
        return Ok(false);
    }
    result?;
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
    let result = sender.send(&text());
    if fifo::is_refused(&result) {
        return Ok(false);
    }
    result?;
    let mut room = [0; 64];
    received(receiver.recv(&mut room), &room)
}

/// Behind a harmless one to the same address.
fn second() -> Result<bool> {
    let path = format!("{}/second.dgram", setting::HOME);
    fs::remove_file(&path).ok();
    let (receiver, sender) = (UnixDatagram::bind(&path)?, UnixDatagram::unbound()?);
    let address = Address::path(path.as_ref());
    let (harmless, text) = (b"harmless".to_vec(), text());
    let parts = [segments(&[&harmless]), segments(&[&text])];
    let mut both = parts.each_ref().map(|part| libc::mmsghdr { msg_hdr: to(&address, part), msg_len: 0 });
    let sent = call!(sendmmsg(sender.as_raw_fd(), both.as_mut_ptr(), 2, 0))?;
    if sent < 2 {
        return Ok(false);
    }
    let mut room = [0; 64];
    let first = receiver.recv(&mut room);
    // All that lies in the socket is kept from being read.
    if fifo::is_refused(&first) {
        return Ok(false);
    }
    first?;
    received(receiver.recv(&mut room), &room)
}

fn to(address: &Address, parts: &[IoSlice<'_>]) -> libc::msghdr {
    let mut header = unix::header(parts);
    header.msg_name = address.start().cast_mut().cast();
    header.msg_namelen = address.1;
    header
}

fn flipping() -> Result<bool> {
    changing(TEXT, flipped, || through(|socket| socket.write_all(&text())))
}

fn flipped(bytes: &[AtomicU8]) -> Result<bool> {
    for _ in 0..TRIES {
        // Each time another: of one in quarantine nothing is read, and who sends to it waits when it is full.
        let (sender, receiver) = UnixDatagram::pair()?;
        receiver.set_nonblocking(true)?;
        let sent = call!(send(sender.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0));
        let mut room = [0_u8; 64];
        match receiver.recv(&mut room) {
            Ok(length) if room[..length].windows(17).any(|part| part == b"forbidden message") => return Ok(true),
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
            Err(_) if sent.is_err() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

fn spinning() -> Result<bool> {
    changing(TEXT, spun, || through(|socket| socket.write_all(&text())))
}

/// Through a connection: what is found there is in the receiver's quarantine before it is in its queue.
fn spun(bytes: &[AtomicU8]) -> Result<bool> {
    for _ in 0..SPINS {
        let (sender, receiver) = UnixStream::pair()?;
        receiver.set_nonblocking(true)?;
        let came = thread::scope(|scope| {
            let reads = scope.spawn(|| spin(&receiver, b"forbidden message"));
            // Refused where the rule has seen the message.
            let _ = call!(send(sender.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0));
            drop(sender);
            reads.join().map_err(|_| anyhow!("the thread panicked"))?
        })?;
        if came {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether `part` comes out of what does not block before its end does, to one who asks for it all the time.
fn spin(mut from: impl io::Read, part: &[u8]) -> Result<bool> {
    let mut room = [0_u8; 64];
    loop {
        match from.read(&mut room) {
            Ok(0) => return Ok(false),
            Ok(length) if room[..length].windows(part.len()).any(|there| there == part) => return Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Ok(false),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
    }
}

/// How often that is tried, each time by a new thread.
const SPINS: usize = 100;

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
    writer.write_all(&text())?;
    last(call!(splice(reader.as_raw_fd(), ptr::null_mut(), socket.as_raw_fd(), ptr::null_mut(), TEXT.len(), 0)))
}
