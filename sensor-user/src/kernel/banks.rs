//! Generations in their banks: one is filled while another is in force, and one write to `ACTIVE` switches
//! between them.

use std::time::Instant;

use anyhow::{Context, Result};
use sensor_common::{
    event::{Event, Hook},
    maps::{Generation, stage_of},
    shadow::NO_BANK,
    state::STATES_MAX,
};
use sensor_rules::RuleSet;

use super::{Activation, Refusal, Sensor, bank::Verified, heap, maps::Value, stages::places, standing};

impl Sensor {
    /// Notes that there is no generation in a bank, before it is filled: a daemon may be killed in the middle.
    pub(super) fn empty(&mut self, bank: usize) -> Result<()> {
        let nothing = Value(Generation::NONE);
        self.generations.set(u32::try_from(bank)?, nothing, 0).context("cannot empty a bank")
    }

    /// Fills a bank that is not in use with a generation that is not in force yet. Until it is, `SHADOW`
    /// names the bank: a daemon that comes after this one knows it by that.
    pub(super) fn prepare(&mut self, mut verified: Verified) -> Result<usize> {
        let bank = self.cleared()?;
        self.comparison.set_bank(u32::try_from(bank)?)?;
        for (hook, parts) in verified.parts() {
            self.pins.pin_parts(bank, hook, parts)?;
        }
        self.fill(bank, &mut verified)?;
        self.banks[bank] = Some(verified);
        Ok(bank)
    }

    /// A bank that is not in use, emptied.
    fn cleared(&mut self) -> Result<usize> {
        let used = [Some(self.bank), self.before, self.candidate];
        let bank = (0..self.banks.len()).find(|bank| !used.contains(&Some(*bank))).context("all banks are in use")?;
        self.clear(bank)?;
        Ok(bank)
    }

    /// Puts a prepared bank in force; the generation before the present one is forgotten.
    pub(super) fn put_in_force(
        &mut self,
        bank: usize,
        rules: &RuleSet,
        started: Instant,
    ) -> Result<Activation, Refusal> {
        let previous = self.active();
        let verified = self.banks[bank].as_ref().context("the bank is empty")?;
        let (generation, programs) = (verified.facts.id, verified.programs.clone());
        let (compile_time, verify_time) = (verified.compile_time, verified.verify_time);
        if self.brakes.allow(generation, rules).is_err() {
            // There is room for more where the generation before the present one is forgotten.
            self.forget_before()?;
            self.brakes.allow(generation, rules)?;
        }
        let present = self.bank;
        // It may have been in force before, and what was heard of it then is settled.
        self.noise.forget(generation)?;
        self.switch(bank)?;
        self.comparison.set_bank(NO_BANK)?;
        // Not earlier: where something is refused, the way back stays.
        self.forget_before()?;
        self.before = self.banks[present].is_some().then_some(present);
        let switch_time = started.elapsed();
        heap::give_back();
        let missing = self.hooks.missing().map(str::to_owned).collect();
        Ok(Activation { generation, previous, programs, compile_time, verify_time, switch_time, missing })
    }

    fn forget_before(&mut self) -> Result<()> {
        self.before.take().map_or(Ok(()), |before| self.clear(before))
    }

    /// Puts nothing in force: one write switches to an empty bank, every hook is detached, every generation
    /// forgotten. What is in quarantine stays there.
    ///
    /// # Errors
    /// The switch failed, and what was in force may be so still.
    pub fn unload(&mut self) -> Result<()> {
        self.give_up()?;
        if self.banks[self.bank].is_some() {
            let bank = self.cleared()?;
            self.switch(bank)?;
        }
        // Also where a daemon before was killed between the switch and this.
        self.before = None;
        for bank in 0..self.banks.len() {
            self.clear(bank)?;
            for (event, stage) in places() {
                self.unreach(stage_of(u32::try_from(bank)?, stage as u32, event as u32), event);
            }
        }
        heap::give_back();
        Ok(())
    }

