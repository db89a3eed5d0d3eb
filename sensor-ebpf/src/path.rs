//! The path of a dentry from the root of its mount tree. If a user has mounted one of the host's file systems again,
//! it is the path on the host ([`mounts`]).
//!
//! `bpf_d_path` is not allowed in `path_mknod` and `file_permission` (nor in any LSM hook of 5.10), so the
//! tree is walked here, from the leaf up: components are written from the end of a scratch area towards its
//! start, then the result is kept, whole or by both of its ends. What does not reach the root is unknown: the
//! end of a path never looks like its beginning.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_kernel_str};
use sensor_common::{
    maps::Loss,
    record::{TEXT_MAX, Text},
};

use crate::{
    asm,
    kernel::{
        DENTRY_D_PARENT, MOUNT_MNT, MOUNT_MNT_MOUNTPOINT, MOUNT_MNT_PARENT, Ptr, VFSMOUNT_MNT_ROOT, member, probe_ptr,
    },
    maps::{SCRATCH, count_loss},
    memory::Memory,
    mounts::{self, Found},
    scratch::{Node, ROOM, Scratch},
    text,
};

/// `NAME_MAX` of the kernel, and its mask.
const NAME_MAX: usize = 255;
/// Steps up (components and mount points) that the verifier goes through at once.
const STEPS: u32 = 32;
/// How many times that: a path of `PATH_MAX` bytes has at most 2,048 components, and as many mounts may lie on the way.
pub const ROUNDS: u32 = 128;

/// Writes the path of `dentry` in the mount of `mnt` (a `struct vfsmount *`) into `text`.
///
/// A path that cannot be followed to its root (detached, longer than `PATH_MAX`, unreadable) is unknown, and counted as
/// [`Loss::PathCut`].
#[inline(always)]
pub fn fill(text: &mut Text<TEXT_MAX>, scratch: &mut Scratch, dentry: Ptr, mnt: Ptr) {
    scratch.dentry.set(dentry as u64);
    scratch.mnt.set(mnt as u64);
    begin(scratch);
    walk_path(scratch.slot());
    keep(text, scratch);
}

/// A string in the memory of the process or the kernel.
#[derive(Clone, Copy)]
pub struct Name {
    pub memory: Memory,
    pub from: Ptr,
    /// How many bytes it may have with the NUL that ends it, and where it has none: at most [`NAME_ROOM`].
    pub room: usize,
}

/// Longest name that is followed, with its NUL.
pub const NAME_ROOM: usize = NAME_MAX + 1;

/// Writes the path of what `name` says from `dentry` on: as it is given, so that symbolic links and `..` in it
/// stay. One that begins with `/` must be given the root to begin at.
///
/// One that does not fit into [`NAME_ROOM`] is unknown, and counted as [`Loss::PathCut`].
#[inline(always)]
pub fn fill_below(text: &mut Text<TEXT_MAX>, scratch: &mut Scratch, dentry: Ptr, mnt: Ptr, name: Name) {
    scratch.dentry.set(dentry as u64);
    scratch.mnt.set(mnt as u64);
    begin(scratch);
    if put_name(scratch, name) {
        walk_path(scratch.slot());
    }
    keep(text, scratch);
}

/// No path yet.
#[inline(always)]
pub fn begin(scratch: &mut Scratch) {
    scratch.start.set(ROOM as u32);
    scratch.whole.set(0);
}

/// The path has reached the root, which alone is `/`.
#[inline(always)]
pub fn end(scratch: &mut Scratch) {
    if start(scratch) == ROOM {
        put(scratch, b'/');
    }
    scratch.whole.set(1);
}

/// Keeps the path that was built, and counts one that is not whole.
#[inline(always)]
pub fn keep(text: &mut Text<TEXT_MAX>, scratch: &mut Scratch) {
    if scratch.whole.get() == 0 {
        text::unknown(text, scratch);
        count_loss(Loss::PathCut);
        return;
    }
    let start = start(scratch);
    let from = scratch.bytes.as_ptr().wrapping_add(start);
    text::keep(text, scratch, Memory::Kernel, from, ROOM.wrapping_sub(start) as u32);
}

/// Builds the path in the scratch area of this slot.
///
/// A global function to the verifier: it goes through it once, whoever calls it and how often, and learns
/// nothing from a call. (As part of each program it was what the verifier gave up on.)
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_path(slot: u32) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(slot) else { return 0 };
    // SAFETY: a live map value; whoever calls holds the slot.
    let scratch = unsafe { &mut *scratch };
    let found = mounts::find_host_mounts(slot);
    if found == Found::Unsure as u32 {
        return 0;
    }
    let Some(root) = probe_ptr(member(scratch.mnt.get() as Ptr, &VFSMOUNT_MNT_ROOT)) else { return 0 };
    // Up to a mount of the host nothing that the user mounted counts.
    scratch.user_root.set(root as u64);
    scratch.root.set(if found == Found::Host as u32 { 0 } else { root as u64 });
    for _ in 0..ROUNDS {
        if walk_on(slot) == 0 {
            break;
        }
    }
    0
}

/// Goes [`STEPS`] up; 0 where there is nothing more to do. A function of its own for the same reason.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_on(slot: u32) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(slot) else { return 0 };
    // SAFETY: as above.
    let scratch = unsafe { &mut *scratch };
    for _ in 0..STEPS {
        if scratch.hosts_found.get() != 0 {
            mounts::enter_host(slot);
        }
        let dentry = scratch.dentry.get();
        let go_on = if dentry == scratch.root.get() { cross(scratch) } else { step(scratch, dentry as Ptr) };
        if !go_on {
            return 0;
        }
    }
    1
}

