//! The places in the kernel where events come from, and how they are attached.

use crate::syscall::Syscall;

/// What the running kernel lets the sensor do; the first that it permits is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// BPF is among the active security modules: LSM hooks fire and can deny.
    Lsm,
    /// It is not, and LSM programs would load and never fire: programs on the kernel's `security_…` functions
    /// see the same events, decide whether the function runs at all, and so deny what LSM programs deny
    /// (`BPF_MODIFY_RETURN`).
    ModifyReturn,
    /// Such programs are not wanted: fentry programs on the kernel's `security_…` functions see the
    /// same events and can deny nothing.
    Observe,
    /// Neither LSM nor fentry programs are permitted: tracepoint programs at the exit of system calls see
    /// some of the events, after they have happened, and can deny nothing. See [`Hook::syscalls`].
    Tracepoints,
}

impl Mode {
    /// All modes, the strongest first.
    pub const ALL: &'static [Self] = &[Self::Lsm, Self::ModifyReturn, Self::Observe, Self::Tracepoints];

    /// The name in status and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lsm => "lsm",
            Self::ModifyReturn => "modify-return",
            Self::Observe => "observe",
            Self::Tracepoints => "tracepoints",
        }
    }

    /// The mode with this name, or `None`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mode| mode.name() == name)
    }

    /// Whether verdicts to block, quarantine and kill can be carried out.
    pub const fn can_enforce(self) -> bool {
        matches!(self, Self::Lsm | Self::ModifyReturn)
    }
}

/// How a hook is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// LSM program on the hook of this name: can deny. In [`Mode::ModifyReturn`] and [`Mode::Observe`]
    /// program on the kernel's function that calls the hook, see [`Hook::security_functions`].
    Lsm,
    /// fentry program on the first of these functions that the kernel has: observes only.
    Fentry(&'static [&'static str]),
    /// fexit program on the first of these functions that the kernel has: it sees what the function has done.
    Fexit(&'static [&'static str]),
}

