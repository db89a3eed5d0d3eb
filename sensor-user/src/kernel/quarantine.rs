//! Pipes and FIFOs that nobody may read: what is marked, and the two programs that keep readers away.

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};
use sensor_common::maps::{Mark, ObjectKey, QUARANTINE};

use super::{
    attach::{self, Link, program},
    btf::Btf,
    maps::{Value, take},
};

/// The programs of `sensor-ebpf`, and where they are attached.
const READ: &str = "quarantine_read";
const READ_HOOK: &str = "file_permission";
const WAKE: &str = "quarantine_wake";
/// The first that the kernel has.
const WAKE_FUNCTIONS: &[&str] = &["anon_pipe_read", "pipe_read"];

/// See the [module](self).
pub struct Quarantine {
    marks: HashMap<MapData, Value<ObjectKey>, Value<Mark>>,
    wake_function: Option<&'static str>,
    loaded: bool,
    links: Option<(Link, Link)>,
}

impl Quarantine {
    /// Nothing is marked, nothing attached.
    pub fn new(ebpf: &mut Ebpf, btf: &Btf) -> Result<Self> {
        let wake_function = WAKE_FUNCTIONS.iter().copied().find(|name| btf.has_function(name));
        Ok(Self { marks: take(ebpf, QUARANTINE)?, wake_function, loaded: false, links: None })
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
        if self.links.is_some() {
            return Ok(());
        }
        let function = self.wake_function.context("this kernel has no function that reads pipes")?;
        let context = || format!("cannot guard the quarantine at {READ_HOOK} and {function}");
        if !self.loaded {
            attach::load(program(ebpf, READ)?, READ_HOOK, kernel).with_context(context)?;
            attach::load(program(ebpf, WAKE)?, function, kernel).with_context(context)?;
            self.loaded = true;
        }
        let read = attach::attach(program(ebpf, READ)?, READ_HOOK, kernel).with_context(context)?;
        let wake = attach::attach(program(ebpf, WAKE)?, function, kernel).with_context(context)?;
        self.links = Some((read, wake));
        Ok(())
    }

    /// Lets everybody read; nothing happens where nobody is kept away.
    pub fn detach(&mut self, ebpf: &mut Ebpf) -> Result<()> {
        if let Some((read, wake)) = self.links.take() {
            attach::detach(program(ebpf, READ)?, read)?;
            attach::detach(program(ebpf, WAKE)?, wake)?;
        }
        Ok(())
    }
}