/// From the top of a mount to where it is mounted; false at the root of the tree.
#[inline(always)]
fn cross(scratch: &mut Scratch) -> bool {
    let mount = mounts::around(scratch.mnt.get() as Ptr);
    let Some(parent) = probe_ptr(member(mount, &MOUNT_MNT_PARENT)) else { return false };
    if parent == mount {
        if !mounts::is_detached(scratch.mnt.get() as Ptr, mount) {
            end(scratch);
        }
        return false;
    }
    let mnt = member(parent, &MOUNT_MNT);
    let (Some(mountpoint), Some(root)) =
        (probe_ptr(member(mount, &MOUNT_MNT_MOUNTPOINT)), probe_ptr(member(mnt, &VFSMOUNT_MNT_ROOT)))
    else {
        return false;
    };
    scratch.dentry.set(mountpoint as u64);
    scratch.mnt.set(mnt as u64);
    scratch.root.set(root as u64);
    true
}

/// Puts the name of `dentry` in front of the path, and goes to its parent; false where there is none or no room.
#[inline(always)]
fn step(scratch: &mut Scratch, dentry: Ptr) -> bool {
    // Parent and name lie side by side: one call of the helper for both.
    // SAFETY: the destination has the size given; the helper cannot fault on the source.
    let status = unsafe {
        let to = (&raw mut scratch.node).cast();
        bpf_probe_read_kernel(to, size_of::<Node>() as u32, member(dentry, &DENTRY_D_PARENT).cast())
    };
    if status != 0 {
        return false;
    }
    let parent = scratch.node.parent.get();
    let is_first = start(scratch) == ROOM;
    let (name, length) = (scratch.node.name.get() as Ptr, scratch.node.length.get() as usize & NAME_MAX);
    if !put_bytes(scratch, name, length) {
        return false;
    }
    if parent == dentry as u64 {
        // Its own parent and not the top of its mount: an object without a directory, such as a memfd; or
        // else one of a file system that is called `/` as long as its directory is not known, or a directory
        // that is detached from the tree.
        let first = scratch.bytes[start(scratch).wrapping_add(1) & (ROOM - 1)];
        scratch.whole.set(u32::from(is_first && first != b'/'));
        return false;
    }
    scratch.dentry.set(parent);
    true
}

/// Puts `/` and a string in front of the path; false where there is no room or it is unreadable.
#[inline(always)]
pub fn put_string(scratch: &mut Scratch, string: Ptr) -> bool {
    // SAFETY: `NAME_MAX + 1` bytes lie behind `ROOM`; the helper cannot fault on the source.
    let length = unsafe {
        let to = scratch.bytes.as_mut_ptr().add(ROOM);
        bpf_probe_read_kernel_str(to.cast(), NAME_MAX as u32 + 1, string.cast())
    };
    let copied = scratch.bytes.as_ptr().wrapping_add(ROOM);
    length > 1 && put_bytes(scratch, copied, (length - 1) as usize & NAME_MAX)
}

/// Puts a path in front: without a `/` or `./` that it begins with. False where it is empty,
/// unreadable or too long.
#[inline(always)]
fn put_name(scratch: &mut Scratch, name: Name) -> bool {
    let room = asm::bounded(name.room, NAME_ROOM);
    // SAFETY: `NAME_ROOM` bytes lie behind `ROOM`.
    let length = unsafe { name.memory.copy_string(scratch.bytes.as_mut_ptr().add(ROOM), room, name.from) } as usize;
    if length > NAME_MAX {
        // An error, or as long as there is room: perhaps it was cut.
        return false;
    }
    let skipped = match (scratch.bytes[ROOM], scratch.bytes[ROOM + 1]) {
        (b'/', _) => 1,
        (b'.', b'/') => 2,
        _ => 0,
    };
    scratch.length.set((length as u64).wrapping_sub(1 + skipped));
    scratch.from.set((scratch.bytes.as_ptr() as u64).wrapping_add(ROOM as u64 + skipped));
    let (from, length) = (scratch.from.get() as Ptr, scratch.length.get() as usize);
    // Empty, or an error.
    if length == 0 || length > NAME_MAX {
        return false;
    }
    put_bytes(scratch, from, asm::bounded(length, NAME_MAX))
}

/// Puts `/` and `length` bytes, at most [`NAME_MAX`], in front of the path; false where there is no room or they are
/// unreadable.
#[inline(always)]
fn put_bytes(scratch: &mut Scratch, name: Ptr, length: usize) -> bool {
    let start = start(scratch);
    if start <= length {
        return false;
    }
    let start = (start - length) & (ROOM - 1);
    // SAFETY: `start < ROOM` and `length <= NAME_MAX`, so the write ends inside the scratch area.
    let status = unsafe {
        let to = scratch.bytes.as_mut_ptr().add(start);
        bpf_probe_read_kernel(to.cast(), length as u32, name.cast())
    };
    if status != 0 {
        return false;
    }
    scratch.start.set(start as u32);
    put(scratch, b'/');
    true
}

/// Where the path starts: at most [`ROOM`]. Masked, because a comparison would give the verifier two ways to follow.
#[inline(always)]
fn start(scratch: &Scratch) -> usize {
    scratch.start.get() as usize & (2 * ROOM - 1)
}

/// Puts one byte in front of the path.
#[inline(always)]
fn put(scratch: &mut Scratch, byte: u8) {
    let start = start(scratch).wrapping_sub(1) & (ROOM - 1);
    scratch.bytes[start] = byte;
    scratch.start.set(start as u32);
}