/// Declares [`Hook`] and everything known of each hook.
macro_rules! hooks {
    ($($(#[doc = $doc:literal])+ $hook:ident: $name:literal, $attach:expr $(, [$($syscall:ident),+])?;)+) => {
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

            /// The system calls at whose exit the events of the hook are seen in [`Mode::Tracepoints`]; none
            /// where they are not seen there.
            pub const fn syscalls(self) -> &'static [Syscall] {
                match self { $(Self::$hook => &[$($(Syscall::$syscall,)+)?],)+ }
            }

            /// Whether the events of the hook are seen in this mode, on a kernel that has all that the mode
            /// needs.
            pub const fn is_seen_in(self, mode: Mode) -> bool {
                !matches!(mode, Mode::Tracepoints) || !self.syscalls().is_empty()
            }

            /// The name of the program array through which this hook reaches rules and finish.
            pub const fn stages(self) -> &'static str {
                match self { $(Self::$hook => concat!("STAGES_", $name),)+ }
            }

            /// The functions of which one calls the LSM hook of this name: `security_…`, in newer kernels
            /// without the `_security` that some hooks end with.
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

impl Hook {
    /// The programs that tell those of the hook what they cannot see, each with the function that it is
    /// attached to. They are attached before the hook.
    pub const fn notes(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::PipeUnlock => &[
                ("moved_gone", "taskstats_exit"),
                ("moved_into", "get_pipe_info"),
                ("moved_locked", "pipe_lock"),
                ("moved_between", "pipe_double_lock"),
                ("moved_waited", "pipe_wait_writable"),
            ],
            Self::SocketCopy => &[("copied_gone", "taskstats_exit")],
            _ => &[],
        }
    }
}

/// `name` without `_security` at its end, as newer kernels call the functions of some hooks.
pub const fn without_suffix(name: &str) -> &str {
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
    PathMknod: "path_mknod", Attach::Lsm, [Mknod, Mknodat];
    /// `int file_open(struct file *file)`
    FileOpen: "file_open", Attach::Lsm, [Open, Openat, Openat2, Creat, OpenByHandleAt, MqOpen];
    /// `int file_permission(struct file *file, int mask)`
    FilePermission: "file_permission", Attach::Lsm, [Read, Readv, Preadv2, Write, Writev, Pwritev2];
    /// `int file_receive(struct file *file)`
    FileReceive: "file_receive", Attach::Lsm, [PidfdGetfd];
    /// `ssize_t anon_pipe_write(struct kiocb *iocb, struct iov_iter *from)`, called `pipe_write` before 6.15.
    /// From 6.15 on a write to a FIFO passes through `fifo_pipe_write` into `anon_pipe_write`.
    PipeWrite: "pipe_write", Attach::Fentry(&["anon_pipe_write", "pipe_write"]), [Write, Writev, Pwritev2];
    /// `void pipe_unlock(struct pipe_inode_info *pipe)`: who moves pages into a pipe has put them there. See
    /// [`Hook::notes`].
    PipeUnlock: "pipe_unlock", Attach::Fentry(&["pipe_unlock"]);
    /// `int create_pipe_files(struct file **res, int flags)`
    PipeCreate: "create_pipe_files", Attach::Fentry(&["create_pipe_files"]), [Pipe, Pipe2];
    /// `ssize_t do_splice(struct file *in, loff_t *off_in, struct file *out, loff_t *off_out, size_t len,
    /// unsigned int flags)`
    Splice: "do_splice", Attach::Fentry(&["do_splice"]), [Splice];
    /// `ssize_t do_tee(struct file *in, struct file *out, size_t len, unsigned int flags)`
    Tee: "do_tee", Attach::Fentry(&["do_tee"]), [Tee];
    /// `long __x64_sys_vmsplice(const struct pt_regs *regs)`, which 32-bit programs do not reach. (What they
    /// share, `__do_sys_vmsplice`, is in the type information from 6.1 on, and cannot be attached to:
    /// `EBUSY`.)
    Vmsplice: "vmsplice", Attach::Fentry(&["__x64_sys_vmsplice"]), [Vmsplice];
    /// `ssize_t do_sendfile(int out_fd, int in_fd, loff_t *ppos, size_t count, loff_t max)`
    Sendfile: "do_sendfile", Attach::Fentry(&["do_sendfile"]), [Sendfile];
    /// `int socket_bind(struct socket *sock, struct sockaddr *address, int addrlen)`
    SocketBind: "socket_bind", Attach::Lsm, [Bind];
    /// `int socket_listen(struct socket *sock, int backlog)`
    SocketListen: "socket_listen", Attach::Lsm, [Listen];
    /// `int unix_stream_connect(struct sock *sock, struct sock *other, struct sock *newsk)`
    StreamConnect: "unix_stream_connect", Attach::Lsm, [Connect];
    /// `int unix_may_send(struct socket *sock, struct socket *other)`
    MaySend: "unix_may_send", Attach::Lsm;
    /// `int socket_accept(struct socket *sock, struct socket *newsock)`
    SocketAccept: "socket_accept", Attach::Lsm, [Accept, Accept4];
    /// `int socket_sendmsg(struct socket *sock, struct msghdr *msg, int size)`
    SocketSend: "socket_sendmsg", Attach::Lsm, [Write, Writev, Pwritev2, Sendto, Sendmsg, Sendmmsg];
    /// `int skb_copy_datagram_from_iter(struct sk_buff *skb, int offset, struct iov_iter *from, int len)`, where it
    /// returns: a message of a unix socket lies in the kernel's memory, and in no queue yet. See [`Hook::notes`].
    SocketCopy: "skb_copy_datagram_from_iter", Attach::Fexit(&["skb_copy_datagram_from_iter"]);
    /// `int socket_recvmsg(struct socket *sock, struct msghdr *msg, int size, int flags)`
    SocketReceive: "socket_recvmsg", Attach::Lsm, [Read, Readv, Preadv2, Recvfrom, Recvmsg, Recvmmsg];
    /// `int socket_socketpair(struct socket *socka, struct socket *sockb)`
    SocketPair: "socket_socketpair", Attach::Lsm, [Socketpair];
    /// `int msg_queue_alloc_security(struct kern_ipc_perm *perm)`
    MsgCreate: "msg_queue_alloc_security", Attach::Lsm;
    /// `int msg_queue_associate(struct kern_ipc_perm *perm, int msqflg)`
    MsgOpen: "msg_queue_associate", Attach::Lsm;
    /// `int msg_queue_msgsnd(struct kern_ipc_perm *perm, struct msg_msg *msg, int msqflg)`
    MsgSend: "msg_queue_msgsnd", Attach::Lsm;
    /// `int msg_queue_msgrcv(struct kern_ipc_perm *perm, struct msg_msg *msg, struct task_struct *target,
    /// long type, int mode)`
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
    /// `int do_mq_timedsend(mqd_t mqdes, const char *u_msg_ptr, size_t msg_len, unsigned int msg_prio, struct
    /// timespec64 *ts)`
    MqSend: "mq_timedsend", Attach::Fentry(&["do_mq_timedsend"]);
    /// `int do_mq_timedreceive(mqd_t mqdes, char *u_msg_ptr, size_t msg_len, unsigned int *u_msg_prio, struct
    /// timespec64 *ts)`
    MqReceive: "mq_timedreceive", Attach::Fentry(&["do_mq_timedreceive"]);
    /// `struct file *shmem_file_setup(const char *name, loff_t size, unsigned long flags)`
    MemfdCreate: "shmem_file_setup", Attach::Fentry(&["shmem_file_setup"]);
    /// `int file_fcntl(struct file *file, unsigned int cmd, unsigned long arg)`
    FileFcntl: "file_fcntl", Attach::Lsm;
    /// `int mmap_file(struct file *file, unsigned long reqprot, unsigned long prot, unsigned long flags)`
    MmapFile: "mmap_file", Attach::Lsm;
    /// `int bprm_check_security(struct linux_binprm *bprm)`
    Exec: "bprm_check_security", Attach::Lsm;
    /// `void finalize_exec(struct linux_binprm *bprm)`: the new program's memory is complete, its first
    /// instruction is next.
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
