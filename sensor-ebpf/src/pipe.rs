//! Pipes and FIFOs in use: reads, writes, and the data written.

use aya_ebpf::{
    EbpfContext,
    macros::{fentry, lsm},
    programs::{FEntryContext, LsmContext},
};
use sensor_common::event::{Event, Groups};

use crate::{
    kernel::{KIOCB_KI_FILP, Ptr, load},
    maps::{STAGES_PERM, STAGES_WRITE},
    object::{File, Type},
    payload,
    record::Held,
    stage::{self, Answer, Subject},
};

const MAY_WRITE: u32 = 2;
const MAY_READ: u32 = 4;

/// `int file_permission(struct file *file, int mask)`
#[lsm(hook = "file_permission")]
pub fn file_permission(ctx: LsmContext) -> i32 {
    try_file_permission(&ctx, ctx.arg(0), ctx.arg(1))
}

/// `int security_file_permission(…)`, as above, where BPF LSM is not active.
#[fentry]
pub fn observe_file_permission(ctx: FEntryContext) -> i32 {
    try_file_permission(&ctx, ctx.arg(0), ctx.arg(1))
}

#[inline(always)]
fn try_file_permission<C: EbpfContext>(ctx: &C, file: Ptr, mask: u32) -> i32 {
    if let Some(file) = File::new(file) {
        let event = match (file.kind, mask & MAY_WRITE != 0, mask & MAY_READ != 0) {
            (Type::Fifo, true, _) => Event::FifoWrite,
            (Type::Pipe, true, _) => Event::PipeWrite,
            (Type::Fifo, false, true) => Event::FifoRead,
            (Type::Pipe, false, true) => Event::PipeRead,
            (_, false, false) => return 0,
        };
        stage::judge(ctx, &STAGES_PERM, event, &file);
    }
    0
}

/// Finish for `file_permission`.
#[lsm(hook = "file_permission")]
pub fn finish_file_permission(ctx: LsmContext) -> i32 {
    File::new(ctx.arg(0)).map_or(0, |file| stage::finish(Answer::Counts, &file))
}

/// Finish for `security_file_permission`.
#[fentry]
pub fn finish_observe_file_permission(ctx: FEntryContext) -> i32 {
    File::new(ctx.arg(0)).map_or(0, |file| stage::finish(Answer::Observes, &file))
}

/// Data on its way into a pipe or FIFO.
struct Write {
    file: File,
    from: Ptr,
}

impl Write {
    #[inline(always)]
    fn new(ctx: &FEntryContext) -> Option<Self> {
        let iocb: Ptr = ctx.arg(0);
        // SAFETY: the first argument is a typed `struct kiocb *`.
        let file = File::new(unsafe { load(iocb, &KIOCB_KI_FILP) })?;
        Some(Self { file, from: ctx.arg(1) })
    }
}

impl Subject for Write {
    #[inline(always)]
    fn fill(&self, held: &mut Held, groups: Groups) {
        self.file.fill(held, groups);
        if groups.contains(Groups::PAYLOAD) {
            payload::fill(held, self.from);
        }
    }
}

/// `ssize_t anon_pipe_write(struct kiocb *iocb, struct iov_iter *from)`, until 6.14 `pipe_write`
#[fentry]
pub fn pipe_write(ctx: FEntryContext) -> i32 {
    if let Some(write) = Write::new(&ctx) {
        let event = match write.file.kind {
            Type::Fifo => Event::FifoPayload,
            Type::Pipe => Event::PipePayload,
        };
        stage::judge(&ctx, &STAGES_WRITE, event, &write);
    }
    0
}

/// Finish for `pipe_write`.
#[fentry]
pub fn finish_pipe_write(ctx: FEntryContext) -> i32 {
    Write::new(&ctx).map_or(0, |write| stage::finish(Answer::Observes, &write))
}
