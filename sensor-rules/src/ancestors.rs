//! The processes above the one that performs the event, as conditions can ask of each.

use std::collections::HashMap;

use cel::Value;
use sensor_common::field::FIELDS;

/// The list's name in conditions.
pub const LIST: &str = "ancestors";
/// The groups of fields of those above, nearest first.
pub const ALL: [&str; 5] = ["parent", FIRST_SMALL, "ancestor2", "ancestor3", "ancestor4"];
/// The first of those of which least is known: that is what is known of all.
pub const FIRST_SMALL: &str = "ancestor1";

/// The list for the interpreter: those that there are, with what is known of all. `value` reads a field by its name.
pub fn values(value: impl Fn(&str) -> Option<Value>) -> Vec<Value> {
    let known = || FIELDS.iter().filter_map(|field| field.name.strip_prefix(FIRST_SMALL)?.strip_prefix('.'));
    let one = |group: &str| {
        let read = |member: &str| Some((member.to_owned(), value(&format!("{group}.{member}"))?));
        known().filter_map(read).collect::<HashMap<String, Value>>()
    };
    let there = |one: &HashMap<String, Value>| one.get("pid").is_some_and(|pid| *pid != Value::Int(0));
    ALL.into_iter().map(one).filter(there).map(Value::from).collect()
}
