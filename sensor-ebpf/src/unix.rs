//! Unix sockets: addresses, connections, and the data sent.

use sensor_common::{
    event::{Event, Groups},
    maps::Generation,
    record::{Object, TEXT_MAX, Text},
};

use crate::{
    asm,
    hook::{Context, lsm_hook},
    kernel::{
        FILE_PRIVATE_DATA, FS_PWD, FS_ROOT, MSGHDR_ITER, MSGHDR_NAME, MSGHDR_NAMELEN, PATH_DENTRY, PATH_MNT,
        PID_NUMBERS, Ptr, SK_FAMILY, SK_PEER_PID, SK_SOCKET, SK_TYPE, SOCKET_SK, Struct, TASK_FS, UNIX_ADDR,
        UNIX_ADDRESS_LEN, UNIX_ADDRESS_NAME, UNIX_PATH_DENTRY, UNIX_PATH_MNT, UNIX_PEER, member, probe, probe_ptr,
    },
    look,
    memory::Memory,
    object::File,
    path::{self, Name},
    payload, quarantine,
    record::Held,
    scratch::{Scratch, Wanted},
    subject::{Seen, Subject},
    text,
};

const AF_UNIX: u16 = 1;
const SOCK_DGRAM: u16 = 2;
/// Size of `sun_path`, and where it begins in `struct sockaddr_un`.
const SUN_PATH: usize = 108;
const SUN_PATH_AT: usize = 2;

/// A unix socket.
pub struct Socket {
    pub socket: Struct,
    /// Its `struct sock`.
    pub sk: Struct,
}

impl Socket {
    /// The socket, or `None` where it is of another family, after two loads.
    #[inline(always)]
    fn new(socket: Struct) -> Option<Self> {
        let sk = socket.to(&SOCKET_SK)?;
        (sk.get::<u16>(&SK_FAMILY) == AF_UNIX).then_some(Self { socket, sk })
    }

    /// The socket of a `struct sock`, or `None` where it is of another family, after one load.
    #[inline(always)]
    pub fn of_sk(sk: Struct) -> Option<Self> {
        if sk.get::<u16>(&SK_FAMILY) != AF_UNIX {
            return None;
        }
        Some(Self { socket: sk.to(&SK_SOCKET)?, sk })
    }

    /// The socket that a file is, or `None` where it is none or of another family.
    #[inline(always)]
    pub fn of_file(file: Struct) -> Option<Self> {
        if !File::new(file).is_socket() {
            return None;
        }
        Self::new(file.to(&FILE_PRIVATE_DATA)?)
    }

    /// Whether what is sent through it are datagrams.
    #[inline(always)]
    pub fn is_for_datagrams(&self) -> bool {
        self.sk.get::<u16>(&SK_TYPE) == SOCK_DGRAM
    }

    /// The socket that it is connected to, as it was found by whoever connected.
    #[inline(always)]
    pub fn peer(&self) -> Option<Struct> {
        let peer = probe_ptr(member(self.sk.base, &UNIX_PEER)).filter(|peer| !peer.is_null());
        peer.map(Struct::probed)
    }

    /// The socket whose address names the connection: the peer, or else itself.
    #[inline(always)]
    pub fn named(&self) -> Ptr {
        let is_bound = |sk: &Struct| probe_ptr(member(sk.base, &UNIX_ADDR)).is_some_and(|address| !address.is_null());
        self.peer().filter(is_bound).map_or(self.sk.base, |peer| peer.base)
    }

    /// Writes down its type and who is at the other end.
    #[inline(always)]
    pub fn fill_ends(&self, held: &mut Held, wanted: Wanted) {
        if wanted.contains(Groups::SOCKET) {
            held.record.object.socket_type = u32::from(self.sk.get::<u16>(&SK_TYPE));
        }
        if wanted.contains(Groups::PEER) {
            let pid = probe_ptr(member(self.sk.base, &SK_PEER_PID)).unwrap_or(core::ptr::null());
            let peer = &mut held.record.peer;
            peer.pid = probe(member(pid, &PID_NUMBERS)).unwrap_or(0);
            peer.uid = quarantine::owner_of_peer(self.sk);
        }
    }
}

