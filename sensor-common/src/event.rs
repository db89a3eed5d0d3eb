//! The events, the hooks they come from, and the groups of fields that each event carries.

use crate::verdict::Action;

/// A set of field groups. A hook fills the groups that the active rules of its event read; the rest is
/// filled only when a rule matched, for the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Groups(pub u32);

impl Groups {
    /// No group.
    pub const NONE: Self = Self(0);
    /// Process: ids, user, start time, cgroup.
    pub const PROCESS: Self = Self(1);
    /// Path of the executable of the process.
    pub const EXE: Self = Self(1 << 1);
    /// Parent: pid, uid, `comm`.
    pub const PARENT: Self = Self(1 << 2);
    /// Path of the executable of the parent.
    pub const PARENT_EXE: Self = Self(1 << 3);
    /// Path or name of the object.
    pub const PATH: Self = Self(1 << 4);
    /// Inode number and device of the object.
    pub const INODE: Self = Self(1 << 5);
    /// Mode bits of the object.
    pub const MODE: Self = Self(1 << 6);
    /// How the object is being opened.
    pub const OPEN: Self = Self(1 << 7);
    /// The data written, sent or received.
    pub const PAYLOAD: Self = Self(1 << 8);
    /// Capabilities, login user and namespaces of the process.
    pub const IDENTITY: Self = Self(1 << 9);
    /// Arguments of the process.
    pub const ARGUMENTS: Self = Self(1 << 10);
    /// Path of the cgroup of the process.
    pub const CGROUP: Self = Self(1 << 11);
    /// The parents above the parent: pid, `comm`.
    pub const ANCESTORS: Self = Self(1 << 12);
    /// Paths of their executables.
    pub const ANCESTORS_EXE: Self = Self(1 << 13);
    /// Owner of the object.
    pub const OWNER: Self = Self(1 << 14);
    /// Type of the socket.
    pub const SOCKET: Self = Self(1 << 15);
    /// The process at the other end of a connected socket.
    pub const PEER: Self = Self(1 << 16);
    /// The process that something is done to.
    pub const TARGET: Self = Self(1 << 17);
    /// Path of its executable.
    pub const TARGET_EXE: Self = Self(1 << 18);
    /// Key and identifier of a System V object.
    pub const KEY: Self = Self(1 << 19);
    /// Type or priority of a message.
    pub const MESSAGE: Self = Self(1 << 20);
    /// Size of the object.
    pub const SIZE: Self = Self(1 << 21);
    /// How memory is mapped.
    pub const MAP: Self = Self(1 << 22);
    /// Seals added to memory.
    pub const SEALS: Self = Self(1 << 23);
    /// Number of the signal.
    pub const SIGNAL: Self = Self(1 << 24);
    /// Wait status of a process that ends.
    pub const EXIT: Self = Self(1 << 25);
    /// Interpreter of the program.
    pub const INTERPRETER: Self = Self(1 << 26);
    /// Name of the thread.
    pub const COMM: Self = Self(1 << 27);
    /// Those that cost much to fill. A generation's early programs do without them; they are filled only where these say
    /// that a rule may match.
    pub const LATE: Self = Self::EXE
        .with(Self::PARENT_EXE)
        .with(Self::ANCESTORS)
        .with(Self::ANCESTORS_EXE)
        .with(Self::ARGUMENTS)
        .with(Self::CGROUP)
        .with(Self::TARGET_EXE);
    /// Not a group of fields: set in a generation's needs when any rule is for the event at all.
    pub const JUDGED: Self = Self(1 << 31);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in `self` and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every group of `other` is in `self`.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some group is in both sets.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether no group is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Who performs the event, with its ancestors: carried by every event.
pub const ACTORS: Groups = Groups::PROCESS
    .with(Groups::COMM)
    .with(Groups::EXE)
    .with(Groups::IDENTITY)
    .with(Groups::ARGUMENTS)
    .with(Groups::CGROUP)
    .with(Groups::PARENT)
    .with(Groups::PARENT_EXE)
    .with(Groups::ANCESTORS)
    .with(Groups::ANCESTORS_EXE);

/// What the running kernel lets the sensor do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// BPF is among the active security modules: LSM hooks fire and can deny.
    Lsm,
    /// It is not, and LSM programs would load and never fire: fentry programs on the kernel's `security_…` functions see the
    /// same events and can deny nothing.
    Observe,
}

