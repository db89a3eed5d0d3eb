//! Pipes and FIFOs that nobody may read, because a rule asked for it when it saw what was written.
//!
//! These two programs are attached while a rule in force asks for quarantine or something is in it, and only then.
//!
//! A read that begins later is refused. A reader that was already asleep in its read when the data came can be refused nothing
//! any more: it is killed where the read returns, before it executes another instruction of its own.

use aya_ebpf::{
    helpers::generated::bpf_send_signal,
    macros::{fexit, lsm, map},
    maps::HashMap,
    programs::{FExitContext, LsmContext},
};
use sensor_common::maps::{Kept, Mark, ObjectKey, QUARANTINE_MAX};

use crate::{
    brakes,
    kernel::{KIOCB_KI_FILP, Struct},
    maps::{SETTINGS, count_kept},
    object::File,
    record::Held,
    stage::{ALLOW, DENY, SIGKILL},
};

const MAY_READ: u32 = 4;

#[map]
static QUARANTINE: HashMap<ObjectKey, Mark> = HashMap::with_max_entries(QUARANTINE_MAX, 0);

/// Puts what the event was about into quarantine. Its inode number and device must have been filled.
#[inline(always)]
pub fn mark(held: &Held) {
    let (head, object) = (&held.record.head, &held.record.object);
    let key = ObjectKey { inode: object.inode, device: object.device, padding: 0 };
    let mark = Mark {
        time: head.time,
        generation: head.generation,
        rule: held.record.verdict.rules[0],
        pid: held.record.process.pid,
    };
    if QUARANTINE.insert(&key, &mark, 0).is_err() {
        count_kept(Kept::Full);
    }
}

/// Whether the current process may not have what it reads from `file`; counts that it is asked.
#[inline(always)]
fn is_kept(file: &File, how: Kept) -> bool {
    let key = file.key();
    // SAFETY: only that there is an entry is asked.
    let Some(settings) = unsafe { QUARANTINE.get(&key) }.and_then(|_| SETTINGS.get(0)) else { return false };
    if settings.enforce == 0 || brakes::is_unattended(settings) {
        return false;
    }
    let spared = brakes::on_lifeline(settings.sensor);
    count_kept(if spared { Kept::Lifeline } else { how });
    !spared
}

/// `int file_permission(struct file *file, int mask)`
#[lsm(hook = "file_permission")]
pub fn quarantine_read(ctx: LsmContext) -> i32 {
    let mask: u32 = ctx.arg(1);
    if mask & MAY_READ == 0 {
        return ALLOW;
    }
    let file = File::pipe(Struct::typed(ctx.arg(0)));
    if file.is_some_and(|(file, _)| is_kept(&file, Kept::Denied)) { DENY } else { ALLOW }
}

/// `ssize_t anon_pipe_read(struct kiocb *iocb, struct iov_iter *to)`, until 6.14 `pipe_read`, where it returns
#[fexit]
pub fn quarantine_wake(ctx: FExitContext) -> i32 {
    let read: i64 = ctx.arg(2);
    if read <= 0 {
        return 0;
    }
    let file = File::pipe(Struct::typed(ctx.arg(0)).follow(&KIOCB_KI_FILP));
    if file.is_some_and(|(file, _)| is_kept(&file, Kept::Killed)) {
        // SAFETY: the helper signals the current task only.
        unsafe { bpf_send_signal(SIGKILL) };
    }
    0
}
