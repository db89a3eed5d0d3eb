//! The ways out of a pipe that copy nothing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::{
        fd::AsRawFd,
        unix::{net::UnixStream, process::ExitStatusExt as _},
    },
    process::{Child, Command, ExitStatus, Stdio},
    ptr, thread,
};

use anyhow::{Result, bail, ensure};
use sensor_common::maps::Kept;

use super::setting::{CONTENT, RULE, kept, released};
use crate::{fifo, rules, sensor::Sensor, shared, wait, work};

/// Where content is taken from, and where a way leads.
const SOURCE: &str = "/tmp/kept-source";
const TARGET: &str = "/tmp/kept-target";
const TAKEN: &str = "/tmp/kept-taken";
const ROOM: usize = 4096;
/// Where this is, the number of the pipe is to mean another file; and where it does.
const SWAP: &str = "/tmp/kept-swap";
const SWAPPED: &str = "/tmp/kept-swapped";

/// Moves what is in `from` to `to` without a copy; how many bytes.
fn splice(from: &File, to: &impl AsRawFd) -> io::Result<i64> {
    let none = ptr::null_mut();
    // SAFETY: two open descriptors, no offsets.
    answer(unsafe { libc::splice(from.as_raw_fd(), none, to.as_raw_fd(), none, ROOM, 0) })
}

/// Duplicates what is in `from` to `to`; how many bytes.
fn tee(from: &File, to: &File) -> io::Result<i64> {
    // SAFETY: two open descriptors.
    answer(unsafe { libc::tee(from.as_raw_fd(), to.as_raw_fd(), ROOM, 0) })
}

fn sendfile(from: &File, to: &File) -> io::Result<i64> {
    // SAFETY: two open descriptors, no offset.
    answer(unsafe { libc::sendfile(to.as_raw_fd(), from.as_raw_fd(), ptr::null_mut(), ROOM) })
}

fn answer(result: isize) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i64) }
}

/// The role: takes what is in the pipe [`SOURCE`] on one of the ways.
///
/// # Errors
/// The kernel's.
pub fn take(way: &str) -> Result<()> {
    let from = File::open(SOURCE)?;
    let moved = match way {
        "splice-to-pipe" => splice(&from, &fifo::open(TARGET)?)?,
        "splice-to-file" => splice(&from, &File::create(TAKEN)?)?,
        "tee" => tee(&from, &fifo::open(TARGET)?)?,
        "vmsplice" => vmsplice(&from)?,
        "vmsplice-swapped" => {
            let (number, other) = (from.as_raw_fd(), fifo::open(TARGET)?);
            thread::spawn(move || {
                work::wait_for(SWAP.as_ref());
                // SAFETY: two numbers; that of the pipe is used for nothing else from here on.
                unsafe { libc::dup2(other.as_raw_fd(), number) };
                fs::write(SWAPPED, [])
            });
            vmsplice(&from)?
        }
        _ => bail!("no such way: {way}"),
    };
    ensure!(moved == i64::try_from(CONTENT.len())?, "{moved} bytes moved");
    Ok(())
}

/// Into memory that others see too: the file [`TAKEN`].
fn vmsplice(from: &File) -> io::Result<i64> {
    let file = OpenOptions::new().read(true).write(true).open(TAKEN)?;
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new map of a file that is as long.
    let memory = unsafe { libc::mmap(ptr::null_mut(), ROOM, protection, flags, file.as_raw_fd(), 0) };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let segment = libc::iovec { iov_base: memory, iov_len: ROOM };
    // SAFETY: the segment is the map.
    answer(unsafe { libc::vmsplice(from.as_raw_fd(), &raw const segment, 1, 0) })
}

