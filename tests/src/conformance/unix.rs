//! Unix sockets: streams with a path, datagrams, abstract names, pairs; by each call that sends or receives.

use std::{mem, os::fd::RawFd, path::Path, ptr};

use anyhow::Result;
use sensor_common::event::Event::{
    PipeReceive, PipeSplice, UnixAccept, UnixBind, UnixConnect, UnixCopied, UnixCreate, UnixDatagram, UnixListen,
    UnixPair, UnixReceive, UnixSend,
};
use serde_json::json;

use super::{
    call::{Room, call, segments, syscall},
    gaps,
    known::{self, Values, values},
    pipe::{Pipe, moved},
    plan::{Plan, Seen, seen},
    setting::{EFFECTIVE_USER, PAYLOAD, at},
};

/// An address, and how long it is.
#[derive(Clone, Copy)]
pub struct Address(libc::sockaddr_un, pub u32);

impl Address {
    /// A path with its NUL, or an abstract name where it begins with one.
    fn new(name: &[u8]) -> Self {
        // SAFETY: a number and an array of numbers, for which all bits at zero are a value.
        let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
        address.sun_family = 1;
        for (to, from) in address.sun_path.iter_mut().zip(name) {
            *to = from.cast_signed();
        }
        let ends = usize::from(name.first() != Some(&0));
        let length = mem::offset_of!(libc::sockaddr_un, sun_path) + name.len() + ends;
        Self(address, u32::try_from(length).unwrap_or(0))
    }

    /// A path.
    pub fn path(path: &Path) -> Self {
        Self::new(path.as_os_str().as_encoded_bytes())
    }

    /// As it lies in memory.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: a number and an array of numbers without padding, of which the first `self.1` bytes are
        // within the struct.
        unsafe { std::slice::from_raw_parts((&raw const self.0).cast(), self.1 as usize) }
    }

    /// Where it begins.
    pub fn start(&self) -> *const libc::sockaddr {
        (&raw const self.0).cast()
    }
}

/// What is known of a socket by its address: as the sensor shows it.
pub fn addressed(kind: i32, path: &str) -> Values {
    let is_abstract = path.starts_with('@');
    values([
        ("socket_type", json!(kind)),
        ("path", json!(path)),
        ("address", json!(path)),
        ("abstract", json!(is_abstract)),
    ])
}

/// The file of a socket that is made by `bind`, without an umask.
pub fn made(path: &str) -> Seen {
    seen(UnixCreate, &values([("path", json!(path)), ("mode", json!(libc::S_IFSOCK | 0o777))]))
}

/// The same, connected to a process.
pub fn connected(kind: i32, path: &str, pid: u32) -> Values {
    let user = if pid == 0 { 0 } else { EFFECTIVE_USER };
    known::all([&addressed(kind, path), &values([("peer.pid", json!(pid)), ("peer.uid", json!(user))])])
}

/// A socket without an address.
pub fn socket(kind: i32) -> Result<RawFd> {
    Ok(i32::try_from(call!(socket(libc::AF_UNIX, kind, 0))?)?)
}

/// Two connected sockets.
pub fn pair(kind: i32) -> Result<[RawFd; 2]> {
    let mut ends = [0; 2];
    call!(socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()))?;
    Ok(ends)
}

fn bound(kind: i32, address: &Address) -> Result<RawFd> {
    let fd = socket(kind)?;
    call!(bind(fd, address.start(), address.1))?;
    Ok(fd)
}

/// What is seen of [`PAYLOAD`] when it is sent.
pub fn sent(socket: &Values) -> Seen {
    seen(UnixSend, &known::all([socket, &known::payload(PAYLOAD)]))
}

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan) -> Result<()> {
    for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET] {
        let none = values([("socket_type", json!(kind)), ("address", json!("")), ("abstract", json!(false))]);
        plan.step("socketpair", vec![seen(UnixPair, &none)], move || pair(kind).map(drop));
    }
    let path = at("stream").to_string_lossy().into_owned();
    connection(plan, libc::SOCK_STREAM, &path, Address::new(path.as_bytes()))?;
    connection(plan, libc::SOCK_SEQPACKET, "@a known name", Address::new(b"\0a known name"))?;
    stranger(plan)?;
    datagrams(plan)?;
    sends(plan)?;
    receives(plan)?;
    descriptors(plan)?;
    splice(plan)
}

