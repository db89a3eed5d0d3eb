//! Messages of unix sockets as the kernel has copied them. What a process sends is looked at before the kernel
//! copies it, so that an honest sender can be refused; another thread may change it in between. And of messages
//! in a row (`sendmmsg`) the kernel asks its security modules about the first only. So each message is looked
//! at once more where it lies in the kernel's memory and in no queue yet: nobody has read it.
//!
//! | Program | At | Does |
//! |---|---|---|
//! | [`note`](crate::look::note) | the look before | notes, by task, what was seen |
//! | [`skb_copy_datagram_from_iter`](mod@skb_copy_datagram_from_iter) | its return | judges what differs from it |
//! | [`copied_gone`](crate::look::copied_gone) | `taskstats_exit` | forgets the note of a thread that ends |
//!
//! It can be refused no more: what is forbidden is kept from being read. The socket that receives is in
//! quarantine before the message is in its queue; of datagrams the kernel asks once more, when it has found the
//! receiver ([`quarantine`]).
//!
//! Moved pages are not copied, and not seen here. What is written to a pipe is copied by a function that no
//! program can be attached to.

use aya_ebpf::{EbpfContext, programs::FExitContext};
use sensor_common::{
    event::{Event, Groups},
    maps::Generation,
    record::TEXT_MAX,
};

use crate::{
    hook::fexit_hook,
    kernel::{MSGHDR_ITER, Ptr, SKB_DATA, SKB_DATA_LEN, SKB_LEN, SKB_SK, Struct, member, probe, probe_ptr, value},
    look::{self, is_as_seen},
    payload, quarantine,
    record::Held,
    scratch::Wanted,
    subject::{Seen, Subject},
    unix::{Message, Socket},
};

/// A message that the kernel has copied, or the first part of it.
struct Copied {
    message: Message,
    /// The first bytes; null where they are not in the linear part. Of a stream, what is beyond 3,776 bytes is rounded
    /// up to whole pages that lie elsewhere (`unix_stream_sendmsg`), so that of 3,777 to 4,096 bytes none is left.
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
        if status != 0 || offset != 0 {
            return None;
        }
        if length == 0 {
            look::forget();
            return None;
        }
        let message = Message { socket, header: header(ctx)? };
        let rest = payload::size(message.header.part(&MSGHDR_ITER));
        // Behind the linear part the bytes lie in pages, where they are not looked at.
        let linear = length.wrapping_sub(skb.get::<u32>(&SKB_DATA_LEN));
        let data = if linear < length.min(TEXT_MAX as u32) {
            core::ptr::null()
        } else {
            // As a number: the verifiers of newer kernels know what a load from there points to.
            probe_ptr(member(skb.base, &SKB_DATA))?
        };
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
    let iter: u64 = probe(ctx.as_ptr().cast::<u8>().wrapping_add(2 * size_of::<u64>()))?;
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
