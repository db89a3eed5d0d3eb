//! FIFOs: creation and opening.

use aya_ebpf::{
    EbpfContext,
    macros::{fentry, lsm},
    programs::{FEntryContext, LsmContext},
};
use sensor_common::event::{Event, Groups};

use crate::{
    kernel::{PATH_MNT, Ptr, load},
    maps::{STAGES_MKNOD, STAGES_OPEN},
    object::{File, Type, is_fifo},
    path,
    record::Held,
    stage::{self, Answer, Subject},
};

/// A FIFO that does not exist yet.
struct Creation {
    directory: Ptr,
    dentry: Ptr,
    mode: u16,
}

impl Subject for Creation {
    #[inline(always)]
    fn fill(&self, held: &mut Held, groups: Groups) {
        if groups.contains(Groups::PATH) {
            // SAFETY: `directory` is a typed `struct path *`.
            let mnt: Ptr = unsafe { load(self.directory, &PATH_MNT) };
            path::fill(&mut held.record.object.path, held.scratch, self.dentry, mnt);
        }
        if groups.contains(Groups::MODE) {
            held.record.object.mode = u32::from(self.mode);
        }
    }
}

/// `int path_mknod(const struct path *dir, struct dentry *dentry, umode_t mode, unsigned int dev)`
#[lsm(hook = "path_mknod")]
pub fn path_mknod(ctx: LsmContext) -> i32 {
    try_path_mknod(&ctx, Creation { directory: ctx.arg(0), dentry: ctx.arg(1), mode: ctx.arg(2) })
}

/// `int security_path_mknod(…)`, as above, where BPF LSM is not active.
#[fentry]
pub fn observe_path_mknod(ctx: FEntryContext) -> i32 {
    try_path_mknod(&ctx, Creation { directory: ctx.arg(0), dentry: ctx.arg(1), mode: ctx.arg(2) })
}

#[inline(always)]
fn try_path_mknod<C: EbpfContext>(ctx: &C, creation: Creation) -> i32 {
    if is_fifo(creation.mode) {
        stage::judge(ctx, &STAGES_MKNOD, Event::FifoCreate, &creation);
    }
    0
}

/// Finish for `path_mknod`.
#[lsm(hook = "path_mknod")]
pub fn finish_path_mknod(ctx: LsmContext) -> i32 {
    let creation = Creation { directory: ctx.arg(0), dentry: ctx.arg(1), mode: ctx.arg(2) };
    stage::finish(Answer::Counts, &creation)
}

/// Finish for `security_path_mknod`.
#[fentry]
pub fn finish_observe_path_mknod(ctx: FEntryContext) -> i32 {
    let creation = Creation { directory: ctx.arg(0), dentry: ctx.arg(1), mode: ctx.arg(2) };
    stage::finish(Answer::Observes, &creation)
}

/// `int file_open(struct file *file)`
#[lsm(hook = "file_open")]
pub fn file_open(ctx: LsmContext) -> i32 {
    try_file_open(&ctx, ctx.arg(0))
}

/// `int security_file_open(…)`, as above, where BPF LSM is not active.
#[fentry]
pub fn observe_file_open(ctx: FEntryContext) -> i32 {
    try_file_open(&ctx, ctx.arg(0))
}

#[inline(always)]
fn try_file_open<C: EbpfContext>(ctx: &C, file: Ptr) -> i32 {
    if let Some(file) = File::new(file)
        && file.kind == Type::Fifo
    {
        stage::judge(ctx, &STAGES_OPEN, Event::FifoOpen, &file);
    }
    0
}

/// Finish for `file_open`.
#[lsm(hook = "file_open")]
pub fn finish_file_open(ctx: LsmContext) -> i32 {
    File::new(ctx.arg(0)).map_or(0, |file| stage::finish(Answer::Counts, &file))
}

/// Finish for `security_file_open`.
#[fentry]
pub fn finish_observe_file_open(ctx: FEntryContext) -> i32 {
    File::new(ctx.arg(0)).map_or(0, |file| stage::finish(Answer::Observes, &file))
}
