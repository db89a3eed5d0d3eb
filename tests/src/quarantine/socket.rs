//! Unix sockets of each type, connected, named and not accepted yet.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    mem,
    os::{
        fd::{AsRawFd, FromRawFd as _, OwnedFd, RawFd},
        linux::net::SocketAddrExt as _,
        unix::{
            net::{SocketAddr, UnixDatagram, UnixListener, UnixStream},
            process::ExitStatusExt as _,
        },
    },
    path::Path,
    process::{Child, Command, Stdio},
    ptr,
};

use anyhow::{Context, Result, bail, ensure};
use sensor_common::maps::Kept;

use super::setting::{CONTENT, creance, kept, released};
use crate::{
    fifo,
    rules::{self, Draft},
    sensor::Sensor,
    shared, wait, work,
};

const RULE: Draft<'_> = Draft { events: &["unix.send"], ..super::setting::RULE };
/// What a receiver does that got its message.
const OWNED: &str = "/tmp/owned";
const TYPES: [i32; 3] = [libc::SOCK_STREAM, libc::SOCK_SEQPACKET, libc::SOCK_DGRAM];

pub fn guarding() -> Result<Sensor> {
    shared::enforcing(vec![rules::file("kept.yaml", &[RULE])])
}

/// Two connected sockets.
fn pair(kind: i32) -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: there is room for two descriptors.
    let result = unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()) };
    ensure!(result == 0, "socketpair: {}", io::Error::last_os_error());
    // SAFETY: both descriptors are new, open, and nobody else's.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

fn send(socket: &impl AsRawFd) -> Result<()> {
    // SAFETY: an open descriptor and a buffer of this length.
    let sent = unsafe { libc::send(socket.as_raw_fd(), CONTENT.as_ptr().cast(), CONTENT.len(), 0) };
    ensure!(sent.cast_unsigned() == CONTENT.len(), "sent {sent}: {}", io::Error::last_os_error());
    Ok(())
}

/// The ways to receive, each without waiting.
const WAYS: &[&str] = &["recv", "recv with MSG_PEEK", "recvmsg", "recvmmsg", "read", "readv"];

/// Receives; how many bytes, or messages.
fn receive(socket: RawFd, way: &str) -> io::Result<isize> {
    let mut room = [0_u8; CONTENT.len()];
    let mut segment = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    // SAFETY: numbers and pointers, for which all bits at zero are a value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut segment;
    header.msg_iovlen = 1;
    let mut message = libc::mmsghdr { msg_hdr: header, msg_len: 0 };
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: an open descriptor, and room of the lengths given that lives through the call.
    let received = unsafe {
        match way {
            "recv" => libc::recv(socket, room.as_mut_ptr().cast(), room.len(), flags),
            "recv with MSG_PEEK" => libc::recv(socket, room.as_mut_ptr().cast(), room.len(), flags | libc::MSG_PEEK),
            "recvmsg" => libc::recvmsg(socket, &raw mut header, flags),
            "recvmmsg" => libc::recvmmsg(socket, &raw mut message, 1, flags, ptr::null_mut()) as isize,
            "read" => libc::read(socket, room.as_mut_ptr().cast(), room.len()),
            _ => libc::readv(socket, &raw const segment, 1),
        }
    };
    if received < 0 { Err(io::Error::last_os_error()) } else { Ok(received) }
}

