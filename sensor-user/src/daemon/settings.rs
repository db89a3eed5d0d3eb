//! Where a daemon finds what belongs to content.

use std::{io, path::PathBuf, time::Duration};

use jiff::SignedDuration;
use sensor_content::{key::PublicKey, life::BootId, policy::Policy};

use crate::content;

/// Where a daemon finds what belongs to content, and how patient it is with it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory of generations, attempts, journal.
    pub state: PathBuf,
    /// The owner's policy; where there is no such file, everything is taken.
    pub policy: PathBuf,
    /// Directory of the trusted keys.
    pub keys: PathBuf,
    /// Directory of approvals.
    pub approvals: PathBuf,
    /// The file that is a switch.
    pub safe_mode: PathBuf,
    /// This start of the kernel.
    pub boot: BootId,
    /// The program that runs a bundle's own tests: this one.
    pub program: PathBuf,
    /// So long in force, a generation has settled.
    pub settle: Duration,
    /// So long after its start, the host counts as up, and the generation on probation is tried again.
    pub up: Duration,
    /// So long after the first mishap, the generation on probation is tried again.
    pub back_off: SignedDuration,
}

impl Settings {
    /// The owner's policy.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn policy(&self) -> anyhow::Result<Policy> {
        match self.policy.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Policy::default()),
            _ => content::policy(&self.policy),
        }
    }

    /// The trusted keys.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn keys(&self) -> anyhow::Result<Vec<PublicKey>> {
        content::trusted_keys(&self.keys)
    }
}
