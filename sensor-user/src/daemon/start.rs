//! With which generation the daemon starts: what is in force already, or the best rung of the ladder that
//! comes into force.

use std::sync::Arc;

use sensor_common::brakes::UNNAMED;
use sensor_content::{
    gate::{Objection, Step},
    store::Rung,
};
use sensor_rules::{RuleSet, Source};

use super::{
    core::{Core, State, UNNUMBERED},
    engine::Engine,
    fault::{self, Point},
    keeper::{Keeper, TRANSIENT},
    permit::{Permit, asks_the_same, name},
};
use crate::{baseline, control::server::Service as _, log::say};

impl<E: Engine> Core<E> {
    /// Goes on with what the daemon before left in force, if it may stay; what to say of it.
    fn inherit(&self, state: &mut State<E>) -> Option<String> {
        let number = state.engine.active()?;
        let keeper = state.keeper.as_mut()?;
        if number >= UNNUMBERED && keeper.inherits_unsigned() {
            return self.inherit_unsigned(state, number);
        }
        let rung = keeper.inherits(number)?;
        let mut permit = keeper.admit(&Step::Stay(rung)).ok()?;
        if let Rung::Generation(id) = rung {
            let keys = keeper.settings().keys().ok()?;
            let rules = keeper.store.bundle(id, &keys).ok()?.rules().ok()?;
            let rules = permit.restrain(rules);
            if !is_loaded_as(&*state.engine, number, &rules) {
                let words = self.start_with(state, &Step::Stay(rung)).ok()?;
                return Some(format!("{words}, as the owner permits it now"));
            }
            self.journal().remember(number, Arc::new(rules));
        } else if let Ok(rules) = baseline::rules() {
            self.journal().remember(number, Arc::new(rules));
        }
        keeper.runs(permit);
        keeper.notes_inherited();
        Some(format!("{} is in force, as it was", name(rung)))
    }

    /// Goes on with rules that nobody has signed, as the owner permits them now.
    fn inherit_unsigned(&self, state: &mut State<E>, number: u64) -> Option<String> {
        let keeper = state.keeper.as_mut()?;
        let mut permit = keeper.admit(&Step::Stay(Rung::Nothing)).ok()?;
        let asked = self.memory.as_ref().and_then(|memory| memory.rules(number).ok().flatten()).map(Arc::new);
        if let Some(asked) = asked {
            let rules = Arc::new(permit.restrain(RuleSet::clone(&asked)));
            if is_loaded_as(&*state.engine, number, &rules) {
                self.journal().remember(number, rules);
            } else {
                self.activate(state, &permit, number, &rules).ok()?;
            }
            state.unsigned = Some((number, asked));
        }
        let keeper = state.keeper.as_mut()?;
        keeper.runs(permit);
        keeper.notes_inherited();
        Some(format!("generation {number} is in force, as it was: {TRANSIENT}"))
    }

