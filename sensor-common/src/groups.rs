//! The groups in which fields are filled.

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
    /// Those that cost much to fill. A generation's early programs do without them; they are filled only
    /// where these say that a rule may match.
    pub const LATE: Self = Self::EXE
        .with(Self::PARENT_EXE)
        .with(Self::ANCESTORS)
        .with(Self::ANCESTORS_EXE)
        .with(Self::ARGUMENTS)
        .with(Self::CGROUP)
        .with(Self::TARGET_EXE);
    /// Not a group of fields: set in a generation's needs when a rule that asks for more than an alert is for
    /// the event.
    pub const ENFORCED: Self = Self(1 << 29);
    /// Not a group of fields: set in the needs of the generation in force when a candidate has rules for the event, see
    /// [`shadow`](crate::shadow).
    pub const SHADOWED: Self = Self(1 << 30);
    /// Those that cost a helper's call or more to fill, the dearest first: early programs do without them
    /// too, where every rule is found by something else.
    pub const SPARED: [Self; 2] = [Self::PARENT, Self::COMM];
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
