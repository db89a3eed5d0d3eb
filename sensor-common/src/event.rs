//! The events, with the hook that each comes from and the groups of fields that it carries.

pub use crate::{
    groups::{ACTORS, Groups},
    hook::{Attach, Hook, Mode},
};
use crate::{quarantine::Container, verdict::Action};

/// Declares [`Event`] and everything known of each event.
macro_rules! events {
    ($($event:ident: $name:literal, $hook:ident, $groups:expr, $doc:literal;)+) => {
        /// What happened. The discriminant is the event's index in every map.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Event { $(#[doc = $doc] $event,)+ }

        impl Event {
            /// All events; `ALL[event as usize] == event`.
            pub const ALL: &'static [Self] = &[$(Self::$event,)+];
            /// How many events there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name under which rules ask for the event.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$event => $name,)+ }
            }

            /// One line for the documentation.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$event => $doc,)+ }
            }

            /// The only hook that produces this event.
            pub const fn hook(self) -> Hook {
                match self { $(Self::$event => Hook::$hook,)+ }
            }

            /// The groups of fields that this event carries; no other field may be named by its rules.
            pub const fn groups(self) -> Groups {
                match self { $(Self::$event => ACTORS.with($groups),)+ }
            }
        }
    };
}

/// A pipe or FIFO by its inode.
const INODE: Groups = Groups::INODE.with(Groups::OWNER);
/// A FIFO that is there.
const FIFO: Groups = INODE.with(Groups::PATH).with(Groups::MODE);
/// A unix socket.
const SOCKET: Groups = Groups::PATH.with(Groups::SOCKET);
/// One that is connected.
const CONNECTED: Groups = SOCKET.with(Groups::PEER);
/// A System V object that is being made.
const SYSV_NEW: Groups = Groups::KEY.with(Groups::MODE);
/// One that is there.
const SYSV: Groups = SYSV_NEW.with(Groups::OWNER);
/// Another process.
const TARGET: Groups = Groups::TARGET.with(Groups::TARGET_EXE);