/// How a hook is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// LSM program on the hook of this name: can deny. In [`Mode::Observe`] fentry program on the kernel's function that
    /// calls the hook, see [`Hook::security_functions`].
    Lsm,
    /// fentry program on the first of these functions that the kernel has: observes only.
    Fentry(&'static [&'static str]),
}

/// Declares [`Hook`] and everything known of each hook.
macro_rules! hooks {
    ($($(#[doc = $doc:literal])+ $hook:ident: $name:literal, $attach:expr;)+) => {
        /// A place in the kernel where events come from. One prototype each, hence one program array each:
        /// the kernel refuses a tail call between programs of different prototypes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Hook { $($(#[doc = $doc])+ $hook,)+ }

        impl Hook {
            /// All hooks, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$hook,)+];

            /// The name of the hook: that of its programs in `sensor-ebpf`, and of `finish_…` beside them.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$hook => $name,)+ }
            }

            /// How and where the hook is attached.
            pub const fn attach(self) -> Attach {
                match self { $(Self::$hook => $attach,)+ }
            }

            /// The name of the program array through which this hook reaches rules and finish.
            pub const fn stages(self) -> &'static str {
                match self { $(Self::$hook => concat!("STAGES_", $name),)+ }
            }

            /// The functions of which one calls the LSM hook of this name: `security_…`, in newer kernels without the
            /// `_security` that some hooks end with.
            pub const fn security_functions(self) -> [&'static str; 2] {
                match self { $(Self::$hook => [concat!("security_", $name), without_suffix(concat!("security_", $name))],)+ }
            }

            /// Whether a verdict can deny the operation here.
            pub const fn can_deny(self) -> bool {
                matches!(self.attach(), Attach::Lsm)
            }
        }
    };
}

