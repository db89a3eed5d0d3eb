//! A candidate: accepted by the verifier, in a bank of its own, judging beside the generation in force.

use std::time::Instant;

use anyhow::{Context, Result};
use sensor_common::{
    event::{Event, Groups, Hook},
    noise::Role,
    shadow::{CALLS_MAX, NO_BANK},
};
use sensor_rules::RuleSet;

use super::{Activation, Refusal, Seen, Sensor, bank::Verified, heap, maps::Value};

impl Sensor {
    /// Compiles `rules`, lets the verifier judge them, and lets them judge beside the generation in force
    /// from now on. A candidate before is given up.
    ///
    /// # Errors
    /// Any step refused, or there are too many programs for one event; nothing judges in the shadow then.
    pub fn shadow(&mut self, generation: u64, rules: &RuleSet) -> Result<Activation, Refusal> {
        let verified = Verified::load(generation, rules, &mut self.hooks)?;
        self.fits_beside(&verified)?;
        self.give_up()?;
        let started = Instant::now();
        let (programs, compile_time, verify_time) =
            (verified.programs.clone(), verified.compile_time, verified.verify_time);
        let bank = self.prepare(verified)?;
        self.candidate = Some(bank);
        if let Err(error) = self.begin(bank) {
            self.give_up()?;
            return Err(error.into());
        }
        let switch_time = started.elapsed();
        heap::give_back();
        let (previous, missing) = (self.active(), self.hooks.missing().map(str::to_owned).collect());
        Ok(Activation { generation, previous, programs, compile_time, verify_time, switch_time, missing })
    }

    /// What the candidate and the generation in force did so far; `None` where there is no candidate.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn shadowed(&mut self) -> Result<Option<Seen>> {
        let Some(candidate) = self.candidate else { return Ok(None) };
        let noise = self.noise.of(Role::Compared)?;
        self.comparison.look(candidate, self.bank, noise).map(Some)
    }

    /// Puts the candidate in force, on all hooks by one write. `rules` are those that it was made of.
    ///
    /// # Errors
    /// There is none, or the switch failed; what is in force stays so.
    pub fn promote(&mut self, rules: &RuleSet) -> Result<Activation, Refusal> {
        let started = Instant::now();
        let bank = self.candidate.context("there is no candidate")?;
        let before = self.bank;
        let activation = self.put_in_force(bank, rules, started)?;
        self.candidate = None;
        // The one before can come back, and then without a shadow.
        self.write_needs(before, None)?;
        Ok(activation)
    }

    /// Ends the shadow, if there is a candidate: nothing of it is left.
    ///
    /// # Errors
    /// The kernel does not take it.
    pub fn give_up(&mut self) -> Result<()> {
        let Some(bank) = self.candidate.take() else { return self.comparison.set_bank(NO_BANK) };
        self.write_needs(self.bank, None)?;
        self.comparison.set_bank(NO_BANK)?;
        // A bank that may still be in use must not be filled anew.
        self.grace.wait()?;
        self.clear(bank)?;
        let active = self.banks[self.bank].as_ref();
        for hook in self.hooks.attached() {
            if !active.is_some_and(|active| active.needs(hook)) {
                // One that stays attached costs a few instructions and finds no rules.
                drop(self.hooks.detach(hook));
            }
        }
        Ok(())
    }

    fn begin(&mut self, bank: usize) -> Result<()> {
        self.comparison.reset()?;
        self.noise.reset()?;
        let candidate = self.banks[bank].as_ref().context("the bank is empty")?;
        let needed: Vec<_> = Hook::ALL.iter().copied().filter(|hook| candidate.needs(*hook)).collect();
        for hook in needed {
            self.hooks.attach(hook)?;
        }
        self.write_needs(self.bank, Some(bank))
    }

    /// Writes for which events of the generation in `bank` a candidate is to be asked. Of each of the words,
    /// in which hooks may be reading, one bit changes.
    fn write_needs(&mut self, bank: usize, candidate: Option<usize>) -> Result<()> {
        let Some(verified) = self.banks[bank].as_ref() else { return Ok(()) };
        let mut facts = verified.facts;
        if let Some(candidate) = candidate.and_then(|bank| self.banks[bank].as_ref()) {
            for (needs, wanted) in facts.needs.iter_mut().zip(candidate.facts.needs) {
                if wanted != 0 {
                    *needs = Groups(*needs).with(Groups::SHADOWED).0;
                }
            }
        }
        self.generations.set(u32::try_from(bank)?, Value(facts), 0).context("cannot describe the generation")
    }

    /// Whether an event can pass through the programs of both: a call too many would end it without its verdict.
    fn fits_beside(&self, candidate: &Verified) -> Result<()> {
        let Some(active) = &self.banks[self.bank] else { return Ok(()) };
        for event in Event::ALL {
            let (own, others) = (candidate.facts.calls[*event as usize], active.facts.calls[*event as usize]);
            anyhow::ensure!(
                own == 0 || own + others <= CALLS_MAX,
                "an event {} would pass through {others} programs of the generation in force and {own} of the candidate, and the kernel \
                 lets it pass through {CALLS_MAX}: push it without a shadow (--no-shadow)",
                event.name()
            );
        }
        Ok(())
    }
}
