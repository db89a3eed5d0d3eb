//! The same by `io_uring`: each request submitted plainly, handed to a worker of the kernel (`IOSQE_ASYNC`), and taken up by the
//! kernel's own polling thread (`SQPOLL`). Workers and polling threads are threads of the process.

mod files;
mod sockets;

use std::{cell::RefCell, io, rc::Rc};

use anyhow::{Context as _, Result, ensure};
use io_uring::{IoUring, Probe, squeue};
use serde_json::json;

use super::{
    gaps::Gap,
    known::{self, UNKNOWN},
    plan::{Plan, Seen},
};

/// How requests get to the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Tried by the thread that submits them; by a worker where that would block.
    Plain,
    /// By a worker at once.
    Worker,
    /// By the polling thread.
    Polled,
}

impl Way {
    const ALL: [Self; 3] = [Self::Plain, Self::Worker, Self::Polled];

    /// As it stands behind the name of a step.
    const fn words(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Worker => ", IOSQE_ASYNC",
            Self::Polled => ", SQPOLL",
        }
    }
}

/// A ring, and one way to use it.
struct Ring {
    io: RefCell<IoUring>,
    probe: Probe,
    way: Way,
    /// Who performs the requests: index among the actors.
    actor: usize,
}

/// See the [module](self).
pub fn plan(plan: &mut Plan) -> Result<()> {
    if let Err(error) = IoUring::new(2) {
        let refused = [libc::ENOSYS, libc::EPERM].contains(&error.raw_os_error().unwrap_or(0));
        ensure!(refused, "io_uring_setup: {error}");
        plan.absent("every request to io_uring");
        return Ok(());
    }
    plan.plain = false;
    for way in Way::ALL {
        let ring = Rc::new(Ring::new(plan, way)?);
        files::plan(plan, &ring)?;
        sockets::plan(plan, &ring)?;
    }
    Ok(())
}

impl Ring {
    fn new(plan: &mut Plan, way: Way) -> Result<Self> {
        let mut builder = IoUring::builder();
        if way == Way::Polled {
            // Milliseconds until it falls asleep.
            builder.setup_sqpoll(20);
        }
        let ring = builder.build(8).context("io_uring_setup")?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe).context("IORING_REGISTER_PROBE")?;
        let mut who = plan.known(0).clone();
        who.insert("process.tid".to_owned(), UNKNOWN);
        // The kernel's threads bear a name of the kernel's making: the process's is that of its main thread. Which requests a
        // plain one is handed to a worker for differs from kernel to kernel.
        let name = if way == Way::Plain { UNKNOWN } else { json!(known::comm(std::process::id())?) };
        who.insert("process.comm".to_owned(), name);
        let actor = plan.actor(who);
        Ok(Self { io: RefCell::new(ring), probe, way, actor })
    }

    /// Adds a step with a request of this kind, or notes that the kernel has none.
    fn step(
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
    fn gap(
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
    fn run(&self, entry: squeue::Entry) -> Result<i32> {
        let mut ring = self.io.borrow_mut();
        let entry = if self.way == Way::Worker { entry.flags(squeue::Flags::ASYNC) } else { entry };
        // SAFETY: the memory that the entry names is the caller's, and this returns only when the kernel is done with it.
        unsafe { ring.submission().push(&entry) }.context("the ring is full")?;
        ring.submit_and_wait(1).context("io_uring_enter")?;
        let result = ring.completion().next().context("nothing is done")?.result();
        ensure!(result >= 0, "the request: {}", io::Error::from_raw_os_error(-result));
        Ok(result)
    }
}
