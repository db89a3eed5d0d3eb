//! Messages of unix sockets as the kernel has copied them. What a process sends is looked at before the kernel
//! copies it, so that an honest sender can be refused; another thread may change it in between. And of messages
//! in a row (`sendmmsg`) the kernel asks its security modules about the first only. So each message is looked
//! at once more where it lies in the kernel's memory and in no queue yet: nobody has read it.
//!
//! | Program | At | Does |
//! |---|---|---|
//! | [`note`] | the look before | notes, by task, what was seen |
//! | [`skb_copy_datagram_from_iter`](mod@skb_copy_datagram_from_iter) | where that function returns | judges what differs from it |
//! | [`copied_gone`] | `taskstats_exit` | forgets the note of a thread that ends |
//!
//! It can be refused no more: what is forbidden is kept from being read. The socket that receives is in
//! quarantine before the message is in its queue; of datagrams the kernel asks once more, when it has found the
//! receiver ([`quarantine`]).
//!
//! Moved pages are not copied, and not seen here. What is written to a pipe is copied by a function that no program
//! can be attached to.

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_F_NO_PREALLOC,
    macros::{fentry, map},
    maps::HashMap,
    programs::{FEntryContext, FExitContext},
};
use sensor_common::{
    event::{Event, Groups},
    maps::Generation,
    record::TEXT_MAX,
};

use crate::{
    asm,
    hook::fexit_hook,
    kernel::{MSGHDR_ITER, Ptr, SKB_DATA, SKB_LEN, SKB_SK, Struct, member, probe, probe_ptr, task, value},
    memory::Memory,
    payload, quarantine,
    record::Held,
    scratch::{Hidden, Wanted},
    stage,
    subject::{Seen, Subject},
    unix::{Message, Socket},
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

/// Notes what is in the record of a message of `size` bytes, described by a `struct msghdr`, that is about to be sent.
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

/// The first entry of the current task.
#[inline(always)]
fn begin<'a>(held: &Held) -> Option<&'a mut Look> {
    // SAFETY: the room is larger, and lies in a map; whatever is in it, the entry is filled next.
    let any = unsafe { &*held.scratch.bytes.as_ptr().cast::<Look>() };
    LOOKS.insert(&task(), any, 0).ok()?;
    own()
}

/// Whether the `length` bytes that the kernel has copied to `data`, of the message of a `struct msghdr` with `rest`
/// more to copy, are as they were seen before, or the rest of a message whose first bytes were judged. They are noted
/// as copied. A global function, so that the verifier goes through it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn is_as_seen(header: u64, data: u64, length: u64, rest: u64) -> u32 {
    let Some(look) = own() else { return 0 };
    let is_it = look.header.get() == header && look.left.get() == length.wrapping_add(rest);
    let seen = look.seen.get();
    look.header.set(header);
    look.left.set(rest);
    look.seen.set(BEGUN);
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

/// A message that the kernel has copied, or the first part of it.
struct Copied {
    message: Message,
    /// The first bytes. (The kernel puts pages of a large message elsewhere, behind more than is looked at.)
    data: Ptr,
    /// How many bytes are there.
    length: u64,
    /// How many more there are to copy.
    rest: u64,
}

impl Copied {
    #[inline(always)]
    fn seen(ctx: &FExitContext) -> Seen<Self> {
        let skb = Struct::typed(ctx.arg(0));
        let (offset, status): (i32, i32) = (ctx.arg(1), ctx.arg(4));
        let socket = Socket::of_sk(skb.to(&SKB_SK)?)?;
        let length = skb.get::<u32>(&SKB_LEN);
        if status != 0 || offset != 0 || length == 0 {
            return None;
        }
        let message = Message { socket, header: header(ctx)? };
        let rest = payload::size(message.header.part(&MSGHDR_ITER));
        // As a number: the verifiers of newer kernels know what a load from there points to.
        let data = probe_ptr(member(skb.base, &SKB_DATA))?;
        Some((Event::UnixCopied, Self { message, data, length: u64::from(length), rest }))
    }

    /// The same, where its bytes are others than those that were seen before.
    #[inline(always)]
    fn unseen(ctx: &FExitContext) -> Seen<Self> {
        let (event, copied) = Self::seen(ctx)?;
        let header = copied.message.header.base as u64;
        (is_as_seen(header, copied.data as u64, copied.length, copied.rest) == 0).then_some((event, copied))
    }
}

/// The `struct msghdr` that the `iov_iter` of the context is part of: that is where the functions of unix sockets
/// take it from. Its address is read anew, because the verifier would not let us subtract from it.
#[inline(always)]
fn header(ctx: &FExitContext) -> Option<Struct> {
    let iter: u64 = probe(ctx.as_ptr().cast::<u8>().wrapping_add(2 * WORD))?;
    Some(Struct::probed(iter.wrapping_sub(u64::from(value(&MSGHDR_ITER))) as Ptr))
}

impl Subject for Copied {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.message.fill_way(held, wanted);
        if wanted.contains(Groups::PAYLOAD) {
            payload::fill_copied(held, self.data, self.length, self.length.wrapping_add(self.rest));
        }
    }

    #[inline(always)]
    fn matches_none(&self, event: Event, generation: &Generation) -> bool {
        self.length.wrapping_add(self.rest) < u64::from(generation.least[event as usize])
    }

    #[inline(always)]
    fn quarantine(&self, held: &Held) {
        quarantine::mark_receiver(held, self.message.socket.socket, self.message.socket.sk);
    }
}

fexit_hook! {
    /// `int skb_copy_datagram_from_iter(struct sk_buff *skb, int offset, struct iov_iter *from, int len)`
    skb_copy_datagram_from_iter, Copied::unseen, Copied::seen
}

/// `void taskstats_exit(struct task_struct *tsk, int group_dead)`: by the thread that ends.
#[fentry]
pub fn copied_gone(_: FEntryContext) -> i32 {
    // Most threads never sent anything.
    let _ = LOOKS.remove(&task());
    0
}
