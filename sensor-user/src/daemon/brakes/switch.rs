//! Who wants verdicts to be carried out: the operator, and a file that says no.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Result, bail};

use crate::kernel::{self, engine::Brakes, probe::Mode};

/// While this file exists nothing is blocked.
pub const OFF_FILE: &str = "/etc/creance/enforce-off";

/// Decides from what the operator and the file say whether verdicts are carried out.
pub struct Switch {
    brakes: Arc<dyn Brakes>,
    mode: Mode,
    /// What the operator asked for.
    asked: bool,
    /// The file that says no, where it is there.
    off: Option<PathBuf>,
}

impl Switch {
    /// Off.
    pub fn new(brakes: Arc<dyn Brakes>, mode: Mode) -> Self {
        Self { brakes, mode, asked: false, off: None }
    }

    /// Whether verdicts are carried out.
    pub fn is_on(&self) -> bool {
        self.asked && self.off.is_none() && self.mode.can_enforce()
    }

    /// The file that turns blocking off, where it is there.
    pub fn off(&self) -> Option<&PathBuf> {
        self.off.as_ref()
    }

    /// What the operator asks for.
    ///
    /// # Errors
    /// When it cannot be: nothing changed.
    pub fn ask(&mut self, on: bool) -> Result<bool> {
        if let Some(why) = observing(self.mode).filter(|_| on) {
            bail!("nothing can be enforced: {why}");
        }
        if let Some(file) = self.off.as_ref().filter(|_| on) {
            bail!("the file {} is there, and nothing is blocked while it is: remove it first", file.display());
        }
        self.asked = on;
        self.apply()
    }

    /// What the daemon was started with: it counts as soon as no file says no.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn start(&mut self, on: bool) -> Result<bool> {
        self.asked = on;
        self.apply()
    }

    /// Notes whether the file that says no is there; whether that changed anything.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn file(&mut self, off: Option<PathBuf>) -> Result<bool> {
        if self.off == off {
            return Ok(false);
        }
        self.off = off;
        self.apply()?;
        Ok(true)
    }

    fn apply(&self) -> Result<bool> {
        self.brakes.set_enforce(self.is_on())?;
        Ok(self.is_on())
    }
}

/// What is to be said of a mode in which nothing can be blocked.
pub fn observing(mode: Mode) -> Option<String> {
    match mode {
        Mode::Lsm | Mode::ModifyReturn => None,
        Mode::Observe => Some(OBSERVING.to_owned()),
        Mode::Tracepoints => Some(kernel::tracepoints_see()),
    }
}

/// What to say of a mode that was asked for, or taken because the kernel's functions let nothing be decided.
const OBSERVING: &str = "Creance observes every event and reports matches, and cannot block or kill in this mode. \
     Start it without `--mode observe`, or boot with `bpf` added to the list in the kernel parameter lsm= (`creance doctor` shows the list).";
