//! The key `budget` of a rule.

use sensor_common::verdict::Action;

use super::Reader;
use crate::{
    budget::BlockBudget,
    keys::unknown_key,
    yaml::{Entry, Value},
};

/// The keys of a budget.
const KEYS: &[&str] = &["count", "seconds"];

impl Reader<'_, '_> {
    /// The budget of a rule that asks for `action`.
    pub(super) fn budget(&mut self, entry: Option<&Entry>, action: Option<Action>) -> Option<BlockBudget> {
        let Some(entry) = entry else { return Some(BlockBudget::DEFAULT) };
        if action == Some(Action::Alert) {
            let help = "only `block`, `quarantine` and `kill` have one: take it away, or let the rule do more";
            return self.refuse(&entry.key_range, "a rule that only alerts has no budget", help);
        }
        let example = "write it like `budget: {count: 100, seconds: 10}`";
        let Value::Map(entries) = &entry.node.value else {
            let message = format!("a budget is a map, and this is {}", entry.node.value.kind());
            return self.refuse(&entry.node.range, message, example);
        };
        for entry in entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
            let problem = unknown_key(self.text, entry, KEYS);
            self.note::<()>(problem);
        }
        let number = |key: &str| {
            entries.iter().find(|entry| entry.key == key).and_then(|entry| match entry.node.value {
                Value::Int(number) => Some(number),
                _ => None,
            })
        };
        let budget =
            number("count").zip(number("seconds")).and_then(|(count, seconds)| BlockBudget::new(count, seconds));
        if budget.is_none() {
            let message = format!(
                "a budget has a `count` from 1 to {} and `seconds` from 1 to {}",
                BlockBudget::COUNT_MAX,
                BlockBudget::SECONDS_MAX
            );
            return self.refuse(&entry.key_range, message, example);
        }
        budget
    }
}
