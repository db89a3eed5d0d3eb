//! The ring buffer's records have numbers, from 1. The kernel keeps how far it was read, so that the numbers
//! go on whatever becomes of the one who reads.

use std::{io, os::fd::AsRawFd, ptr};

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{Array, MapData, RingBuf},
};
use sensor_common::maps::{EVENT_ROOM, EVENTS, NUMBERED};

use super::maps::take;

/// The ring buffer, before it is read.
pub struct Events {
    /// The buffer.
    pub buffer: RingBuf<MapData>,
    /// The number of the last event before the first of this buffer, and how many were taken out of it, by
    /// whatever daemon.
    pub numbers: Numbers,
}

/// How the events in a ring buffer are numbered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// The number before that of its first event.
    pub before: u64,
    /// How many events were taken out of it.
    pub taken: u64,
}

impl Numbers {
    /// The number of the event that was taken out last.
    pub const fn last(self) -> u64 {
        self.before + self.taken
    }

    /// How many of the events that were taken out come after the one with this number.
    pub fn after(self, number: u64) -> u64 {
        self.last().saturating_sub(number.max(self.before))
    }
}

/// Where the numbers begin.
pub struct Numbered(Array<MapData, u64>);

impl Numbered {
    /// That of a loaded object.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        take(ebpf, NUMBERED).map(Self)
    }

    /// The next event in the buffer, of which so many were taken out, has the number after `last`.
    pub fn go_on(&mut self, last: u64, taken: u64) -> Result<()> {
        self.0.set(0, last.saturating_sub(taken), 0).context("cannot write how events are numbered")
    }

    /// The ring buffer of the object.
    pub fn events(&self, ebpf: &mut Ebpf) -> Result<Events> {
        let buffer: RingBuf<MapData> = take(ebpf, EVENTS)?;
        let before = self.0.get(&0, 0).context("cannot read how events are numbered")?;
        let position = position(&buffer).context("cannot read how far the ring buffer was read")?;
        Ok(Events { buffer, numbers: Numbers { before, taken: position / EVENT_ROOM } })
    }
}

/// How many bytes were taken out of a ring buffer: the first word of its first page.
fn position(buffer: &RingBuf<MapData>) -> io::Result<u64> {
    let (length, fd) = (size_of::<u64>(), buffer.as_raw_fd());
    // SAFETY: a new mapping, at an address of the kernel's choice.
    let page = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is aligned and long enough, and nobody writes: the buffer is read by one daemon,
    // which is this one.
    let position = unsafe { page.cast::<u64>().read_volatile() };
    // SAFETY: the mapping is ours, and not used any more.
    unsafe { libc::munmap(page, length) };
    Ok(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_number_is_counted_within_the_buffer() {
        let numbers = Numbers { before: 700, taken: 50 };
        assert_eq!(numbers.last(), 750);
        assert_eq!([700, 740, 750, 760, 3].map(|number| numbers.after(number)), [50, 10, 0, 0, 50]);
        assert_eq!(Numbers::default().after(0), 0);
    }
}
