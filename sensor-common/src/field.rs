//! The field table: every fact about a field, once.
//!
//! The kernel side fills [`Record`]; the compiler and the interpreter read it through this table; the
//! documentation prints it. That the table names each byte of the record behind its head, once, is asserted
//! when this crate is compiled: a field that is defined and not supplied, or supplied and not defined, does
//! not build.

use core::mem::offset_of;

use crate::{
    constant::{CAPABILITIES, Constants, MODE, SEALS, SIGNALS, SOCKETS},
    event::{Event, Groups},
    record::{COMM_MAX, Record, TEXT_MAX, Text},
};

/// How a field is kept, and so what rules can do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unsigned 32 bits; an integer in rules.
    U32,
    /// 64 bits; an integer in rules, as `i64` with the same bits.
    U64,
    /// 32 bits, 0 or 1; a boolean in rules.
    Bool,
    /// [`Text`](crate::record::Text) of this capacity; a string of bytes in rules.
    Text(usize),
}

impl Kind {
    /// Size in the record, bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::U32 | Self::Bool => 4,
            Self::U64 => 8,
            Self::Text(capacity) => 8 + capacity,
        }
    }

    /// The type's name in rules and documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U32 | Self::U64 => "int",
            Self::Bool => "bool",
            Self::Text(_) => "string",
        }
    }
}

/// One field of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name that rules use.
    pub name: &'static str,
    /// How it is kept.
    pub kind: Kind,
    /// Where it starts in [`Record`], bytes.
    pub offset: usize,
    /// The group it is filled with.
    pub group: Groups,
    /// One line for the documentation.
    pub doc: &'static str,
    /// Names for its values.
    pub constants: Option<&'static Constants>,
}

macro_rules! constants {
    () => {
        None
    };
    ($constants:ident) => {
        Some($constants)
    };
}

macro_rules! fields {
    ($($name:literal: $kind:expr, $($member:ident).+, $group:ident, $doc:literal $(, $constants:ident)?;)+) => {
        /// All fields, in the order of the record.
        pub const FIELDS: &[Field] = &[$(Field {
            name: $name,
            kind: $kind,
            offset: offset_of!(Record, $($member).+),
            group: Groups::$group,
            doc: $doc,
            constants: constants!($($constants)?),
        },)+];
    };
}

