//! With which generation the daemon starts: what is in force already, or the best rung of the ladder that comes into force.

use std::sync::Arc;

use sensor_common::brakes::UNNAMED;
use sensor_content::store::Rung;
use sensor_rules::RuleSet;

use super::{
    core::{Core, State, UNNUMBERED},
    engine::Engine,
    fault::{self, Point},
    generations::name,
    keeper::{Keeper, TRANSIENT},
};
use crate::{baseline, control::server::Service as _, log::say};

impl<E: Engine> Core<E> {
    /// Goes on with what the daemon before left in force, if it may stay; what to say of it.
    fn inherit(&self, state: &mut State<E>) -> Option<String> {
        let number = state.engine.active()?;
        let keeper = state.keeper.as_mut()?;
        if number >= UNNUMBERED && keeper.inherits_unsigned() {
            keeper.runs(Rung::Nothing);
            keeper.notes_inherited();
            return Some(format!("generation {number} is in force, as it was: {TRANSIENT}"));
        }
        let rung = keeper.inherits(number)?;
        if let Rung::Generation(id) = rung {
            let keys = keeper.settings().keys().ok()?;
            let rules = keeper.store.bundle(id, &keys).ok()?.rules().ok()?;
            let rules = keeper.restrain(id, rules);
            if !is_loaded_as(&*state.engine, number, &rules) {
                let words = self.start_with(state, rung).ok()?;
                return Some(format!("{words}, as the owner permits it now"));
            }
            self.journal().remember(number, Arc::new(rules));
        }
        keeper.runs(rung);
        keeper.notes_inherited();
        Some(format!("{} is in force, as it was", name(rung)))
    }

    /// The owner's policy, read anew.
    pub(super) fn read_policy<'a>(&self, state: &'a mut State<E>) -> Option<&'a mut Keeper> {
        let keeper = state.keeper.as_mut()?;
        keeper.read_policy();
        self.guard().owner_wants(keeper.policy().lifeline());
        Some(keeper)
    }

    /// Loads what is in force anew, as the owner's policy permits it: it only alerted while that could not be read.
    pub(super) fn lets_go(&self, state: &mut State<E>) {
        let Some(rung) = state.keeper.as_ref().map(Keeper::running) else { return };
        match self.start_with(state, rung) {
            Ok(words) => say(format_args!("the owner's policy can be read again: {words}, as it permits")),
            Err(reason) => say(format_args!("WARNING: {} goes on to alert only: {reason}", name(rung))),
        }
    }

    /// Starts with what another version has left in force, or the best that comes into force: last good, the good one before, baseline,
    /// nothing.
    pub fn start_content(&self) {
        let state = &mut *self.lock();
        let Some(start) = state.keeper.as_mut().map(Keeper::start) else { return };
        if let Some(words) = self.inherit(state) {
            return say(words);
        }
        let left = state.keeper.as_ref().filter(|_| state.engine.has_others()).and_then(Keeper::goes_on);
        let rungs = start.rungs.into_iter().filter(|rung| Some(*rung) != left);
        for rung in left.into_iter().chain(rungs) {
            match self.start_with(state, rung) {
                Ok(words) => {
                    say(words);
                    return;
                }
                Err(reason) => say(format_args!("WARNING: {} cannot be started: {reason}", name(rung))),
            }
        }
    }

    /// Loads a rung; what to say of it.
    pub(super) fn start_with(&self, state: &mut State<E>, rung: Rung) -> Result<String, String> {
        let Some(keeper) = &mut state.keeper else { return Err("the daemon keeps no generations".into()) };
        let rules = match rung {
            Rung::Nothing => None,
            Rung::Baseline => Some((0, baseline::sources(), baseline::rules().map_err(|error| error.to_string())?)),
            Rung::Generation(id) => {
                let keys = keeper.settings().keys().map_err(|error| format!("{error:#}"))?;
                let bundle = keeper.store.bundle(id, &keys)?;
                let rules = bundle.rules().map_err(|error| error.to_string())?;
                Some((id.number, bundle.sources().to_vec(), keeper.restrain(id, rules)))
            }
        };
        // A good generation is worth more than the record of its attempt; one on probation is not.
        if let Err(error) = keeper.attempt(rung) {
            let trial = matches!(rung, Rung::Generation(id) if !keeper.store.memory().good.contains(&id));
            if trial {
                return Err(format!("the attempt cannot be written down: {error}"));
            }
            say(format_args!("WARNING: the attempt cannot be written down: {error}"));
        }
        if let Rung::Generation(id) = rung {
            fault::at(Point::Start, id.number);
        }
        let count = rules.as_ref().map_or(0, |(_, _, rules)| rules.rules().len());
        let done = match rules {
            Some((number, sources, rules)) => {
                let loaded = self.load(state, number, &sources, &Arc::new(rules));
                loaded.map(drop).map_err(|refusal| refusal.to_string())
            }
            // What a daemon before left in force would go on.
            None => state.engine.unload().map_err(|error| format!("{error:#}")),
        };
        let Some(keeper) = &mut state.keeper else { return Err("the daemon keeps no generations".into()) };
        if let Err(reason) = done {
            keeper.still_runs();
            return Err(reason);
        }
        keeper.runs(rung);
        Ok(match rung {
            Rung::Nothing => format!("WARNING: no rules are in force, nothing is observed: {}", keeper.why_nothing()),
            Rung::Baseline | Rung::Generation(_) => format!("{} is in force: {count} rules", name(rung)),
        })
    }
}

/// Whether what is in force as `number` asks for what `rules` ask for: the owner may have changed what they may do.
fn is_loaded_as(engine: &impl Engine, number: u64, rules: &RuleSet) -> bool {
    let Ok(budgets) = engine.brakes().budgets() else { return false };
    let own = budgets.iter().filter(|(key, _)| key.generation == number && key.rule != UNNAMED);
    let asked = rules.braked().map(|(number, rule)| (number, rule.action as u32));
    own.map(|(key, budget)| (key.rule, budget.action)).eq(asked)
}
