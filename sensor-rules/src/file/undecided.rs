//! The key `undecided:` of a rule: what it asks for where what was not seen decides whether it matches.

use sensor_common::{event::Event, verdict::Action};

use super::Reader;
use crate::yaml::Entry;

impl Reader<'_, '_> {
    /// Reads the key of a rule with this action for these events, each `None` where it is wrong.
    pub(super) fn undecided(
        &mut self,
        entry: Option<&Entry>,
        action: Option<Action>,
        events: Option<&[Event]>,
    ) -> Option<Action> {
        let Some(entry) = entry else { return Some(usual(action?, events?)) };
        let undecided = self.action(&entry.node, events)?;
        if undecided > action? {
            let message = format!("`undecided` asks for more than the rule, which asks for `{}`", action?.name());
            let help = "what is not certain leads to no more than what is";
            return self.refuse(&entry.node.range, message, help);
        }
        Some(undecided)
    }
}

/// What a rule without the key asks for: the same, but that nothing is killed on a suspicion.
fn usual(action: Action, events: &[Event]) -> Action {
    match action {
        Action::Kill if events.iter().all(|event| event.allows(Action::Block)) => Action::Block,
        Action::Kill => Action::Alert,
        other => other,
    }
}
