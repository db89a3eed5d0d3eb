//! The same by the system calls of 32-bit programs.

use anyhow::Result;

use super::{attempt::Attempt, payload::comes_out, setting::FIFO};
use crate::{
    conformance::compat::entry::{self, Low},
    fifo,
    suite::NotHere,
};

use std::{ffi::CString, io, os::fd::AsRawFd as _};

const OPEN: u32 = 5;
const WRITE: u32 = 4;

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::new("open by a 32-bit call", "below", open),
    Attempt::new("write a text by a 32-bit call", "text", write),
];

fn low() -> Result<Low> {
    if entry::is_there()? { Low::new() } else { Err(NotHere("no 32-bit calls").into()) }
}

fn open() -> Result<bool> {
    let flags = u32::try_from(libc::O_RDWR | libc::O_NONBLOCK)?;
    match entry::call("open", OPEN, &[low()?.text(&CString::new(FIFO)?), flags]) {
        Ok(_) => Ok(true),
        Err(error) if error.to_string().contains(&io::Error::from_raw_os_error(libc::EPERM).to_string()) => Ok(false),
        Err(error) => Err(error),
    }
}

fn write() -> Result<bool> {
    const TEXT: &[u8] = b"forbidden text";
    let (reader, writer) = fifo::pipe()?;
    let address = low()?.bytes(TEXT);
    entry::call("write", WRITE, &[writer.as_raw_fd().cast_unsigned(), address, u32::try_from(TEXT.len())?])?;
    comes_out(&reader)
}
