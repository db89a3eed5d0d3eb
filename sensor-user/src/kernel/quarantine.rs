//! Pipes, FIFOs and unix sockets that nobody may read: what is marked, and the programs that keep readers away.

use std::path::Path;

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData},
};
use sensor_common::{
    event::Mode,
    hook::without_suffix,
    maps::{Container, Mark, ObjectKey, QUARANTINE},
};

use At::{End, Function, Hook};
use Container::{Pipe, Socket};

use super::{
    beside::Beside,
    btf::Btf,
    crowd::Crowd,
    maps::{self, Value, take},
    pins::Pins,
    place::Place,
};
use crate::api::kernel::HookState;

/// Where a program is attached.
#[derive(Clone, Copy)]
enum At {
    /// The LSM hook of this name, or the function that calls it: what the program returns counts.
    Hook(&'static str),
    /// The same, of a hook that returns nothing.
    End(&'static str),
    /// The first of these functions that the kernel has.
    Function(&'static [&'static str]),
}

/// The programs of `sensor-ebpf`, what each guards, and where it is attached.
const PROGRAMS: &[(&str, Container, At)] = &[
    ("quarantine_use", Pipe, Hook("file_permission")),
    ("quarantine_pipe_read", Pipe, Function(&["anon_pipe_read", "pipe_read"])),
    ("quarantine_splice", Pipe, Function(&["do_splice"])),
    ("quarantine_spliced", Pipe, Function(&["do_splice"])),
    ("quarantine_tee", Pipe, Function(&["do_tee"])),
    ("quarantine_teed", Pipe, Function(&["do_tee"])),
    ("quarantine_between", Pipe, Function(&["pipe_double_lock"])),
    ("quarantine_vmsplice", Pipe, Function(&["__x64_sys_vmsplice"])),
    ("quarantine_unmapped", Pipe, Function(&["get_pipe_info"])),
    ("quarantine_vmspliced", Pipe, Function(&["__x64_sys_vmsplice"])),
    ("quarantine_inode_end", Pipe, End("inode_free_security")),
    ("quarantine_receive", Socket, Hook("socket_recvmsg")),
    ("quarantine_stream_received", Socket, Function(&["unix_stream_recvmsg"])),
    ("quarantine_datagram_received", Socket, Function(&["unix_dgram_recvmsg"])),
    ("quarantine_packet_received", Socket, Function(&["unix_seqpacket_recvmsg"])),
    ("quarantine_addressed", Socket, Hook("unix_may_send")),
    ("quarantine_sent", Socket, Function(&["unix_dgram_sendmsg"])),
    ("quarantine_sock_end", Socket, End("sk_free_security")),
];

/// The marks, and the programs that guard them.
pub struct Quarantine {
    marks: HashMap<MapData, Value<ObjectKey>, Value<Mark>>,
    /// What keeps readers away, each from one kind of container.
    guards: Vec<(Container, Beside)>,
}

impl Quarantine {
    /// Nothing is marked, nothing attached.
    pub fn new(ebpf: &mut Ebpf, btf: &Btf, mode: Mode) -> Result<Self> {
        let guards = PROGRAMS.iter().map(|(program, container, at)| (*container, at.guard(program, mode, btf)));
        Ok(Self { marks: take(ebpf, QUARANTINE)?, guards: guards.collect() })
    }

    /// The names of its programs.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.guards.iter().map(|(_, guard)| guard.program())
    }

