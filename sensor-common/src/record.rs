//! The record: what a hook writes down of one event, and all that a rule can read.

use crate::verdict::Verdict;

/// Longest path, payload sample or other long text kept in a record, in bytes.
pub const TEXT_MAX: usize = 256;
/// `TASK_COMM_LEN` of the kernel.
pub const COMM_MAX: usize = 16;

/// Bytes of a path, name or payload: not NUL-terminated, not necessarily UTF-8.
///
/// `len <= N` bytes are kept, and there were `full`. So a text is
/// * *whole* where `full == len`;
/// * *cut* where `full > len == N`: of paths, executables, paths of cgroups and arguments the first and the
///   last `N / 2` bytes are kept, so that both ends are known;
/// * *unknown* where `full > len` and `len < N`: nothing is to be relied upon. A path whose root was not
///   reached has `len == 0` and `full == u32::MAX`.
///
/// A payload is by definition the first `N` bytes: there `full > len == N` is as good as whole, and it is
/// *unread* where `len < min(full, N)`: those before `len` are known all the same.
///
/// What lies behind `len` is left over from earlier events and means nothing.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Text<const N: usize> {
    /// How many of [`bytes`](Self::bytes) are kept.
    pub len: u32,
    /// How many bytes there were.
    pub full: u32,
    /// The bytes, from the first on.
    pub bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// No bytes.
    pub const EMPTY: Self = Self { len: 0, full: 0, bytes: [0; N] };

    /// The bytes kept.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len as usize).unwrap_or(&self.bytes)
    }

    /// Whether there were more bytes than are kept.
    pub const fn is_truncated(&self) -> bool {
        self.full > self.len
    }

    /// Keeps the first and the last bytes of `bytes`, as a hook does of a path.
    pub fn set_ends(&mut self, bytes: &[u8]) {
        self.set(bytes);
        if let Some(last) = bytes.len().checked_sub(N / 2).filter(|_| bytes.len() > N) {
            self.bytes[N - N / 2..].copy_from_slice(&bytes[last..]);
        }
    }

    /// Makes it one of which nothing is known.
    pub const fn set_unknown(&mut self) {
        (self.len, self.full) = (0, u32::MAX);
    }

    /// Keeps the first bytes of `bytes`, as a hook does of a payload.
    pub fn set(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(N);
        self.bytes[..kept].copy_from_slice(&bytes[..kept]);
        self.len = u32::try_from(kept).unwrap_or(u32::MAX);
        self.full = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    }
}

/// Who holds the record. The kernel is preemptible: between two stages of one event another task may run
/// hooks on the same CPU, so each CPU has several records and each event finds its own by the owner.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Claim {
    /// Address of the `task_struct` whose event this is; 0 while the record is free.
    pub owner: u64,
    /// How many tasks are at this moment holding or trying to take the record; the one that made it 1 holds it.
    pub claims: u64,
}

/// What the sensor notes about the event itself.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Head {
    /// Id of the generation that judges this event: read once, by the hook.
    pub generation: u64,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// [`Event`](crate::event::Event) as its index.
    pub event: u32,
    /// The bank of that generation.
    pub bank: u32,
    /// [`Groups`](crate::event::Groups) filled so far.
    pub filled: u32,
    /// [`Outcome`](crate::verdict::Outcome) as its discriminant, written by finish.
    pub outcome: u32,
}

/// The process that performs the event.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Process {
    /// Process id (the kernel's tgid) in the initial pid namespace.
    pub pid: u32,
    /// Thread id (the kernel's pid).
    pub tid: u32,
    /// Real user id.
    pub uid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Start of the process since boot, nanoseconds.
    pub start_time: u64,
    /// Id of its cgroup in the unified hierarchy.
    pub cgroup: u64,
    /// Name of the thread.
    pub comm: Text<COMM_MAX>,
    /// Path of the executable; empty for a kernel thread.
    pub exe: Text<TEXT_MAX>,
    /// Effective capabilities, one bit each.
    pub capabilities: u64,
    /// User of the login it descends from; all bits set where there is none.
    pub login_uid: u32,
    /// Inode number of its pid namespace.
    pub pid_namespace: u32,
    /// Inode number of its mount namespace.
    pub mount_namespace: u32,
    /// Audit session of the login.
    pub session: u32,
    /// Inode number of its user namespace.
    pub user_namespace: u32,
    /// 1 where nobody but root of the host can have put the executable where it is.
    pub trusted: u32,
    /// Its arguments, each ended by a zero byte.
    pub arguments: Text<TEXT_MAX>,
    /// Path of its cgroup.
    pub cgroup_path: Text<TEXT_MAX>,
}

/// The parent of that process.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Parent {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Real user id.
    pub uid: u32,
    /// Name of its thread that started the process.
    pub comm: Text<COMM_MAX>,
    /// Path of its executable; empty for a kernel thread.
    pub exe: Text<TEXT_MAX>,
}

