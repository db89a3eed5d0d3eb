//! What a daemon before this one has left in force, if it may stay so.

use sensor_content::store::{Rung, Switch};

use super::Keeper;

impl Keeper {
    /// What a daemon before this one has left in force as generation `number`, if it may stay so.
    pub fn inheritable(&self, number: u64) -> Option<Rung> {
        let memory = self.store.memory();
        let kept = memory.trial.iter().map(|trial| &trial.id).chain(&memory.good);
        let id = kept.copied().find(|id| id.number == number);
        match (self.switch(), id) {
            (None, Some(id)) => Some(Rung::Generation(id)),
            (None | Some(Switch::Baseline), None) if number == 0 => Some(Rung::Baseline),
            _ => None,
        }
    }

    /// Whether a daemon before this one has left in force, by order, what nobody has signed, and that may stay so.
    pub fn may_inherit_unsigned(&self) -> bool {
        self.switch().is_none() && self.policy().allows_unsigned() && self.store.left() == Some(Rung::Nothing)
    }

    /// What a daemon before this one has left in force by order, if it may stay so: one on probation too, for
    /// the host is up.
    pub fn left_in_force(&self) -> Option<Rung> {
        let rung = self.store.left()?;
        let Rung::Generation(id) = rung else { return None };
        self.inheritable(id.number).filter(|kept| *kept == rung)
    }
}
