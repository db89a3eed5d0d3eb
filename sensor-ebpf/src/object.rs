//! The pipe or FIFO: its inode, and how a file has it open.

use sensor_common::event::Groups;

use crate::{
    kernel::{
        FILE_DENTRY, FILE_F_FLAGS, FILE_F_INODE, FILE_F_MODE, FILE_MNT, INODE_I_INO, INODE_I_MODE, INODE_I_SB,
        INODE_I_UID, Ptr, SB_S_DEV, SB_S_MAGIC, load,
    },
    path,
    record::Held,
    stage::Subject,
};

const S_IFMT: u16 = 0o170_000;
const S_IFIFO: u16 = 0o010_000;
/// `PIPEFS_MAGIC`: the file system of anonymous pipes.
const PIPEFS: u64 = 0x5049_5045;
const FMODE_READ: u32 = 1;
const FMODE_WRITE: u32 = 2;
const O_NONBLOCK: u32 = 0o4000;

/// What a file is, as far as the sensor cares.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A FIFO: it has a name.
    Fifo,
    /// An anonymous pipe.
    Pipe,
}

/// Whether these mode bits are a FIFO's.
#[inline(always)]
pub fn is_fifo(mode: u16) -> bool {
    mode & S_IFMT == S_IFIFO
}

/// An open file that is a pipe or FIFO.
pub struct File {
    file: Ptr,
    inode: Ptr,
    /// Which of the two.
    pub kind: Type,
}

impl File {
    /// `file` (a typed `struct file *`), or `None` for everything that is no pipe or FIFO, after two loads.
    #[inline(always)]
    pub fn new(file: Ptr) -> Option<Self> {
        // SAFETY: typed pointers, one loaded from the other; the verifier checks each.
        unsafe {
            let inode: Ptr = load(file, &FILE_F_INODE);
            if !is_fifo(load(inode, &INODE_I_MODE)) {
                return None;
            }
            let superblock: Ptr = load(inode, &INODE_I_SB);
            let magic: u64 = load(superblock, &SB_S_MAGIC);
            let kind = if magic == PIPEFS { Type::Pipe } else { Type::Fifo };
            Some(Self { file, inode, kind })
        }
    }
}

impl Subject for File {
    #[inline(always)]
    fn fill(&self, held: &mut Held, groups: Groups) {
        let object = &mut held.record.object;
        // SAFETY: typed pointers, one loaded from the other; the verifier checks each.
        unsafe {
            if groups.contains(Groups::PATH) {
                path::fill(&mut object.path, held.scratch, load(self.file, &FILE_DENTRY), load(self.file, &FILE_MNT));
            }
            if groups.contains(Groups::INODE) {
                object.inode = load(self.inode, &INODE_I_INO);
                object.owner = load(self.inode, &INODE_I_UID);
                let superblock: Ptr = load(self.inode, &INODE_I_SB);
                object.device = load(superblock, &SB_S_DEV);
            }
            if groups.contains(Groups::MODE) {
                object.mode = u32::from(load::<u16>(self.inode, &INODE_I_MODE));
            }
            if groups.contains(Groups::OPEN) {
                let mode: u32 = load(self.file, &FILE_F_MODE);
                let flags: u32 = load(self.file, &FILE_F_FLAGS);
                object.reads = u32::from(mode & FMODE_READ != 0);
                object.writes = u32::from(mode & FMODE_WRITE != 0);
                object.nonblock = u32::from(flags & O_NONBLOCK != 0);
            }
        }
    }
}
