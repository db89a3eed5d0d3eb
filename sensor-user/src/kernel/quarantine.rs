//! Pipes, FIFOs and unix sockets that nobody may read: what is marked, and the programs that keep readers away.

use std::path::Path;

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData},
    programs::ProgramFd,
};
use sensor_common::{
    event::Mode,
    hook::without_suffix,
    maps::{Container, Mark, ObjectKey, QUARANTINE},
};

use At::{End, Function, Hook};
use Container::{Pipe, Socket};

use super::{
    attach::{self, Link, program},
    btf::Btf,
    hooks::{HookState, recursion_misses},
    maps::{self, Value, take},
    pins::Pins,
    place::Place,
};

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
    guards: Vec<Guard>,
}

/// One program that keeps readers away.
struct Guard {
    program: String,
    container: Container,
    place: Place,
    loaded: bool,
    link: Option<Link>,
    /// The program that an earlier daemon loaded; `None` where it is ours.
    adopted: Option<ProgramFd>,
}

impl Quarantine {
    /// Nothing is marked, nothing attached.
    pub fn new(ebpf: &mut Ebpf, btf: &Btf, mode: Mode) -> Result<Self> {
        let guards = PROGRAMS.iter().map(|(program, container, at)| {
            let (program, place) = at.of(program, mode, btf);
            Guard { program, container: *container, place, loaded: false, link: None, adopted: None }
        });
        Ok(Self { marks: take(ebpf, QUARANTINE)?, guards: guards.collect() })
    }

    /// The names of its programs.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.guards.iter().map(|guard| guard.program.as_str())
    }

    /// Where its programs are attached.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.guards.iter().map(|guard| &guard.place)
    }

    /// Takes over what an earlier daemon left attached.
    pub fn adopt(&mut self, pins: &Pins) -> Result<()> {
        for guard in &mut self.guards {
            if let Some((link, program)) = pins.find(&guard.program)? {
                (guard.link, guard.adopted) = (Some(link), Some(program));
            }
        }
        Ok(())
    }

    /// Takes over what another version of the sensor marked, where it wrote it down in the same way.
    pub fn inherit(&mut self, other: &Path) {
        let map = MapData::from_pin(other.join(QUARANTINE)).map(Map::HashMap);
        let Some(marks) = map.ok().and_then(|map| HashMap::<_, Value<ObjectKey>, Value<Mark>>::try_from(map).ok())
        else {
            return;
        };
        for (key, mark) in marks.iter().flatten() {
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
    pub fn guard(&mut self, last: Option<Container>, ebpf: &mut Ebpf, kernel: &aya::Btf, pins: &Pins) -> Result<()> {
        for guard in &mut self.guards {
            if last >= Some(guard.container) { guard.attach(ebpf, kernel, pins)? } else { guard.detach(ebpf, pins)? }
        }
        Ok(())
    }

    /// The state of each program that was ever needed.
    pub fn states(&self, ebpf: &Ebpf) -> Result<Vec<HookState>> {
        let loaded = self.guards.iter().filter(|guard| guard.loaded || guard.adopted.is_some());
        loaded.map(|guard| guard.state(ebpf)).collect()
    }
}

/// The kernel's function that calls an LSM hook; where there is none, the kernel is asked for the last one that it might be.
fn caller(hook: &str, btf: &Btf) -> String {
    let function = format!("security_{hook}");
    let names = [function.as_str(), without_suffix(&function)];
    btf.first_function(&names).unwrap_or(names[1]).to_owned()
}

impl At {
    /// What is attached here in this mode: a program with this name or one beside it; and where.
    fn of(self, program: &str, mode: Mode, btf: &Btf) -> (String, Place) {
        let own = program.to_owned();
        match (self, mode) {
            (Hook(hook), Mode::ModifyReturn) => (format!("modify_{program}"), Place::ModifyReturn(caller(hook, btf))),
            (End(hook), Mode::ModifyReturn) => (format!("modify_{program}"), Place::Function(caller(hook, btf))),
            (Hook(hook) | End(hook), _) => (own, Place::Function(hook.to_owned())),
            (Function(functions), _) => {
                // Where there is none, the kernel is asked for the last one.
                let there = btf.first_function(functions).or(functions.last().copied());
                (own, Place::Function(there.unwrap_or_default().to_owned()))
            }
        }
    }
}

impl Guard {
    fn attach(&mut self, ebpf: &mut Ebpf, kernel: &aya::Btf, pins: &Pins) -> Result<()> {
        if self.link.is_some() {
            return Ok(());
        }
        let context = || format!("cannot guard the quarantine: {} at {}", self.program, self.place);
        let program = program(ebpf, &self.program)?;
        if !self.loaded {
            attach::load(program, &self.place, kernel).with_context(context)?;
            self.loaded = true;
        }
        let link = attach::attach(program, &self.place, kernel).with_context(context)?;
        self.link = Some(pins.pin(&self.program, program, link)?);
        self.adopted = None;
        Ok(())
    }

    fn detach(&mut self, ebpf: &mut Ebpf, pins: &Pins) -> Result<()> {
        if let Some(link) = self.link.take() {
            let link = pins.unpin(&self.program, link)?;
            attach::detach(program(ebpf, &self.program)?, link)?;
        }
        Ok(())
    }

    fn state(&self, ebpf: &Ebpf) -> Result<HookState> {
        let own = ebpf.program(&self.program).context("the sensor's object lacks a program")?;
        let program = match &self.adopted {
            Some(adopted) => adopted,
            None => own.fd()?,
        };
        Ok(HookState {
            hook: self.program.clone(),
            function: self.place.to_string(),
            attached: self.link.is_some(),
            recursion_misses: recursion_misses(program)?,
            verified_instructions: own.info().ok().and_then(|info| info.verified_instruction_count()),
        })
    }
}
