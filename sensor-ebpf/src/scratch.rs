//! Room beside each record to build paths and gather payloads: out of reach of rules.

use sensor_common::{event::Groups, record::TEXT_MAX};

/// Longest path that is followed: `PATH_MAX` of the kernel.
pub const ROOM: usize = 4096;

/// A value that the verifier knows nothing about, because it lies in a map.
///
/// A local would be followed: the verifier tells apart every way on which it got its value, and goes each of
/// them to the end of the program. With three paths to build it gave up after a million instructions. What is
/// kept here looks alike on all ways, so they are one.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Hidden<T>(T);

impl<T: Copy> Hidden<T> {
    /// The value. Volatile, to keep the compiler from remembering what was written.
    #[inline(always)]
    pub fn get(&self) -> T {
        // SAFETY: a reference is valid to read.
        unsafe { core::ptr::read_volatile(&raw const self.0) }
    }

    /// Changes the value.
    #[inline(always)]
    pub fn set(&mut self, value: T) {
        // SAFETY: a unique reference is valid to write.
        unsafe { core::ptr::write_volatile(&raw mut self.0, value) };
    }
}

/// The groups of fields that are to be filled. Read anew for each: what the verifier learned from one test
/// would double its ways through all that follows.
#[derive(Clone, Copy)]
pub struct Wanted(*const Hidden<u32>);

impl Wanted {
    /// Whether all of `groups` are to be filled.
    #[inline(always)]
    pub fn contains(self, groups: Groups) -> bool {
        self.groups().contains(groups)
    }

    /// Whether some of `groups` are: what fills them can be left out where not.
    #[inline(always)]
    pub fn meets(self, groups: Groups) -> bool {
        self.groups().meets(groups)
    }

    #[inline(always)]
    fn groups(self) -> Groups {
        // SAFETY: made from a map value, which lives as long as the program.
        Groups(unsafe { &*self.0 }.get())
    }
}

/// Members of `struct dentry` from `d_parent` on, as user space has made sure that they lie on this kernel.
#[repr(C)]
pub struct Node {
    /// `d_parent`
    pub parent: Hidden<u64>,
    hash: Hidden<u32>,
    /// `d_name.len`
    pub length: Hidden<u32>,
    /// `d_name.name`
    pub name: Hidden<u64>,
}

/// How many of the host's mounts of one file system are remembered, each of another directory: a power of two.
pub const HOSTS: usize = 32;

/// A mount of the host, see [`mounts`](crate::mounts).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Host {
    /// Its top: `struct dentry *`.
    pub root: u64,
    /// `struct vfsmount *`
    pub mnt: u64,
}

/// The room of one record.
#[repr(C, align(8))]
pub struct Scratch {
    /// See [`Wanted`].
    wanted: Hidden<u32>,
    /// Which of the CPU's scratch areas this is.
    slot: Hidden<u32>,
    /// Where the walk up is: `struct dentry *` and `struct vfsmount *`.
    pub dentry: Hidden<u64>,
    pub mnt: Hidden<u64>,
    /// Top of that mount: `struct dentry *`.
    pub root: Hidden<u64>,
    /// What was read of the dentry.
    pub node: Node,
    /// Where the host has mounted the file system, and how many of these are found while the walk is below one.
    pub hosts: [Host; HOSTS],
    pub hosts_found: Hidden<u32>,
    /// Top of the mount that the file was opened in, until the walk has reached it: `struct dentry *`.
    pub user_root: Hidden<u64>,
    /// While they are looked for: `struct super_block *`, and where the next mount is.
    pub file_system: Hidden<u64>,
    pub next_mount: Hidden<u64>,
    /// Where in `bytes` the path starts that grows towards 0.
    pub start: Hidden<u32>,
    /// 1 where the path reaches up to the root.
    pub whole: Hidden<u32>,
    /// Where its pieces lie: the verifier would not let us add to a pointer that it knows the type of.
    pub from: Hidden<u64>,
    /// How many bytes of a payload are gathered at the start of `bytes`.
    pub kept: Hidden<u64>,
    /// How many more are wanted.
    pub left: Hidden<u64>,
    /// How many bytes of the next segment were written before.
    pub skip: Hidden<u64>,
    /// How long the next piece is.
    pub length: Hidden<u64>,
    /// A [`Withheld`](crate::limit::Withheld).
    pub withheld: Hidden<u32>,
    /// Which [`Stage`](sensor_common::maps::Stage) is next.
    pub stage: Hidden<u32>,
    /// 1 while the candidate judges: the event's verdict is settled.
    pub shadow: Hidden<u32>,
    /// 1 where the candidate is next.
    pub shadowed: Hidden<u32>,
    /// 1 where the generation in force refuses the event.
    pub refused: Hidden<u32>,
    /// The action that it asked for.
    pub asked: Hidden<u32>,
    /// Who is charged: an [actor](sensor_common::actor).
    pub charged: Hidden<u64>,
    /// What that weighs as a witness.
    pub weight: Hidden<u64>,
    /// 1 where the lifeline spares the process: it is only a witness.
    pub spared: Hidden<u32>,
    /// 1 where a text of the record is not whole, or a payload unread: then the rules are asked in another way.
    pub unseen: Hidden<u32>,
    /// Since when the candidate judges: `CLOCK_MONOTONIC`, nanoseconds.
    pub since: Hidden<u64>,
    /// [`ROOM`], and behind it enough to let the verifier see that nothing ever ends outside.
    pub bytes: [u8; 2 * ROOM + TEXT_MAX],
}

impl Scratch {
    /// Notes which of the CPU's scratch areas this is.
    #[inline(always)]
    pub fn set_slot(&mut self, slot: u32) {
        self.slot.set(slot);
    }

    /// Which of them it is.
    #[inline(always)]
    pub fn slot(&self) -> u32 {
        self.slot.get()
    }

    /// Notes which groups are to be filled.
    #[inline(always)]
    pub fn want(&mut self, groups: Groups) -> Wanted {
        self.wanted.set(groups.0);
        self.wanted()
    }

    /// Notes that only `kept` of `whole` bytes are in the record. Without a branch, which would double the
    /// verifier's ways.
    #[inline(always)]
    pub fn note_kept(&mut self, kept: u32, whole: u32) {
        let less = (u64::from(kept).wrapping_sub(u64::from(whole)) >> 63) as u32;
        self.unseen.set(self.unseen.get() | less);
    }

    /// Those that were noted.
    #[inline(always)]
    pub fn wanted(&self) -> Wanted {
        Wanted(&raw const self.wanted)
    }
}