/// From bind to the first bytes in both directions.
fn connection(plan: &mut Plan, kind: i32, path: &str, address: Address) -> Result<()> {
    let (server, client) = (socket(kind)?, socket(kind)?);
    let named = addressed(kind, path);
    let made = (!path.starts_with('@')).then(|| made(path));
    plan.step("bind", [seen(UnixBind, &named)].into_iter().chain(made).collect(), move || {
        call!(bind(server, address.start(), address.1)).map(drop)
    });
    plan.step("listen", vec![seen(UnixListen, &named)], move || call!(listen(server, 1)).map(drop));
    plan.step("connect", vec![seen(UnixConnect, &named)], move || {
        call!(connect(client, address.start(), address.1)).map(drop)
    });
    let accepted = 500 + kind;
    plan.step("accept4", vec![seen(UnixAccept, &named)], move || {
        let fd = call!(accept4(server, ptr::null_mut(), ptr::null_mut(), 0))?;
        call!(dup2(i32::try_from(fd)?, accepted)).map(drop)
    });
    let both = connected(kind, path, std::process::id());
    for (from, to) in [(client, accepted), (accepted, client)] {
        plan.step("send", vec![sent(&both)], move || {
            call!(send(from, PAYLOAD.as_ptr().cast(), PAYLOAD.len(), 0)).map(drop)
        });
        plan.step("recv", vec![seen(UnixReceive, &both)], move || {
            call!(recv(to, Room::new(PAYLOAD.len()).start(), PAYLOAD.len(), 0)).map(drop)
        });
    }
    Ok(())
}

/// A connection to another process.
fn stranger(plan: &mut Plan) -> Result<()> {
    let path = at("stranger");
    let address = Address::path(&path);
    let server = bound(libc::SOCK_STREAM, &address)?;
    let child = plan.child(move || {
        call!(listen(server, 1))?;
        Ok(0)
    })?;
    let client = socket(libc::SOCK_STREAM)?;
    let named = addressed(libc::SOCK_STREAM, &path.to_string_lossy());
    let both = connected(libc::SOCK_STREAM, &path.to_string_lossy(), child.pid);
    let exit = super::plan::by(child.actor, sensor_common::event::Event::ProcessExit, &Values::new());
    let listens = super::plan::by(child.actor, UnixListen, &named);
    plan.step("listen by another process", vec![listens, exit.with("exit_status", 0)], move || child.run().map(drop));
    plan.step("connect to another process", vec![seen(UnixConnect, &named)], move || {
        call!(connect(client, address.start(), address.1)).map(drop)
    });
    plan.step("send to another process", vec![sent(&both)], move || {
        call!(send(client, PAYLOAD.as_ptr().cast(), PAYLOAD.len(), 0)).map(drop)
    });
    Ok(())
}

fn datagrams(plan: &mut Plan) -> Result<()> {
    let path = at("datagrams");
    let address = Address::path(&path);
    let (server, client) = (bound(libc::SOCK_DGRAM, &address)?, socket(libc::SOCK_DGRAM)?);
    let both = connected(libc::SOCK_DGRAM, &path.to_string_lossy(), 0);
    // Whose address it is shows when the kernel has found it.
    let given = sent(&known::all([&both, &values([("path", known::UNKNOWN)])]));
    let found = seen(UnixDatagram, &addressed(libc::SOCK_DGRAM, &path.to_string_lossy()));
    plan.step("sendto", vec![given.clone(), found.clone()], move || {
        call!(sendto(client, PAYLOAD.as_ptr().cast(), PAYLOAD.len(), 0, address.start(), address.1)).map(drop)
    });
    plan.step("recvfrom", vec![seen(UnixReceive, &both)], move || {
        let mut room = Room::new(PAYLOAD.len());
        call!(recvfrom(server, room.start(), PAYLOAD.len(), 0, ptr::null_mut(), ptr::null_mut())).map(drop)
    });
    let copied = seen(UnixCopied, &known::all([&both, &known::payload(PAYLOAD), &values([("path", known::UNKNOWN)])]));
    plan.gap(&gaps::SENDMMSG, vec![given, found.clone(), copied, found.clone()], move || {
        let parts = segments(&[PAYLOAD]);
        let mut header = header(&parts);
        header.msg_name = address.start().cast_mut().cast();
        header.msg_namelen = address.1;
        let mut both = [libc::mmsghdr { msg_hdr: header, msg_len: 0 }; 2];
        call!(sendmmsg(client, both.as_mut_ptr(), 2, 0)).map(drop)
    });
    let other = socket(libc::SOCK_DGRAM)?;
    plan.step("connect a datagram socket", vec![found], move || {
        call!(connect(other, address.start(), address.1)).map(drop)
    });
    plan.gap(&gaps::RECVMMSG, vec![seen(UnixReceive, &both)], move || {
        let parts = segments(&[]);
        let mut both = [libc::mmsghdr { msg_hdr: header(&parts), msg_len: 0 }; 2];
        call!(recvmmsg(server, both.as_mut_ptr(), 2, 0, ptr::null_mut())).map(drop)
    });
    Ok(())
}

