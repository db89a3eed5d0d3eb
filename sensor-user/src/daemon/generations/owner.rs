//! The owner's policy: asked before every step, and obeyed when it changes.

use sensor_content::{
    gate::{Objection, Step},
    policy::Policy,
    store::Rung,
};

use super::{
    keeper::Keeper,
    permit::{Permit, asks_the_same, name},
    state::Generations,
    stored,
};
use crate::{kernel::engine::Engine, log::say};

impl<E: Engine> Generations<E> {
    /// Reads the owner's policy again. `None` where the daemon keeps no generations: it has no owner to ask.
    pub(super) fn read_policy(&mut self) -> Option<&mut Keeper> {
        let keeper = self.keeper.as_mut()?;
        keeper.read_policy();
        self.monitor.owner_wants(keeper.policy().lifeline());
        Some(keeper)
    }

    /// The owner's policy as it is now.
    pub fn policy(&mut self) -> Policy {
        self.read_policy().map_or_else(Policy::default, |keeper| keeper.policy().clone())
    }

    /// Leave for this step, by the policy as it is now: its owner may just have changed it. A daemon that
    /// keeps no generations has no owner to ask.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&mut self, step: impl FnOnce(&Keeper) -> Step) -> Result<Permit, Objection> {
        match self.read_policy() {
            Some(keeper) => {
                let step = step(keeper);
                keeper.admit(&step)
            }
            None => Ok(Permit::of_nobody(Rung::Nothing)),
        }
    }

    /// Reads the policy again and obeys it; what to say of it, `None` where the daemon has none.
    pub fn read_policy_again(&mut self) -> Option<String> {
        let keeper = self.read_policy()?;
        let words = keeper.blindness().unwrap_or_else(|| "the owner's policy is read anew".to_owned());
        self.apply_policy();
        Some(words)
    }

    /// Loads what is in force anew where the owner permits it other actions now, unless that comes to the same.
    pub(super) fn apply_policy(&mut self) {
        let Some(keeper) = self.keeper.as_mut().filter(|keeper| keeper.is_permitted_otherwise()) else { return };
        let rung = keeper.running();
        let Ok(mut permit) = keeper.admit(&Step::Stay(rung)) else { return };
        let loaded = match rung {
            Rung::Generation(_) => {
                let same = stored::permitted(keeper, &mut permit).is_ok_and(|rules| {
                    let loaded = rules.as_ref().and_then(|rules| self.kernel.journal().rules(rules.number));
                    loaded.zip(rules).is_some_and(|(loaded, rules)| asks_the_same(&loaded, &rules.rules))
                });
                if same { Ok(None) } else { self.start_with(&Step::Stay(rung)).map(Some) }
            }
            Rung::Baseline | Rung::Nothing => self.load_unsigned_anew(&mut permit),
        };
        match loaded {
            Ok(Some(words)) => say(format_args!("{words}, as the owner's policy permits it now")),
            Ok(None) => {
                if let Some(keeper) = &mut self.keeper {
                    keeper.renew_permit(permit);
                }
            }
            Err(reason) => say(format_args!(
                "WARNING: {} cannot be loaded as the owner's policy permits it now: {reason}",
                name(rung)
            )),
        }
    }
}