    /// Forgets the generation in a bank that nothing judges by any more.
    pub(super) fn clear(&mut self, bank: usize) -> Result<()> {
        let old = self.banks[bank].take();
        // (One that was put in force twice is in two.)
        if let Some(old) = old.filter(|old| !self.known().contains(&old.facts.id)) {
            self.brakes.forget(old.facts.id)?;
            self.noise.forget(old.facts.id)?;
        }
        self.empty(bank)?;
        self.pins.unpin_parts(bank);
        Ok(())
    }

    /// Puts the programs of a generation into a bank that is not in force.
    fn fill(&mut self, bank: usize, verified: &mut Verified) -> Result<()> {
        for (event, stage) in places() {
            let index = stage_of(u32::try_from(bank)?, stage as u32, event as u32);
            match verified.program(event, stage) {
                Some(program) => {
                    let stages = self.hooks.stages(event.hook())?;
                    stages.set(index, program, 0).context("cannot make rules reachable")?;
                }
                None => self.unreach(index, event),
            }
        }
        let hooks: Vec<_> = Hook::ALL.iter().copied().filter(|hook| verified.needs(*hook)).collect();
        verified.ids = standing::ids(bank, &hooks, &self.pins)?;
        for (index, tracked) in (u32::try_from(bank)? * STATES_MAX..).zip(&verified.states) {
            self.states.set(index, Value(*tracked), 0).context("cannot describe the rules with state")?;
        }
        self.generations.set(u32::try_from(bank)?, Value(verified.facts), 0).context("cannot describe the generation")
    }

    /// Empties a place of a bank, so that its program can go.
    fn unreach(&mut self, index: u32, event: Event) {
        // An empty place cannot be emptied: the kernel answers ENOENT. A hook that was never needed has no places.
        drop(self.hooks.stages(event.hook()).map(|stages| stages.clear_index(&index)));
    }

    /// Attaches what a bank needs; the hooks that it does not need.
    pub(super) fn attach_needed(&mut self, bank: usize) -> Result<Vec<Hook>> {
        let is_needed = |hook: &Hook| self.banks[bank].as_ref().is_some_and(|verified| verified.needs(*hook));
        let (needed, unneeded): (Vec<Hook>, Vec<Hook>) = Hook::ALL.iter().copied().partition(is_needed);
        for hook in needed {
            self.hooks.attach(hook)?;
        }
        Ok(unneeded)
    }

    /// Attaches what there was no room for until now.
    ///
    /// # Errors
    /// The kernel refused for another reason.
    pub fn attach_missing(&mut self) -> Result<()> {
        if self.hooks.missing().next().is_none() {
            return Ok(());
        }
        let needed = self.quarantines(self.bank)?;
        self.hooks.attach_missing(needed)
    }

    /// Puts a filled bank in force: attaches what it needs, switches by one write, waits until the other bank is
    /// at rest, detaches what is needed no more.
    pub(super) fn switch(&mut self, bank: usize) -> Result<()> {
        let unneeded = self.attach_needed(bank)?;
        // What the generation before needs is needed until nothing is judged by it.
        let before = self.quarantines(self.bank)?;
        let quarantines = self.quarantines(bank)?;
        self.hooks.guard_quarantine(before.max(quarantines))?;
        self.active.set(0, u32::try_from(bank)?, 0).context("cannot switch generations")?;
        if let Err(error) = self.grace.wait() {
            // A bank that may still be in use must not be filled anew: back to where we were.
            self.active.set(0, u32::try_from(self.bank)?, 0).context("cannot switch back")?;
            return Err(error);
        }
        self.bank = bank;
        self.pins.settle();
        for hook in unneeded {
            // A hook that stays attached without need costs a few instructions and finds no rules: no reason to fail.
            drop(self.hooks.detach(hook));
        }
        self.guard_quarantine()
    }
}
