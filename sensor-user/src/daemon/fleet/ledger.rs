//! The host's part in roll-outs, on disk: [`Membership`], shared by the member, who may be waiting for a
//! server, and the end of the daemon, which does not wait for that.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sensor_content::{
    fleet::Membership,
    life::BootId,
    store::{Directory, read_sealed, write_sealed},
};

use super::Machine;
use crate::log::say;

/// Its file.
const MEMBERSHIP: &str = "membership";
/// Clocks of file systems may lag.
const CLOCK_SLACK: Duration = Duration::from_mins(2);

/// The host's membership, written to disk with each change.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Directory,
    membership: Membership,
    /// The daemon has ended: what is written down stays as it is.
    ended: bool,
}

impl Ledger {
    /// What is in `directory`; a daemon starts, in this start of the kernel.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(directory: PathBuf, machine: &Machine, boot: &BootId) -> std::io::Result<Self> {
        let path = directory.join(MEMBERSHIP);
        let mut store = Directory::open(directory)?;
        let written = path.metadata().and_then(|data| data.modified()).ok();
        let mut membership: Membership = read_sealed(&store, MEMBERSHIP).ok().flatten().unwrap_or_default();
        // Evidence that is older than what we wrote last is of another crash.
        let crashed = machine.crashed.is_some_and(|crash| written.is_none_or(|written| crash >= written - CLOCK_SLACK));
        membership.starts(boot, crashed);
        let _ = write_sealed(&mut store, MEMBERSHIP, &membership);
        Ok(Self { path, inner: Mutex::new(Inner { store, membership, ended: false }) })
    }

    /// Looks at it.
    pub fn read<T>(&self, look: impl FnOnce(&Membership) -> T) -> T {
        look(&self.lock().membership)
    }

    /// Changes it, and writes it down.
    pub fn change<T>(&self, change: impl FnOnce(&mut Membership) -> T) -> T {
        let inner = &mut *self.lock();
        let changed = change(&mut inner.membership);
        self.write(inner);
        changed
    }

    /// The daemon ends in order: that is written down, and nothing after it. One that is killed does not come here.
    pub fn end(&self) {
        let inner = &mut *self.lock();
        inner.membership.ends();
        self.write(inner);
        inner.ended = true;
    }

    fn write(&self, inner: &mut Inner) {
        if !inner.ended
            && let Err(error) = write_sealed(&mut inner.store, MEMBERSHIP, &inner.membership)
        {
            say(format_args!("WARNING: {} cannot be written: {error}", self.path.display()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in the middle of a change has written nothing of it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
