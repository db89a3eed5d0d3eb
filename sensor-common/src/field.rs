//! The field table: every fact about a field, once.
//!
//! The kernel side fills [`Record`]; the compiler and the interpreter read it through this table; the
//! documentation prints it. That the table names each byte of the record behind its head, once, is asserted
//! when this crate is compiled: a field that is defined and not supplied, or supplied and not defined, does
//! not build.

use core::mem::offset_of;

use crate::{
    event::{Event, Groups},
    record::{COMM_MAX, Record, TEXT_MAX},
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
}

macro_rules! fields {
    ($($name:literal: $kind:expr, $($member:ident).+, $group:ident, $doc:literal;)+) => {
        /// All fields, in the order of the record.
        pub const FIELDS: &[Field] = &[$(Field {
            name: $name,
            kind: $kind,
            offset: offset_of!(Record, $($member).+),
            group: Groups::$group,
            doc: $doc,
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
    "process.comm": Kind::Text(COMM_MAX), process.comm, PROCESS, "Name of the thread, at most 15 bytes; the process can change it.";
    "process.exe": Kind::Text(TEXT_MAX), process.exe, EXE, "Path of the executable; empty for a kernel thread.";
    "parent.pid": Kind::U32, parent.pid, PARENT, "Process id of the parent.";
    "parent.uid": Kind::U32, parent.uid, PARENT, "Real user id of the parent.";
    "parent.comm": Kind::Text(COMM_MAX), parent.comm, PARENT, "Name of the parent's thread that started the process.";
    "parent.exe": Kind::Text(TEXT_MAX), parent.exe, PARENT_EXE, "Path of the parent's executable.";
    "path": Kind::Text(TEXT_MAX), object.path, PATH, "Path of the FIFO, as seen from the root of the mount tree.";
    "inode": Kind::U64, object.inode, INODE, "Inode number of the pipe or FIFO.";
    "device": Kind::U32, object.device, INODE, "Device of its file system, major << 20 | minor.";
    "owner": Kind::U32, object.owner, INODE, "User id of its owner.";
    "mode": Kind::U32, object.mode, MODE, "Its type and permission bits.";
    "reads": Kind::Bool, object.reads, OPEN, "Whether it is opened for reading.";
    "writes": Kind::Bool, object.writes, OPEN, "Whether it is opened for writing.";
    "nonblock": Kind::Bool, object.nonblock, OPEN, "Whether it is opened with O_NONBLOCK.";
    "size": Kind::U64, object.size, PAYLOAD, "Number of bytes handed to this write.";
    "payload": Kind::Text(TEXT_MAX), object.payload, PAYLOAD, "The first 256 bytes of them.";
}

impl Field {
    /// The field with this name, or `None`.
    pub fn from_name(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.name == name)
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
