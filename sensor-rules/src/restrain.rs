//! Rules that may do less than they ask for.

use sensor_common::{event::Event, verdict::Action};

use crate::{
    condition::Checked,
    rule::{Rule, RuleSet},
};

impl RuleSet {
    /// The same rules; one that asks for what `permits` denies on any of its events only alerts. With the ids of those.
    #[must_use]
    pub fn restrained(mut self, permits: impl Fn(Event, Action) -> bool) -> (Self, Vec<String>) {
        let mut restrained = Vec::new();
        for rule in &mut self.rules {
            if rule.action != Action::Alert && !rule.events.iter().all(|event| permits(*event, rule.action)) {
                (rule.action, rule.undecided) = (Action::Alert, Action::Alert);
                restrained.push(rule.id.clone());
            }
            if !rule.events.iter().all(|event| permits(*event, rule.undecided)) {
                rule.undecided = Action::Alert;
            }
        }
        (self, restrained)
    }

    /// The same rules with the same numbers; those that are meant match nothing.
    #[must_use]
    pub fn silenced(mut self, meant: impl Fn(&Rule) -> bool) -> Self {
        for rule in self.rules.iter_mut().filter(|rule| meant(rule)) {
            rule.checked = Checked::never();
        }
        Self::new(self.rules)
    }
}