/// A process above the parent.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ancestor {
    /// Process id in the initial pid namespace; 0 where there is none.
    pub pid: u32,
    /// Name of its thread.
    pub comm: Text<COMM_MAX>,
    /// Path of its executable; empty for a kernel thread.
    pub exe: Text<TEXT_MAX>,
}

impl Ancestor {
    /// None.
    pub const EMPTY: Self = Self { pid: 0, comm: Text::EMPTY, exe: Text::EMPTY };
}

/// The processes above the parent, nearest first.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ancestors {
    /// The parent's parent.
    pub first: Ancestor,
    /// The parent of that.
    pub second: Ancestor,
    /// The parent of that.
    pub third: Ancestor,
    /// The parent of that.
    pub fourth: Ancestor,
}

/// What something is done to: pipe, FIFO, socket, queue, memory, program.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Object {
    /// Path as seen from the root of the mount tree, or name.
    pub path: Text<TEXT_MAX>,
    /// Inode number.
    pub inode: u64,
    /// Number of bytes of this write or message; the payload's `full`, as 64 bits.
    pub size: u64,
    /// Size of a shared memory segment, bytes.
    pub segment_size: u64,
    /// Type of a System V message, priority of a POSIX one.
    pub message_type: u64,
    /// Device of the file system, as the kernel's `dev_t` (major << 20 | minor).
    pub device: u32,
    /// Owner.
    pub owner: u32,
    /// Type and permission bits.
    pub mode: u32,
    /// 1 where the file is opened for reading.
    pub reads: u32,
    /// 1 where the file is opened for writing.
    pub writes: u32,
    /// 1 where the file is opened without waiting for the other end (`O_NONBLOCK`).
    pub nonblock: u32,
    /// 1 where the file may be created by opening it (`O_CREAT`).
    pub creates: u32,
    /// Key of a System V object.
    pub key: u32,
    /// Identifier of a System V object.
    pub id: u32,
    /// `SOCK_…`
    pub socket_type: u32,
    /// 1 where `path` is an abstract name.
    pub is_abstract: u32,
    /// 1 where memory is mapped executable.
    pub executable: u32,
    /// 1 where memory is mapped writable.
    pub writable: u32,
    /// `F_SEAL_…`
    pub seals: u32,
    /// Number of the signal.
    pub signal: u32,
    /// Status as `wait(2)` gives it.
    pub exit_status: u32,
    /// The first bytes of it.
    pub payload: Text<TEXT_MAX>,
    /// The address of a socket as it was given, or `@` and an abstract name.
    pub address: Text<TEXT_MAX>,
}

/// The other end of a connected socket.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Peer {
    /// Process id in the initial pid namespace; 0 where it is not known.
    pub pid: u32,
    /// Effective user id when the connection was made.
    pub uid: u32,
}

/// The process that something is done to.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Target {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Real user id.
    pub uid: u32,
    /// Name of its thread.
    pub comm: Text<COMM_MAX>,
    /// Path of its executable; empty for a kernel thread.
    pub exe: Text<TEXT_MAX>,
}

/// A program that is being started.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ProgramFile {
    /// What runs it.
    pub interpreter: Text<TEXT_MAX>,
}

/// One event. The first three members belong to the sensor and the verdict; what follows is the field
/// table, in its order and without a gap (asserted in [`field`](crate::field)).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Record {
    /// Who holds the record.
    pub claim: Claim,
    /// About the event.
    pub head: Head,
    /// What the rules said.
    pub verdict: Verdict,
    /// Who does it.
    pub process: Process,
    /// Who started who does it.
    pub parent: Parent,
    /// Who started that, and so on.
    pub ancestors: Ancestors,
    /// To what it is done.
    pub object: Object,
    /// Who is at the other end of it.
    pub peer: Peer,
    /// To whom it is done.
    pub target: Target,
    /// What is started.
    pub program: ProgramFile,
}

impl Record {
    /// A record with nothing in it.
    // SAFETY: a record is made of integers only, for each of which all bits at zero are a value.
    pub const EMPTY: Self = unsafe { core::mem::zeroed() };

    /// The record as the bytes that a map or the ring buffer holds.
    pub fn as_bytes(&self) -> &[u8; size_of::<Self>()] {
        // SAFETY: `Record` is `repr(C)`, made of integers only and has no padding (asserted in `field`),
        // so each of its bytes is initialised; the lifetime is that of `self`.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// The record in `bytes`, or `None` where they are too few to be one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < size_of::<Self>() {
            return None;
        }
        // SAFETY: there are enough bytes, every bit pattern is a valid `Record` (integers only), and
        // `read_unaligned` asks for no alignment.
        Some(unsafe { core::ptr::read_unaligned(bytes.as_ptr().cast()) })
    }
}
