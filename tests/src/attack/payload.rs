//! Ways to bring a text into a pipe that a rule keeps from being read.

use std::{
    fs::{self, File},
    io::{self, IoSlice, Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, FromRawFd as _},
        unix::fs::FileExt as _,
    },
    ptr,
    sync::{
        atomic::{AtomicBool, AtomicU8, Ordering},
        mpsc,
    },
    thread,
};

use anyhow::{Result, anyhow, ensure};

use super::{attempt::Attempt, setting};
use crate::{conformance::call::call, fifo, wait};

const PAGE: usize = 4096;

/// What the rule looks for.
const TEXT: &[u8] = b"here is forbidden text to read";

/// The same in memory that this process has touched: that of its program need not be there yet.
fn text() -> Vec<u8> {
    TEXT.to_vec()
}

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::new("write a text into a pipe", "text", || through(|pipe| write(pipe, &text()))),
    Attempt::new("write from a mapped page never touched", "text", || through(|pipe| write(pipe, &untouched(TEXT)?))),
    Attempt::new("writev behind eight empty segments", "text", || through(writev)),
    Attempt::new("sendfile from a memfd", "text", || through(sendfile)),
    Attempt::new("vmsplice", "text", || through(|pipe| vmsplice(pipe, TEXT))),
    Attempt::new("vmsplice, and write the memory afterwards", "text", || through(vmsplice_later)),
    Attempt::new("splice from a file", "text", || through(splice)),
    Attempt::new("splice from a file, and write to the file afterwards", "text", || through(splice_later)),
    Attempt::new("splice behind a full pipe that another thread empties", "text", || through(splice_waits)),
    Attempt::new("tee from another pipe", "text", || through(tee)),
    Attempt::new("a text in two writes", "text", || {
        through(|pipe| text().chunks(18).try_for_each(|part| write(pipe, part)))
    }),
    Attempt::new("a text behind 300 other bytes", "text", || through(|pipe| write(pipe, &padded()))),
    Attempt::race("write from memory that another thread changes", "text", flipping),
];

/// Brings it into a new pipe, and reads: whether the text comes out.
fn through(fill: impl FnOnce(&File) -> Result<()>) -> Result<bool> {
    let (reader, writer) = fifo::pipe()?;
    fill(&writer)?;
    comes_out(&reader)
}

