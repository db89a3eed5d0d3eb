//! A ring of the actor's, and steps that are requests to it.

use std::{cell::RefCell, io, rc::Rc};

use anyhow::{Context as _, Result, ensure};
use io_uring::{Probe, squeue};
use serde_json::json;

use super::super::{
    gaps::Gap,
    known::{self, UNKNOWN},
    plan::{Plan, Seen},
};
use crate::ring::{self, Way};

/// A ring, and who uses it.
pub struct Ring {
    /// The ring itself.
    pub io: RefCell<ring::Ring>,
    /// The requests that the kernel has.
    pub probe: Probe,
    /// How requests reach the kernel.
    pub way: Way,
    /// Who performs the requests: index among the actors.
    pub actor: usize,
}

impl Ring {
    /// A ring that works this way, with its actor added to the plan.
    pub fn new(plan: &mut Plan, way: Way) -> Result<Self> {
        let ring = ring::Ring::new(way)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe).context("IORING_REGISTER_PROBE")?;
        let mut who = plan.known(0).clone();
        who.insert("process.tid".to_owned(), UNKNOWN);
        // The kernel's threads bear a name of the kernel's making: the process's is that of its main thread.
        // Which requests a plain one is handed to a worker for differs from kernel to kernel.
        let name = if way == Way::Plain { UNKNOWN } else { json!(known::comm(std::process::id())?) };
        who.insert("process.comm".to_owned(), name);
        let actor = plan.actor(who);
        Ok(Self { io: RefCell::new(ring), probe, way, actor })
    }

    /// Adds a step with a request of this kind, or notes that the kernel has none.
    pub fn step(
        self: &Rc<Self>,
        plan: &mut Plan,
        kind: u8,
        what: &str,
        seen: Vec<Seen>,
        act: impl FnOnce(&Self) -> Result<()> + 'static,
    ) {
        let what = format!("io_uring {what}{}", self.way.words());
        if !self.probe.is_supported(kind) {
            plan.absent(&what);
            return;
        }
        let seen = seen.into_iter().map(|seen| Seen { actor: self.actor, ..seen }).collect();
        let ring = Rc::clone(self);
        plan.step(&what, seen, move || act(&ring));
    }

    /// The same, of which less is seen than happens.
    pub fn gap(
        self: &Rc<Self>,
        plan: &mut Plan,
        kind: u8,
        gap: &'static Gap,
        seen: Vec<Seen>,
        act: impl FnOnce(&Self) -> Result<()> + 'static,
    ) {
        if self.probe.is_supported(kind) {
            let seen = seen.into_iter().map(|seen| Seen { actor: self.actor, ..seen }).collect();
            let ring = Rc::clone(self);
            plan.gap(gap, seen, move || act(&ring));
        }
    }

    /// Submits a request and waits until it is done; what it returned.
    pub fn run(&self, entry: squeue::Entry) -> Result<i32> {
        let result = self.io.borrow_mut().run(entry)?;
        ensure!(result >= 0, "the request: {}", io::Error::from_raw_os_error(-result));
        Ok(result)
    }
}
