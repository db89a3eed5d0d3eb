//! The keeper asks the gate.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sensor_content::{
    bundle::Category,
    gate::{Gate, Objection, Start, Step, Wish},
    life::Id,
    store::Rung,
};

use super::{Permit, number};
use crate::{daemon::generations::keeper::Keeper, host::places};

impl Keeper {
    /// Asks whether the step may be taken now, by the policy as it was read last.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&mut self, step: &Step) -> Result<Permit, Objection> {
        let approved = match *step {
            Step::Take { id, aside: false, .. } => places::is_approved(self.policy(), &self.settings().approvals, id)
                .map_err(|error| {
                Objection::Waits(format!("whether the owner has approved it cannot be found out: {error:#}"))
            })?,
            _ => true,
        };
        self.gate(approved, |gate| gate.admits(step, Timestamp::now()))?;
        let rung = match *step {
            Step::Take { id, .. } => Rung::Generation(id),
            Step::Unsigned => Rung::Nothing,
            Step::Return(rung) | Step::Stay(rung) => rung,
        };
        let silenced = self.silenced(rung);
        Ok(Permit { rung, actions: self.policy().actions().clone(), silenced, restrained: Vec::new() })
    }

    /// Whether it would be admitted if the content keys allowed it by now. That is no permit.
    pub fn would_admit(&mut self, id: Id, category: Category) -> bool {
        let approved = places::is_approved(self.policy(), &self.settings().approvals, id).unwrap_or(false);
        self.gate(approved, |gate| gate.would_take(id, category, Timestamp::now())).is_ok()
    }

    /// Where a roll-back leads from what is in force, best first.
    pub fn behind(&mut self) -> Vec<Rung> {
        let running = self.running();
        self.gate(true, |gate| gate.behind(running))
    }

    /// The number of where a roll-back leads: 0 for the baseline, `None` where there is no way back.
    pub fn goal(&mut self) -> Option<u64> {
        self.behind().first().copied().map(number)
    }

    /// What comes of the owner's wish to leave a generation.
    pub fn wish(&mut self) -> Wish {
        let running = self.running();
        self.gate(true, |gate| gate.wish(running))
    }

    /// With what a daemon starts.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method itself is of one lifetime only")]
    pub fn ladder(&mut self) -> Start {
        self.gate(true, |gate| gate.start())
    }

    fn gate<T>(&mut self, approved: bool, question: impl FnOnce(&Gate<'_>) -> T) -> T {
        let (nothing, blind) = (BTreeMap::new(), self.blindness());
        let known = self.store.known().map_or_else(|_| nothing, Clone::clone);
        question(&Gate {
            policy: self.policy(),
            blind: blind.as_deref(),
            switch: self.switch(),
            memory: self.store.memory(),
            running: self.number(),
            known: &known,
            approved,
            ramps: self.ramps(),
        })
    }
}
