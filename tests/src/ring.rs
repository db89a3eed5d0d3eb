//! Requests to `io_uring`, one at a time, on each of the ways they can take. Workers and polling threads are
//! threads of the process.

use anyhow::{Context as _, Result, ensure};
use io_uring::{IoUring, Submitter, squeue};

use crate::suite::NotHere;

/// How requests get to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Tried by the thread that submits them; by a worker where that would block.
    Plain,
    /// By a worker at once.
    Worker,
    /// By the polling thread.
    Polled,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Worker, Self::Polled];

    /// As it stands behind the name of a request.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Worker => ", IOSQE_ASYNC",
            Self::Polled => ", SQPOLL",
        }
    }

    /// As it is told to a process in a role.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Worker => "worker",
            Self::Polled => "polled",
        }
    }

    /// The way of this name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name).with_context(|| format!("no such way: {name}"))
    }
}

/// A ring, and one way to use it.
pub struct Ring {
    io: IoUring,
    way: Way,
}

impl Ring {
    /// A new one.
    ///
    /// # Errors
    /// [`NotHere`] where the kernel has none or permits none.
    pub fn new(way: Way) -> Result<Self> {
        let mut builder = IoUring::builder();
        if way == Way::Polled {
            // Milliseconds until it falls asleep.
            builder.setup_sqpoll(20);
        }
        match builder.build(8) {
            Ok(io) => Ok(Self { io, way }),
            Err(error) => {
                let refused = [libc::ENOSYS, libc::EPERM].contains(&error.raw_os_error().unwrap_or(0));
                ensure!(refused, "io_uring_setup: {error}");
                Err(NotHere("the kernel has no io_uring").into())
            }
        }
    }

    /// For what is registered.
    pub fn submitter(&self) -> Submitter<'_> {
        self.io.submitter()
    }

    /// Submits a request and waits until it is done: what it returned, below 0 an error number.
    ///
    /// # Errors
    /// Those of the ring itself.
    pub fn run(&mut self, entry: squeue::Entry) -> Result<i32> {
        let entry = if self.way == Way::Worker { entry.flags(squeue::Flags::ASYNC) } else { entry };
        // SAFETY: the memory that the entry names is the caller's, and this returns only when the kernel is
        // done with it.
        unsafe { self.io.submission().push(&entry) }.context("the ring is full")?;
        self.io.submit_and_wait(1).context("io_uring_enter")?;
        Ok(self.io.completion().next().context("nothing is done")?.result())
    }
}
