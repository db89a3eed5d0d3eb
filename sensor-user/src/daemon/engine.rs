//! What the daemon needs of the kernel side, so that everything above it is tested without a kernel.

use sensor_common::maps::{Counters, Mark, ObjectKey};
use sensor_rules::RuleSet;

use crate::kernel::{Activation, HookState, Refusal, Sensor};

/// Generations of rules, and what is known of the hooks that use them. Dropping it detaches everything and leaves no trace in
/// the kernel.
pub trait Engine: Send + 'static {
    /// Puts `rules` in force as `generation`, or changes nothing.
    ///
    /// # Errors
    /// Who refused, and why.
    fn activate(&mut self, generation: u64, rules: &RuleSet) -> Result<Activation, Refusal>;
    /// Puts the generation before in force again; its number.
    ///
    /// # Errors
    /// When there is none.
    fn rollback(&mut self) -> Result<u64, Refusal>;
    /// The generation in force.
    fn active(&self) -> Option<u64>;
    /// The generation that [`rollback`](Self::rollback) would put in force.
    fn previous(&self) -> Option<u64>;
    /// Carries verdicts out from now on, or only reports them.
    ///
    /// # Errors
    /// When the kernel does not take it.
    fn set_enforce(&mut self, on: bool) -> anyhow::Result<()>;
    /// Whether verdicts are carried out.
    fn enforcing(&self) -> bool;
    /// What is in quarantine, oldest first.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn quarantine(&mut self) -> anyhow::Result<Vec<(ObjectKey, Mark)>>;
    /// Lets what has this inode number, or everything, be read again; how many there were.
    ///
    /// # Errors
    /// When the kernel does not take it.
    fn release(&mut self, inode: Option<u64>) -> anyhow::Result<usize>;
    /// Counts since the sensor was started.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn counters(&self) -> anyhow::Result<Counters>;
    /// Every hook.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn hooks(&self) -> anyhow::Result<Vec<HookState>>;
}

impl Engine for Sensor {
    fn activate(&mut self, generation: u64, rules: &RuleSet) -> Result<Activation, Refusal> {
        self.activate(generation, rules)
    }
    fn rollback(&mut self) -> Result<u64, Refusal> {
        self.rollback()
    }
    fn active(&self) -> Option<u64> {
        self.active()
    }
    fn previous(&self) -> Option<u64> {
        self.previous()
    }
    fn set_enforce(&mut self, on: bool) -> anyhow::Result<()> {
        self.set_enforce(on)
    }
    fn enforcing(&self) -> bool {
        self.enforcing()
    }
    fn quarantine(&mut self) -> anyhow::Result<Vec<(ObjectKey, Mark)>> {
        self.quarantine()
    }
    fn release(&mut self, inode: Option<u64>) -> anyhow::Result<usize> {
        self.release(inode)
    }
    fn counters(&self) -> anyhow::Result<Counters> {
        self.counters()
    }
    fn hooks(&self) -> anyhow::Result<Vec<HookState>> {
        self.hooks()
    }
}
