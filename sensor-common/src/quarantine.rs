//! What is in quarantine: which pipes, FIFOs and unix sockets nobody may read, why, and what was done to
//! those who would.

/// What holds data on its way between processes, and can be put in quarantine: the later ones include the guards of the
/// earlier, for what comes out of a socket can be spliced into a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Container {
    /// A pipe or FIFO.
    Pipe,
    /// A unix socket: the receiving one.
    Socket,
}

impl Container {
    /// The name in lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pipe => "pipe",
            Self::Socket => "socket",
        }
    }

    /// The container with this discriminant.
    pub fn from_index(index: u32) -> Option<Self> {
        [Self::Pipe, Self::Socket].into_iter().find(|container| *container as u32 == index)
    }
}

/// Which pipe, FIFO or unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct ObjectKey {
    /// Address of the `struct inode` of a pipe or FIFO: its number is another's too in another subvolume of a
    /// btrfs, which has the same device. Address of the `struct sock` of a socket: what receives has no inode
    /// before it is accepted.
    pub id: u64,
    /// [`Container`] as its discriminant.
    pub container: u32,
    /// The lower half of the inode number of a pipe or FIFO, 0 for a socket. An address is used again, and should
    /// nobody have seen the end of what was there before, the mark is not the next one's.
    pub number: u32,
}

impl ObjectKey {
    /// That of nothing: nothing lies at the address 0.
    pub const NONE: Self = Self { id: 0, container: 0, number: 0 };

    /// That of a pipe or FIFO: address of its inode, and the inode number.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    pub const fn pipe(inode: u64, number: u64) -> Self {
        Self { id: inode, container: Container::Pipe as u32, number: number as u32 }
    }

    /// That of a unix socket.
    pub const fn socket(sock: u64) -> Self {
        Self { id: sock, container: Container::Socket as u32, number: 0 }
    }
}

/// Why something is in quarantine.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Mark {
    /// Since when: `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// The generation whose rule asked for it.
    pub generation: u64,
    /// The first rule that matched, by its number.
    pub rule: u32,
    /// The process that wrote.
    pub pid: u32,
    /// The user that it wrote for: its real one, or where that is root, its effective one.
    pub uid: u32,
    /// Device of the file system of a pipe or FIFO, as the kernel's `dev_t`; 0 for a socket.
    pub device: u32,
    /// The inode number by which people know it; 0 for a socket that was never accepted.
    pub inode: u64,
}

/// How many pipes, FIFOs and sockets can be in quarantine at once.
pub const QUARANTINE_MAX: u32 = 4096;

/// What the quarantine did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kept {
    /// A read was refused.
    Denied,
    /// A process that was asleep in a read when the data came was killed before it could look at them, or one that
    /// can be refused nothing.
    Killed,
    /// A process on the lifeline read all the same.
    Lifeline,
    /// There was no room for one more.
    Full,
    /// A datagram was refused, because its receiver is another user's.
    Refused,
    /// A process that slept in a read was not killed, because it is another user's.
    Spared,
}

impl Kept {
    /// All of them; `ALL[kept as usize] == kept`.
    pub const ALL: &'static [Self] =
        &[Self::Denied, Self::Killed, Self::Lifeline, Self::Full, Self::Refused, Self::Spared];

    /// The name in status and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Killed => "killed",
            Self::Lifeline => "lifeline",
            Self::Full => "full",
            Self::Refused => "refused",
            Self::Spared => "spared",
        }
    }

    /// One line for the documentation.
    pub const fn doc(self) -> &'static str {
        match self {
            Self::Denied => "a read was refused with `EPERM`",
            Self::Killed => {
                "a process that slept in a read when the data came, or was in `vmsplice`, was killed before it could look at the data"
            }
            Self::Lifeline => "a process on the lifeline read the data",
            Self::Full => "there was no room for one more mark: its data was read",
            Self::Refused => "a datagram was refused with `EPERM`, because its receiver is another user's",
            Self::Spared => {
                "a process that slept in a read when the data came was not killed, because the writer is another user: it read the data"
            }
        }
    }
}
