//! Where a daemon finds what belongs to content.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use sensor_content::{
    key::PublicKey,
    life::{BACK_OFF, BootId},
    policy::Policy,
};

use super::places;

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
    /// Of a daemon that keeps its generations in `state` and is configured in the directory `config`; times in
    /// seconds.
    ///
    /// # Errors
    /// When `/proc` is not there.
    pub fn new(state: PathBuf, config: &Path, settle: u64, up: u64) -> anyhow::Result<Self> {
        Ok(Self {
            state,
            policy: places::policy_file(config),
            keys: config.join("keys"),
            approvals: config.join("approvals"),
            safe_mode: places::safe_mode(config),
            boot: places::boot()?,
            program: "/proc/self/exe".into(),
            settle: Duration::from_secs(settle),
            up: Duration::from_secs(up),
            back_off: BACK_OFF,
        })
    }

    /// The owner's policy.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn policy(&self) -> anyhow::Result<Policy> {
        Ok(places::policy_if_any(&self.policy)?.unwrap_or_default())
    }

    /// The trusted keys.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn keys(&self) -> anyhow::Result<Vec<PublicKey>> {
        places::trusted_keys(&self.keys)
    }
}
