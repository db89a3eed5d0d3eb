//! What the daemon needs of the kernel side, so that everything above it is tested without a kernel.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sensor_common::{
    brakes::{Budget, Demotion, FileKey, Reach, RuleKey},
    maps::{Counters, Mark, ObjectKey},
    noise::NoiseKey,
};
use sensor_rules::RuleSet;

use super::{Activation, Refusal, Seen, Sensor};
use crate::api::kernel::HookState;

/// Generations of rules, and what is known of the hooks that use them.
pub trait Engine: Send + 'static {
    /// Puts `rules` in force as `generation`, or changes nothing.
    ///
    /// # Errors
    /// Who refused, and why.
    fn activate(&mut self, generation: u64, rules: &RuleSet) -> Result<Activation, Refusal>;
    /// Lets `rules` judge beside the generation in force, counted only, in place of a candidate before; or
    /// changes nothing.
    ///
    /// # Errors
    /// Who refused, and why.
    fn shadow(&mut self, generation: u64, rules: &RuleSet) -> Result<Activation, Refusal>;
    /// What the candidate did so far; `None` where there is none (any more).
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn shadowed(&mut self) -> anyhow::Result<Option<Seen>>;
    /// Puts the candidate, made of `rules`, in force; or changes nothing.
    ///
    /// # Errors
    /// When the switch failed.
    fn promote(&mut self, rules: &RuleSet) -> Result<Activation, Refusal>;
    /// Takes the candidate out of the kernel, if there is one.
    ///
    /// # Errors
    /// When the kernel does not take it.
    fn give_up(&mut self) -> anyhow::Result<()>;
    /// Puts the generation before in force again; its number.
    ///
    /// # Errors
    /// When there is none.
    fn rollback(&mut self) -> Result<u64, Refusal>;
    /// Puts nothing in force: nothing is judged, and no generation is left to go back to.
    ///
    /// # Errors
    /// When the kernel does not take it: what was in force may be so still.
    fn unload(&mut self) -> anyhow::Result<()>;
    /// The generation in force.
    fn active(&self) -> Option<u64>;
    /// Whether another version of the sensor is in force, until this one is.
    fn has_others(&self) -> bool;
    /// The generation that [`rollback`](Self::rollback) would put in force.
    fn previous(&self) -> Option<u64>;
    /// Leaves nothing in the kernel when it is dropped.
    fn stop(&self);
    /// What holds blocking back.
    fn brakes(&self) -> Arc<dyn Brakes>;
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
    /// By whom rules of generations that are or were in force were made to match, and how often.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn noise(&self) -> anyhow::Result<Vec<(NoiseKey, u64)>>;
    /// Every hook.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn hooks(&self) -> anyhow::Result<Vec<HookState>>;
    /// What in the kernel is not as this daemon left it, in words.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn meddling(&self) -> anyhow::Result<Vec<String>>;
    /// Attaches what the kernel had no room for until now; nothing where it always has room.
    ///
    /// # Errors
    /// When the kernel refuses for another reason.
    fn attach_missing(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

impl Engine for Sensor {
    fn activate(&mut self, generation: u64, rules: &RuleSet) -> Result<Activation, Refusal> {
        self.activate(generation, rules)
    }
    fn shadow(&mut self, generation: u64, rules: &RuleSet) -> Result<Activation, Refusal> {
        self.shadow(generation, rules)
    }
    fn shadowed(&mut self) -> anyhow::Result<Option<Seen>> {
        self.shadowed()
    }
    fn promote(&mut self, rules: &RuleSet) -> Result<Activation, Refusal> {
        self.promote(rules)
    }
    fn give_up(&mut self) -> anyhow::Result<()> {
        self.give_up()
    }
    fn rollback(&mut self) -> Result<u64, Refusal> {
        self.rollback()
    }
    fn unload(&mut self) -> anyhow::Result<()> {
        self.unload()
    }
    fn active(&self) -> Option<u64> {
        self.active()
    }
    fn has_others(&self) -> bool {
        self.has_others()
    }
    fn previous(&self) -> Option<u64> {
        self.previous()
    }
    fn stop(&self) {
        self.stop();
    }
    fn brakes(&self) -> Arc<dyn Brakes> {
        self.brakes()
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
    fn noise(&self) -> anyhow::Result<Vec<(NoiseKey, u64)>> {
        self.noise()
    }
    fn hooks(&self) -> anyhow::Result<Vec<HookState>> {
        self.hooks()
    }
    fn meddling(&self) -> anyhow::Result<Vec<String>> {
        self.meddling()
    }
    fn attach_missing(&mut self) -> anyhow::Result<()> {
        self.attach_missing()
    }
}

/// What holds blocking back. Apart from the engine, so that nothing waits for a push to turn blocking off.
///
/// Every answer can be an error: that the kernel does not tell, or does not take it.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
pub trait Brakes: Send + Sync + 'static {
    /// Carries verdicts out from now on, or only reports them.
    fn set_enforce(&self, on: bool) -> anyhow::Result<()>;
    /// How long the daemon may be silent before every verdict is "allow"; zero: for ever.
    fn patience(&self) -> Duration;
    /// Tells the kernel side that the daemon is alive.
    fn beat(&self) -> anyhow::Result<()>;
    /// For how long the daemon has given no sign of life.
    fn silence(&self) -> anyhow::Result<Duration>;
    /// The executables on the lifeline.
    fn lifeline(&self) -> anyhow::Result<BTreeMap<FileKey, Reach>>;
    /// Makes these executables the lifeline.
    fn set_lifeline(&self, listed: &BTreeMap<FileKey, Reach>) -> anyhow::Result<()>;
    /// What each rule that asks for more than an alert is allowed, and what it did.
    fn budgets(&self) -> anyhow::Result<BTreeMap<RuleKey, Budget>>;
    /// The rules that only alert now, because they hit several users or services.
    fn demoted(&self) -> anyhow::Result<BTreeMap<RuleKey, Demotion>>;
    /// Lets one be carried out again; false where it was not demoted.
    fn release(&self, rule: RuleKey) -> anyhow::Result<bool>;
    /// Drops counts that are no longer needed.
    fn sweep(&self) -> anyhow::Result<()>;
}

impl Brakes for super::Brakes {
    fn set_enforce(&self, on: bool) -> anyhow::Result<()> {
        self.set_enforce(on)
    }
    fn patience(&self) -> Duration {
        self.patience()
    }
    fn beat(&self) -> anyhow::Result<()> {
        self.beat()
    }
    fn silence(&self) -> anyhow::Result<Duration> {
        self.silence()
    }
    fn lifeline(&self) -> anyhow::Result<BTreeMap<FileKey, Reach>> {
        self.lifeline()
    }
    fn set_lifeline(&self, listed: &BTreeMap<FileKey, Reach>) -> anyhow::Result<()> {
        self.set_lifeline(listed)
    }
    fn budgets(&self) -> anyhow::Result<BTreeMap<RuleKey, Budget>> {
        self.budgets()
    }
    fn demoted(&self) -> anyhow::Result<BTreeMap<RuleKey, Demotion>> {
        self.demoted()
    }
    fn release(&self, rule: RuleKey) -> anyhow::Result<bool> {
        self.release(rule)
    }
    fn sweep(&self) -> anyhow::Result<()> {
        self.sweep()
    }
}