events! {
    FifoCreate: "fifo.create", PathMknod, Groups::PATH.with(Groups::MODE),
        "A FIFO is about to be created (mkfifo, mknod, mknodat).";
    FifoOpen: "fifo.open", FileOpen, FIFO.with(Groups::OPEN),
        "A FIFO is about to be opened.";
    FifoRead: "fifo.read", FilePermission, FIFO,
        "A FIFO is about to be read from.";
    FifoWrite: "fifo.write", FilePermission, FIFO,
        "A FIFO is about to be written to; the data is not known yet, see fifo.payload.";
    FifoPayload: "fifo.payload", PipeWrite, FIFO.with(Groups::PAYLOAD),
        "Data is being written to a FIFO; carries its first bytes and cannot be blocked.";
    FifoMovedPayload: "fifo.moved_payload", PipeUnlock, FIFO.with(Groups::PAYLOAD),
        "Pages were moved into a FIFO (splice, tee, vmsplice, sendfile), and nobody can have read them yet; a rule on fifo.payload covers this event too.";
    FifoReceive: "fifo.receive", FileReceive, FIFO,
        "An open FIFO is about to be handed over by another process (`SCM_RIGHTS`) or taken from one (`pidfd_getfd`).";
    PipeCreate: "pipe.create", PipeCreate, Groups::NONE,
        "An anonymous pipe is being created (pipe, pipe2).";
    PipeOpen: "pipe.open", FileOpen, INODE.with(Groups::OPEN),
        "An anonymous pipe is about to be opened again, through /proc/PID/fd/N.";
    PipeRead: "pipe.read", FilePermission, INODE,
        "An anonymous pipe is about to be read from.";
    PipeWrite: "pipe.write", FilePermission, INODE,
        "An anonymous pipe is about to be written to; the data is not known yet, see pipe.payload.";
    PipePayload: "pipe.payload", PipeWrite, INODE.with(Groups::PAYLOAD),
        "Data is being written to an anonymous pipe; carries its first bytes and cannot be blocked.";
    PipeMovedPayload: "pipe.moved_payload", PipeUnlock, INODE.with(Groups::PAYLOAD),
        "Pages were moved into an anonymous pipe (splice, tee, vmsplice, sendfile), and nobody can have read them yet; a rule on pipe.payload covers this event too.";
    PipeReceive: "pipe.receive", FileReceive, INODE,
        "An open pipe is about to be handed over by another process (`SCM_RIGHTS`) or taken from one (`pidfd_getfd`).";
    PipeSplice: "pipe.splice", Splice, INODE,
        "Data is being moved into or out of a pipe or FIFO without copying (splice). If both ends are pipes, the event names the one written to.";
    PipeTee: "pipe.tee", Tee, INODE,
        "Data is being duplicated into a pipe or FIFO (tee). The event names the pipe written to.";
    PipeVmsplice: "pipe.vmsplice", Vmsplice, INODE,
        "Memory is being mapped into a pipe or FIFO, or read out of it (vmsplice).";
    PipeSendfile: "pipe.sendfile", Sendfile, INODE,
        "A file is being sent into a pipe or FIFO (sendfile).";
    UnixCreate: "unix.create", PathMknod, Groups::PATH.with(Groups::MODE),
        "The file of a unix socket is about to be created (bind, mknod); `path` is the file, whatever the address looks like.";
    UnixBind: "unix.bind", SocketBind, SOCKET,
        "A unix socket is about to be given an address; `path` is as given, see `unix.create`.";
    UnixListen: "unix.listen", SocketListen, SOCKET,
        "A unix socket is about to wait for connections.";
    UnixConnect: "unix.connect", StreamConnect, SOCKET,
        "A unix socket (stream, sequenced packets) is about to be connected to another socket, already looked up.";
    UnixDatagram: "unix.datagram", MaySend, SOCKET,
        "A datagram is about to be sent to a unix socket, already looked up, or a datagram socket connected to it.";
    UnixAccept: "unix.accept", SocketAccept, SOCKET,
        "A connection to a unix socket is about to be accepted.";
    UnixSend: "unix.send", SocketSend, CONNECTED.with(Groups::PAYLOAD),
        "Data is about to be sent through a unix socket; carries its first bytes and can be blocked.";
    UnixCopied: "unix.copied", SocketCopy, CONNECTED.with(Groups::PAYLOAD),
        "Bytes that unix.send did not see are about to reach a unix socket: changed while they were sent, or never asked about; a rule on unix.send that reads the payload is on this too.";
    UnixReceive: "unix.receive", SocketReceive, CONNECTED,
        "Data is about to be received from a unix socket.";
    UnixPair: "unix.pair", SocketPair, Groups::SOCKET,
        "A pair of connected unix sockets is about to be created (socketpair).";
    SysvMsgCreate: "sysv.msg_create", MsgCreate, SYSV_NEW,
        "A System V message queue is about to be created (msgget).";
    SysvMsgOpen: "sysv.msg_open", MsgOpen, SYSV,
        "An existing System V message queue is about to be opened by its key (msgget).";
    SysvMsgSend: "sysv.msg_send", MsgSend, SYSV.with(Groups::MESSAGE).with(Groups::PAYLOAD),
        "A message is about to be sent to a System V queue (msgsnd).";
    SysvMsgReceive: "sysv.msg_receive", MsgReceive, SYSV.with(Groups::MESSAGE).with(Groups::PAYLOAD),
        "A message is about to be received from a System V queue (msgrcv) and has been chosen. If the receiver slept, the sender hands the \
         message over: then `process` is the sender, and nobody is killed.";
    SysvShmCreate: "sysv.shm_create", ShmCreate, SYSV_NEW,
        "A System V shared memory segment is about to be created (shmget).";
    SysvShmOpen: "sysv.shm_open", ShmOpen, SYSV.with(Groups::SIZE),
        "An existing System V shared memory segment is about to be opened by its key (shmget).";
    SysvShmAttach: "sysv.shm_attach", ShmAttach, SYSV.with(Groups::SIZE),
        "A System V shared memory segment is about to be attached (shmat).";
    SysvSemCreate: "sysv.sem_create", SemCreate, SYSV_NEW,
        "A System V semaphore set is about to be created (semget).";
    SysvSemOpen: "sysv.sem_open", SemOpen, SYSV,
        "An existing System V semaphore set is about to be opened by its key (semget).";
    SysvSemOperate: "sysv.sem_operate", SemOperate, SYSV,
        "System V semaphores are about to be changed or waited for (semop, semtimedop).";
    MqueueOpen: "mqueue.open", FileOpen, FIFO.with(Groups::OPEN),
        "A POSIX message queue is about to be opened, and may have just been created (`mq_open`).";
    MqueueSend: "mqueue.send", MqSend, FIFO.with(Groups::MESSAGE).with(Groups::PAYLOAD),
        "A message is being sent to a POSIX queue (`mq_send`, `mq_timedsend`).";
    MqueueReceive: "mqueue.receive", MqReceive, FIFO,
        "A message is being received from a POSIX queue (`mq_receive`, `mq_timedreceive`).";
    ShmCreate: "shm.create", MemfdCreate, Groups::PATH,
        "Memory with a descriptor is being created (`memfd_create`); `path` is its name.";
    ShmOpen: "shm.open", FileOpen, FIFO.with(Groups::OPEN),
        "POSIX shared memory below /dev/shm is about to be opened, and may have just been created (`shm_open`).";
    ShmSeal: "shm.seal", FileFcntl, FIFO.with(Groups::SEALS),
        "Memory with a descriptor is about to be sealed (`F_ADD_SEALS`).";
    ShmMap: "shm.map", MmapFile, FIFO.with(Groups::MAP),
        "Shared memory is about to be mapped so that others see what is written (`MAP_SHARED`).";
    ProcessExec: "process.exec", Exec, FIFO.with(Groups::INTERPRETER),
        "A program is about to replace the process's own; a script's interpreter gives a second event.";
    ProcessStart: "process.start", Start, Groups::NONE,
        "A program has replaced the process's own: `process.exe` and `process.arguments` are the new ones.";
    ProcessPtrace: "process.ptrace", PtraceAccess, TARGET,
        "A process is about to take control of another one, or to get its memory or descriptors (ptrace, `process_vm_readv`, `pidfd_getfd`, /proc/PID/mem).";
    ProcessTraceme: "process.traceme", PtraceTraceme, TARGET,
        "The process is about to be traced by its parent, which is the target (`PTRACE_TRACEME`).";
    ProcessSignal: "process.signal", TaskKill, TARGET.with(Groups::SIGNAL),
        "A signal is about to be sent to another process.";
    ProcessExit: "process.exit", TaskExit, Groups::EXIT,
        "A process ends, with its last thread.";
}

