//! Generations in the kernel, with the names of their rules.

use std::sync::Arc;

use sensor_common::event::Mode;
use sensor_rules::{RuleSet, Source};

use super::{permit::Permit, rule_archive::RuleArchive};
use crate::{
    daemon::events::journal::Journal,
    kernel::{Activation, Hierarchies, Refusal, engine::Engine},
    log::say,
};

/// The engine, and what must know a generation before the engine does.
pub struct KernelSide<E> {
    /// Taken at the stop, after which the lock on the generations is never released.
    engine: Option<E>,
    /// How hooks are attached.
    pub mode: Mode,
    journal: Arc<Journal>,
    /// Where the rules lie for the daemon that comes next.
    archive: Option<RuleArchive>,
}

impl<E: Engine> KernelSide<E> {
    /// An engine whose events go to `journal`.
    pub const fn new(engine: E, journal: Arc<Journal>, mode: Mode) -> Self {
        Self { engine: Some(engine), mode, journal, archive: None }
    }

    /// The engine, to ask it.
    pub fn engine(&self) -> &E {
        self.engine.as_ref().unwrap_or_else(|| unreachable!("the daemon has stopped"))
    }

    /// The engine.
    pub fn engine_mut(&mut self) -> &mut E {
        self.engine.as_mut().unwrap_or_else(|| unreachable!("the daemon has stopped"))
    }

    /// Recent events, and the rules of recent generations.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Where the rules lie for the daemon that comes next.
    pub const fn archive(&self) -> Option<&RuleArchive> {
        self.archive.as_ref()
    }

    /// Takes over what a daemon before this one archived. The last may be in force in another version of the sensor.
    pub fn set_archive(&mut self, archive: RuleArchive) {
        for generation in [archive.last(), self.engine().previous(), self.engine().active()].into_iter().flatten() {
            match archive.rules(generation) {
                Ok(Some(rules)) => self.journal.remember(generation, Arc::new(rules)),
                Ok(None) => say(format_args!(
                    "the rules of generation {generation} were not kept: its events name them by number"
                )),
                // It judges all the same: only names are lost.
                Err(error) => say(format_args!("the rules of generation {generation} cannot be named: {error:#}")),
            }
        }
        self.archive = Some(archive);
    }

    /// Puts rules in force whose names are kept already.
    ///
    /// # Errors
    /// Who refused, and why; nothing changed.
    pub fn activate(&mut self, _permit: &Permit, generation: u64, rules: &Arc<RuleSet>) -> Result<Activation, Refusal> {
        // First the names, then the switch: the first event of a generation may come at once.
        self.journal.remember(generation, Arc::clone(rules));
        let activation = self.engine_mut().activate(generation, rules)?;
        self.note_in_force(activation.generation);
        if let Some(warning) = Hierarchies::of_this_host().warning(rules) {
            say(format_args!("WARNING: {warning}"));
        }
        Ok(activation)
    }

    /// Keeps the names of rules, and puts the rules in force.
    ///
    /// # Errors
    /// As [`activate`](Self::activate).
    pub fn load(
        &mut self,
        permit: &Permit,
        number: u64,
        sources: &[Source],
        rules: &Arc<RuleSet>,
    ) -> Result<Activation, Refusal> {
        self.keep_names(number, sources);
        self.activate(permit, number, rules)
    }

    /// Lets rules judge beside the generation in force, in place of a candidate before.
    ///
    /// # Errors
    /// Who refused, and why; nothing changed.
    pub fn shadow(&mut self, generation: u64, rules: &Arc<RuleSet>) -> Result<Activation, Refusal> {
        self.journal.remember(generation, Arc::clone(rules));
        self.engine_mut().shadow(generation, rules)
    }

    /// Puts the candidate, made of `rules`, in force.
    ///
    /// # Errors
    /// Who refused, and why.
    pub fn promote(&mut self, rules: &RuleSet) -> Result<Activation, Refusal> {
        let activation = self.engine_mut().promote(rules)?;
        self.note_in_force(activation.generation);
        Ok(activation)
    }

    /// Puts the generation before in force again; its number.
    ///
    /// # Errors
    /// When there is none.
    pub fn roll_back(&mut self) -> Result<u64, Refusal> {
        let generation = self.engine_mut().rollback()?;
        self.note_in_force(generation);
        if let Some(rules) = self.journal.rules(generation) {
            // It is in use again: it must not be the next to be forgotten.
            self.journal.remember(generation, rules);
        }
        Ok(generation)
    }

    /// Keeps the names of rules for the next daemon.
    pub fn keep_names(&self, number: u64, sources: &[Source]) {
        if let Some(archive) = &self.archive
            && let Err(error) = archive.remember(number, sources, false)
        {
            say(format_args!("WARNING: the next daemon will not know the names of these rules: {error:#}"));
        }
    }

    /// Notes which generation is in force, for the next daemon: only another version of the sensor needs it.
    fn note_in_force(&self, generation: u64) {
        if let Some(Err(error)) = self.archive.as_ref().map(|archive| archive.in_force(generation)) {
            say(format_args!("{error:#}"));
        }
    }

    /// Lets go of the engine: with `everything`, no trace is left in the kernel. Nobody may ask for it afterwards.
    pub fn stop(&mut self, everything: bool) {
        if everything {
            // The kernel frees links by a worker: until it has, a hook still runs, and must find nothing in force.
            if let Err(error) = self.engine_mut().unload() {
                say(format_args!("WARNING: what is in force stays so until the kernel has detached it: {error:#}"));
            }
            self.engine().stop();
            if let Some(archive) = &self.archive {
                archive.clear();
            }
        }
        drop(self.engine.take());
    }
}
