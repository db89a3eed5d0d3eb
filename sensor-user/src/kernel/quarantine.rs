//! Pipes and FIFOs that nobody may read: what is marked, and the programs that keep readers away.

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
    programs::{Program, fentry::FEntryLinkId, fexit::FExitLinkId, lsm::LsmLinkId},
};
use sensor_common::maps::{Mark, ObjectKey, QUARANTINE};

use super::{
    btf::Btf,
    hooks::{HookState, recursion_misses},
    maps::{Value, take},
};

/// The programs of `sensor-ebpf`, and where each is attached: an LSM hook, or the first of these functions that the kernel has.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("quarantine_use", &["file_permission"]),
    ("quarantine_pipe_read", &["anon_pipe_read", "pipe_read"]),
    ("quarantine_splice", &["do_splice"]),
    ("quarantine_spliced", &["do_splice"]),
    ("quarantine_tee", &["do_tee"]),
    ("quarantine_teed", &["do_tee"]),
    ("quarantine_between", &["pipe_double_lock"]),
    ("quarantine_vmsplice", &["__x64_sys_vmsplice"]),
    ("quarantine_vmspliced", &["__x64_sys_vmsplice"]),
];

/// See the [module](self).
pub struct Quarantine {
    marks: HashMap<MapData, Value<ObjectKey>, Value<Mark>>,
    guards: Vec<Guard>,
}

/// One program that keeps readers away.
struct Guard {
    program: &'static str,
    /// The kernel function, or the LSM hook.
    function: &'static str,
    loaded: bool,
    link: Option<Link>,
}

enum Link {
    Lsm(LsmLinkId),
    Entry(FEntryLinkId),
    Exit(FExitLinkId),
}

impl Quarantine {
    /// Nothing is marked, nothing attached.
    pub fn new(ebpf: &mut Ebpf, btf: &Btf) -> Result<Self> {
        let guards = PROGRAMS.iter().map(|(program, functions)| {
            let there = functions.iter().find(|name| btf.has_function(name));
            // Where there is none, or it is the name of an LSM hook, the kernel is asked for the last one.
            let function = there.or(functions.last()).copied().unwrap_or_default();
            Guard { program, function, loaded: false, link: None }
        });
        Ok(Self { marks: take(ebpf, QUARANTINE)?, guards: guards.collect() })
    }

    /// All that is marked.
    pub fn list(&self) -> Result<Vec<(ObjectKey, Mark)>> {
        let mut marks = Vec::new();
        for entry in &self.marks {
            match entry {
                Ok((Value(key), Value(mark))) => marks.push((key, mark)),
                // Taken out while we looked.
                Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error).context("cannot read the quarantine"),
            }
        }
        marks.sort_by_key(|(key, mark)| (mark.time, *key));
        Ok(marks)
    }

    /// Lets these be read again; how many there were.
    pub fn release(&mut self, inode: Option<u64>) -> Result<usize> {
        let keys: Vec<_> = self.list()?.into_iter().map(|(key, _)| key).collect();
        let mut released = 0;
        for key in keys.into_iter().filter(|key| inode.is_none_or(|inode| key.inode == inode)) {
            self.marks.remove(&Value(key)).context("cannot take it out of the quarantine")?;
            released += 1;
        }
        Ok(released)
    }

    /// Keeps readers away; nothing happens where that is done.
    pub fn attach(&mut self, ebpf: &mut Ebpf, kernel: &aya::Btf) -> Result<()> {
        self.guards.iter_mut().try_for_each(|guard| guard.attach(ebpf, kernel))
    }

    /// Lets everybody read; nothing happens where nobody is kept away.
    pub fn detach(&mut self, ebpf: &mut Ebpf) -> Result<()> {
        self.guards.iter_mut().try_for_each(|guard| guard.detach(ebpf))
    }

    /// The state of each program that was ever needed.
    pub fn states(&self, ebpf: &Ebpf) -> Result<Vec<HookState>> {
        let loaded = self.guards.iter().filter(|guard| guard.loaded);
        loaded.map(|guard| guard.state(ebpf)).collect()
    }
}

impl Guard {
    fn attach(&mut self, ebpf: &mut Ebpf, kernel: &aya::Btf) -> Result<()> {
        if self.link.is_some() {
            return Ok(());
        }
        let context = || format!("cannot guard the quarantine: {} at {}", self.program, self.function);
        let program = ebpf.program_mut(self.program).with_context(context)?;
        if !self.loaded {
            match program {
                Program::Lsm(program) => program.load(self.function, kernel),
                Program::FEntry(program) => program.load(self.function, kernel),
                Program::FExit(program) => program.load(self.function, kernel),
                _ => bail!("{} is of an unexpected program type", self.program),
            }
            .with_context(context)?;
            self.loaded = true;
        }
        let link = match program {
            Program::Lsm(program) => program.attach().map(Link::Lsm),
            Program::FEntry(program) => program.attach().map(Link::Entry),
            Program::FExit(program) => program.attach().map(Link::Exit),
            _ => bail!("{} is of an unexpected program type", self.program),
        };
        self.link = Some(link.with_context(context)?);
        Ok(())
    }

    fn detach(&mut self, ebpf: &mut Ebpf) -> Result<()> {
        match (self.link.take(), ebpf.program_mut(self.program)) {
            (Some(Link::Lsm(link)), Some(Program::Lsm(program))) => program.detach(link)?,
            (Some(Link::Entry(link)), Some(Program::FEntry(program))) => program.detach(link)?,
            (Some(Link::Exit(link)), Some(Program::FExit(program))) => program.detach(link)?,
            _ => {}
        }
        Ok(())
    }

    fn state(&self, ebpf: &Ebpf) -> Result<HookState> {
        let program = ebpf.program(self.program).context("the sensor's object lacks a program")?;
        Ok(HookState {
            hook: self.program.to_owned(),
            function: self.function.to_owned(),
            attached: self.link.is_some(),
            recursion_misses: recursion_misses(program.fd()?)?,
            verified_instructions: program.info().ok().and_then(|info| info.verified_instruction_count()),
        })
    }
}
