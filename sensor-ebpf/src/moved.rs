//! Data that is moved into a pipe or FIFO as whole pages: `splice`, `tee`, `vmsplice` and `sendfile`, whoever
//! calls them (io_uring and 32-bit programs too). It is judged where it lies, in the pipe's own buffers,
//! while the task holds the pipe's lock: so nobody has read it yet.
//!
//! | Program | At | Does |
//! |---|---|---|
//! | [`moved_into`] | `get_pipe_info`, where it returns | notes, by task, the file that data may be moved into |
//! | [`moved_locked`], [`moved_between`], [`moved_waited`] | what takes the lock | note how full the pipe is |
//! | [`pipe_unlock`](mod@pipe_unlock) | `pipe_unlock` | judges what is new in the pipe |
//! | [`moved_gone`] | `taskstats_exit` | forgets the note of a thread that ends |
//!
//! Pages that `vmsplice` takes from a process are still that process's memory: it can write to them until
//! they are read. So they are never looked at, and count as unread. Pages of a file, and what came through a
//! socket, are judged as they are when they are moved: whoever can write to the file changes what readers get
//! afterwards.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::{fentry, fexit, map},
    maps::HashMap,
    programs::{FEntryContext, FExitContext},
};
use sensor_common::{
    event::{Event, Groups},
    maps::Loss,
};

use crate::{
    hook::{Context, fentry_hook},
    kernel::{
        BUFFER_LEN, BUFFER_OFFSET, BUFFER_OPS, BUFFER_PAGE, PAGE_OFFSET_BASE, PAGE_STRUCT, PIPE_BUFFER_STRUCT,
        PIPE_BUFS, PIPE_HEAD, PIPE_RING_SIZE, Ptr, Struct, USER_PAGE_OPS, VMEMMAP_BASE, address, member, probe,
        probe_ptr, task, value, variable,
    },
    maps::count_loss,
    object::{File, Type},
    payload::Gathered,
    quarantine,
    record::Held,
    scratch::Wanted,
    subject::{Seen, Subject},
};

/// How many tasks can have moved data and still run: as many as there are process ids on a small host, twice.
/// An entry is allocated when it is needed. What finds none is counted as unread ([`Loss::PayloadUnread`]),
/// and not judged.
const MOVES_MAX: u32 = 65_536;

/// `PAGE_SHIFT` on x86.
const PAGE_SHIFT: u32 = 12;

/// How many buffers are looked into for the first bytes.
const PIECES: u32 = 8;

/// How many buffers are counted: all that the pipe of an ordinary user can have
/// (`/proc/sys/fs/pipe-max-size`).
const BUFFERS: u32 = 256;

/// Where a task may move data into.
#[repr(C)]
struct Move {
    /// `struct file *`
    file: u64,
    /// `struct pipe_inode_info *`
    pipe: u64,
    /// How many buffers were ever put into the pipe when the task took its lock.
    head: u64,
}

/// By `struct task_struct *`: a thread that executes a program may get another number.
#[map]
static MOVES: HashMap<u64, Move> = HashMap::with_max_entries(MOVES_MAX, BPF_F_NO_PREALLOC);

/// `struct pipe_inode_info *get_pipe_info(struct file *file, bool for_splice)`, where it returns. Each call
/// that moves data asks it for the pipe of every file that it was given, the file that is written to last: so
/// what it answers last counts, and the call holds that file as long as it runs.
#[fexit]
pub fn moved_into(ctx: FExitContext) -> i32 {
    let (is_splice, pipe): (u32, u64) = (ctx.arg(1), ctx.arg(2));
    let file = File::new(Struct::typed(ctx.arg(0)));
    if is_splice & 1 == 0 {
        return 0;
    }
    if pipe == 0 || !file.is_open_for_writing() {
        // Most tasks have no note.
        let _ = MOVES.remove(&task());
        return 0;
    }
    let head: u32 = Struct::probed(pipe as Ptr).get(&PIPE_HEAD);
    let note = Move { file: file.address() as u64, pipe, head: u64::from(head) };
    if MOVES.insert(&task(), &note, 0).is_err() {
        count_loss(Loss::PayloadUnread);
    }
    0
}

/// From here on the task holds the lock of `pipe`.
#[inline(always)]
fn locked(pipe: Ptr) {
    let Some(note) = MOVES.get_ptr_mut(&task()) else { return };
    // SAFETY: a map value, live as long as the program; only the task itself uses it.
    let note = unsafe { &mut *note };
    if note.pipe == pipe as u64 {
        note.head = u64::from(Struct::probed(note.pipe as Ptr).get::<u32>(&PIPE_HEAD));
    }
}

/// `void pipe_lock(struct pipe_inode_info *pipe)`, where it returns
#[fexit]
pub fn moved_locked(ctx: FExitContext) -> i32 {
    locked(ctx.arg(0));
    0
}

/// `void pipe_wait_writable(struct pipe_inode_info *pipe)`, where it returns: it lets go of the lock and
/// takes it again.
#[fexit]
pub fn moved_waited(ctx: FExitContext) -> i32 {
    locked(ctx.arg(0));
    0
}

