//! Rules that nobody has signed: pushed by hand, or from the directory that the daemon was started with.

use std::sync::Arc;

use sensor_content::gate::Step;
use sensor_rules::{RuleSet, Source};

use super::{
    options::PushOptions,
    permit::{Permit, asks_the_same},
    reply::{Cause, pushed},
    state::Generations,
};
use crate::{
    api::protocol::Pushed,
    kernel::{Refusal, engine::Engine},
};

impl<E: Engine> Generations<E> {
    /// Puts checked rules in force as the next generation, or lets them judge in the shadow first, where the owner's
    /// policy asks for that.
    ///
    /// # Errors
    /// Who refused, and why.
    pub fn push(&mut self, sources: &[Source], asked: Arc<RuleSet>, options: PushOptions) -> Result<Pushed, Cause> {
        let mut permit = self.admit(|_| Step::Unsigned)?;
        let rules = Arc::new(permit.restrain(RuleSet::clone(&asked)));
        let generation = self.next;
        if let Some(archive) = self.kernel.archive() {
            archive.remember(generation, sources, options.skip_checks).map_err(Refusal::from)?;
        }
        if let Some(limits) = self.limits().filter(|_| !options.at_once) {
            let activation = self.shadow(generation, (&rules, &asked), limits)?;
            self.next += 1;
            return Ok(pushed(&activation, &rules, self.kernel.mode).in_shadow(&limits));
        }
        let activation = self.kernel.activate(&permit, generation, &rules)?;
        self.next += 1;
        self.changes.pushed += 1;
        self.unsigned = Some((generation, asked));
        let answer = pushed(&activation, &rules, self.kernel.mode);
        let Some(keeper) = &mut self.keeper else { return Ok(answer) };
        // It is left to a daemon that is started by order, and to no other: so nobody is charged with it.
        keeper.record_running(permit);
        Ok(Pushed { transient: true, ..answer.over(keeper.goal()) })
    }

    /// Loads the rules in force that nobody has signed as they are permitted now; what to say of it, where it
    /// was necessary.
    pub(super) fn load_unsigned_anew(&mut self, permit: &mut Permit) -> Result<Option<String>, String> {
        let Some((number, asked)) = self.unsigned.clone().filter(|(number, _)| self.active() == Some(*number)) else {
            return Ok(None);
        };
        let rules = permit.restrain(RuleSet::clone(&asked));
        if self.kernel.journal().rules(number).is_some_and(|loaded| asks_the_same(&loaded, &rules)) {
            return Ok(None);
        }
        self.kernel.activate(permit, number, &Arc::new(rules)).map_err(|refusal| refusal.to_string())?;
        if let Some(keeper) = &mut self.keeper {
            keeper.record_running(permit.clone());
        }
        Ok(Some(format!("generation {number} is in force")))
    }
}