/// No way leads to the content; released, it is there.
fn check(what: &str, socket: &impl AsRawFd, sensor: &Sensor) -> Result<()> {
    let fd = socket.as_raw_fd();
    let denied = kept(sensor, Kept::Denied)?;
    for way in WAYS {
        ensure!(fifo::is_refused(&receive(fd, way)), "{what}: {way} was not refused");
    }
    let (reader, writer) = fifo::pipe()?;
    // SAFETY: two open descriptors, no offsets.
    let spliced = unsafe { libc::splice(fd, ptr::null_mut(), writer.as_raw_fd(), ptr::null_mut(), 64, 0) };
    let error = io::Error::last_os_error().raw_os_error();
    // Not every kernel can splice out of every socket.
    ensure!(spliced == -1 && matches!(error, Some(libc::EPERM | libc::EINVAL)), "{what}: spliced {spliced}");
    drop((reader, writer));
    let refused = kept(sensor, Kept::Denied)? - denied;
    ensure!(refused >= WAYS.len() as u64, "{what}: {refused} refusals counted");

    let inode = inode(fd)?;
    let list = creance(&["quarantine", "list"])?;
    ensure!(list.contains(&format!("{inode} ")) && list.contains("socket"), "{what}: {list}");
    creance(&["quarantine", "release", &inode])?;
    let received = receive(fd, "recv").with_context(|| format!("{what}, released"))?;
    ensure!(received.cast_unsigned() == CONTENT.len(), "{what}: {received} bytes were kept");
    ensure!(sensor.client()?.quarantine()?.is_empty(), "{what}: something is left");
    Ok(())
}

/// The number in `socket:[N]`.
fn inode(fd: RawFd) -> Result<String> {
    let link = fs::read_link(format!("/proc/self/fd/{fd}"))?.to_string_lossy().into_owned();
    let inode = link.strip_prefix("socket:[").and_then(|link| link.strip_suffix(']'));
    Ok(inode.with_context(|| format!("{link} is no socket"))?.to_owned())
}