    /// The owner's policy, read anew.
    pub(super) fn read_policy<'a>(&self, state: &'a mut State<E>) -> Option<&'a mut Keeper> {
        let keeper = state.keeper.as_mut()?;
        keeper.read_policy();
        self.guard().owner_wants(keeper.policy().lifeline());
        Some(keeper)
    }

    /// Leave for this step, by the policy as it is now: its owner may just have changed it. A daemon that
    /// keeps no generations has no owner to ask.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn admitted(
        &self,
        state: &mut State<E>,
        step: impl FnOnce(&Keeper) -> Step,
    ) -> Result<Permit, Objection> {
        match self.read_policy(state) {
            Some(keeper) => {
                let step = step(keeper);
                keeper.admit(&step)
            }
            None => Ok(Permit::of_nobody(Rung::Nothing)),
        }
    }

    /// The owner permits other actions now than what is in force may take: it is loaded anew as the policy
    /// permits it, unless that comes to the same.
    pub(super) fn permits_otherwise(&self, state: &mut State<E>) {
        let Some(keeper) = state.keeper.as_mut().filter(|keeper| keeper.is_permitted_otherwise()) else { return };
        let rung = keeper.running();
        let Ok(mut permit) = keeper.admit(&Step::Stay(rung)) else { return };
        let loaded = match rung {
            Rung::Generation(_) => {
                let same = permitted(keeper, &mut permit).is_ok_and(|rules| {
                    let loaded = rules.as_ref().and_then(|(number, _, _)| self.journal().rules(*number));
                    loaded.zip(rules).is_some_and(|(loaded, (_, _, rules))| asks_the_same(&loaded, &rules))
                });
                if same { Ok(None) } else { self.start_with(state, &Step::Stay(rung)).map(Some) }
            }
            Rung::Baseline | Rung::Nothing => self.unsigned_anew(state, &mut permit),
        };
        match loaded {
            Ok(Some(words)) => say(format_args!("{words}, as the owner's policy permits it now")),
            Ok(None) => {
                if let Some(keeper) = &mut state.keeper {
                    keeper.renews(permit);
                }
            }
            Err(reason) => {
                say(format_args!(
                    "WARNING: {} cannot be loaded as the owner's policy permits it now: {reason}",
                    name(rung)
                ));
            }
        }
    }

    /// Loads the rules in force that nobody has signed as they are permitted now; what to say of it, where it
    /// was necessary.
    fn unsigned_anew(&self, state: &mut State<E>, permit: &mut Permit) -> Result<Option<String>, String> {
        let Some((number, asked)) = state.unsigned.clone().filter(|(number, _)| state.engine.active() == Some(*number))
        else {
            return Ok(None);
        };
        let rules = permit.restrain(RuleSet::clone(&asked));
        if self.journal().rules(number).is_some_and(|loaded| asks_the_same(&loaded, &rules)) {
            return Ok(None);
        }
        self.activate(state, permit, number, &Arc::new(rules)).map_err(|refusal| refusal.to_string())?;
        if let Some(keeper) = &mut state.keeper {
            keeper.runs(permit.clone());
        }
        Ok(Some(format!("generation {number} is in force")))
    }

    /// Starts with what another version has left in force, or the best that comes into force: last good, the
    /// good one before, baseline, nothing.
    pub fn start_content(&self) {
        let state = &mut *self.lock();
        let Some(rungs) = state.keeper.as_mut().map(Keeper::start) else { return };
        if let Some(words) = self.inherit(state) {
            return say(words);
        }
        let left = state.keeper.as_ref().filter(|_| state.engine.has_others()).and_then(Keeper::goes_on);
        let rungs = rungs.into_iter().filter(|rung| Some(*rung) != left);
        let steps = left.map(Step::Stay).into_iter().chain(rungs.map(Step::Return));
        for step in steps {
            match self.start_with(state, &step) {
                Ok(words) => {
                    say(words);
                    return;
                }
                Err(reason) => {
                    let (Step::Stay(rung) | Step::Return(rung)) = step else { continue };
                    say(format_args!("WARNING: {} cannot be started: {reason}", name(rung)));
                }
            }
        }
    }

    /// Takes a step to what the store or the program holds; what to say of it.
    pub(super) fn start_with(&self, state: &mut State<E>, step: &Step) -> Result<String, String> {
        let Some(keeper) = self.read_policy(state) else { return Err("the daemon keeps no generations".into()) };
        let mut permit = keeper.admit(step).map_err(|objection| objection.to_string())?;
        let rung = permit.rung();
        let rules = permitted(keeper, &mut permit)?;
        // A good generation is worth more than the record of its attempt; one on probation is not.
        if let Err(error) = keeper.attempt(&permit) {
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
                let loaded = self.load(state, &permit, number, &sources, &Arc::new(rules));
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
        keeper.runs(permit);
        Ok(match rung {
            Rung::Nothing => format!("WARNING: no rules are in force, nothing is observed: {}", keeper.why_nothing()),
            Rung::Baseline | Rung::Generation(_) => format!("{} is in force: {count} rules", name(rung)),
        })
    }
}

/// Number, files and rules of what is permitted, as they may come into force; `None` for nothing at all.
fn permitted(keeper: &Keeper, permit: &mut Permit) -> Result<Option<(u64, Vec<Source>, RuleSet)>, String> {
    Ok(match permit.rung() {
        Rung::Nothing => None,
        Rung::Baseline => Some((0, baseline::sources(), baseline::rules().map_err(|error| error.to_string())?)),
        Rung::Generation(id) => {
            let keys = keeper.settings().keys().map_err(|error| format!("{error:#}"))?;
            let bundle = keeper.store.bundle(id, &keys)?;
            let rules = bundle.rules().map_err(|error| error.to_string())?;
            Some((id.number, bundle.sources().to_vec(), permit.restrain(rules)))
        }
    })
}

/// Whether what is in force as `number` asks for what `rules` ask for: the owner may have changed what they may do.
fn is_loaded_as(engine: &impl Engine, number: u64, rules: &RuleSet) -> bool {
    let Ok(budgets) = engine.brakes().budgets() else { return false };
    let own = budgets.iter().filter(|(key, _)| key.generation == number && key.rule != UNNAMED);
    let asked = rules.braked().map(|(number, rule)| (number, rule.action as u32));
    own.map(|(key, budget)| (key.rule, budget.action)).eq(asked)
}
