//! Unix sockets: addresses, connections, and the data sent.

use sensor_common::{
    event::{Event, Groups},
    record::{Object, TEXT_MAX},
};

use crate::{
    asm,
    hook::{Context, Seen, lsm_hook},
    kernel::{
        FILE_PRIVATE_DATA, MSGHDR_ITER, MSGHDR_NAME, MSGHDR_NAMELEN, PID_NUMBERS, Ptr, SK_FAMILY, SK_PEER_PID,
        SOCKET_SK, SOCKET_TYPE, Struct, UNIX_ADDR, UNIX_ADDRESS_LEN, UNIX_ADDRESS_NAME, UNIX_PEER, member, probe,
        probe_ptr,
    },
    memory::Memory,
    object::File,
    payload, quarantine,
    record::Held,
    scratch::Wanted,
    stage::Subject,
};

const AF_UNIX: u16 = 1;
/// Size of `sun_path`, and where it begins in `struct sockaddr_un`.
const SUN_PATH: usize = 108;
const SUN_PATH_AT: usize = 2;

/// A unix socket.
pub struct Socket {
    socket: Struct,
    /// Its `struct sock`.
    sk: Struct,
}

impl Socket {
    /// The socket, or `None` where it is of another family, after two loads.
    #[inline(always)]
    fn new(socket: Struct) -> Option<Self> {
        let sk = socket.to(&SOCKET_SK)?;
        (sk.get::<u16>(&SK_FAMILY) == AF_UNIX).then_some(Self { socket, sk })
    }

    /// The socket that a file is, or `None` where it is none or of another family.
    #[inline(always)]
    pub fn of_file(file: Struct) -> Option<Self> {
        if !File::new(file).is_socket() {
            return None;
        }
        Self::new(file.to(&FILE_PRIVATE_DATA)?)
    }

    /// The address that names the connection: that of the peer, or else its own.
    #[inline(always)]
    pub fn address(&self) -> Option<Address> {
        let peer = probe_ptr(member(self.sk.base, &UNIX_PEER)).filter(|peer| !peer.is_null());
        peer.and_then(Address::of).or_else(|| Address::of(self.sk.base))
    }

    /// Writes the socket down, with the address that the event is about.
    #[inline(always)]
    pub fn fill(&self, held: &mut Held, wanted: Wanted, address: Option<Address>) {
        let object = &mut held.record.object;
        if wanted.contains(Groups::PATH) || wanted.contains(Groups::SOCKET) {
            object.path.len = 0;
            object.path.full = 0;
            object.is_abstract = 0;
            if let Some(address) = address {
                address.fill(object);
            }
            object.socket_type = u32::from(self.socket.get::<u16>(&SOCKET_TYPE));
        }
        if wanted.contains(Groups::PEER) {
            let pid = probe_ptr(member(self.sk.base, &SK_PEER_PID)).unwrap_or(core::ptr::null());
            let peer = &mut held.record.peer;
            peer.pid = probe(member(pid, &PID_NUMBERS)).unwrap_or(0);
            peer.uid = quarantine::owner_of_peer(self.sk);
        }
    }
}

/// A `struct sockaddr_un`.
#[derive(Clone, Copy)]
pub struct Address {
    pub base: Ptr,
    pub length: u32,
    pub memory: Memory,
}

impl Address {
    /// The address that a `struct unix_sock` was bound to.
    #[inline(always)]
    fn of(sk: Ptr) -> Option<Self> {
        let address = probe_ptr(member(sk, &UNIX_ADDR)).filter(|address| !address.is_null())?;
        let length = probe(member(address, &UNIX_ADDRESS_LEN))?;
        Some(Self { base: member(address, &UNIX_ADDRESS_NAME), length, memory: Memory::Kernel })
    }