fields! {
    "process.pid": Kind::U32, process.pid, PROCESS, "Process id, in the initial pid namespace.";
    "process.tid": Kind::U32, process.tid, PROCESS, "Thread id; that of the main thread is the process id.";
    "process.uid": Kind::U32, process.uid, PROCESS, "Real user id.";
    "process.euid": Kind::U32, process.euid, PROCESS, "Effective user id.";
    "process.start_time": Kind::U64, process.start_time, PROCESS, "Start of the process, nanoseconds since boot.";
    "process.cgroup": Kind::U64, process.cgroup, PROCESS, "Id of the cgroup in the unified hierarchy.";
    "process.comm": Kind::Text(COMM_MAX), process.comm, COMM, "Name of the thread, at most 15 bytes; the process can change it. For a kernel thread that works for the process (`io_uring`), the name of the main thread.";
    "process.exe": Kind::Text(TEXT_MAX), process.exe, EXE, "Path of the executable; empty for a kernel thread.";
    "process.capabilities": Kind::U64, process.capabilities, IDENTITY, "Effective capabilities, one bit each, as in linux/capability.h.", CAPABILITIES;
    "process.login_uid": Kind::U32, process.login_uid, IDENTITY, "User id of the login that the process descends from; 4294967295 if there is none.";
    "process.pid_namespace": Kind::U32, process.pid_namespace, IDENTITY, "Inode number of the pid namespace of its children, as in /proc/PID/ns/pid_for_children; the host's own is 4026531836 on every kernel.";
    "process.mount_namespace": Kind::U32, process.mount_namespace, IDENTITY, "Inode number of the mount namespace, as in /proc/PID/ns/mnt.";
    "process.session": Kind::U32, process.session, IDENTITY, "Audit session of the login in `process.login_uid`; 4294967295 if there is none.";
    "process.user_namespace": Kind::U32, process.user_namespace, IDENTITY, "Inode number of the user namespace, as in /proc/PID/ns/user; the host's own is 4026531837 on every kernel.";
    "process.trusted": Kind::Bool, process.trusted, IDENTITY, "Whether the executable belongs to root, nobody else can write it, no user namespace made its file system or its mount, the mount is not `nosuid`, and the process is in no container. It says nothing about the code in the process: a user who runs a program may load other code into it.";
    "process.arguments": Kind::Text(TEXT_MAX), process.arguments, ARGUMENTS, "Arguments of the process, each ended by a zero byte; the process can change them.";
    "process.cgroup_path": Kind::Text(TEXT_MAX), process.cgroup_path, CGROUP, "Path of the cgroup in the unified hierarchy, from its root.";
    "parent.pid": Kind::U32, parent.pid, PARENT, "Process id of the parent.";
    "parent.uid": Kind::U32, parent.uid, PARENT, "Real user id of the parent.";
    "parent.comm": Kind::Text(COMM_MAX), parent.comm, PARENT, "Name of the parent's thread that started the process.";
    "parent.exe": Kind::Text(TEXT_MAX), parent.exe, PARENT_EXE, "Path of the parent's executable.";
    "ancestor1.pid": Kind::U32, ancestors.first.pid, ANCESTORS, "Process id of the parent's parent; 0 if there is none.";
    "ancestor1.comm": Kind::Text(COMM_MAX), ancestors.first.comm, ANCESTORS, "Its name.";
    "ancestor1.exe": Kind::Text(TEXT_MAX), ancestors.first.exe, ANCESTORS_EXE, "Path of its executable.";
    "ancestor2.pid": Kind::U32, ancestors.second.pid, ANCESTORS, "Process id of the parent of ancestor1; 0 if there is none.";
    "ancestor2.comm": Kind::Text(COMM_MAX), ancestors.second.comm, ANCESTORS, "Its name.";
    "ancestor2.exe": Kind::Text(TEXT_MAX), ancestors.second.exe, ANCESTORS_EXE, "Path of its executable.";
    "ancestor3.pid": Kind::U32, ancestors.third.pid, ANCESTORS, "Process id of the parent of ancestor2; 0 if there is none.";
    "ancestor3.comm": Kind::Text(COMM_MAX), ancestors.third.comm, ANCESTORS, "Its name.";
    "ancestor3.exe": Kind::Text(TEXT_MAX), ancestors.third.exe, ANCESTORS_EXE, "Path of its executable.";
    "ancestor4.pid": Kind::U32, ancestors.fourth.pid, ANCESTORS, "Process id of the parent of ancestor3; 0 if there is none.";
    "ancestor4.comm": Kind::Text(COMM_MAX), ancestors.fourth.comm, ANCESTORS, "Its name.";
    "ancestor4.exe": Kind::Text(TEXT_MAX), ancestors.fourth.exe, ANCESTORS_EXE, "Path of its executable.";
    "path": Kind::Text(TEXT_MAX), object.path, PATH, "Path of the object, from the root of the mount namespace in which it was opened: a chroot does not shorten it. In a mount namespace that a user made, the path on the host, if the host has mounted that file system. For a socket, the file it is bound to, however the caller spelled it (`@` and the name, if abstract); for a connection, the peer's path, or its own if the peer has none. For `unix.bind` as given, starting at the working directory. For `unix.send` to an address also as given: use `unix.datagram` instead.";
    "inode": Kind::U64, object.inode, INODE, "Inode number of the pipe, FIFO or file.";
    "size": Kind::U64, object.size, PAYLOAD, "Number of bytes of this write or message.";
    "segment_size": Kind::U64, object.segment_size, SIZE, "Size of the shared memory segment, bytes.";
    "message_type": Kind::U64, object.message_type, MESSAGE, "Type of a System V message, priority of a POSIX one.";
    "device": Kind::U32, object.device, INODE, "Device of its file system, major << 20 | minor.";
    "owner": Kind::U32, object.owner, OWNER, "User id of its owner.";
    "mode": Kind::U32, object.mode, MODE, "Its type and permission bits.", MODE;
    "reads": Kind::Bool, object.reads, OPEN, "Whether it is opened for reading.";
    "writes": Kind::Bool, object.writes, OPEN, "Whether it is opened for writing.";
    "nonblock": Kind::Bool, object.nonblock, OPEN, "Whether it is opened with O_NONBLOCK; `io_uring` sets it for its first try.";
    "creates": Kind::Bool, object.creates, OPEN, "Whether it is opened with O_CREAT.";
    "key": Kind::U32, object.key, KEY, "Key of the System V object; 0 if it is private.";
    "id": Kind::U32, object.id, KEY, "Identifier of the System V object, as `ipcs` shows it; 0 while it is being created.";
    "socket_type": Kind::U32, object.socket_type, SOCKET, "SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.", SOCKETS;
    "abstract": Kind::Bool, object.is_abstract, SOCKET, "Whether `path` is an abstract name, not a path.";
    "executable": Kind::Bool, object.executable, MAP, "Whether the memory may be executed.";
    "writable": Kind::Bool, object.writable, MAP, "Whether the memory may be written to.";
    "seals": Kind::U32, object.seals, SEALS, "The seals to add: F_SEAL_….", SEALS;
    "signal": Kind::U32, object.signal, SIGNAL, "Number of the signal; 0 only asks whether one could be sent.", SIGNALS;
    "exit_status": Kind::U32, object.exit_status, EXIT, "Status as wait(2) gives it: exit code << 8, or the signal that killed it.";
    "payload": Kind::Text(TEXT_MAX), object.payload, PAYLOAD, "The first 256 bytes of this write or message.";
    "address": Kind::Text(TEXT_MAX), object.address, SOCKET, "The address given to `bind`; for `unix.connect` and `unix.datagram`, the address of the socket reached; for `unix.send` with an address, that address. Abstract names begin with `@`. Empty if the socket has none.";
    "peer.pid": Kind::U32, peer.pid, PEER, "Process that connected, listened or created the pair at the other end; 0 if unknown.";
    "peer.uid": Kind::U32, peer.uid, PEER, "Effective user id that it had then.";
    "target.pid": Kind::U32, target.pid, TARGET, "Process id of the other process.";
    "target.uid": Kind::U32, target.uid, TARGET, "Its real user id.";
    "target.comm": Kind::Text(COMM_MAX), target.comm, TARGET, "Name of its thread.";
    "target.exe": Kind::Text(TEXT_MAX), target.exe, TARGET_EXE, "Path of its executable.";
    "interpreter": Kind::Text(TEXT_MAX), program.interpreter, INTERPRETER, "Path of the file that runs the program, as given: the program itself, or the interpreter that `#!` names.";
}