/// `void pipe_double_lock(struct pipe_inode_info *pipe1, struct pipe_inode_info *pipe2)`, where it returns
#[fexit]
pub fn moved_between(ctx: FExitContext) -> i32 {
    locked(ctx.arg(0));
    locked(ctx.arg(1));
    0
}

/// `void taskstats_exit(struct task_struct *tsk, int group_dead)`: by the thread that ends.
#[fentry]
pub fn moved_gone(_: FEntryContext) -> i32 {
    // Most threads never moved anything.
    let _ = MOVES.remove(&task());
    0
}

/// What the current task has put into a pipe since it took its lock.
struct Moved {
    file: File,
    pipe: Struct,
    /// Number of the first buffer, and how many there are.
    first: u32,
    count: u32,
}

impl Moved {
    #[inline(always)]
    fn seen<C: Context>(ctx: &C) -> Seen<Self> {
        // SAFETY: only the task itself changes its entry.
        let note = unsafe { MOVES.get(&task()) }?;
        if note.pipe != ctx.arg::<u64>(0) {
            return None;
        }
        // As it was noted: of the argument the verifier knows the type, and would not let us count with it.
        let pipe = Struct::probed(note.pipe as Ptr);
        let first = note.head as u32;
        let count = pipe.get::<u32>(&PIPE_HEAD).wrapping_sub(first);
        if count == 0 {
            return None;
        }
        let (file, kind) = File::new(Struct::probed(note.file as Ptr)).in_use();
        let event = if kind == Type::Fifo { Event::FifoMovedPayload } else { Event::PipeMovedPayload };
        Some((event, Self { file, pipe, first, count }))
    }

    #[inline(always)]
    fn fill_payload(&self, held: &mut Held) {
        let size = moved_bytes(self.pipe.base as u64, self.first, self.count);
        // More than there can be: somebody has given the pipe another size meanwhile, which counts from 0
        // again.
        let is_known = self.count <= self.pipe.get::<u32>(&PIPE_RING_SIZE);
        let mut gathered = Gathered::new(held, size);
        for index in 0..PIECES {
            if index >= self.count || !is_known {
                break;
            }
            let buffer = buffer(self.pipe, self.first.wrapping_add(index));
            let Some(from) = content(buffer) else { break };
            let length = probe::<u32>(member(buffer, &BUFFER_LEN)).unwrap_or(0);
            if !gathered.append(from, u64::from(length)) {
                break;
            }
        }
        gathered.finish();
    }
}

/// The `struct pipe_buffer` with this number, of all that were ever put into this `struct pipe_inode_info`.
#[inline(always)]
fn buffer(pipe: Struct, number: u32) -> Ptr {
    let last = pipe.get::<u32>(&PIPE_RING_SIZE).wrapping_sub(1);
    let at = u64::from(number & last).wrapping_mul(u64::from(value(&PIPE_BUFFER_STRUCT)));
    (pipe.get::<u64>(&PIPE_BUFS) as Ptr).wrapping_add(at as usize)
}

/// Bytes in `count` buffers of the `struct pipe_inode_info` at this address. A global function to the
/// verifier, which goes through it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn moved_bytes(pipe: u64, first: u32, count: u32) -> u64 {
    let pipe = Struct::probed(pipe as Ptr);
    let mut bytes = 0_u64;
    for index in 0..BUFFERS {
        if index >= count {
            break;
        }
        let Some(length) = probe::<u32>(member(buffer(pipe, first.wrapping_add(index)), &BUFFER_LEN)) else { break };
        bytes = bytes.wrapping_add(u64::from(length));
    }
    bytes
}

/// Where the content of a `struct pipe_buffer` is (`page_address`); `None` where the kernel does not show its
/// map of pages, and where the pages are a process's own, which can change them until they are read.
#[inline(always)]
fn content(buffer: Ptr) -> Option<Ptr> {
    let own = address(&USER_PAGE_OPS);
    if own == 0 || probe::<u64>(member(buffer, &BUFFER_OPS))? == own {
        return None;
    }
    let (pages, memory) = (variable(&VMEMMAP_BASE)?, variable(&PAGE_OFFSET_BASE)?);
    let page = probe_ptr(member(buffer, &BUFFER_PAGE))? as u64;
    let number = page.wrapping_sub(pages).checked_div(u64::from(value(&PAGE_STRUCT)))?;
    let offset = probe::<u32>(member(buffer, &BUFFER_OFFSET))?;
    Some(memory.wrapping_add(number << PAGE_SHIFT).wrapping_add(u64::from(offset)) as Ptr)
}

impl Subject for Moved {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.file.fill(held, wanted);
        if wanted.contains(Groups::PAYLOAD) {
            self.fill_payload(held);
        }
    }

    #[inline(always)]
    fn quarantine(&self, held: &Held) {
        quarantine::mark_pipe(held, &self.file);
    }
}

fentry_hook! {
    /// `void pipe_unlock(struct pipe_inode_info *pipe)`
    pipe_unlock, Moved::seen
}