/// A process in the role.
fn taker(way: &str) -> Result<Child> {
    let mut command = Command::new(work::PROGRAM);
    Ok(command.args(["work", "take", way]).stdin(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

fn ended(mut taker: Child) -> Result<ExitStatus> {
    wait::until("the taker to end", || Ok(taker.try_wait()?))
}

/// Source and target anew, both ends open, and room for what is taken.
fn prepare() -> Result<(File, File)> {
    fs::write(TAKEN, [0; ROOM])?;
    fifo::remake(SOURCE)?;
    fifo::remake(TARGET)?;
    Ok((fifo::open(SOURCE)?, fifo::open(TARGET)?))
}

fn taken() -> Result<bool> {
    Ok(fs::read(TAKEN)?.windows(CONTENT.len()).any(|window| window == CONTENT))
}

fn guarding() -> Result<Sensor> {
    shared::enforcing(vec![rules::file("kept.yaml", &[RULE])])
}

/// Whether a pipe gives its content to nobody.
fn is_guarded(mut pipe: &File) -> bool {
    fifo::is_refused(&pipe.read(&mut [0; ROOM]))
}

/// Reads a pipe that was released.
fn content(mut pipe: &File) -> Result<Vec<u8>> {
    let mut content = vec![0; CONTENT.len()];
    pipe.read_exact(&mut content)?;
    Ok(content)
}

/// Begun when the content is there already.
pub fn later() -> Result<()> {
    let sensor = guarding()?;
    let (source, target) = prepare()?;
    (&source).write_all(CONTENT)?;
    let file = File::create(TAKEN)?;
    let (near, mut far) = UnixStream::pair()?;
    far.set_nonblocking(true)?;
    ensure!(fifo::is_refused(&splice(&source, &file)), "a file was spliced into");
    ensure!(fifo::is_refused(&splice(&source, &near)), "a socket was spliced into");
    ensure!(fifo::is_refused(&sendfile(&source, &file)), "sendfile was not refused");
    ensure!(file.metadata()?.len() == 0, "something was written");
    let received = far.read(&mut [0]);
    ensure!(received.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock), "received: {received:?}");

    fs::write(TAKEN, [0; ROOM])?;
    let killed = kept(&sensor, Kept::Killed)?;
    let status = ended(taker("vmsplice")?)?;
    ensure!(status.signal() == Some(libc::SIGKILL), "vmsplice ended with {status}");
    ensure!(!taken()?, "vmsplice took the content before it was killed");
    ensure!(kept(&sensor, Kept::Killed)? == killed + 1, "it is not counted");

    // Into pipes: the mark goes along.
    let (third, writer) = fifo::pipe()?;
    tee(&source, &target)?;
    splice(&source, &writer)?;
    ensure!(is_guarded(&source) && is_guarded(&target) && is_guarded(&third), "the content came through a pipe");
    ensure!(sensor.client()?.quarantine()?.len() == 3, "not three are marked: {:?}", sensor.client()?.quarantine()?);
    released()?;
    ensure!(content(&target)? == CONTENT && content(&third)? == CONTENT, "something else was kept");
    shared::park(sensor);
    Ok(())
}

/// Asleep when the content comes.
pub fn asleep() -> Result<()> {
    let sensor = guarding()?;
    for way in ["splice-to-pipe", "tee"] {
        let (mut source, target) = prepare()?;
        let taker = sleeping(way)?;
        source.write_all(CONTENT)?;
        let status = ended(taker)?;
        ensure!(status.success(), "{way} ended with {status}");
        ensure!(is_guarded(&target), "{way}: the content came through");
        released()?;
        ensure!(content(&target)? == CONTENT, "{way}: something else was kept");
    }
    for way in ["splice-to-file", "vmsplice"] {
        let (mut source, _) = prepare()?;
        let taker = sleeping(way)?;
        source.write_all(CONTENT)?;
        let status = ended(taker)?;
        // Some kernels ask once more before they write to a file: then it is refused.
        let refused = way == "splice-to-file" && !status.success() && !taken()?;
        ensure!(refused || status.signal() == Some(libc::SIGKILL), "{way} ended with {status}");
        released()?;
    }
    shared::park(sensor);
    Ok(())
}

/// Asleep when the content comes, and by then the number of the descriptor means another pipe: what is guarded is
/// the file that the call holds.
pub fn swapped() -> Result<()> {
    let sensor = guarding()?;
    let (mut source, _target) = prepare()?;
    for left in [SWAP, SWAPPED] {
        fs::remove_file(left).ok();
    }
    let taker = sleeping("vmsplice-swapped")?;
    fs::write(SWAP, [])?;
    work::wait_for(SWAPPED.as_ref());
    source.write_all(CONTENT)?;
    let status = ended(taker)?;
    ensure!(status.signal() == Some(libc::SIGKILL), "vmsplice ended with {status}");
    released()?;
    shared::park(sensor);
    Ok(())
}

/// A process that sleeps on the way, until there is something to take.
fn sleeping(way: &str) -> Result<Child> {
    let taker = taker(way)?;
    let call = match way {
        "tee" => libc::SYS_tee,
        "vmsplice" | "vmsplice-swapped" => libc::SYS_vmsplice,
        _ => libc::SYS_splice,
    };
    wait::asleep_in(taker.id(), call)?;
    Ok(taker)
}