/// Whether anything is wanted of a socket's address.
#[inline(always)]
fn is_address_wanted(wanted: Wanted) -> bool {
    wanted.contains(Groups::PATH) || wanted.contains(Groups::SOCKET)
}

/// Writes down where the `struct unix_sock` at `sk` is to be found: the path of its file, whatever it was called
/// when the socket was bound to it and whatever mounts others see it through; or its abstract name.
#[inline(always)]
pub fn fill_bound(held: &mut Held, wanted: Wanted, sk: Ptr) {
    if !is_address_wanted(wanted) {
        return;
    }
    clear(&mut held.record.object);
    let Some(address) = Address::of(sk) else { return };
    address.fill(held);
    let dentry = probe_ptr(member(sk, &UNIX_PATH_DENTRY)).filter(|dentry| !dentry.is_null());
    if let (Some(dentry), Some(mnt)) = (dentry, probe_ptr(member(sk, &UNIX_PATH_MNT))) {
        path::fill(&mut held.record.object.path, held.scratch, dentry, mnt);
    } else if held.record.object.is_abstract == 0 {
        // One that is closed has let go of its file, and keeps its address.
        address.keep_path(held);
    }
}

/// No address.
#[inline(always)]
fn clear(object: &mut Object) {
    text::empty(&mut object.path);
    text::empty(&mut object.address);
    object.is_abstract = 0;
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

    /// Where the name is, and how long it may be.
    #[inline(always)]
    fn name(self) -> (Ptr, usize) {
        let length = (self.length as usize).saturating_sub(SUN_PATH_AT);
        (self.base.wrapping_add(SUN_PATH_AT), asm::bounded(length, SUN_PATH))
    }

    /// Writes it down as it was given; an abstract name, which begins with a zero byte in the kernel and with `@`
    /// here, as the path too.
    #[inline(always)]
    fn fill(self, held: &mut Held) {
        let (from, length) = self.name();
        if length == 0 {
            return;
        }
        let object = &mut held.record.object;
        if self.memory.read::<u8>(from) == Some(0) {
            object.is_abstract = 1;
            self.keep_abstract(&mut object.address, held.scratch);
            self.keep_abstract(&mut object.path, held.scratch);
        } else {
            text::keep_string(&mut object.address, held.scratch, self.memory, from, length + 1);
        }
    }

    /// Writes down as the path what was given, as it was.
    #[inline(always)]
    fn keep_path(self, held: &mut Held) {
        let (from, length) = self.name();
        text::keep_string(&mut held.record.object.path, held.scratch, self.memory, from, length + 1);
    }

    #[inline(always)]
    fn keep_abstract(self, text: &mut Text<TEXT_MAX>, scratch: &mut Scratch) {
        let (from, length) = self.name();
        text::keep(text, scratch, self.memory, from, length as u32);
        text.bytes[0] = b'@';
    }
}

/// A socket, and the address that it is to be given.
struct Binding {
    socket: Socket,
    address: Address,
}

impl Binding {
    #[inline(always)]
    fn seen<C: Context>(ctx: &C) -> Seen<Self> {
        let socket = Socket::new(Struct::typed(ctx.arg(0)))?;
        let address = Address { base: ctx.arg(1), length: ctx.arg(2), memory: Memory::Kernel };
        Some((Event::UnixBind, Self { socket, address }))
    }
}

impl Subject for Binding {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.socket.fill_ends(held, wanted);
        if !is_address_wanted(wanted) {
            return;
        }
        clear(&mut held.record.object);
        self.address.fill(held);
        let object = &mut held.record.object;
        let (from, length) = self.address.name();
        if object.is_abstract != 0 || length == 0 {
            return;
        }
        let fs = Struct::current_task().to(&TASK_FS).map(|fs| Struct::probed(fs.base));
        let is_absolute = self.address.memory.read::<u8>(from) == Some(b'/');
        if let Some(start) = fs.map(|fs| fs.part(if is_absolute { &FS_ROOT } else { &FS_PWD })) {
            let (dentry, mnt) = (start.get::<u64>(&PATH_DENTRY), start.get::<u64>(&PATH_MNT));
            let name = Name { memory: self.address.memory, from, room: length + 1 };
            path::fill_below(&mut object.path, held.scratch, dentry as Ptr, mnt as Ptr, name);
        }
    }
}

