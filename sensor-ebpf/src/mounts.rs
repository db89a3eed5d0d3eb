//! Mounts of the host: where a file lies for the host, whatever a user mounts in a user namespace.
//!
//! Any user can make a user namespace with mounts of its own, and so give a file of the host another path.
//! What is opened there is looked for among the mounts that the host itself has of the same file system
//! ([`find_host_mounts`]): from the top of the mount that it was opened in upwards, the first directory that
//! the host has mounted too counts ([`enter_host`]). A file system that the host has not mounted keeps the
//! path that the user gave it.

use crate::{
    kernel::{
        HOST_MOUNT_NAMESPACE, MNT_NS_INUM, MNT_NS_USER_NS, MOUNT_INSTANCE, MOUNT_MNT, MOUNT_MNT_NS, MOUNT_NEXT, Ptr,
        SB_S_MAGIC, SB_S_MOUNTS, SB_S_ROOT, VFSMOUNT_MNT_ROOT, VFSMOUNT_MNT_SB, has, member, probe, probe_ptr, value,
    },
    maps::SCRATCH,
    scratch::{HOSTS, Host, Scratch},
    user,
};

/// `MQUEUE_MAGIC`: the file system of POSIX message queues.
pub const MQUEUE: u64 = 0x1980_0202;

/// Mounts that the verifier goes through at once.
const STEPS: u32 = 8;
/// How many times that: of more mounts of one file system the rest is not looked at, and the path is unknown.
const ROUNDS: u32 = 512;
/// In place of the next mount, where that could not be read: somebody took the last one away meanwhile.
const LOST: u64 = 1;
/// Errors in place of pointers are as large: `include/linux/err.h`. The kernel's own mounts have one as their
/// namespace.
const ERRORS: u64 = 0u64.wrapping_sub(4095);

/// What [`find_host_mounts`] answers.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Found {
    /// The mount is no user's, or the host has none of this file system: the path is as the process sees it.
    Own = 0,
    /// The host's mounts are in the scratch area.
    Host = 1,
    /// Not all mounts of the file system could be looked at.
    Unsure = 2,
}

/// The `struct mount` around a `struct vfsmount`.
#[inline(always)]
pub fn around(mnt: Ptr) -> Ptr {
    mnt.wrapping_sub(value(&MOUNT_MNT) as usize)
}

/// The `struct mnt_namespace` that a `struct mount` is in: null where it was taken out of one, an error where it is the
/// kernel's own.
#[inline(always)]
pub fn namespace(mount: Ptr) -> Option<Ptr> {
    probe_ptr(member(mount, &MOUNT_MNT_NS))
}

/// Whether the host's own user namespace owns this `struct mnt_namespace`.
#[inline(always)]
pub fn is_owned_by_host(namespace: Ptr) -> Option<bool> {
    probe_ptr(member(namespace, &MNT_NS_USER_NS)).map(user::is_host)
}

/// Whether this `struct mnt_namespace` is the one that the host's first process is in.
#[inline(always)]
fn is_of_host(namespace: Ptr) -> bool {
    probe::<u32>(member(namespace, &MNT_NS_INUM)) == Some(value(&HOST_MOUNT_NAMESPACE))
}

/// Whether a mount is one that a user may have made: it is of a namespace that a user owns, or was taken out of one.
#[inline(always)]
fn is_of_user(mnt: Ptr) -> Option<bool> {
    let namespace = namespace(around(mnt))?;
    if namespace.is_null() {
        return Some(!is_of_queues(mnt));
    }
    if namespace as u64 >= ERRORS {
        return Some(false);
    }
    is_owned_by_host(namespace).map(|is_owned| !is_owned)
}

/// Whether a mount without a parent was taken out of its tree (`umount -l`): its top is nobody's root.
#[inline(always)]
pub fn is_detached(mnt: Ptr, mount: Ptr) -> bool {
    namespace(mount).is_none_or(|namespace| namespace.is_null()) && !is_of_queues(mnt)
}

/// Whether it is a mount of message queues: they are opened in one that never was in a tree.
#[inline(always)]
fn is_of_queues(mnt: Ptr) -> bool {
    let magic = probe_ptr(member(mnt, &VFSMOUNT_MNT_SB)).and_then(|sb| probe::<u64>(member(sb, &SB_S_MAGIC)));
    magic == Some(MQUEUE)
}