/// Whether the text is in what a read returns. Refused it is not.
pub fn comes_out(reader: &File) -> Result<bool> {
    let mut all = Vec::new();
    let mut room = [0_u8; 4096];
    call!(fcntl(reader.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK))?;
    loop {
        match io::Read::read(&mut &*reader, &mut room) {
            Ok(0) => break,
            Ok(length) => all.extend_from_slice(&room[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    let is_there = all.windows(14).any(|part| part == b"forbidden text");
    ensure!(is_there, "something else came out: {:?}", String::from_utf8_lossy(&all));
    Ok(true)
}

fn write(mut pipe: &File, bytes: &[u8]) -> Result<()> {
    Ok(pipe.write_all(bytes)?)
}

/// A text in the page of a file that this process has mapped, and not looked at.
pub struct Untouched(*mut libc::c_void, usize);

impl std::ops::Deref for Untouched {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the map is as long, is never written to, and stays until the process ends.
        unsafe { std::slice::from_raw_parts(self.0.cast(), self.1) }
    }
}

/// Writes a text to a file and maps that.
pub fn untouched(text: &[u8]) -> Result<Untouched> {
    let path = format!("{}/untouched-{}", setting::HOME, std::process::id());
    fs::write(&path, text)?;
    let file = File::open(&path)?;
    fs::remove_file(&path)?;
    // SAFETY: a new map of an open file, where the kernel likes.
    let start =
        unsafe { libc::mmap(ptr::null_mut(), text.len(), libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
    ensure!(start != libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
    Ok(Untouched(start, text.len()))
}

/// Eight empty segments, and the text.
pub fn behind_empty(text: &[u8]) -> [IoSlice<'_>; 9] {
    let mut segments = [IoSlice::new(&[]); 9];
    segments[8] = IoSlice::new(text);
    segments
}

fn writev(mut pipe: &File) -> Result<()> {
    let written = pipe.write_vectored(&behind_empty(&text()))?;
    ensure!(written == TEXT.len(), "{written} bytes written");
    Ok(())
}

/// A file in memory only, with the text.
pub fn memory(text: &[u8]) -> Result<File> {
    let fd = i32::try_from(call!(memfd_create(c"text".as_ptr(), 0))?)?;
    // SAFETY: the descriptor is new, open, and nobody else's.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(text)?;
    io::Seek::rewind(&mut file)?;
    Ok(file)
}

fn sendfile(pipe: &File) -> Result<()> {
    let file = memory(TEXT)?;
    call!(sendfile(pipe.as_raw_fd(), file.as_raw_fd(), ptr::null_mut(), TEXT.len())).map(drop)
}

fn vmsplice(pipe: &File, bytes: &[u8]) -> Result<()> {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    call!(vmsplice(pipe.as_raw_fd(), &raw const part, 1, 0)).map(drop)
}

fn vmsplice_later(pipe: &File) -> Result<()> {
    // A page for as long as the process lives: the pipe's reader must see what is written to it afterwards.
    let page: &'static [AtomicU8] = Box::leak((0..4096).map(|_| AtomicU8::new(b'-')).collect());
    let part = libc::iovec { iov_base: page.as_ptr().cast_mut().cast(), iov_len: TEXT.len() };
    call!(vmsplice(pipe.as_raw_fd(), &raw const part, 1, 0))?;
    for (to, from) in page.iter().zip(TEXT) {
        to.store(*from, Ordering::SeqCst);
    }
    Ok(())
}

fn splice(pipe: &File) -> Result<()> {
    splice_from(&file(TEXT)?, pipe)
}

/// A file on a disk that has no name, with this in it.
fn file(bytes: &[u8]) -> Result<File> {
    let path = format!("{}/spliced-{}", setting::HOME, std::process::id());
    fs::write(&path, bytes)?;
    let file = File::options().read(true).write(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn splice_from(file: &File, pipe: &File) -> Result<()> {
    call!(splice(file.as_raw_fd(), ptr::null_mut(), pipe.as_raw_fd(), ptr::null_mut(), TEXT.len(), 0)).map(drop)
}

fn splice_later(pipe: &File) -> Result<()> {
    let file = file(&[b'-'; TEXT.len()])?;
    splice_from(&file, pipe)?;
    file.write_all_at(TEXT, 0)?;
    Ok(())
}

/// The kernel lets go of the pipe's lock while it waits for room: meanwhile others put harmless bytes before
/// the text.
fn splice_waits(pipe: &File) -> Result<()> {
    let text = file(TEXT)?;
    let mut reader = File::open(format!("/proc/self/fd/{}", pipe.as_raw_fd()))?;
    let room = usize::try_from(call!(fcntl(pipe.as_raw_fd(), libc::F_GETPIPE_SZ))?)?;
    write(pipe, &vec![b'-'; room])?;
    thread::scope(|scope| {
        let (told, task) = mpsc::channel();
        let moves = scope.spawn(move || {
            // SAFETY: takes nothing.
            told.send(unsafe { libc::gettid() })?;
            splice_from(&text, pipe)
        });
        wait::asleep_in(u32::try_from(task.recv()?)?, libc::SYS_splice)?;
        reader.read_exact(&mut [0; 2 * PAGE])?;
        write(pipe, &[b'-'; 300])?;
        moves.join().map_err(|_| anyhow!("the thread panicked"))?
    })
}

/// Of a pipe that was filled by a splice: the first pipe's own way in is another attempt.
fn tee(pipe: &File) -> Result<()> {
    let (reader, writer) = fifo::pipe()?;
    splice(&writer)?;
    let result = call!(tee(reader.as_raw_fd(), pipe.as_raw_fd(), TEXT.len(), 0));
    if result.is_err() && io::Error::last_os_error().raw_os_error() == Some(libc::EPERM) {
        // Refused where it was to be copied from: then nothing comes out of the other.
        super::judge::tell(Ok(false));
    }
    result.map(drop)
}

fn padded() -> Vec<u8> {
    [&[b'-'; 300], TEXT].concat()
}

/// Memory that is now a text, now something else, while this tries it; then what is sure.
pub fn changing(
    text: &[u8],
    tries: impl FnOnce(&[AtomicU8]) -> Result<bool>,
    sure: impl FnOnce() -> Result<bool>,
) -> Result<bool> {
    let bytes: Vec<_> = text.iter().map(|byte| AtomicU8::new(*byte)).collect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                bytes[10].store(b'-', Ordering::Relaxed);
                bytes[10].store(text[10], Ordering::Relaxed);
            }
        });
        let got = tries(&bytes);
        over.store(true, Ordering::Relaxed);
        // Of many tries all may have been harmless.
        Ok(got? || sure()?)
    })
}

/// How often memory that changes is tried.
pub const TRIES: usize = 500;

fn flipping() -> Result<bool> {
    changing(TEXT, flipped, || through(|pipe| write(pipe, &text())))
}

fn flipped(bytes: &[AtomicU8]) -> Result<bool> {
    for _ in 0..TRIES {
        let (reader, writer) = fifo::pipe()?;
        call!(write(writer.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()))?;
        let mut room = [0_u8; 64];
        match io::Read::read(&mut &reader, &mut room) {
            Ok(length) if room[..length].windows(14).any(|part| part == b"forbidden text") => return Ok(true),
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}
