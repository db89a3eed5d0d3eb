//! The brakes as the daemon sees them: what is reported, shown and released.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use jiff::Timestamp;
use sensor_common::brakes::{RuleKey, UNNAMED};

use super::lifeline::{Found, Lifeline};
use crate::{
    api::status::{self, Demoted},
    daemon::events::journal::Journal,
    event::Clock,
    kernel::engine::Brakes,
    log::say,
};

/// What is shown for the rules that an event's verdict has no room to name.
pub const UNNAMED_RULES: &str = "(rules beyond those that an event names)";

/// Reads the brakes, reports what they hold, and releases it.
pub struct BrakeMonitor {
    brakes: Arc<dyn Brakes>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// When each demotion was reported.
    demoted: BTreeMap<RuleKey, Timestamp>,
    lifeline: Found,
    /// What the owner's policy adds to it.
    owner: Vec<PathBuf>,
}

impl BrakeMonitor {
    /// These brakes; nothing has been reported.
    pub fn new(brakes: Arc<dyn Brakes>) -> Self {
        Self { brakes, seen: Mutex::default() }
    }

    /// The daemon is alive: to be called several times within the patience of the kernel side.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn beat(&self) -> Result<()> {
        self.brakes.beat()
    }

    /// Says which rules were demoted since the last call, and which are carried out again by themselves.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn report(&self, journal: &Journal) -> Result<()> {
        let demoted = self.brakes.demoted()?;
        let mut seen = self.seen();
        let over: Vec<_> = seen.demoted.extract_if(.., |key, _| !demoted.contains_key(key)).collect();
        for (key, _) in over {
            say(format_args!("rule {} of generation {} is carried out again", name(journal, key), key.generation));
        }
        for key in demoted.keys() {
            if !seen.demoted.contains_key(key) {
                seen.demoted.insert(*key, Timestamp::now());
                say(format_args!(
                    "BRAKE: rule {} of generation {} hit several users or services and only alerts for now; `creance brakes` shows more",
                    name(journal, *key),
                    key.generation
                ));
            }
        }
        Ok(())
    }

    /// Drops counts that are no longer needed.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn sweep(&self) -> Result<()> {
        self.brakes.sweep()
    }

    /// The lifeline goes on with what a daemon before had on it, as far as it still runs.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn go_on_with(&self, lifeline: Lifeline) -> Result<Lifeline> {
        Ok(lifeline.going_on(self.brakes.lifeline()?))
    }

    /// Makes the lifeline what is found now, and says what is wrong with it, once.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn look_after(&self, lifeline: &mut Lifeline) -> Result<()> {
        let owner = self.seen().owner.clone();
        let found = lifeline.find(&owner);
        let mut seen = self.seen();
        let is_changed = seen.lifeline.listed == found.listed && self.brakes.lifeline()? != found.listed;
        if is_changed {
            say("WARNING: somebody else has changed the lifeline in the kernel; it is set again");
        }
        if is_changed || seen.lifeline != found {
            self.brakes.set_lifeline(&found.listed)?;
            for complaint in found.complaints.difference(&seen.lifeline.complaints) {
                say(format_args!("lifeline: {complaint}"));
            }
            seen.lifeline = found;
        }
        Ok(())
    }

    /// The owner's policy wants these executables on the lifeline, from the next look on.
    pub fn owner_wants(&self, executables: &[PathBuf]) {
        executables.clone_into(&mut self.seen().owner);
    }

    /// What the brakes are set to, and what they did.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn status(&self, journal: &Journal) -> Result<status::Brakes> {
        let (demoted, budgets) = (self.brakes.demoted()?, self.brakes.budgets()?);
        let (clock, seen) = (Clock::now(), self.seen());
        let demoted = demoted.iter().map(|(key, demotion)| {
            let budget = budgets.get(key);
            Demoted {
                rule: name(journal, *key),
                generation: key.generation,
                since: clock.at(demotion.time),
                until: Some(clock.at(demotion.until)),
                reported: seen.demoted.get(key).copied(),
                count: budget.map_or(0, |budget| budget.count),
                seconds: budget.map_or(0, |budget| budget.window / 1_000_000_000),
                fired: budget.map_or(0, |budget| budget.fired),
                held: budget.map_or(0, |budget| budget.held),
            }
        });
        Ok(status::Brakes {
            heartbeat_limit_s: self.brakes.patience().as_secs(),
            silence_ms: u64::try_from(self.brakes.silence()?.as_millis()).unwrap_or(u64::MAX),
            lifeline: seen.lifeline.listed.len(),
            complaints: seen.lifeline.complaints.iter().cloned().collect(),
            demoted: demoted.collect(),
        })
    }

    /// The rules of a generation that a brake holds for everybody: number and id.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn held(&self, journal: &Journal, generation: u64) -> Result<Vec<(u32, String)>> {
        let demoted = self.brakes.demoted()?;
        let own = demoted.keys().filter(|key| key.generation == generation);
        Ok(own.map(|key| (key.rule, name(journal, *key))).collect())
    }

    /// Lets the demoted rule with this id, or all, be carried out again; how many there were.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn release(&self, journal: &Journal, rule: Option<&str>) -> Result<usize> {
        let keys: BTreeSet<_> = self.brakes.demoted()?.into_keys().collect();
        let mut released = 0;
        for key in keys.into_iter().filter(|key| rule.is_none_or(|rule| name(journal, *key) == rule)) {
            released += usize::from(self.brakes.release(key)?);
        }
        Ok(released)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a rule is called.
fn name(journal: &Journal, key: RuleKey) -> String {
    if key.rule == UNNAMED { UNNAMED_RULES.to_owned() } else { journal.rule_name(key.generation, key.rule) }
}