/// Looks for the host's mounts of the file system that the scratch area's mount is of, where that mount is a
/// user's. A [`Found`]. A global function to the verifier, which goes through it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn find_host_mounts(slot: u32) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(slot) else { return Found::Own as u32 };
    // SAFETY: a live map value; whoever calls holds the slot.
    let scratch = unsafe { &mut *scratch };
    scratch.hosts_found.set(0);
    let mnt = scratch.mnt.get() as Ptr;
    if value(&HOST_MOUNT_NAMESPACE) == 0 {
        return Found::Own as u32;
    }
    match is_of_user(mnt) {
        Some(true) => {}
        Some(false) => return Found::Own as u32,
        None => return Found::Unsure as u32,
    }
    let Some(sb) = probe_ptr(member(mnt, &VFSMOUNT_MNT_SB)) else { return Found::Unsure as u32 };
    scratch.file_system.set(sb as u64);
    scratch.next_mount.set(probe_ptr(member(sb, &SB_S_MOUNTS)).map_or(LOST, |first| first as u64));
    for _ in 0..ROUNDS {
        if find_on(slot) == 0 {
            break;
        }
    }
    match (scratch.hosts_found.get(), scratch.next_mount.get()) {
        (0, 0) => Found::Own as u32,
        (_, 0) => Found::Host as u32,
        _ => Found::Unsure as u32,
    }
}

/// Looks at [`STEPS`] more mounts; 0 where there is nothing more to do. A function of its own for the same
/// reason.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_on(slot: u32) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(slot) else { return 0 };
    // SAFETY: as above.
    let scratch = unsafe { &mut *scratch };
    for _ in 0..STEPS {
        if !look_at_next(scratch) {
            return 0;
        }
    }
    1
}

/// False behind the last mount.
#[inline(always)]
fn look_at_next(scratch: &mut Scratch) -> bool {
    let (next, sb) = (scratch.next_mount.get(), scratch.file_system.get() as Ptr);
    // Until 6.17 a list of the common kind, whose end is its head and in which the oldest mount is first.
    let is_list = has(&MOUNT_INSTANCE);
    if next == LOST {
        return false;
    }
    if next == 0 || (is_list && next == member(sb, &SB_S_MOUNTS) as u64) {
        scratch.next_mount.set(0);
        return false;
    }
    let mount = if is_list { next.wrapping_sub(u64::from(value(&MOUNT_INSTANCE))) } else { next } as Ptr;
    scratch.next_mount.set(probe_ptr(member(mount, &MOUNT_NEXT)).map_or(LOST, |next| next as u64));
    if namespace(mount).is_some_and(is_of_host) {
        remember(scratch, member(mount, &MOUNT_MNT), is_list);
    }
    true
}

/// Remembers a mount of the host: of several of one directory the oldest.
#[inline(always)]
fn remember(scratch: &mut Scratch, mnt: Ptr, is_oldest_first: bool) {
    let root = probe_ptr(member(mnt, &VFSMOUNT_MNT_ROOT)).map_or(0, |root| root as u64);
    let mut free = scratch.hosts_found.get() as usize;
    for index in 0..HOSTS {
        if index < scratch.hosts_found.get() as usize && scratch.hosts[index].root == root {
            if is_oldest_first {
                return;
            }
            free = index;
            break;
        }
    }
    if free >= HOSTS {
        // The last place is that of the whole file system.
        let whole = probe_ptr(member(scratch.file_system.get() as Ptr, &SB_S_ROOT)).map_or(0, |root| root as u64);
        if root != whole {
            return;
        }
        free = HOSTS - 1;
    }
    scratch.hosts[free & (HOSTS - 1)] = Host { root, mnt: mnt as u64 };
    if free as u32 >= scratch.hosts_found.get() {
        scratch.hosts_found.set(free as u32 + 1);
    }
}

/// Goes over to the host's mount whose top the walk has reached, if there is one. A function of its own for
/// the same reason.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn enter_host(slot: u32) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(slot) else { return 0 };
    // SAFETY: as above.
    let scratch = unsafe { &mut *scratch };
    let dentry = scratch.dentry.get();
    // Below the top of the mount that the file was opened in, the host may have mounted something else.
    if dentry == scratch.user_root.get() {
        scratch.user_root.set(0);
    }
    if scratch.user_root.get() != 0 {
        return 0;
    }
    for index in 0..HOSTS {
        let host = scratch.hosts[index];
        if index < scratch.hosts_found.get() as usize && host.root == dentry {
            scratch.mnt.set(host.mnt);
            scratch.root.set(dentry);
            scratch.hosts_found.set(0);
            return 1;
        }
    }
    0
}
