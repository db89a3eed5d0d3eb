//! The events, the hooks they come from, and the groups of fields that each event carries.

/// A set of field groups. A hook fills the groups that the active rules of its event read; the rest is
/// filled only when a rule matched, for the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Groups(pub u32);

impl Groups {
    /// No group.
    pub const NONE: Self = Self(0);
    /// Process: ids, credentials, start time, `comm`.
    pub const PROCESS: Self = Self(1);
    /// Path of the executable of the process.
    pub const EXE: Self = Self(1 << 1);
    /// Parent: pid, uid, `comm`.
    pub const PARENT: Self = Self(1 << 2);
    /// Path of the executable of the parent.
    pub const PARENT_EXE: Self = Self(1 << 3);
    /// Path of the object.
    pub const PATH: Self = Self(1 << 4);
    /// Inode number, device and owner of the object.
    pub const INODE: Self = Self(1 << 5);
    /// Mode bits of the object.
    pub const MODE: Self = Self(1 << 6);
    /// How the object is being opened.
    pub const OPEN: Self = Self(1 << 7);
    /// The data written.
    pub const PAYLOAD: Self = Self(1 << 8);
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

    /// Whether no group is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Who performs the event, with its parent: carried by every event.
pub const ACTORS: Groups = Groups::PROCESS.with(Groups::EXE).with(Groups::PARENT).with(Groups::PARENT_EXE);

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
    /// LSM program on this hook: can deny. In [`Mode::Observe`] fentry program on the function `security_…` of the same name.
    Lsm(&'static str),
    /// fentry program on the first of these functions that the kernel has: observes only.
    Fentry(&'static [&'static str]),
}

/// Declares [`Hook`] and everything known of each hook.
macro_rules! hooks {
    ($($(#[doc = $doc:literal])+ $hook:ident: $name:literal, $attach:expr, stages $stages:literal;)+) => {
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
                match self { $(Self::$hook => $stages,)+ }
            }

            /// Whether a verdict can deny the operation here.
            pub const fn can_deny(self) -> bool {
                matches!(self.attach(), Attach::Lsm(_))
            }
        }
    };
}

hooks! {
    /// `int path_mknod(const struct path *dir, struct dentry *dentry, umode_t mode, unsigned int dev)`
    PathMknod: "path_mknod", Attach::Lsm("path_mknod"), stages "STAGES_MKNOD";
    /// `int file_open(struct file *file)`
    FileOpen: "file_open", Attach::Lsm("file_open"), stages "STAGES_OPEN";
    /// `int file_permission(struct file *file, int mask)`
    FilePermission: "file_permission", Attach::Lsm("file_permission"), stages "STAGES_PERM";
    /// `ssize_t anon_pipe_write(struct kiocb *iocb, struct iov_iter *from)`, called `pipe_write` before 6.15.
    /// From 6.15 on a write to a FIFO passes through `fifo_pipe_write` into `anon_pipe_write`.
    PipeWrite: "pipe_write", Attach::Fentry(&["anon_pipe_write", "pipe_write"]), stages "STAGES_WRITE";
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

events! {
    FifoCreate: "fifo.create", PathMknod, Groups::PATH.with(Groups::MODE),
        "A FIFO is about to be created (mkfifo, mknod, mknodat).";
    FifoOpen: "fifo.open", FileOpen,
        Groups::PATH.with(Groups::INODE).with(Groups::MODE).with(Groups::OPEN),
        "A FIFO is about to be opened.";
    FifoRead: "fifo.read", FilePermission, Groups::PATH.with(Groups::INODE).with(Groups::MODE),
        "A FIFO is about to be read from.";
    FifoWrite: "fifo.write", FilePermission, Groups::PATH.with(Groups::INODE).with(Groups::MODE),
        "A FIFO is about to be written to; the data is not known yet, see fifo.payload.";
    PipeRead: "pipe.read", FilePermission, Groups::INODE,
        "An anonymous pipe is about to be read from.";
    PipeWrite: "pipe.write", FilePermission, Groups::INODE,
        "An anonymous pipe is about to be written to; the data is not known yet, see pipe.payload.";
    FifoPayload: "fifo.payload", PipeWrite,
        Groups::PATH.with(Groups::INODE).with(Groups::MODE).with(Groups::PAYLOAD),
        "Data is being written to a FIFO; carries its first bytes and cannot be blocked.";
    PipePayload: "pipe.payload", PipeWrite, Groups::INODE.with(Groups::PAYLOAD),
        "Data is being written to an anonymous pipe; carries its first bytes and cannot be blocked.";
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
