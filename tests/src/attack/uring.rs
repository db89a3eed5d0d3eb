//! The same by `io_uring`, on each of its ways.

use std::os::fd::AsRawFd as _;

use anyhow::Result;
use io_uring::{opcode, types::Fd};

use super::{attempt::Attempt, setting::SOCKET};
use crate::{
    conformance::unix::{self, Address},
    fifo,
    ring::{Ring, Way},
};

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::new("open by io_uring", "below", || open(Way::Plain)),
    Attempt::new("open by a worker of io_uring", "below", || open(Way::Worker)),
    Attempt::new("open by the polling thread of io_uring", "below", || open(Way::Polled)),
    Attempt::new("connect by io_uring", "connect", || connect(Way::Plain)),
    Attempt::new("connect by a worker of io_uring", "connect", || connect(Way::Worker)),
    Attempt::new("write a text by io_uring", "text", || write(Way::Plain)),
    Attempt::new("write a text by a worker of io_uring", "text", || write(Way::Worker)),
];

/// Whether a request succeeded; failed is what a rule refuses.
fn outcome(result: i32) -> Result<bool> {
    let result = if result < 0 { Err(std::io::Error::from_raw_os_error(-result)) } else { Ok(result) };
    super::paths::outcome(result)
}

fn open(way: Way) -> Result<bool> {
    let flags = libc::O_RDWR | libc::O_NONBLOCK;
    outcome(
        Ring::new(way)?.run(opcode::OpenAt::new(Fd(libc::AT_FDCWD), c"/tmp/attack/f".as_ptr()).flags(flags).build())?,
    )
}

fn connect(way: Way) -> Result<bool> {
    let (socket, address) = (unix::socket(libc::SOCK_STREAM)?, Address::path(SOCKET.as_ref()));
    outcome(Ring::new(way)?.run(opcode::Connect::new(Fd(socket), address.start(), address.1).build())?)
}

fn write(way: Way) -> Result<bool> {
    let text = b"forbidden text".to_vec();
    let (reader, writer) = fifo::pipe()?;
    let request = opcode::Write::new(Fd(writer.as_raw_fd()), text.as_ptr(), u32::try_from(text.len())?);
    Ring::new(way)?.run(request.build())?;
    super::paths::outcome(std::io::Read::read(&mut &reader, &mut [0; 64]))
}
