//! What is in force is left for what is behind it.

use sensor_content::{gate::Step, life::Id, store::Rung};

use super::{
    keeper::Keeper,
    permit::{name, number},
    reply::Cause,
    state::Generations,
};
use crate::{
    api::protocol::{Refused, Refuser},
    kernel::engine::Engine,
};

impl<E: Engine> Generations<E> {
    /// Puts the generation before in force again; its number.
    ///
    /// # Errors
    /// When there is none.
    pub fn roll_back(&mut self) -> Result<u64, Box<Refused>> {
        let result = match self.leave("by order") {
            Some(left) => left.map(number),
            None => self.kernel.roll_back().map_err(Cause::from),
        };
        self.changes.rolled_back += u64::from(result.is_ok());
        self.answer(result)
    }

    /// The number of where a roll-back leads: 0 for the baseline, `None` where there is no way back.
    pub(super) fn goal(&mut self) -> Option<u64> {
        self.keeper.as_mut()?.goal()
    }

    /// Leaves what is in force for what is [behind](Keeper::behind) it. `None` where no generations are kept.
    /// For the journal, the reason.
    pub(super) fn leave(&mut self, reason: &str) -> Option<Result<Rung, Cause>> {
        self.leave_with(|keeper, from| keeper.take_back(from, reason))
    }

    /// The same; once something else is in force, the keeper is told what to make of the generation that was.
    pub(super) fn leave_with(&mut self, left: impl FnOnce(&mut Keeper, Id)) -> Option<Result<Rung, Cause>> {
        let keeper = self.keeper.as_mut()?;
        if keeper.running() == Rung::Baseline {
            return Some(Err(Cause::Daemon("the baseline is in force, and there is nothing behind it: push a bundle")));
        }
        let rungs = keeper.behind();
        self.leave_for(rungs, left)
    }

    /// Leaves what is in force for the first of these that comes into force.
    pub(super) fn leave_for(
        &mut self,
        rungs: Vec<Rung>,
        left: impl FnOnce(&mut Keeper, Id),
    ) -> Option<Result<Rung, Cause>> {
        let running = self.keeper.as_ref()?.running();
        let mut reasons = Vec::new();
        for rung in rungs {
            match self.start_with(&Step::Return(rung)) {
                Ok(_) => {
                    if let Rung::Generation(from) = running {
                        left(self.keeper.as_mut()?, from);
                    }
                    return Some(Ok(rung));
                }
                Err(reason) => reasons.push(format!("{}: {reason}", name(rung))),
            }
        }
        if reasons.is_empty() {
            reasons.push("no other generation is good here, and the baseline is given up or switched off".into());
        }
        Some(Err(Cause::Said(Refuser::Daemon, format!("there is nothing to go back to: {}", reasons.join("; ")))))
    }
}
