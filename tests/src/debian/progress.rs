//! How far a job has got that goes on after the next start of the host.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

const FILE: &str = "/var/lib/creance-tests";
/// A line for each start of the host.
const BOOTS: &str = "/var/lib/creance-boots";
/// The unit that writes it, by name: before the daemon starts, because that may take the host down again.
pub const COUNTS_BOOTS: (&str, &str) = (
    "creance-boots.service",
    "[Unit]\nDefaultDependencies=no\nAfter=systemd-remount-fs.service\nBefore=creance.service\n\
     [Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo >> /var/lib/creance-boots; sync'\n\
     [Install]\nWantedBy=sysinit.target\n",
);

/// How a job has gone on.
pub enum Step {
    /// It is done, well or not.
    Done(bool),
    /// The host is going down, and the job goes on after its next start.
    Reboot,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub enum Next {
    /// The package is to be installed, and a generation to become good.
    #[default]
    Install,
    /// It is to become good now that the host has started again.
    Good,
    /// This row of the table begins.
    Break(usize),
    /// The fault of this row may have struck; the host is to come back.
    Recover(usize),
}

/// The next step of the job, and what it found so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// What comes next.
    pub next: Next,
    /// How often the host has started since the first reboot.
    pub boots: u32,
    /// How often it would have, without a fault.
    pub ordered: u32,
    /// When the fault was set free, seconds since 1970.
    pub since: u64,
}

impl Progress {
    /// What was kept, after one more start of the host.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn after_boot() -> Result<Self> {
        let mut progress: Self = match fs::read(FILE) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Self::default(),
            Err(error) => return Err(error).context(FILE),
        };
        progress.boots = match fs::read_to_string(BOOTS) {
            Ok(text) => u32::try_from(text.lines().count())?,
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(error).context(BOOTS),
        };
        progress.keep()?;
        Ok(progress)
    }

    /// On disk before this returns, for the host may go down at any time.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep(&self) -> Result<()> {
        let new = format!("{FILE}.new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(new, FILE)?;
        File::open("/var/lib")?.sync_all()?;
        Ok(())
    }

    /// The same, and this comes next.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn goes_on(&mut self, next: Next) -> Result<()> {
        self.next = next;
        self.keep()
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
