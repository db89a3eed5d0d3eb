//! The object as an open file: pipe, FIFO, message queue, shared memory.

use sensor_common::{event::Groups, maps::ObjectKey};

use crate::{
    kernel::{
        DENTRY_D_PARENT, DENTRY_NAME, FDT_FD, FDT_MAX_FDS, FILE_DENTRY, FILE_F_FLAGS, FILE_F_INODE, FILE_F_MODE,
        FILE_MNT, FILES_FDT, INODE_I_INO, INODE_I_MODE, INODE_I_SB, INODE_I_UID, MOUNT_MNT_MOUNTPOINT, Ptr, SB_S_DEV,
        SB_S_MAGIC, SB_S_USER_NS, Struct, TASK_FILES, VFSMOUNT_MNT_FLAGS, member, probe, probe_ptr,
    },
    mounts::{self, MQUEUE},
    path,
    record::Held,
    scratch::Wanted,
    subject::Subject,
    user::{self, ROOT},
};

const S_IFMT: u16 = 0o170_000;
const S_IFIFO: u16 = 0o010_000;
const S_IFREG: u16 = 0o100_000;
const S_IFSOCK: u16 = 0o140_000;
const S_IWGRP: u16 = 0o020;
const S_IWOTH: u16 = 0o002;
/// Of a mount: `include/linux/mount.h`.
const MNT_NOSUID: u32 = 1;
/// `PIPEFS_MAGIC`: the file system of anonymous pipes.
const PIPEFS: u64 = 0x5049_5045;
/// `TMPFS_MAGIC`
const TMPFS: u64 = 0x0102_1994;
const FMODE_READ: u32 = 1;
const FMODE_WRITE: u32 = 2;
const O_NONBLOCK: u32 = 0o4000;
pub const O_CREAT: u32 = 0o100;

/// What a file is, as far as the sensor cares.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A FIFO: it has a name.
    Fifo,
    /// An anonymous pipe.
    Pipe,
    /// A POSIX message queue.
    Queue,
    /// A file of a tmpfs: shared memory, where [`File::is_shared_memory`] says so.
    Memory,
}

/// Whether these mode bits are a FIFO's.
#[inline(always)]
pub fn is_fifo(mode: u16) -> bool {
    mode & S_IFMT == S_IFIFO
}

/// Whether these mode bits are a socket's.
#[inline(always)]
pub fn is_socket(mode: u16) -> bool {
    mode & S_IFMT == S_IFSOCK
}

/// An open file.
pub struct File {
    file: Struct,
    inode: Struct,
}

impl File {
    /// The file, whatever it is.
    #[inline(always)]
    pub fn new(file: Struct) -> Self {
        Self { file, inode: file.follow(&FILE_F_INODE) }
    }

    /// The file and which of the two it is, or `None` for everything that is no pipe or FIFO, after two loads.
    #[inline(always)]
    pub fn pipe(file: Struct) -> Option<(Self, Type)> {
        let file = Self::new(file);
        is_fifo(file.mode()).then(|| file.in_use())
    }

    /// The file and which of the two it is, of one that is a pipe or FIFO.
    #[inline(always)]
    pub fn in_use(self) -> (Self, Type) {
        let kind = if self.magic() == PIPEFS { Type::Pipe } else { Type::Fifo };
        (self, kind)
    }

    /// The file and what it is, or `None` where the sensor does not care for it.
    #[inline(always)]
    pub fn any(file: Struct) -> Option<(Self, Type)> {
        let file = Self::new(file);
        let kind = match (file.mode() & S_IFMT, file.magic()) {
            (S_IFIFO, PIPEFS) => Type::Pipe,
            (S_IFIFO, _) => Type::Fifo,
            (S_IFREG, MQUEUE) => Type::Queue,
            (S_IFREG, TMPFS) => Type::Memory,
            _ => return None,
        };
        Some((file, kind))
    }

    /// What the current process has open as `number`: `None` where it has nothing.
    #[inline(always)]
    pub fn descriptor(number: u32) -> Option<Struct> {
        let table = Struct::current_task().to(&TASK_FILES)?.to(&FILES_FDT)?;
        if number >= table.get::<u32>(&FDT_MAX_FDS) {
            return None;
        }
        let files = table.get::<u64>(&FDT_FD) as Ptr;
        let file = probe_ptr(files.wrapping_add(number as usize * size_of::<u64>()))?;
        (!file.is_null()).then_some(Struct::probed(file))
    }

    /// Which pipe or FIFO it is, among all of this host.
    #[inline(always)]
    pub fn key(&self) -> ObjectKey {
        ObjectKey::pipe(self.inode.base as u64, self.number())
    }

