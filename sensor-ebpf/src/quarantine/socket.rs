//! Unix sockets: the one that receives is in quarantine, from before the message is in it.
//!
//! A connected stream or sequenced-packet socket knows the receiving one, accepted or not, and holds it until
//! it is closed itself. A datagram goes to whoever its address names: the kernel asks whether it may be sent
//! there when it has found out and holds the receiver's lock, so the mark waits for that with the task that
//! sends.
//!
//! A receiver over whom the sender has no power is not put in quarantine: the message is refused instead.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::{fexit, map},
    maps::HashMap,
    programs::FExitContext,
};
use sensor_common::maps::{Kept, Mark, ObjectKey};

use super::{QUARANTINE, is_kept, keep, kill_if_kept, mark, owner};
use crate::{
    brakes,
    hook::{Context, lsm_guard},
    kernel::{
        FILE_PRIVATE_DATA, INODE_I_INO, Ptr, SK_SOCKET, SOCKET_ALLOC_INODE, SOCKET_SK, SOCKET_TYPE, Struct, UNIX_PEER,
        member, probe, probe_ptr,
    },
    maps::{SETTINGS, count_kept},
    object::File,
    record::Held,
    stage::{ALLOW, DENY},
};

const SOCK_STREAM: u16 = 1;
const SOCK_DGRAM: u16 = 2;
const SOCK_SEQPACKET: u16 = 5;

/// How many datagrams can be on their way at once.
const DATAGRAMS_MAX: u32 = 4096;

/// Marks of datagrams whose receiver is not known yet, by the sending task.
#[map]
static DATAGRAMS: HashMap<u64, Mark> = HashMap::with_max_entries(DATAGRAMS_MAX, 0);

/// Puts the socket that receives what is sent through a unix socket into quarantine.
#[inline(always)]
pub fn mark_receiver(held: &Held, socket: Struct, sk: Struct) {
    if socket.get::<u16>(&SOCKET_TYPE) == SOCK_DGRAM {
        if DATAGRAMS.insert(&bpf_get_current_pid_tgid(), &mark(held, 0, 0), 0).is_err() {
            count_kept(Kept::Full);
        }
        return;
    }
    // Where there is none, nothing can be sent.
    if let Some(peer) = probe_ptr(member(sk.base, &UNIX_PEER)).filter(|peer| !peer.is_null()) {
        let inode = probe_ptr(member(peer, &SK_SOCKET)).map_or(0, inode_of);
        keep(&ObjectKey::socket(peer as u64), &mark(held, inode, 0));
    }
}

/// Whether the socket at the other end is another user's, as the kernel noted when the two were connected.
/// Whose a datagram's receiver is, is known only where the kernel asks whether it may be sent there.
#[inline(always)]
pub fn is_anothers_peer(socket: Struct, sk: Struct) -> bool {
    if socket.get::<u16>(&SOCKET_TYPE) == SOCK_DGRAM {
        return false;
    }
    let (uid, euid) = owner::current();
    owner::is_anothers(owner::acting(uid, euid), owner::of_peer(sk))
}

/// The inode number of a `struct socket`; 0 where there is none.
#[inline(always)]
fn inode_of(socket: Ptr) -> u64 {
    if socket.is_null() {
        return 0;
    }
    probe(member(member(socket, &SOCKET_ALLOC_INODE), &INODE_I_INO)).unwrap_or(0)
}

/// The key of an open file that is a socket, of any family.
#[inline(always)]
pub fn of_file(file: Struct) -> Option<ObjectKey> {
    if !File::new(file).is_socket() {
        return None;
    }
    let socket = file.get::<u64>(&FILE_PRIVATE_DATA) as Ptr;
    probe_ptr(member(socket, &SOCKET_SK)).map(|sk| ObjectKey::socket(sk as u64))
}

#[inline(always)]
fn key(socket: Struct) -> ObjectKey {
    ObjectKey::socket(socket.get(&SOCKET_SK))
}

lsm_guard! {
    /// `int socket_recvmsg(struct socket *sock, struct msghdr *msg, int size, int flags)`
    quarantine_receive, "socket_recvmsg", receives
}

#[inline(always)]
fn receives<C: Context>(ctx: &C) -> i32 {
    let socket = Struct::typed(ctx.arg(0));
    let key = key(socket);
    if !is_kept(&key, Kept::Denied) {
        return ALLOW;
    }
    // Marked before it was accepted.
    if let Some(mark) = QUARANTINE.get_ptr_mut(&key) {
        // SAFETY: a map value, live as long as the program; the number is written whole, and is the same
        // whoever writes it.
        unsafe {
            if (*mark).inode == 0 {
                (*mark).inode = inode_of(socket.base);
            }
        }
    }
    DENY
}

/// A receiver that slept when the message came.
#[inline(always)]
fn received(ctx: &FExitContext, kind: u16) {
    let socket = Struct::typed(ctx.arg(0));
    // Packets are received by the function for datagrams: each counts once.
    if ctx.arg::<i32>(4) > 0 && socket.get::<u16>(&SOCKET_TYPE) == kind {
        kill_if_kept(&key(socket));
    }
}

/// `int unix_stream_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags)`, where it returns
#[fexit]
pub fn quarantine_stream_received(ctx: FExitContext) -> i32 {
    received(&ctx, SOCK_STREAM);
    0
}

/// `int unix_dgram_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags)`, where it returns
#[fexit]
pub fn quarantine_datagram_received(ctx: FExitContext) -> i32 {
    received(&ctx, SOCK_DGRAM);
    0
}

/// `int unix_seqpacket_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags)`, where it returns
#[fexit]
pub fn quarantine_packet_received(ctx: FExitContext) -> i32 {
    received(&ctx, SOCK_SEQPACKET);
    0
}

/// Lets the current process send nothing, unless it is on the lifeline: then the message is neither refused nor kept.
#[inline(always)]
fn refuse() -> i32 {
    let spared = SETTINGS.get(0).is_none_or(|settings| brakes::on_lifeline(settings.sensor));
    count_kept(if spared { Kept::Lifeline } else { Kept::Refused });
    if spared { ALLOW } else { DENY }
}

lsm_guard! {
    /// `int unix_may_send(struct socket *sock, struct socket *other)`: the receiver of a datagram is known.
    quarantine_addressed, "unix_may_send", addressed
}

#[inline(always)]
fn addressed<C: Context>(ctx: &C) -> i32 {
    // SAFETY: the value is copied, and only the task itself changes its entry.
    if let Some(mark) = unsafe { DATAGRAMS.get(&bpf_get_current_pid_tgid()) }.copied() {
        let other = Struct::typed(ctx.arg(1));
        if owner::is_anothers(mark.uid, owner::of_socket(other)) {
            return refuse();
        }
        keep(&key(other), &Mark { inode: inode_of(other.base), ..mark });
    }
    ALLOW
}

/// `int unix_dgram_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)`, where it returns
#[fexit]
pub fn quarantine_sent(_: FExitContext) -> i32 {
    // Most datagrams have no mark.
    let _ = DATAGRAMS.remove(&bpf_get_current_pid_tgid());
    0
}