/// Most that a process id can be: `PID_MAX_LIMIT` of a kernel of 64 bits.
const PID_MAX: u64 = 4 << 20;
/// The number of the last signal.
const SIGNAL_MAX: u64 = 64;

/// How much of a text was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// All of it; of a payload, its first bytes.
    Whole,
    /// Both ends.
    Cut,
    /// Nothing that can be relied upon; of a payload, less than should have been read.
    Unknown,
}

/// Whether any text of the record was not seen whole.
pub fn is_in_doubt(record: &Record) -> bool {
    FIELDS.iter().any(|field| field.sight(record) != Sight::Whole)
}

impl Field {
    /// Whether it is the payload, which is by definition the first bytes of what is written.
    pub const fn is_payload(&self) -> bool {
        self.offset == offset_of!(Record, object.payload)
    }

    /// How much of it was seen. Names of threads always are.
    pub fn sight(&self, record: &Record) -> Sight {
        let bytes = record.as_bytes();
        let word = |at: usize| {
            let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
            word.map_or(0, u32::from_ne_bytes)
        };
        let (kept, full) = (offset_of!(Text<TEXT_MAX>, len), offset_of!(Text<TEXT_MAX>, full));
        let (kept, full) = (word(self.offset + kept), word(self.offset + full));
        match self.kind {
            Kind::Text(TEXT_MAX) if kept >= full => Sight::Whole,
            Kind::Text(TEXT_MAX) if (kept as usize) < TEXT_MAX => Sight::Unknown,
            Kind::Text(TEXT_MAX) if self.is_payload() => Sight::Whole,
            Kind::Text(TEXT_MAX) => Sight::Cut,
            _ => Sight::Whole,
        }
    }

