//! The ways out of a pipe that copy nothing, none of which asks a security module whether the pipe may be
//! read. (A splice out of a socket does.)
//!
//! | Way | What is done |
//! |---|---|
//! | `splice` into a file, device or socket | refused where the kernel asks whether that may be written to |
//! | `splice` into another pipe, `tee` | succeeds; the other pipe is in quarantine before the data is in it |
//! | `vmsplice` into memory | killed before the first byte: the kernel looks for a signal first |
//! | any of them, asleep when the data came | killed where it returns, the other pipe in quarantine as above |
//!
//! What a splice is about is noted by its task, where it begins, or, for `vmsplice`, where it asks for the pipe of
//! the file that it has found: the functions below know pipes without their inodes. A number of a descriptor is
//! never looked up: another thread can give it to another file meanwhile.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::{fentry, fexit, map},
    maps::HashMap,
    programs::{FEntryContext, FExitContext},
};
use sensor_common::maps::{Kept, Mark, ObjectKey};

use super::{QUARANTINE, is_kept, keep, kill_if_kept, source::source};
use crate::{
    kernel::{Ptr, Struct},
    maps::count_kept,
    object::File,
};

/// What is taken out of `from`, and where it goes.
#[derive(Clone, Copy)]
#[repr(C)]
struct Splice {
    from: ObjectKey,
    /// The pipe that it goes into; [`ObjectKey::NONE`] where it is no pipe.
    to: ObjectKey,
    /// `struct file *` that it goes into.
    file: u64,
    /// Inode number and device of the pipe that it goes into.
    inode: u64,
    device: u64,
}

/// How many splices out of pipes and sockets can be under way at once.
const SPLICES_MAX: u32 = 4096;

/// By task.
#[map]
static SPLICES: HashMap<u64, Splice> = HashMap::with_max_entries(SPLICES_MAX, 0);

/// The splice that the current task is in.
#[inline(always)]
fn current() -> Option<Splice> {
    // SAFETY: only the task itself changes its entry.
    unsafe { SPLICES.get(&bpf_get_current_pid_tgid()) }.copied()
}

impl Splice {
    /// One whose file is not found yet.
    const UNKNOWN: Self = Self { from: ObjectKey::NONE, to: ObjectKey::NONE, file: 0, inode: 0, device: 0 };

    #[inline(always)]
    fn begin(from: Ptr, to: Ptr) {
        let Some(from) = source(Struct::typed(from)) else { return };
        let mut splice = Self { from, file: to as u64, ..Self::UNKNOWN };
        if let Some((target, _)) = File::pipe(Struct::typed(to)) {
            (splice.to, splice.inode, splice.device) = (target.key(), target.number(), u64::from(target.device()));
        }
        splice.note();
    }

    /// Notes it by the current task.
    #[inline(always)]
    fn note(&self) {
        if SPLICES.insert(&bpf_get_current_pid_tgid(), self, 0).is_err() {
            count_kept(Kept::Full);
        }
    }

    /// Puts the pipe that the data goes into where the pipe is that it comes out of.
    #[inline(always)]
    fn follow(&self) {
        if self.to == ObjectKey::NONE {
            return;
        }
        // SAFETY: the value is copied; a mark that is replaced meanwhile is as good.
        if let Some(mark) = unsafe { QUARANTINE.get(&self.from) }.copied() {
            keep(&self.to, &Mark { inode: self.inode, device: self.device as u32, ..mark });
        }
    }

    #[inline(always)]
    fn end(moved: i64) {
        let Some(splice) = current() else { return };
        // The entry is there: nothing to be done about an error.
        let _ = SPLICES.remove(&bpf_get_current_pid_tgid());
        if moved <= 0 || splice.from == ObjectKey::NONE {
            return;
        }
        if splice.to == ObjectKey::NONE {
            kill_if_kept(&splice.from);
        } else {
            // Out of a socket into a pipe.
            splice.follow();
        }
    }
}

/// Whether the current task may not write to `file`, because what it writes comes out of a pipe in quarantine.
#[inline(always)]
pub fn is_refused(file: Struct) -> bool {
    current().is_some_and(|splice| splice.file == file.base as u64 && is_kept(&splice.from, Kept::Denied))
}

/// `ssize_t do_splice(struct file *in, loff_t *off_in, struct file *out, loff_t *off_out, size_t len,
/// unsigned int flags)`
#[fentry]
pub fn quarantine_splice(ctx: FEntryContext) -> i32 {
    Splice::begin(ctx.arg(0), ctx.arg(2));
    0
}

/// The same, where it returns
#[fexit]
pub fn quarantine_spliced(ctx: FExitContext) -> i32 {
    Splice::end(ctx.arg(6));
    0
}

/// `ssize_t do_tee(struct file *in, struct file *out, size_t len, unsigned int flags)`
#[fentry]
pub fn quarantine_tee(ctx: FEntryContext) -> i32 {
    Splice::begin(ctx.arg(0), ctx.arg(1));
    0
}

/// The same, where it returns
#[fexit]
pub fn quarantine_teed(ctx: FExitContext) -> i32 {
    Splice::end(ctx.arg(4));
    0
}

/// `void pipe_double_lock(struct pipe_inode_info *pipe1, struct pipe_inode_info *pipe2)`, where it returns: a
/// task that goes from pipe to pipe holds both from here on. Who wrote the data has marked the first before
/// he could hold it.
#[fexit]
pub fn quarantine_between(_: FExitContext) -> i32 {
    if let Some(splice) = current() {
        splice.follow();
    }
    0
}

/// `long __x64_sys_vmsplice(const struct pt_regs *regs)`, of `vmsplice(int fd, const struct iovec *, size_t,
/// unsigned int)`
#[fentry]
pub fn quarantine_vmsplice(_: FEntryContext) -> i32 {
    Splice::UNKNOWN.note();
    0
}

/// `struct pipe_inode_info *get_pipe_info(struct file *file, bool for_splice)`: asked for each file that data is
/// moved out of or into, while the call holds it. One that is not open for writing, of which nothing is noted,
/// is what `vmsplice` reads (also for a 32-bit program, which does not come through the function above).
#[fentry]
pub fn quarantine_unmapped(ctx: FEntryContext) -> i32 {
    if ctx.arg::<u32>(1) & 1 == 0 {
        return 0;
    }
    let Some((file, _)) = File::pipe(Struct::typed(ctx.arg(0))) else { return 0 };
    if file.is_open_for_writing() {
        return 0;
    }
    let key = file.key();
    if let Some(splice) = SPLICES.get_ptr_mut(&bpf_get_current_pid_tgid()) {
        // SAFETY: a map value, live as long as the program; only the task itself uses it.
        let splice = unsafe { &mut *splice };
        if splice.from != ObjectKey::NONE {
            return 0;
        }
        splice.from = key;
    }
    kill_if_kept(&key);
    0
}

/// The first of them, where it returns
#[fexit]
pub fn quarantine_vmspliced(ctx: FExitContext) -> i32 {
    Splice::end(ctx.arg(1));
    0
}