/// A message of these segments.
pub fn header(parts: &[std::io::IoSlice<'_>]) -> libc::msghdr {
    // SAFETY: numbers and pointers, for which all bits at zero are a value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = parts.as_ptr().cast_mut().cast();
    header.msg_iovlen = parts.len();
    header
}

/// Every call that sends through a connected socket.
fn sends(plan: &mut Plan) -> Result<()> {
    let [end, _] = pair(libc::SOCK_STREAM)?;
    let sent = || vec![sent(&connected(libc::SOCK_STREAM, "", std::process::id()))];
    plan.step("write to a socket", sent(), move || syscall!(SYS_write, end, PAYLOAD.as_ptr(), PAYLOAD.len()).map(drop));
    plan.step("writev to a socket", sent(), move || {
        let parts = segments(&[&PAYLOAD[..4], &PAYLOAD[4..]]);
        syscall!(SYS_writev, end, parts.as_ptr(), parts.len()).map(drop)
    });
    plan.step("sendmsg", sent(), move || {
        let parts = segments(&[&PAYLOAD[..4], &PAYLOAD[4..]]);
        let header = header(&parts);
        call!(sendmsg(end, &raw const header, 0)).map(drop)
    });
    plan.step("sendmmsg", [sent(), sent()].concat(), move || {
        let parts = segments(&[PAYLOAD]);
        let mut both = [libc::mmsghdr { msg_hdr: header(&parts), msg_len: 0 }; 2];
        call!(sendmmsg(end, both.as_mut_ptr(), 2, 0)).map(drop)
    });
    Ok(())
}

/// Every call that receives from a connected socket.
fn receives(plan: &mut Plan) -> Result<()> {
    let [end, other] = pair(libc::SOCK_DGRAM)?;
    for _ in 0..4 {
        call!(send(other, PAYLOAD.as_ptr().cast(), PAYLOAD.len(), 0))?;
    }
    let received = || vec![seen(UnixReceive, &connected(libc::SOCK_DGRAM, "", std::process::id()))];
    plan.step("read from a socket", received(), move || {
        syscall!(SYS_read, end, Room::new(PAYLOAD.len()).start(), PAYLOAD.len()).map(drop)
    });
    plan.step("readv from a socket", received(), move || {
        let mut room = Room::new(PAYLOAD.len());
        syscall!(SYS_readv, end, [room.segment()].as_ptr(), 1).map(drop)
    });
    plan.step("recvmsg", received(), move || {
        let mut header = header(&[]);
        call!(recvmsg(end, &raw mut header, 0)).map(drop)
    });
    plan.step("recvmmsg", received(), move || {
        let mut one = [libc::mmsghdr { msg_hdr: header(&[]), msg_len: 0 }];
        call!(recvmmsg(end, one.as_mut_ptr(), 1, 0, ptr::null_mut())).map(drop)
    });
    Ok(())
}

/// A pipe handed over.
fn descriptors(plan: &mut Plan) -> Result<()> {
    let [end, other] = pair(libc::SOCK_STREAM)?;
    let pipe = Pipe::new()?;
    let both = connected(libc::SOCK_STREAM, "", std::process::id());
    plan.step("sendmsg with SCM_RIGHTS", vec![sent(&both)], move || {
        let parts = segments(&[PAYLOAD]);
        let mut rights = Rights::new(pipe.reader);
        let header = rights.attach(header(&parts));
        call!(sendmsg(end, &raw const header, 0)).map(drop)
    });
    let taken = vec![seen(UnixReceive, &both), seen(PipeReceive, &pipe.known)];
    plan.step("recvmsg with SCM_RIGHTS", taken, move || {
        let parts = segments(&[PAYLOAD]);
        let mut room = Room::new(PAYLOAD.len());
        let mut part = room.segment();
        let mut rights = Rights::new(0);
        let mut header = rights.attach(header(&parts));
        header.msg_iov = &raw mut part;
        call!(recvmsg(other, &raw mut header, 0)).map(drop)
    });
    Ok(())
}

/// The control message that hands one descriptor over, as it lies in memory.
#[repr(C)]
pub struct Rights {
    header: libc::cmsghdr,
    fd: RawFd,
    end: u32,
}

impl Rights {
    /// For this descriptor.
    pub fn new(fd: RawFd) -> Self {
        let cmsg_len = mem::offset_of!(Self, fd) + size_of::<RawFd>();
        let header = libc::cmsghdr { cmsg_len, cmsg_level: libc::SOL_SOCKET, cmsg_type: libc::SCM_RIGHTS };
        Self { header, fd, end: 0 }
    }

    /// The descriptor that came, where one did: `recvmsg` says so by the length.
    pub fn received(&self) -> Option<RawFd> {
        (self.fd >= 0).then_some(self.fd)
    }

    /// The header, with this behind it.
    pub fn attach(&mut self, mut header: libc::msghdr) -> libc::msghdr {
        header.msg_control = (&raw mut *self).cast();
        header.msg_controllen = size_of::<Self>();
        header
    }
}

/// Out of a socket without a copy.
fn splice(plan: &mut Plan) -> Result<()> {
    let [end, other] = pair(libc::SOCK_STREAM)?;
    call!(write(other, PAYLOAD.as_ptr().cast(), PAYLOAD.len()))?;
    let pipe = Pipe::new()?;
    plan.gap(&gaps::SPLICE_FROM_SOCKET, vec![seen(PipeSplice, &pipe.known), moved(&pipe.known, PAYLOAD)], move || {
        let none = ptr::null::<i64>();
        syscall!(SYS_splice, end, none, pipe.writer, none, PAYLOAD.len(), 0).map(drop)
    });
    Ok(())
}