/// `name` without `_security` at its end.
const fn without_suffix(name: &'static str) -> &'static str {
    const SUFFIX: &[u8] = b"_security";
    let bytes = name.as_bytes();
    if bytes.len() > SUFFIX.len() {
        let (head, tail) = name.split_at(bytes.len() - SUFFIX.len());
        let mut index = 0;
        while index < SUFFIX.len() {
            if tail.as_bytes()[index] != SUFFIX[index] {
                return name;
            }
            index += 1;
        }
        return head;
    }
    name
}

hooks! {
    /// `int path_mknod(const struct path *dir, struct dentry *dentry, umode_t mode, unsigned int dev)`
    PathMknod: "path_mknod", Attach::Lsm;
    /// `int file_open(struct file *file)`
    FileOpen: "file_open", Attach::Lsm;
    /// `int file_permission(struct file *file, int mask)`
    FilePermission: "file_permission", Attach::Lsm;
    /// `int file_receive(struct file *file)`
    FileReceive: "file_receive", Attach::Lsm;
    /// `ssize_t anon_pipe_write(struct kiocb *iocb, struct iov_iter *from)`, called `pipe_write` before 6.15.
    /// From 6.15 on a write to a FIFO passes through `fifo_pipe_write` into `anon_pipe_write`.
    PipeWrite: "pipe_write", Attach::Fentry(&["anon_pipe_write", "pipe_write"]);
    /// `int create_pipe_files(struct file **res, int flags)`
    PipeCreate: "create_pipe_files", Attach::Fentry(&["create_pipe_files"]);
    /// `ssize_t do_splice(struct file *in, loff_t *off_in, struct file *out, loff_t *off_out, size_t len, unsigned int flags)`
    Splice: "do_splice", Attach::Fentry(&["do_splice"]);
    /// `ssize_t do_tee(struct file *in, struct file *out, size_t len, unsigned int flags)`
    Tee: "do_tee", Attach::Fentry(&["do_tee"]);
    /// `long __x64_sys_vmsplice(const struct pt_regs *regs)`
    Vmsplice: "vmsplice", Attach::Fentry(&["__x64_sys_vmsplice"]);
    /// `ssize_t do_sendfile(int out_fd, int in_fd, loff_t *ppos, size_t count, loff_t max)`
    Sendfile: "do_sendfile", Attach::Fentry(&["do_sendfile"]);
    /// `int socket_bind(struct socket *sock, struct sockaddr *address, int addrlen)`
    SocketBind: "socket_bind", Attach::Lsm;
    /// `int socket_listen(struct socket *sock, int backlog)`
    SocketListen: "socket_listen", Attach::Lsm;
    /// `int socket_connect(struct socket *sock, struct sockaddr *address, int addrlen)`
    SocketConnect: "socket_connect", Attach::Lsm;
    /// `int socket_accept(struct socket *sock, struct socket *newsock)`
    SocketAccept: "socket_accept", Attach::Lsm;
    /// `int socket_sendmsg(struct socket *sock, struct msghdr *msg, int size)`
    SocketSend: "socket_sendmsg", Attach::Lsm;
    /// `int socket_recvmsg(struct socket *sock, struct msghdr *msg, int size, int flags)`
    SocketReceive: "socket_recvmsg", Attach::Lsm;
    /// `int socket_socketpair(struct socket *socka, struct socket *sockb)`
    SocketPair: "socket_socketpair", Attach::Lsm;
    /// `int msg_queue_alloc_security(struct kern_ipc_perm *perm)`
    MsgCreate: "msg_queue_alloc_security", Attach::Lsm;
    /// `int msg_queue_associate(struct kern_ipc_perm *perm, int msqflg)`
    MsgOpen: "msg_queue_associate", Attach::Lsm;
    /// `int msg_queue_msgsnd(struct kern_ipc_perm *perm, struct msg_msg *msg, int msqflg)`
    MsgSend: "msg_queue_msgsnd", Attach::Lsm;
    /// `int msg_queue_msgrcv(struct kern_ipc_perm *perm, struct msg_msg *msg, struct task_struct *target, long type, int mode)`
    MsgReceive: "msg_queue_msgrcv", Attach::Lsm;
    /// `int shm_alloc_security(struct kern_ipc_perm *perm)`
    ShmCreate: "shm_alloc_security", Attach::Lsm;
    /// `int shm_associate(struct kern_ipc_perm *perm, int shmflg)`
    ShmOpen: "shm_associate", Attach::Lsm;
    /// `int shm_shmat(struct kern_ipc_perm *perm, char *shmaddr, int shmflg)`
    ShmAttach: "shm_shmat", Attach::Lsm;
    /// `int sem_alloc_security(struct kern_ipc_perm *perm)`
    SemCreate: "sem_alloc_security", Attach::Lsm;
    /// `int sem_associate(struct kern_ipc_perm *perm, int semflg)`
    SemOpen: "sem_associate", Attach::Lsm;
    /// `int sem_semop(struct kern_ipc_perm *perm, struct sembuf *sops, unsigned int nsops, int alter)`
    SemOperate: "sem_semop", Attach::Lsm;
    /// `int do_mq_timedsend(mqd_t mqdes, const char *u_msg_ptr, size_t msg_len, unsigned int msg_prio, struct timespec64 *ts)`
    MqSend: "mq_timedsend", Attach::Fentry(&["do_mq_timedsend"]);
    /// `int do_mq_timedreceive(mqd_t mqdes, char *u_msg_ptr, size_t msg_len, unsigned int *u_msg_prio, struct timespec64 *ts)`
    MqReceive: "mq_timedreceive", Attach::Fentry(&["do_mq_timedreceive"]);
    /// `struct file *shmem_file_setup(const char *name, loff_t size, unsigned long flags)`
    MemfdCreate: "shmem_file_setup", Attach::Fentry(&["shmem_file_setup"]);
    /// `int file_fcntl(struct file *file, unsigned int cmd, unsigned long arg)`
    FileFcntl: "file_fcntl", Attach::Lsm;
    /// `int mmap_file(struct file *file, unsigned long reqprot, unsigned long prot, unsigned long flags)`
    MmapFile: "mmap_file", Attach::Lsm;
    /// `int bprm_check_security(struct linux_binprm *bprm)`
    Exec: "bprm_check_security", Attach::Lsm;
    /// `void finalize_exec(struct linux_binprm *bprm)`: the new program's memory is complete, its first instruction is next.
    Start: "finalize_exec", Attach::Fentry(&["finalize_exec"]);
    /// `int ptrace_access_check(struct task_struct *child, unsigned int mode)`
    PtraceAccess: "ptrace_access_check", Attach::Lsm;
    /// `int ptrace_traceme(struct task_struct *parent)`
    PtraceTraceme: "ptrace_traceme", Attach::Lsm;
    /// `int task_kill(struct task_struct *p, struct kernel_siginfo *info, int sig, const struct cred *cred)`
    TaskKill: "task_kill", Attach::Lsm;
    /// `void taskstats_exit(struct task_struct *tsk, int group_dead)`
    TaskExit: "taskstats_exit", Attach::Fentry(&["taskstats_exit"]);
}

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
    FifoReceive: "fifo.receive", FileReceive, FIFO,
        "An open FIFO is about to be handed over by another process (`SCM_RIGHTS`) or taken from one (`pidfd_getfd`).";
    PipeCreate: "pipe.create", PipeCreate, Groups::NONE,
        "An anonymous pipe is being created (pipe, pipe2).";
    PipeOpen: "pipe.open", FileOpen, INODE.with(Groups::OPEN),
        "An anonymous pipe is about to be opened once more, through /proc/PID/fd/N.";
    PipeRead: "pipe.read", FilePermission, INODE,
        "An anonymous pipe is about to be read from.";
    PipeWrite: "pipe.write", FilePermission, INODE,
        "An anonymous pipe is about to be written to; the data is not known yet, see pipe.payload.";
    PipePayload: "pipe.payload", PipeWrite, INODE.with(Groups::PAYLOAD),
        "Data is being written to an anonymous pipe; carries its first bytes and cannot be blocked.";
    PipeReceive: "pipe.receive", FileReceive, INODE,
        "An open pipe is about to be handed over by another process (`SCM_RIGHTS`) or taken from one (`pidfd_getfd`).";
    PipeSplice: "pipe.splice", Splice, INODE,
        "Data is being moved into or out of a pipe or FIFO without copying (splice); the pipe written to, where both ends are pipes.";
    PipeTee: "pipe.tee", Tee, INODE,
        "Data is being duplicated into a pipe or FIFO (tee); the pipe written to.";
    PipeVmsplice: "pipe.vmsplice", Vmsplice, INODE,
        "Memory is being mapped into a pipe or FIFO, or read out of it (vmsplice).";
    PipeSendfile: "pipe.sendfile", Sendfile, INODE,
        "A file is being sent into a pipe or FIFO (sendfile).";
    UnixBind: "unix.bind", SocketBind, SOCKET,
        "A unix socket is about to be given an address.";
    UnixListen: "unix.listen", SocketListen, SOCKET,
        "A unix socket is about to wait for connections.";
    UnixConnect: "unix.connect", SocketConnect, SOCKET,
        "A unix socket is about to be connected to an address.";
    UnixAccept: "unix.accept", SocketAccept, SOCKET,
        "A connection to a unix socket is about to be accepted.";
    UnixSend: "unix.send", SocketSend, CONNECTED.with(Groups::PAYLOAD),
        "Data is about to be sent through a unix socket; carries its first bytes and can be blocked.";
    UnixReceive: "unix.receive", SocketReceive, CONNECTED,
        "Data is about to be received from a unix socket.";
    UnixPair: "unix.pair", SocketPair, Groups::SOCKET,
        "A pair of connected unix sockets is about to be created (socketpair).";
    SysvMsgCreate: "sysv.msg_create", MsgCreate, SYSV_NEW,
        "A System V message queue is about to be created (msgget).";
    SysvMsgOpen: "sysv.msg_open", MsgOpen, SYSV,
        "A System V message queue that is there is about to be opened by its key (msgget).";
    SysvMsgSend: "sysv.msg_send", MsgSend, SYSV.with(Groups::MESSAGE).with(Groups::PAYLOAD),
        "A message is about to be sent to a System V queue (msgsnd).";
    SysvMsgReceive: "sysv.msg_receive", MsgReceive, SYSV.with(Groups::MESSAGE).with(Groups::PAYLOAD),
        "A message is about to be received from a System V queue (msgrcv): which one is known.";
    SysvShmCreate: "sysv.shm_create", ShmCreate, SYSV_NEW,
        "A System V shared memory segment is about to be created (shmget).";
    SysvShmOpen: "sysv.shm_open", ShmOpen, SYSV.with(Groups::SIZE),
        "A System V shared memory segment that is there is about to be opened by its key (shmget).";
    SysvShmAttach: "sysv.shm_attach", ShmAttach, SYSV.with(Groups::SIZE),
        "A System V shared memory segment is about to be attached (shmat).";
    SysvSemCreate: "sysv.sem_create", SemCreate, SYSV_NEW,
        "A System V semaphore set is about to be created (semget).";
    SysvSemOpen: "sysv.sem_open", SemOpen, SYSV,
        "A System V semaphore set that is there is about to be opened by its key (semget).";
    SysvSemOperate: "sysv.sem_operate", SemOperate, SYSV,
        "System V semaphores are about to be changed or waited for (semop, semtimedop).";
    MqueueOpen: "mqueue.open", FileOpen, FIFO.with(Groups::OPEN),
        "A POSIX message queue is about to be opened, and perhaps was created just now (`mq_open`).";
    MqueueSend: "mqueue.send", MqSend, FIFO.with(Groups::MESSAGE).with(Groups::PAYLOAD),
        "A message is being sent to a POSIX queue (`mq_send`, `mq_timedsend`).";
    MqueueReceive: "mqueue.receive", MqReceive, FIFO,
        "A message is being received from a POSIX queue (`mq_receive`, `mq_timedreceive`).";
    ShmCreate: "shm.create", MemfdCreate, Groups::PATH,
        "Memory with a descriptor is being created (`memfd_create`); `path` is its name.";
    ShmOpen: "shm.open", FileOpen, FIFO.with(Groups::OPEN),
        "POSIX shared memory below /dev/shm is about to be opened, and perhaps was created just now (`shm_open`).";
    ShmSeal: "shm.seal", FileFcntl, FIFO.with(Groups::SEALS),
        "Memory with a descriptor is about to be sealed (`F_ADD_SEALS`).";
    ShmMap: "shm.map", MmapFile, FIFO.with(Groups::MAP),
        "Shared memory is about to be mapped so that others see what is written (`MAP_SHARED`).";
    ProcessExec: "process.exec", Exec, FIFO.with(Groups::INTERPRETER),
        "A program is about to be started in place of the process's own; once more for the interpreter of a script.";
    ProcessStart: "process.start", Start, Groups::NONE,
        "A program has been started in place of the process's own: `process.exe` and `process.arguments` are the new ones.";
    ProcessPtrace: "process.ptrace", PtraceAccess, TARGET,
        "Control of another process is about to be taken, or its memory or descriptors (ptrace, `process_vm_readv`, `pidfd_getfd`, /proc/PID/mem).";
    ProcessTraceme: "process.traceme", PtraceTraceme, TARGET,
        "The process is about to be traced by its parent, which is the target (`PTRACE_TRACEME`).";
    ProcessSignal: "process.signal", TaskKill, TARGET.with(Groups::SIGNAL),
        "A signal is about to be sent to another process.";
    ProcessExit: "process.exit", TaskExit, Groups::EXIT,
        "A process ends: its last thread does.";
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

    /// Whether what the data went into can be put in quarantine: a pipe or FIFO.
    pub const fn can_quarantine(self) -> bool {
        matches!(self, Self::FifoPayload | Self::PipePayload)
    }

    /// Whether a rule for this event can ask for `action`.
    pub const fn allows(self, action: Action) -> bool {
        match action {
            Action::Alert | Action::Kill => true,
            Action::Block => self.hook().can_deny(),
            Action::Quarantine => self.can_quarantine(),
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
