//! Unix sockets: addresses, connections, and the data sent.

use sensor_common::{
    event::{Event, Groups},
    syscall::Syscall,
};

use super::{Call, traced_hook};
use crate::{
    kernel::Ptr,
    memory::Memory,
    object::File,
    payload::{self, Sent},
    record::Held,
    scratch::Wanted,
    subject::{Seen, Subject},
    unix::{Address, Reached, Socket, fill_receiver},
};

/// Members of `struct user_msghdr`.
const HEADER_NAME: usize = 0;
const HEADER_NAME_LENGTH: usize = 8;
const HEADER_SEGMENTS: usize = 16;
const HEADER_COUNT: usize = 24;
/// Behind the header in `struct mmsghdr`: how much of the message was sent.
const MESSAGE_LENGTH: usize = 56;

/// The unix socket that argument 0 names.
#[inline(always)]
fn socket(call: &Call, event: Event) -> Seen<Socket> {
    Some((event, Socket::of_file(call.file(0)?)?))
}

traced_hook! { unix::socket_bind, |call| socket(&call, Event::UnixBind) }
traced_hook! { unix::socket_listen, |call| socket(&call, Event::UnixListen) }
traced_hook! { unix::socket_accept, |call| socket(&call, Event::UnixAccept) }
traced_hook! { unix::socket_recvmsg, |call| socket(&call, Event::UnixReceive) }

/// What a stream is connected to by now. (Of datagrams only what is sent is seen.)
#[inline(always)]
fn connected(call: Call) -> Seen<Reached> {
    let (event, socket) = socket(&call, Event::UnixConnect)?;
    if socket.is_for_datagrams() {
        return None;
    }
    Some((event, Reached(socket.peer()?)))
}

traced_hook! { unix::unix_stream_connect, connected }

/// The first of the two.
#[inline(always)]
fn paired(call: Call) -> Seen<Socket> {
    let number = Memory::User.read::<u32>(call.arg(3) as Ptr)?;
    Some((Event::UnixPair, Socket::of_file(File::descriptor(number)?)?))
}

traced_hook! { unix::socket_socketpair, paired }

/// Data that was sent through a socket.
struct Message {
    socket: Socket,
    data: Sent,
    /// The address that it was sent to, at 0 where none was given.
    to: Address,
}

impl Message {
    #[inline(always)]
    fn seen(call: Call) -> Seen<Self> {
        let (event, socket) = socket(&call, Event::UnixSend)?;
        let (data, to) = if call.number == Syscall::Sendto as u32 {
            (Sent::written(&call), Self::address(call.arg(4) as Ptr, call.arg(5) as u32))
        } else if call.number == Syscall::Sendmsg as u32 {
            Self::of_header(call.arg(1) as Ptr, call.result)?
        } else if call.number == Syscall::Sendmmsg as u32 {
            let first = call.arg(1) as Ptr;
            Self::of_header(first, u64::from(Memory::User.read::<u32>(first.wrapping_add(MESSAGE_LENGTH))?))?
        } else {
            (Sent::written(&call), Self::address(core::ptr::null(), 0))
        };
        Some((event, Self { socket, data, to }))
    }

    /// `length` bytes of the message that a `struct user_msghdr` describes.
    #[inline(always)]
    fn of_header(header: Ptr, length: u64) -> Option<(Sent, Address)> {
        let word = |at: usize| Memory::User.read::<u64>(header.wrapping_add(at));
        let data = Sent { from: word(HEADER_SEGMENTS)? as Ptr, is_vector: true, segments: word(HEADER_COUNT)?, length };
        Some((data, Self::address(word(HEADER_NAME)? as Ptr, word(HEADER_NAME_LENGTH)? as u32)))
    }

    #[inline(always)]
    const fn address(name: Ptr, length: u32) -> Address {
        Address { base: name, length, memory: Memory::User }
    }
}

impl Subject for Message {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        fill_receiver(held, wanted, &self.socket, self.to);
        if wanted.contains(Groups::PAYLOAD) {
            payload::fill_sent(held, &self.data);
        }
    }
}

traced_hook! { unix::socket_sendmsg, Message::seen }
