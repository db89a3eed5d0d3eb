//! FIFOs, and whatever else has to be opened: creation and opening.

use sensor_common::{event::Groups, syscall::Syscall};

use super::{Call, traced_hook};
use crate::{
    fifo::{created, opened_file},
    kernel::{FILE_PATH, FS_PWD, FS_ROOT, FS_UMASK, PATH_DENTRY, PATH_MNT, Ptr, Struct, TASK_FS},
    memory::Memory,
    object::{File, O_CREAT},
    path::{self, NAME_ROOM, Name},
    record::Held,
    scratch::Wanted,
    subject::{Seen, Subject},
    text,
};

const AT_FDCWD: u32 = -100_i32 as u32;
/// The bits of a mode that the umask takes away.
const PERMISSIONS: u32 = 0o777;

/// A FIFO that was made, as the process asked for it.
struct Creation {
    /// Where a relative path begins.
    directory: u32,
    /// In the memory of the process.
    name: Ptr,
    mode: u32,
}

impl Creation {
    #[inline(always)]
    fn seen(call: Call) -> Seen<Self> {
        let creation = if call.number == Syscall::Mknodat as u32 {
            Self { directory: call.arg(0) as u32, name: call.arg(1) as Ptr, mode: call.arg(2) as u32 }
        } else {
            Self { directory: AT_FDCWD, name: call.arg(0) as Ptr, mode: call.arg(1) as u32 }
        };
        Some((created(creation.mode as u16)?, creation))
    }

    /// Where the path begins: a `struct path`.
    #[inline(always)]
    fn start(&self, fs: Struct) -> Option<Struct> {
        if Memory::User.read::<u8>(self.name) == Some(b'/') {
            Some(fs.part(&FS_ROOT))
        } else if self.directory == AT_FDCWD {
            Some(fs.part(&FS_PWD))
        } else {
            Some(File::descriptor(self.directory)?.part(&FILE_PATH))
        }
    }
}

impl Subject for Creation {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        let Some(fs) = Struct::current_task().to(&TASK_FS).map(|fs| Struct::probed(fs.base)) else { return };
        if wanted.contains(Groups::PATH) {
            let path = &mut held.record.object.path;
            text::unknown(path, held.scratch);
            if let Some(start) = self.start(fs) {
                let (dentry, mnt) = (start.get::<u64>(&PATH_DENTRY), start.get::<u64>(&PATH_MNT));
                let name = Name { memory: Memory::User, from: self.name, room: NAME_ROOM };
                path::fill_below(path, held.scratch, dentry as Ptr, mnt as Ptr, name);
            }
        }
        if wanted.contains(Groups::MODE) {
            let umask: u32 = fs.get(&FS_UMASK);
            held.record.object.mode = self.mode & !(umask & PERMISSIONS);
        }
    }
}

traced_hook! { fifo::path_mknod, Creation::seen }
/// A file that was opened.
struct Opening {
    file: File,
    /// 1 where it could be created: the file no longer knows.
    creates: u32,
}

impl Opening {
    #[inline(always)]
    fn seen(call: Call) -> Seen<Self> {
        let (event, file) = opened_file(call.new_file()?)?;
        let flags = if call.number == Syscall::Creat as u32 {
            O_CREAT
        } else if call.number == Syscall::Open as u32 || call.number == Syscall::MqOpen as u32 {
            call.arg(1) as u32
        } else if call.number == Syscall::Openat2 as u32 {
            // The first member of `struct open_how`.
            Memory::User.read::<u64>(call.arg(2) as Ptr).unwrap_or(0) as u32
        } else {
            call.arg(2) as u32
        };
        Some((event, Self { file, creates: u32::from(flags & O_CREAT != 0) }))
    }
}

impl Subject for Opening {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.file.fill(held, wanted);
        if wanted.contains(Groups::OPEN) {
            held.record.object.creates = self.creates;
        }
    }
}

traced_hook! { fifo::file_open, Opening::seen }
