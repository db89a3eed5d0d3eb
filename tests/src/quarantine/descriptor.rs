//! Descriptors that one process hands to another: of what is in quarantine, and along with a message that is.

use std::{
    fs::File,
    io::{self, IoSlice, Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, RawFd},
        unix::net::UnixStream,
    },
};

use anyhow::{Context as _, Result, ensure};

use super::setting::{CONTENT, RULE, released};
use crate::{
    conformance::unix::{Rights, header},
    fifo, rules,
    rules::Draft,
    shared,
};

/// Sends a message, and a descriptor along with it.
fn send(socket: &UnixStream, message: &[u8], descriptor: RawFd) -> Result<()> {
    let parts = [IoSlice::new(message)];
    let mut rights = Rights::new(descriptor);
    let header = rights.attach(header(&parts));
    // SAFETY: an open socket; the header names memory that lives through the call.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, 0) };
    ensure!(sent.cast_unsigned() == message.len(), "sent {sent}: {}", io::Error::last_os_error());
    Ok(())
}

/// Receives a message without waiting: its bytes, and the descriptor that came along.
fn receive(socket: &UnixStream) -> io::Result<(Vec<u8>, Option<File>)> {
    let mut room = vec![0; CONTENT.len()];
    let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let mut rights = Rights::new(-1);
    let mut header = rights.attach(header(&[]));
    (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: an open socket; the header names room of these lengths that lives through the call.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    // SAFETY: a descriptor that the kernel has made for us is open, and nobody else's.
    let file = rights.received().map(|fd| unsafe { File::from_raw_fd(fd) });
    match usize::try_from(received) {
        Ok(length) => Ok((room[..length].to_vec(), file)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// A reading end that was handed over leads to the content no more than any other; handed over before or after.
pub fn of_a_pipe() -> Result<()> {
    let sensor = shared::enforcing(vec![rules::file("kept.yaml", &[RULE])])?;
    let (near, far) = UnixStream::pair()?;
    let (reader, mut writer) = fifo::pipe()?;
    send(&near, b"before", reader.as_raw_fd())?;
    let (_, before) = receive(&far)?;
    writer.write_all(CONTENT)?;
    send(&near, b"after", reader.as_raw_fd())?;
    let (_, after) = receive(&far)?;
    drop(reader);
    for (when, end) in [("before", before), ("after", after)] {
        let mut end = end.with_context(|| format!("no descriptor came, {when}"))?;
        ensure!(fifo::is_refused(&end.read(&mut [0])), "handed over {when}, it was read");
    }
    released()?;
    shared::park(sensor);
    Ok(())
}

/// A message in quarantine keeps its descriptor.
pub fn along_with_a_message() -> Result<()> {
    let rule = Draft { events: &["unix.send"], ..RULE };
    let sensor = shared::enforcing(vec![rules::file("kept.yaml", &[rule])])?;
    let (near, far) = UnixStream::pair()?;
    let (mut reader, mut writer) = fifo::pipe()?;
    send(&near, CONTENT, writer.as_raw_fd())?;
    ensure!(fifo::is_refused(&receive(&far)), "the message was received");
    writer.write_all(b"1")?;
    drop(writer);
    released()?;
    let (message, file) = receive(&far)?;
    ensure!(message == CONTENT, "another message was kept: {message:?}");
    file.context("the descriptor was lost")?.write_all(b"2")?;
    let mut both = Vec::new();
    reader.read_to_end(&mut both)?;
    ensure!(both == b"12", "the descriptor leads elsewhere: {both:?}");
    shared::park(sensor);
    Ok(())
}
