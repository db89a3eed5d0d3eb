//! FIFOs, and whatever else has to be opened: creation, that of a socket's file too, and opening.

use sensor_common::event::{Event, Groups};

use crate::{
    hook::{Context, lsm_hook},
    kernel::{PATH_MNT, Ptr, Struct},
    object::{File, Type, is_fifo, is_socket},
    path,
    record::Held,
    scratch::Wanted,
    stage,
    subject::{Seen, Subject},
};

/// The event that making a file with these mode bits is.
#[inline(always)]
pub fn created(mode: u16) -> Option<Event> {
    match mode {
        mode if is_fifo(mode) => Some(Event::FifoCreate),
        mode if is_socket(mode) => Some(Event::UnixCreate),
        _ => None,
    }
}

/// A FIFO, or the file of a socket, that does not exist yet.
struct Creation {
    directory: Struct,
    dentry: Ptr,
    mode: u16,
}

impl Creation {
    #[inline(always)]
    fn seen<C: Context>(ctx: &C) -> Seen<Self> {
        let creation = Self { directory: Struct::typed(ctx.arg(0)), dentry: ctx.arg(1), mode: ctx.arg(2) };
        Some((created(creation.mode)?, creation))
    }
}

impl Subject for Creation {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        let object = &mut held.record.object;
        if wanted.contains(Groups::PATH) {
            let mnt = self.directory.get::<u64>(&PATH_MNT) as Ptr;
            path::fill(&mut object.path, held.scratch, self.dentry, mnt);
        }
        if wanted.contains(Groups::MODE) {
            object.mode = u32::from(self.mode);
        }
    }
}

lsm_hook! {
    /// `int path_mknod(const struct path *dir, struct dentry *dentry, umode_t mode, unsigned int dev)`
    path_mknod, Creation::seen
}

/// A file that is being opened, or was.
#[inline(always)]
pub fn opened_file(file: Struct) -> Seen<File> {
    let (file, kind) = File::any(file)?;
    let event = match kind {
        Type::Fifo => Event::FifoOpen,
        Type::Pipe => Event::PipeOpen,
        Type::Queue => Event::MqueueOpen,
        // Asked for first: every file of every tmpfs comes by here.
        Type::Memory if stage::is_wanted(Event::ShmOpen) && file.is_shared_memory() => Event::ShmOpen,
        Type::Memory => return None,
    };
    Some((event, file))
}

#[inline(always)]
fn opened<C: Context>(ctx: &C) -> Seen<File> {
    opened_file(Struct::typed(ctx.arg(0)))
}

lsm_hook! {
    /// `int file_open(struct file *file)`
    file_open, opened
}
