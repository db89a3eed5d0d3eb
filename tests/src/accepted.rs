//! The sensor's own hooks ask this kernel's verifier: see [`sensor_proof::accepted`].

use std::path::PathBuf;

use anyhow::Result;
use sensor_proof::accepted::{self, Verifier};
use sensor_rules::RuleSet;
use sensor_user::{
    api::kernel::LoadedProgram,
    kernel::{self, Refusal, Sensor},
};

use crate::{report, suite};

/// A sensor that verifies and attaches nothing.
pub struct Hooks(Sensor);

impl Hooks {
    /// Starts it.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start() -> Result<Self> {
        let pin_dir = PathBuf::from("/sys/fs/bpf/accepted");
        let sensor = Sensor::start(&kernel::Options {
            mode: suite::mode(),
            pin_dir,
            ring_bytes: 4096,
            patience: std::time::Duration::ZERO,
            when_gone: kernel::WhenGone::Detach,
            reports: 0,
        })?;
        Ok(Self(sensor))
    }
}

impl Verifier for Hooks {
    fn verify(&mut self, rules: &RuleSet) -> Result<Option<Vec<LoadedProgram>>> {
        match self.0.verify(rules) {
            Ok(programs) => Ok(Some(programs)),
            Err(Refusal::Kernel(why)) if is_absent(&why) => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    fn say(&mut self, text: String) {
        report::say(text);
    }
}

/// The long run.
///
/// # Errors
/// Where it cannot be done.
pub fn long_run(seed: u64, sets: u64, random_only: bool) -> Result<bool> {
    accepted::long_run(&mut Hooks::start()?, seed, sets, random_only)
}

/// Whether the kernel has no such hook: no verifier has refused anything.
fn is_absent(why: &anyhow::Error) -> bool {
    format!("{why:#}").contains("this kernel has no")
}
