//! Whose what is: nobody shuts up or kills another user's reader by what he writes or sends to it.

use crate::{
    kernel::{CRED_EUID, CRED_UID, SK_PEER_CRED, SK_UID, SOCKET_SK, Struct, TASK_REAL_CRED, member, probe, probe_ptr},
    user::ROOT,
};

/// For whom a process with these user ids acts: its real user, or the effective one where the real one is
/// root. So a program that runs as root because its file says so acts for whoever started it.
#[inline(always)]
pub fn acting(uid: u32, euid: u32) -> u32 {
    if uid == ROOT { euid } else { uid }
}

/// Whether `user` has no power over what is of `owner`: as the kernel decides about signals.
#[inline(always)]
pub fn is_anothers(user: u32, owner: u32) -> bool {
    user != ROOT && user != owner
}

/// The real and the effective user id of the current process.
#[inline(always)]
pub fn current() -> (u32, u32) {
    Struct::current_task().to(&TASK_REAL_CRED).map_or((ROOT, ROOT), |cred| (cred.get(&CRED_UID), cred.get(&CRED_EUID)))
}

/// For whom the other end of a connected `struct sock` acted when the two were connected.
#[inline(always)]
pub fn of_peer(sk: Struct) -> u32 {
    let cred = probe_ptr(member(sk.base, &SK_PEER_CRED)).unwrap_or(core::ptr::null());
    probe(member(cred, &CRED_EUID)).unwrap_or(ROOT)
}

/// Who made a `struct socket`.
#[inline(always)]
pub fn of_socket(socket: Struct) -> u32 {
    socket.to(&SOCKET_SK).map_or(ROOT, |sk| sk.get(&SK_UID))
}