    /// Where its programs are attached.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.guards.iter().map(|(_, guard)| guard.place())
    }

    /// Takes over what an earlier daemon left attached.
    pub fn adopt(&mut self, pins: &Pins) -> Result<()> {
        self.guards.iter_mut().try_for_each(|(_, guard)| guard.adopt(pins))
    }

    /// Takes over what another version of the sensor marked, where it wrote it down in the same way.
    pub fn inherit(&mut self, other: &Path) {
        let map = MapData::from_pin(other.join(QUARANTINE)).map(Map::HashMap);
        let Some(marks) = map.ok().and_then(|map| HashMap::<_, Value<ObjectKey>, Value<Mark>>::try_from(map).ok())
        else {
            return;
        };
        for (key, mark) in marks.iter().flatten() {
            // Until this was an address, it was a number, by which nothing is found any more.
            if key.0.id >> 63 == 0 {
                continue;
            }
            // One that finds no room is lost with the version that marked it.
            drop(self.marks.insert(key, mark, 0));
        }
    }

    /// All that is marked.
    pub fn list(&self) -> Result<Vec<(ObjectKey, Mark)>> {
        let mut marks = maps::entries(&self.marks).context("cannot read the quarantine")?;
        marks.sort_by_key(|(key, mark)| (mark.time, *key));
        Ok(marks)
    }

    /// Lets these be read again; how many there were.
    pub fn release(&mut self, inode: Option<u64>) -> Result<usize> {
        let mut released = 0;
        for (key, mark) in self.list()? {
            if inode.is_some_and(|inode| mark.inode != inode) {
                continue;
            }
            // Not there: its end came first.
            let was_there =
                maps::remove(&mut self.marks, &Value(key)).context("cannot take it out of the quarantine")?;
            released += usize::from(was_there);
        }
        Ok(released)
    }

    /// The last of [`Container`] that something in quarantine is.
    pub fn last(&self) -> Result<Option<Container>> {
        Ok(self.list()?.iter().filter_map(|(key, _)| Container::from_index(key.container)).max())
    }

    /// Keeps readers away from every container up to `last`, and from none behind it.
    pub fn guard(
        &mut self,
        last: Option<Container>,
        ebpf: &mut Ebpf,
        kernel: &aya::Btf,
        pins: &Pins,
        crowd: &Crowd,
    ) -> Result<()> {
        for (container, guard) in &mut self.guards {
            let guarded = if last >= Some(*container) {
                guard.attach_or_miss(ebpf, kernel, pins, crowd)
            } else {
                guard.detach(ebpf, pins)
            };
            guarded.context("cannot guard the quarantine")?;
        }
        Ok(())
    }

    /// What is not attached of what guards it, and why.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.guards.iter().filter_map(|(_, guard)| guard.missing())
    }

    /// The state of each program that was ever needed.
    pub fn states(&self, ebpf: &Ebpf) -> Result<Vec<HookState>> {
        let guards = self.guards.iter().map(|(_, guard)| guard);
        guards.filter(|guard| guard.is_loaded()).map(|guard| guard.state(ebpf)).collect()
    }
}

/// The kernel's function that calls an LSM hook; where there is none, the kernel is asked for the last one
/// that it might be.
fn caller(hook: &str, btf: &Btf) -> String {
    let function = format!("security_{hook}");
    let names = [function.as_str(), without_suffix(&function)];
    btf.first_function(&names).unwrap_or(names[1]).to_owned()
}

impl At {
    /// What is attached here in this mode: the program with this name, or one beside it.
    fn guard(self, program: &str, mode: Mode, btf: &Btf) -> Beside {
        match (self, mode) {
            (Hook(hook), Mode::ModifyReturn) => {
                Beside::new(format!("modify_{program}"), Place::ModifyReturn(caller(hook, btf)))
            }
            (End(hook), Mode::ModifyReturn) => {
                Beside::new(format!("modify_{program}"), Place::Function(caller(hook, btf)))
            }
            (Hook(hook) | End(hook), _) => Beside::new(program.to_owned(), Place::Function(hook.to_owned())),
            (Function(functions), _) => {
                // Where there is none, the kernel is asked for the last one.
                let there = btf.first_function(functions).or(functions.last().copied());
                Beside::new(program.to_owned(), Place::Function(there.unwrap_or_default().to_owned()))
            }
        }
    }
}