/// A socket that another is about to reach, as the kernel has found it.
pub struct Reached(pub Struct);

impl Reached {
    /// `other` of a connection.
    #[inline(always)]
    fn connected<C: Context>(ctx: &C) -> Seen<Self> {
        Some((Event::UnixConnect, Self(Struct::typed(ctx.arg(1)))))
    }

    /// The receiver of a datagram.
    #[inline(always)]
    fn addressed<C: Context>(ctx: &C) -> Seen<Self> {
        let other = Struct::typed(ctx.arg(1)).to(&SOCKET_SK)?;
        Some((Event::UnixDatagram, Self(other)))
    }
}

impl Subject for Reached {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        if wanted.contains(Groups::SOCKET) {
            held.record.object.socket_type = u32::from(self.0.get::<u16>(&SK_TYPE));
        }
        fill_bound(held, wanted, self.0.base);
    }
}

impl Subject for Socket {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.fill_ends(held, wanted);
        fill_bound(held, wanted, self.named());
    }
}

#[inline(always)]
fn socket<C: Context>(ctx: &C, event: Event) -> Seen<Socket> {
    Some((event, Socket::new(Struct::typed(ctx.arg(0)))?))
}

lsm_hook! {
    /// `int socket_bind(struct socket *sock, struct sockaddr *address, int addrlen)`
    socket_bind, Binding::seen
}

lsm_hook! {
    /// `int unix_stream_connect(struct sock *sock, struct sock *other, struct sock *newsk)`
    unix_stream_connect, Reached::connected
}

lsm_hook! {
    /// `int unix_may_send(struct socket *sock, struct socket *other)`
    unix_may_send, Reached::addressed
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

/// Writes down to which socket data is sent through `socket`: the one at this address, where one is given to
/// a datagram socket; the others take no notice of it (`unix_seqpacket_sendmsg`). Whose the address is shows
/// when the kernel has found it ([`Event::UnixDatagram`]): here the path is as it was given.
#[inline(always)]
pub fn fill_receiver(held: &mut Held, wanted: Wanted, socket: &Socket, given: Address) {
    socket.fill_ends(held, wanted);
    if given.base.is_null() || given.length == 0 || !socket.is_for_datagrams() {
        fill_bound(held, wanted, socket.named());
    } else if is_address_wanted(wanted) {
        clear(&mut held.record.object);
        given.fill(held);
        if held.record.object.is_abstract == 0 {
            given.keep_path(held);
        }
    }
}

/// Data on its way into a socket.
pub struct Message {
    pub socket: Socket,
    /// `struct msghdr`
    pub header: Struct,
}

impl Message {
    #[inline(always)]
    fn seen<C: Context>(ctx: &C) -> Seen<Self> {
        let socket = Socket::new(Struct::typed(ctx.arg(0)))?;
        Some((Event::UnixSend, Self { socket, header: Struct::typed(ctx.arg(1)) }))
    }

    /// Writes down where it goes.
    #[inline(always)]
    pub fn fill_way(&self, held: &mut Held, wanted: Wanted) {
        let name = self.header.get::<u64>(&MSGHDR_NAME) as Ptr;
        let length: u32 = self.header.get(&MSGHDR_NAMELEN);
        fill_receiver(held, wanted, &self.socket, Address { base: name, length, memory: Memory::Kernel });
    }
}

impl Subject for Message {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.fill_way(held, wanted);
        let iter = self.header.part(&MSGHDR_ITER);
        if wanted.contains(Groups::PAYLOAD) {
            payload::fill(held, iter);
        }
        look::note(held, self.header, payload::size(iter));
    }

    #[inline(always)]
    fn matches_none(&self, event: Event, generation: &Generation) -> bool {
        payload::size(self.header.part(&MSGHDR_ITER)) < u64::from(generation.least[event as usize])
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