    /// The field with this name, or `None`.
    pub fn from_name(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.name == name)
    }

    /// All constants, with the field of whose values each is one.
    pub fn constants() -> impl Iterator<Item = (&'static str, i64, &'static Self)> {
        FIELDS.iter().flat_map(|field| {
            let values = field.constants.map_or(&[][..], |constants| constants.values);
            values.iter().map(move |(name, value)| (*name, *value, field))
        })
    }

    /// The largest value that a kernel gives it, where it is an integer; `None` where all its 64 bits are in
    /// use, so that it can read as negative.
    pub fn largest(&self) -> Option<u64> {
        match (self.name, self.kind) {
            ("inode" | "segment_size", _) => None,
            ("mode" | "exit_status", _) => Some(u16::MAX.into()),
            ("signal", _) => Some(SIGNAL_MAX),
            (name, Kind::U32) if matches!(name.split_once('.'), Some((_, "pid" | "tid"))) => Some(PID_MAX),
            (_, Kind::U64) => Some(i64::MAX.cast_unsigned()),
            _ => Some(u32::MAX.into()),
        }
    }

    /// Whether the kernel side fills this field for `event`.
    pub const fn carried_by(&self, event: Event) -> bool {
        event.groups().contains(self.group)
    }

    /// The fields that `event` carries.
    pub fn of(event: Event) -> impl Iterator<Item = &'static Self> {
        FIELDS.iter().filter(move |field| field.carried_by(event))
    }
}

const _: () = {
    // From `process` to its end the record is the table: in order, without a gap, without an overlap.
    let mut end = offset_of!(Record, process);
    let mut index = 0;
    while index < FIELDS.len() {
        let field = &FIELDS[index];
        assert!(field.offset == end, "the field table and the record disagree about where a field is");
        end = field.offset + field.kind.size();
        index += 1;
    }
    assert!(end == size_of::<Record>(), "the record has bytes that the field table does not name");
    assert!(size_of::<Record>().is_multiple_of(8), "the record is copied in 8-byte words");
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (index, field) in FIELDS.iter().enumerate() {
            assert!(FIELDS[..index].iter().all(|other| other.name != field.name), "{} twice", field.name);
        }
    }

    #[test]
    fn a_constant_belongs_to_one_field_and_is_no_field() {
        for (index, (name, ..)) in Field::constants().enumerate() {
            assert!(Field::constants().take(index).all(|(other, ..)| other != name), "{name} twice");
            assert!(Field::from_name(name).is_none(), "{name} is a field");
        }
    }

    #[test]
    fn every_field_is_carried_by_some_event() {
        for field in FIELDS {
            assert!(Event::ALL.iter().any(|event| field.carried_by(*event)), "nothing fills {}", field.name);
        }
    }

    #[test]
    fn a_record_survives_its_bytes() {
        let mut record = Record::EMPTY;
        record.object.path.set(b"/tmp/f\xff");
        record.object.payload.set(&[7; 300]);
        let copy = Record::from_bytes(record.as_bytes()).unwrap();
        assert_eq!(copy.object.path.as_bytes(), b"/tmp/f\xff");
        assert!(!copy.object.path.is_truncated());
        assert_eq!(copy.object.payload.as_bytes(), &[7; 256]);
        assert!(copy.object.payload.is_truncated());
        assert!(Record::from_bytes(&record.as_bytes()[1..]).is_none());
    }
}