/// Begun when the message is there already.
pub fn later() -> Result<()> {
    let sensor = guarding()?;
    for kind in TYPES {
        let (near, far) = pair(kind)?;
        send(&near)?;
        check(&format!("a pair of type {kind}"), &far, &sensor)?;
        // The other direction is another socket.
        ensure!(receive(near.as_raw_fd(), "recv").is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
    }

    let path = "/tmp/kept-socket";
    fs::remove_file(path).ok();
    let listener = UnixListener::bind(path)?;
    let mut client = UnixStream::connect(path)?;
    client.write_all(CONTENT)?;
    let (mut server, _) = listener.accept()?;
    ensure!(fifo::is_refused(&server.read(&mut [0])), "sent before accept, and received");
    check("sent before accept", &server, &sensor)?;

    let name = SocketAddr::from_abstract_name("kept")?;
    let (receiver, sender) = (UnixDatagram::bind_addr(&name)?, UnixDatagram::unbound()?);
    sender.send_to_addr(CONTENT, &name)?;
    check("a datagram to a name", &receiver, &sensor)?;
    shared::park(sensor);
    Ok(())
}

/// What is closed is in quarantine no more, so that nobody inherits it.
pub fn ends() -> Result<()> {
    let both = Draft { events: &["unix.send", "pipe.payload", "fifo.payload"], ..super::setting::RULE };
    let sensor = shared::enforcing(vec![rules::file("kept.yaml", &[both])])?;
    let count = || Ok::<_, anyhow::Error>(sensor.client()?.quarantine()?.len());
    let path = "/tmp/kept-unaccepted";
    fs::remove_file(path).ok();
    let listener = UnixListener::bind(path)?;
    let mut client = UnixStream::connect(path)?;
    client.write_all(CONTENT)?;
    let pairs = TYPES.iter().map(|kind| pair(*kind)).collect::<Result<Vec<_>>>()?;
    pairs.iter().try_for_each(|(near, _)| send(near))?;
    let (reader, mut writer) = fifo::pipe()?;
    writer.write_all(CONTENT)?;
    fifo::remake("/tmp/kept")?;
    let mut both = fifo::open("/tmp/kept")?;
    both.write_all(CONTENT)?;
    ensure!(count()? == 6, "{} in quarantine, not 6", count()?);
    drop((pairs, listener, client, reader, writer));
    fs::remove_file("/tmp/kept")?;
    drop(both);
    wait::until("everything to be forgotten", || Ok((count()? == 0).then_some(())))?;
    let (near, far) = pair(libc::SOCK_STREAM)?;
    send(&near)?;
    drop(far);
    // Held by its peer.
    ensure!(count()? == 1, "{} in quarantine, not 1", count()?);
    drop(near);
    wait::until("the last one to be forgotten", || Ok((count()? == 0).then_some(())))?;
    shared::park(sensor);
    Ok(())
}

/// The role: receives from its standard input, and does something with it.
///
/// # Errors
/// The kernel's.
pub fn victim(way: &str) -> Result<()> {
    let moved = match way {
        // SAFETY: room of this length.
        "receive" => unsafe { libc::recv(0, [0_u8; 64].as_mut_ptr().cast(), 64, 0) },
        "splice" => {
            let target = fifo::open("/tmp/kept-target")?;
            // SAFETY: two open descriptors, no offsets.
            unsafe { libc::splice(0, ptr::null_mut(), target.as_raw_fd(), ptr::null_mut(), 64, 0) }
        }
        _ => bail!("no such way: {way}"),
    };
    ensure!(moved > 0, "{way}: {}", io::Error::last_os_error());
    Ok(fs::write(OWNED, "")?)
}

/// Asleep when the message comes.
pub fn asleep() -> Result<()> {
    let sensor = guarding()?;
    for kind in TYPES {
        fs::remove_file(OWNED).ok();
        let (near, far) = pair(kind)?;
        let killed = kept(&sensor, Kept::Killed)?;
        let mut victim = start("receive", far)?;
        wait::asleep_in(victim.id(), libc::SYS_recvfrom)?;
        send(&near)?;
        let status = wait::until("the victim to end", || Ok(victim.try_wait()?))?;
        ensure!(status.signal() == Some(libc::SIGKILL), "type {kind}: the victim ended with {status}");
        ensure!(!Path::new(OWNED).exists(), "type {kind}: the victim did something with its message");
        ensure!(kept(&sensor, Kept::Killed)? == killed + 1, "type {kind}: it is not counted once");
    }
    fifo::remake("/tmp/kept-target")?;
    let mut target = fifo::open("/tmp/kept-target")?;
    let (near, far) = pair(libc::SOCK_STREAM)?;
    let mut victim = start("splice", far)?;
    wait::asleep_in(victim.id(), libc::SYS_splice)?;
    send(&near)?;
    wait::until("the victim to end", || Ok(victim.try_wait()?))?;
    ensure!(fifo::is_refused(&target.read(&mut [0])), "the content came through a pipe");
    released()?;
    shared::park(sensor);
    Ok(())
}

pub fn start(way: &str, socket: OwnedFd) -> Result<Child> {
    let mut command = Command::new(work::PROGRAM);
    Ok(command.args(["work", "victim", way]).stdin(Stdio::from(socket)).stderr(Stdio::null()).spawn()?)
}

/// Lengths whose bytes the kernel copies into the buffer itself, into pages, or into both (`unix_stream_sendmsg`).
const LENGTHS: [usize; 9] = [1, 255, 256, 3_776, 3_777, 4_096, 4_100, 8_192, 40_000];

/// Honest messages of every length arrive, after one of whose text the kernel's memory is full.
pub fn honest() -> Result<()> {
    let sensor = guarding()?;
    for kind in TYPES {
        for length in LENGTHS {
            // What was freed is used again: the next message lies where this text was.
            let (kept, _reader) = pair(libc::SOCK_DGRAM)?;
            send(&kept)?;
            drop(kept);
            let (near, far) = pair(kind)?;
            let (mut near, mut far) = (fs::File::from(near), fs::File::from(far));
            near.write_all(&vec![b'.'; length]).with_context(|| format!("type {kind}, {length} bytes"))?;
            let mut received = vec![0; length];
            far.read_exact(&mut received).with_context(|| format!("type {kind}, {length} bytes do not arrive"))?;
            ensure!(received.iter().all(|byte| *byte == b'.'), "type {kind}: another message arrived");
        }
    }
    let forbidden = (LENGTHS.len() * TYPES.len()) as u64;
    ensure!(sensor.reports()?.len() as u64 == forbidden, "honest messages are reported");
    released()?;
    shared::park(sensor);
    Ok(())
}