    /// The address of its `struct file`.
    #[inline(always)]
    pub const fn address(&self) -> Ptr {
        self.file.base
    }

    /// Whether it is open for writing.
    #[inline(always)]
    pub fn is_open_for_writing(&self) -> bool {
        self.file.get::<u32>(&FILE_F_MODE) & FMODE_WRITE != 0
    }

    /// Its inode number.
    #[inline(always)]
    pub fn number(&self) -> u64 {
        self.inode.get(&INODE_I_INO)
    }

    /// The device of its file system.
    #[inline(always)]
    pub fn device(&self) -> u32 {
        self.inode.follow(&INODE_I_SB).get(&SB_S_DEV)
    }

    #[inline(always)]
    fn mode(&self) -> u16 {
        self.inode.get(&INODE_I_MODE)
    }

    #[inline(always)]
    fn magic(&self) -> u64 {
        self.inode.follow(&INODE_I_SB).get(&SB_S_MAGIC)
    }

    /// Whether nobody but root of the host can have put it where it is: it is root's, can be written by
    /// nobody else, and its file system and its mount are those of the host's own user namespace. Not where
    /// setuid has no effect: such are the mounts that the host's own setuid programs make for whoever asks
    /// (`fusermount3`), in which a file is whose its server says. (A mount outside every namespace, as of a
    /// memfd, is none of the host's: what the kernel notes there instead of one cannot be read.)
    #[inline(always)]
    pub fn is_trusted(&self) -> bool {
        let file_system = self.inode.follow(&INODE_I_SB).get::<u64>(&SB_S_USER_NS) as Ptr;
        let mnt = self.file.get::<u64>(&FILE_MNT) as Ptr;
        let is_mount_hosts = mounts::namespace(mounts::around(mnt)).and_then(mounts::is_owned_by_host);
        let flags = probe::<u32>(member(mnt, &VFSMOUNT_MNT_FLAGS));
        self.inode.get::<u32>(&INODE_I_UID) == ROOT
            && self.mode() & (S_IWGRP | S_IWOTH) == 0
            && user::is_host(file_system)
            && is_mount_hosts == Some(true)
            && flags.is_some_and(|flags| flags & MNT_NOSUID == 0)
    }

    /// Whether it is a socket.
    #[inline(always)]
    pub fn is_socket(&self) -> bool {
        is_socket(self.mode())
    }

    /// Whether a file of a tmpfs is a memfd, which has no directory, or lies in a tmpfs that is mounted on a
    /// directory `shm`.
    #[inline(always)]
    pub fn is_shared_memory(&self) -> bool {
        let dentry = self.file.get::<u64>(&FILE_DENTRY) as Ptr;
        if probe_ptr(member(dentry, &DENTRY_D_PARENT)) == Some(dentry) {
            return true;
        }
        let mount = mounts::around(self.file.get::<u64>(&FILE_MNT) as Ptr);
        probe_ptr(member(mount, &MOUNT_MNT_MOUNTPOINT))
            .and_then(|mountpoint| probe_ptr(member(mountpoint, &DENTRY_NAME)))
            .and_then(probe::<u32>)
            .is_some_and(|name| name == u32::from_ne_bytes(*b"shm\0"))
    }
}

/// What is filled of an open file.
const OF_FILE: Groups = Groups::PATH.with(Groups::INODE).with(Groups::OWNER).with(Groups::MODE).with(Groups::OPEN);

impl Subject for File {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        if !wanted.meets(OF_FILE) {
            return;
        }
        let object = &mut held.record.object;
        if wanted.contains(Groups::PATH) {
            let (dentry, mnt) = (self.file.get::<u64>(&FILE_DENTRY), self.file.get::<u64>(&FILE_MNT));
            path::fill(&mut object.path, held.scratch, dentry as Ptr, mnt as Ptr);
        }
        if wanted.contains(Groups::INODE) {
            object.inode = self.inode.get(&INODE_I_INO);
            object.device = self.device();
        }
        if wanted.contains(Groups::OWNER) {
            object.owner = self.inode.get(&INODE_I_UID);
        }
        if wanted.contains(Groups::MODE) {
            object.mode = u32::from(self.mode());
        }
        if wanted.contains(Groups::OPEN) {
            let mode: u32 = self.file.get(&FILE_F_MODE);
            let flags: u32 = self.file.get(&FILE_F_FLAGS);
            object.reads = u32::from(mode & FMODE_READ != 0);
            object.writes = u32::from(mode & FMODE_WRITE != 0);
            object.nonblock = u32::from(flags & O_NONBLOCK != 0);
            object.creates = u32::from(flags & O_CREAT != 0);
        }
    }
}
