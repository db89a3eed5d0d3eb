//! Reads. One that begins later is refused. A reader that was already asleep in its read when the data came
//! can be refused nothing any more: it is killed where the read returns, before it executes another
//! instruction of its own.

use aya_ebpf::{macros::fexit, programs::FExitContext};
use sensor_common::maps::Kept;

use super::{is_kept, kill_if_kept, source::source, splice};
use crate::{
    hook::{Context, lsm_guard},
    kernel::{KIOCB_KI_FILP, Struct},
    object::File,
    pipe::{MAY_READ, MAY_WRITE},
    stage::{ALLOW, DENY},
};

lsm_guard! {
    /// `int file_permission(struct file *file, int mask)`
    quarantine_use, "file_permission", used
}

#[inline(always)]
fn used<C: Context>(ctx: &C) -> i32 {
    let file = Struct::typed(ctx.arg(0));
    let mask: u32 = ctx.arg(1);
    let refused = match (mask & MAY_READ != 0, mask & MAY_WRITE != 0) {
        (true, _) => source(file).is_some_and(|key| is_kept(&key, Kept::Denied)),
        (_, true) => splice::is_refused(file),
        _ => false,
    };
    if refused { DENY } else { ALLOW }
}

/// `ssize_t anon_pipe_read(struct kiocb *iocb, struct iov_iter *to)`, until 6.14 `pipe_read`, where it returns
#[fexit]
pub fn quarantine_pipe_read(ctx: FExitContext) -> i32 {
    let read: i64 = ctx.arg(2);
    if read > 0
        && let Some((file, _)) = File::pipe(Struct::typed(ctx.arg(0)).follow(&KIOCB_KI_FILP))
    {
        kill_if_kept(&file.key());
    }
    0
}
