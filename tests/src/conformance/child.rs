//! Processes that the actor starts before the plan begins, so that their numbers are known.

use std::{os::fd::RawFd, process};

use anyhow::{Result, ensure};

use super::call::call;

/// A process that waits until it is let go, acts, and ends.
pub struct Child {
    /// Its process id.
    pub pid: u32,
    /// Its index among the actors.
    pub actor: usize,
    /// An eventfd, which no hook cares for.
    gate: RawFd,
}

impl Child {
    /// Forks it. What it does ends with the exit code that it returns.
    pub fn fork(act: impl FnOnce() -> Result<i32>) -> Result<Self> {
        let gate = i32::try_from(call!(eventfd(0, 0))?)?;
        // SAFETY: no other thread of the process does anything, so no lock is held in the child by nobody.
        let pid = unsafe { libc::fork() };
        ensure!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        if pid == 0 {
            let code = wait(gate).and_then(|()| act()).unwrap_or_else(|error| {
                eprintln!("child {}: {error:#}", process::id());
                111
            });
            // SAFETY: does not return; what the process would do at its end is its parent's.
            unsafe { libc::_exit(code) };
        }
        Ok(Self { pid: u32::try_from(pid)?, actor: 0, gate })
    }

    /// The same, which is this actor of a plan.
    pub fn into_actor(self, actor: usize) -> Self {
        Self { actor, ..self }
    }

    /// Its process id, as calls take it.
    pub fn id(&self) -> i32 {
        i32::try_from(self.pid).unwrap_or(i32::MAX)
    }

    /// Lets it act.
    pub fn release(&self) -> Result<()> {
        call!(eventfd_write(self.gate, 1)).map(drop)
    }

    /// Waits until it has ended; its wait status.
    pub fn ended(&self) -> Result<i32> {
        let mut status = 0;
        call!(waitpid(self.id(), &raw mut status, libc::__WALL))?;
        Ok(status)
    }

    /// Lets it act and waits for its end; its wait status.
    pub fn run(&self) -> Result<i32> {
        self.release()?;
        self.ended()
    }
}

fn wait(gate: RawFd) -> Result<()> {
    let mut value = 0;
    call!(eventfd_read(gate, &raw mut value)).map(drop)
}