impl Event {
    /// The event with this index, or `None` where the index is none.
    pub fn from_index(index: u32) -> Option<Self> {
        if index as usize >= Self::COUNT {
            return None;
        }
        // SAFETY: the enum is `repr(u32)` and its discriminants are 0 to `COUNT - 1` (asserted below). Not
        // `ALL.get(index)`: that is a load, behind which the kernel's verifier no longer knows the bounds.
        Some(unsafe { core::mem::transmute::<u32, Self>(index) })
    }

    /// What the event's data goes into, where that can be put in quarantine.
    pub const fn container(self) -> Option<Container> {
        match self {
            Self::FifoPayload | Self::FifoMovedPayload | Self::PipePayload | Self::PipeMovedPayload => {
                Some(Container::Pipe)
            }
            Self::UnixSend | Self::UnixCopied => Some(Container::Socket),
            _ => None,
        }
    }

    /// The event that a rule for this one is for too, though it does not name it: the same happens, by
    /// another way of the kernel.
    pub const fn companion(self) -> Option<Self> {
        match self {
            Self::FifoPayload => Some(Self::FifoMovedPayload),
            Self::PipePayload => Some(Self::PipeMovedPayload),
            _ => None,
        }
    }

    /// The event that a rule for this one is for too where it reads the payload: the same data, as the kernel
    /// has copied it.
    pub const fn copied(self) -> Option<Self> {
        match self {
            Self::UnixSend => Some(Self::UnixCopied),
            _ => None,
        }
    }

    /// Whether a rule for this event can ask for `action`.
    pub const fn allows(self, action: Action) -> bool {
        match action {
            Action::Alert | Action::Kill => true,
            Action::Block => self.hook().can_deny(),
            Action::Quarantine => self.container().is_some(),
        }
    }

    /// The event with this name, or `None`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.name() == name)
    }

    /// The events of one hook.
    pub fn of(hook: Hook) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |event| event.hook() == hook)
    }
}

const _: () = {
    let mut index = 0;
    while index < Event::COUNT {
        assert!(Event::ALL[index] as usize == index, "an event's discriminant is its index");
        index += 1;
    }
};
