//! What was seen of a message before the kernel copied it, to be compared with what it has copied (see
//! [`copied`](crate::copied)).

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::{fentry, map},
    maps::HashMap,
    programs::FEntryContext,
};
use sensor_common::{
    event::{Event, Groups},
    record::TEXT_MAX,
};

use crate::{
    asm,
    kernel::{Ptr, Struct, task},
    memory::Memory,
    record::Held,
    scratch::Hidden,
    stage,
};

/// How many tasks can have sent something and still run. An entry is allocated when it is needed; a message that
/// finds none is judged once more than needed.
const LOOKS_MAX: u32 = 65_536;

const WORD: usize = size_of::<u64>();

/// What was seen of a message before it was copied.
#[repr(C)]
struct Look {
    /// `struct msghdr *`: of one call, so nobody else's.
    header: Hidden<u64>,
    /// How many bytes of it the kernel has still to copy.
    left: Hidden<u64>,
    /// How many of its first bytes were seen; or one of the two below.
    seen: Hidden<u64>,
    bytes: [u64; TEXT_MAX / WORD],
    /// What the kernel has copied, to be compared with it.
    copied: [u64; TEXT_MAX / WORD],
}

/// No rule wanted to know its bytes.
const UNASKED: u64 = u64::MAX;
/// Its first bytes were judged where they were copied, and these are more of them.
const BEGUN: u64 = u64::MAX - 1;

/// By `struct task_struct *`.
#[map]
static LOOKS: HashMap<u64, Look> = HashMap::with_max_entries(LOOKS_MAX, BPF_F_NO_PREALLOC);

/// The entry of the current task. Only the task itself uses it.
#[inline(always)]
fn own<'a>() -> Option<&'a mut Look> {
    let look = LOOKS.get_ptr_mut(&task())?;
    // SAFETY: a map value, live as long as the program.
    Some(unsafe { &mut *look })
}

/// Notes what is in the record of a message of `size` bytes, described by a `struct msghdr`, that is about to
/// be sent.
#[inline(always)]
pub fn note(held: &mut Held, header: Struct, size: u64) {
    let is_filled = held.scratch.wanted().contains(Groups::PAYLOAD);
    // Later stages of the event may ask for other things.
    if (!is_filled && held.record.head.filled != 0) || !stage::is_wanted(Event::UnixCopied) {
        return;
    }
    let Some(look) = own().or_else(
        #[inline(always)]
        || begin(held),
    ) else {
        return;
    };
    look.header.set(header.base as u64);
    look.left.set(size);
    look.seen.set(UNASKED);
    if is_filled {
        let payload = &held.record.object.payload;
        // SAFETY: both are as large.
        unsafe { Memory::Kernel.copy(look.bytes.as_mut_ptr().cast(), TEXT_MAX, payload.bytes.as_ptr()) };
        look.seen.set(u64::from(payload.len));
    }
}

/// What was noted is of no message any more: a message without bytes is not noted, and must not be taken for the rest
/// of one before.
#[inline(always)]
pub fn forget() {
    if let Some(look) = own() {
        look.header.set(0);
    }
}

/// The first entry of the current task.
#[inline(always)]
fn begin<'a>(held: &Held) -> Option<&'a mut Look> {
    // SAFETY: the room is larger, and lies in a map; whatever is in it, the entry is filled next.
    let any = unsafe { &*held.scratch.bytes.as_ptr().cast::<Look>() };
    LOOKS.insert(&task(), any, 0).ok()?;
    own()
}

/// Whether the `length` bytes that the kernel has copied to `data`, of the message of a `struct msghdr` with
/// `rest` more to copy, are as they were seen before, or the rest of a message whose first bytes were judged.
/// They are noted as copied. Where `data` is 0 the bytes cannot be looked at, and the look before the copy stands. A
/// global function, so that the verifier goes through it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn is_as_seen(header: u64, data: u64, length: u64, rest: u64) -> u32 {
    let Some(look) = own() else { return u32::from(data == 0) };
    let is_it = look.header.get() == header && look.left.get() == length.wrapping_add(rest);
    let seen = look.seen.get();
    look.header.set(header);
    look.left.set(rest);
    look.seen.set(BEGUN);
    if data == 0 {
        return 1;
    }
    if !is_it {
        return 0;
    }
    if seen == UNASKED || seen == BEGUN {
        return 1;
    }
    let copied = asm::bounded(length as usize, TEXT_MAX);
    // SAFETY: `copied` is at most the size of the destination.
    let status = unsafe { Memory::Kernel.copy(look.copied.as_mut_ptr().cast(), copied, data as Ptr) };
    u32::from(status == 0 && seen == copied as u64 && !differs(look, copied as u64))
}

/// Whether the first `length` bytes copied are others than were seen.
#[inline(always)]
fn differs(look: &Look, length: u64) -> bool {
    let mut difference = 0;
    for index in 0..TEXT_MAX / WORD {
        let at = (index * WORD) as u64;
        if at >= length {
            break;
        }
        // What stands behind the end is left over from another message.
        let behind = (at + WORD as u64).saturating_sub(length);
        difference |= (look.bytes[index] ^ look.copied[index]) << (behind * 8);
    }
    difference != 0
}

/// `void taskstats_exit(struct task_struct *tsk, int group_dead)`: by the thread that ends.
#[fentry]
pub fn copied_gone(_: FEntryContext) -> i32 {
    // Most threads never sent anything.
    let _ = LOOKS.remove(&task());
    0
}
