//! With which generation the daemon starts: what is in force already, or the best rung of the ladder that
//! comes into force.

use std::sync::Arc;

use sensor_common::brakes::UNNAMED;
use sensor_content::{gate::Step, store::Rung};
use sensor_rules::RuleSet;

use super::{
    keeper::{Keeper, TRANSIENT},
    permit::name,
    state::{Generations, UNNUMBERED},
    stored::{self, Stored},
};
use crate::{
    daemon::fault::{self, Point},
    kernel::engine::Engine,
    log::say,
    rule_files::baseline,
};

impl<E: Engine> Generations<E> {
    /// Starts with what another version has left in force, or the best that comes into force: last good, the
    /// good one before, baseline, nothing.
    pub fn start(&mut self) {
        let Some(rungs) = self.keeper.as_mut().map(Keeper::start) else { return };
        if let Some(words) = self.inherit() {
            return say(words);
        }
        let left = self.keeper.as_ref().filter(|_| self.engine().has_others()).and_then(Keeper::left_in_force);
        let rungs = rungs.into_iter().filter(|rung| Some(*rung) != left);
        let steps = left.map(Step::Stay).into_iter().chain(rungs.map(Step::Return));
        for step in steps {
            match self.start_with(&step) {
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

    /// Goes on with what the daemon before left in force, if it may stay; what to say of it.
    fn inherit(&mut self) -> Option<String> {
        let number = self.active()?;
        let keeper = self.keeper.as_mut()?;
        if number >= UNNUMBERED && keeper.may_inherit_unsigned() {
            return self.inherit_unsigned(number);
        }
        let rung = keeper.inheritable(number)?;
        let mut permit = keeper.admit(&Step::Stay(rung)).ok()?;
        if let Rung::Generation(id) = rung {
            let keys = keeper.settings().keys().ok()?;
            let rules = keeper.store.bundle(id, &keys).ok()?.rules().ok()?;
            let rules = permit.restrain(rules);
            if !is_loaded_as(self.kernel.engine(), number, &rules) {
                let words = self.start_with(&Step::Stay(rung)).ok()?;
                return Some(format!("{words}, as the owner permits it now"));
            }
            self.kernel.journal().remember(number, Arc::new(rules));
        } else if let Ok(rules) = baseline::rules() {
            self.kernel.journal().remember(number, Arc::new(rules));
        }
        keeper.record_running(permit);
        keeper.mark_inherited();
        Some(format!("{} is in force, as it was", name(rung)))
    }

    /// Goes on with rules that nobody has signed, as the owner permits them now.
    fn inherit_unsigned(&mut self, number: u64) -> Option<String> {
        let keeper = self.keeper.as_mut()?;
        let mut permit = keeper.admit(&Step::Stay(Rung::Nothing)).ok()?;
        let asked = self.kernel.archive().and_then(|archive| archive.rules(number).ok().flatten()).map(Arc::new);
        if let Some(asked) = asked {
            let rules = Arc::new(permit.restrain(RuleSet::clone(&asked)));
            if is_loaded_as(self.kernel.engine(), number, &rules) {
                self.kernel.journal().remember(number, rules);
            } else {
                self.kernel.activate(&permit, number, &rules).ok()?;
            }
            self.unsigned = Some((number, asked));
        }
        keeper.record_running(permit);
        keeper.mark_inherited();
        Some(format!("generation {number} is in force, as it was: {TRANSIENT}"))
    }

    /// Takes a step to what the store or the program holds; what to say of it.
    pub(super) fn start_with(&mut self, step: &Step) -> Result<String, String> {
        self.read_policy();
        let Some(keeper) = &mut self.keeper else { return Err("the daemon keeps no generations".into()) };
        let mut permit = keeper.admit(step).map_err(|objection| objection.to_string())?;
        let rung = permit.rung();
        let stored = stored::permitted(keeper, &mut permit)?;
        // A good generation is worth more than the record of its attempt; one on probation is not.
        let attempt = if matches!(rung, Rung::Generation(id) if !keeper.store.memory().good.contains(&id)) {
            keeper.begin(permit.clone()).map_err(|error| format!("the attempt cannot be written down: {error}"))?
        } else {
            keeper.begin_at_any_rate(permit.clone())
        };
        if let Rung::Generation(id) = rung {
            fault::at(Point::Start, id.number);
        }
        let Some(Stored { number, sources, rules }) = stored else {
            // What a daemon before left in force would go on.
            self.kernel.engine_mut().unload().map_err(|error| format!("{error:#}"))?;
            attempt.commit();
            return Ok(format!("WARNING: no rules are in force, nothing is observed: {}", keeper.why_nothing()));
        };
        let rules = Arc::new(rules);
        self.kernel.load(&permit, number, &sources, &rules).map_err(|refusal| refusal.to_string())?;
        attempt.commit();
        Ok(format!("{} is in force: {} rules", name(rung), rules.rules().len()))
    }
}

/// Whether what is in force as `number` asks for what `rules` ask for: the owner may have changed what they may do.
fn is_loaded_as(engine: &impl Engine, number: u64, rules: &RuleSet) -> bool {
    let Ok(budgets) = engine.brakes().budgets() else { return false };
    let own = budgets.iter().filter(|(key, _)| key.generation == number && key.rule != UNNAMED);
    let asked = rules.braked().map(|(number, rule)| (number, rule.action as u32));
    own.map(|(key, budget)| (key.rule, budget.action)).eq(asked)
}