    /// Writes the path, or `@` and the abstract name, which begins with a zero byte in the kernel.
    #[inline(always)]
    fn fill(self, object: &mut Object) {
        let length = (self.length as usize).saturating_sub(SUN_PATH_AT);
        let length = asm::bounded(length, SUN_PATH);
        let from = self.base.wrapping_add(SUN_PATH_AT);
        if length == 0 {
            return;
        }
        let to = object.path.bytes.as_mut_ptr();
        const { assert!(SUN_PATH < TEXT_MAX) };
        // SAFETY: the destination is larger than `length` and the byte that ends a string; the helpers cannot fault on the source.
        let kept = unsafe {
            if self.memory.read::<u8>(from) == Some(0) {
                object.is_abstract = 1;
                let status = self.memory.copy(to, length, from);
                *to = b'@';
                if status == 0 { length as u32 } else { 0 }
            } else {
                self.memory.copy_string(to, length + 1, from).max(1) as u32 - 1
            }
        };
        object.path.len = kept;
        object.path.full = kept;
    }
}

/// A socket, and the address that it is given, by itself or by another.
pub struct Addressed {
    pub socket: Socket,
    pub address: Address,
}

impl Addressed {
    #[inline(always)]
    fn seen<C: Context>(ctx: &C, event: Event) -> Seen<Self> {
        let socket = Socket::new(Struct::typed(ctx.arg(0)))?;
        let address = Address { base: ctx.arg(1), length: ctx.arg(2), memory: Memory::Kernel };
        Some((event, Self { socket, address }))
    }
}

impl Subject for Addressed {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.socket.fill(held, wanted, Some(self.address));
    }
}

impl Subject for Socket {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.fill(held, wanted, self.address());
    }
}

#[inline(always)]
fn socket<C: Context>(ctx: &C, event: Event) -> Seen<Socket> {
    Some((event, Socket::new(Struct::typed(ctx.arg(0)))?))
}

lsm_hook! {
    /// `int socket_bind(struct socket *sock, struct sockaddr *address, int addrlen)`
    socket_bind, |ctx| Addressed::seen(ctx, Event::UnixBind)
}

lsm_hook! {
    /// `int socket_connect(struct socket *sock, struct sockaddr *address, int addrlen)`
    socket_connect, |ctx| Addressed::seen(ctx, Event::UnixConnect)
}

lsm_hook! {
    /// `int socket_listen(struct socket *sock, int backlog)`
    socket_listen, |ctx| socket(ctx, Event::UnixListen)
}

lsm_hook! {
    /// `int socket_accept(struct socket *sock, struct socket *newsock)`
    socket_accept, |ctx| socket(ctx, Event::UnixAccept)
}

lsm_hook! {
    /// `int socket_socketpair(struct socket *socka, struct socket *sockb)`
    socket_socketpair, |ctx| socket(ctx, Event::UnixPair)
}

lsm_hook! {
    /// `int socket_recvmsg(struct socket *sock, struct msghdr *msg, int size, int flags)`
    socket_recvmsg, |ctx| socket(ctx, Event::UnixReceive)
}

/// Data on its way into a socket.
struct Message {
    socket: Socket,
    /// `struct msghdr`
    header: Struct,
}

impl Message {
    #[inline(always)]
    fn seen<C: Context>(ctx: &C) -> Seen<Self> {
        let socket = Socket::new(Struct::typed(ctx.arg(0)))?;
        Some((Event::UnixSend, Self { socket, header: Struct::typed(ctx.arg(1)) }))
    }
}

impl Subject for Message {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        let name = self.header.get::<u64>(&MSGHDR_NAME) as Ptr;
        let length: u32 = self.header.get(&MSGHDR_NAMELEN);
        let given = (!name.is_null()).then_some(Address { base: name, length, memory: Memory::Kernel });
        self.socket.fill(held, wanted, given.or_else(|| self.socket.address()));
        if wanted.contains(Groups::PAYLOAD) {
            payload::fill(held, self.header.part(&MSGHDR_ITER));
        }
    }

    #[inline(always)]
    fn is_for_another(&self) -> bool {
        quarantine::is_anothers_peer(self.socket.socket, self.socket.sk)
    }

    #[inline(always)]
    fn quarantine(&self, held: &Held) {
        quarantine::mark_receiver(held, self.socket.socket, self.socket.sk);
    }
}

lsm_hook! {
    /// `int socket_sendmsg(struct socket *sock, struct msghdr *msg, int size)`
    socket_sendmsg, Message::seen
}
