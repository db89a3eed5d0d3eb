//! Periodic work on what is in force.

use sensor_content::{
    gate::{Step, Wish},
    life::Id,
    noise::Heard,
    rollout::Signal,
    store::Rung,
};

use super::{
    keeper::Keeper,
    permit::name,
    probation::{Mishap, Watch, heard},
    reply::{first_line, refused},
    state::Generations,
};
use crate::{kernel::engine::Engine, log::say};

impl<E: Engine> Generations<E> {
    /// Settles generations, obeys the owner's wish to go back, takes a generation on probation back for what its
    /// rules did, retries one that was taken back.
    pub fn tick(&mut self) {
        if self.read_policy().is_none() {
            return;
        }
        self.apply_policy();
        let Some(keeper) = &mut self.keeper else { return };
        keeper.mature();
        let (wish, running) = (keeper.wish(), keeper.running());
        if self.obey(wish) {
            return;
        }
        if let (Some(mishap), Rung::Generation(id)) = (self.mishap(), running) {
            return self.answer_for(id, &mishap);
        }
        self.retry();
    }

    /// Tries a generation on probation again, where it is time.
    fn retry(&mut self) {
        let Some((trial, step)) = self.keeper.as_mut().and_then(Keeper::take_retry) else { return };
        match self.start_with(&step) {
            Ok(words) => say(format_args!("{words}, on probation")),
            Err(reason) => {
                say(format_args!("WARNING: generation {} is taken back: {reason}", trial.id));
                self.changes.rolled_back += 1;
                self.charge = Some((trial.id.number, Signal::Refusal));
                if let Some(keeper) = &mut self.keeper {
                    keeper.take_back(trial.id, first_line(&reason));
                }
            }
        }
    }

    /// Goes back where the owner wants it, or says why that cannot be; whether something else is in force now.
    fn obey(&mut self, wish: Wish) -> bool {
        let unmet = match wish {
            Wish::Nothing => None,
            Wish::Unmet(words) => Some(words),
            Wish::Back(rungs) => {
                const REASON: &str = "the owner's policy wants it (rollback)";
                match self.leave_for(rungs, |keeper, from| keeper.take_back(from, REASON)) {
                    Some(Ok(rung)) => {
                        say(format_args!("{} is in force, as the owner's policy wants (rollback)", name(rung)));
                        self.changes.rolled_back += 1;
                        return true;
                    }
                    Some(Err(cause)) => {
                        let message = refused(cause, None).message;
                        Some(format!("the owner's wish to go back (rollback) cannot be met: {message}"))
                    }
                    None => None,
                }
            }
        };
        if let Some(keeper) = &mut self.keeper {
            keeper.report_wish(unmet);
        }
        false
    }

    /// The generation in force is too loud: it loses the one rule that is, or is taken back.
    fn answer_for(&mut self, id: Id, mishap: &Mishap) {
        let Mishap { signal, reason, rule } = mishap;
        self.charge = Some((id.number, *signal));
        self.watch = None;
        if let Some(rule) = rule.map(|rule| self.kernel.journal().rule_name(id.number, rule))
            && let Some(keeper) = &mut self.keeper
        {
            keeper.silence(id, rule.clone());
            match self.start_with(&Step::Stay(Rung::Generation(id))) {
                Ok(words) => {
                    return say(format_args!("WARNING: {words} without rule {rule}, which is too loud: {reason}"));
                }
                Err(error) => say(format_args!("WARNING: rule {rule} cannot be switched off: {error}")),
            }
        }
        say(format_args!("WARNING: generation {id} is taken back: {reason}"));
        match self.leave_with(|keeper, id| keeper.suspend(id, reason)) {
            Some(Ok(rung)) => {
                self.changes.rolled_back += 1;
                say(format_args!("{} is in force again", name(rung)));
            }
            _ => say("WARNING: there is nothing to go back to"),
        }
    }

    /// Why the generation in force, on probation, is not to stay, if so, and what it is charged with.
    fn mishap(&mut self) -> Option<Mishap> {
        let keeper = self.keeper.as_ref()?;
        let Rung::Generation(id) = keeper.running() else { return None };
        keeper.store.memory().trial.as_ref().filter(|trial| trial.id == id)?;
        let heard = heard(&self.engine().noise().ok()?, id.number);
        if self.watch.as_ref().is_none_or(|watch| watch.id != id) {
            let (budget, category) = keeper.budget(id)?;
            let before = if keeper.is_inherited() { heard.clone() } else { Heard::default() };
            self.watch = Some(Watch { id, budget, category, before });
        }
        let held = self.monitor.held(self.kernel.journal(), id.number).ok()?;
        self.watch.as_ref()?.mishap(&held, &heard, keeper.in_force())
    }
}
