//! The keys `count:` and `after:` of a rule.

use sensor_common::{
    event::Event,
    field::{Field, Kind},
};

use super::{Reader, copied::with_copied, judged::Part};
use crate::{
    condition::{Names, nearest, quoted_list},
    expr::IntField,
    keys::{ON, on, unknown_key},
    rule::Lines,
    state::{By, State, StateKind},
    time,
    yaml::{Entry, Node, Value},
};

const COUNT_KEYS: &[&str] = &["by", "within", "more_than"];
const AFTER_KEYS: &[&str] = &["on", "condition", "by", "within"];
/// The problem was noted.
pub struct Noted;

/// What `by` can be, beside an integer field.
const TREE: &str = "tree";
/// Longest time that is remembered, nanoseconds: a day.
const WITHIN_MAX: u64 = 24 * 3600 * 1_000_000_000;

impl Reader<'_, '_> {
    /// The state of a rule with these entries, whose text ends at byte `behind` of those that `lines` knows;
    /// `None` where it has none.
    pub(super) fn state(
        &mut self,
        entries: &[Entry],
        names: Names<'_>,
        lines: &mut Lines,
        behind: usize,
    ) -> Result<Option<State>, Noted> {
        let find = |key: &str| entries.iter().find(|entry| entry.key == key);
        match (find("count"), find("after")) {
            (None, None) => Ok(None),
            (Some(entry), None) => self.count(entry, names.events).map(Some).ok_or(Noted),
            (None, Some(entry)) => self.after(entry, names, lines, behind).map(Some).ok_or(Noted),
            (Some(_), Some(after)) => {
                self.refuse::<()>(&after.key_range, "a rule has either `count` or `after`", "write two rules");
                Err(Noted)
            }
        }
    }

    fn members<'e>(&mut self, entry: &'e Entry, keys: &[&str]) -> Option<Vec<&'e Entry>> {
        let Value::Map(entries) = &entry.node.value else {
            let message = format!("`{}` is a map, and this is {}", entry.key, entry.node.value.kind());
            return self.refuse(
                &entry.key_range,
                message,
                &format!("its keys are {}", quoted_list(keys.iter().copied())),
            );
        };
        for entry in entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
            let problem = unknown_key(self.text, entry, keys);
            self.note::<()>(problem)?;
        }
        let found = keys.iter().map(|key| {
            let found = if *key == ON { on(entries) } else { entries.iter().find(|entry| entry.key == *key) };
            if found.is_none() {
                let message = format!("`{}` has no key `{key}`", entry.key);
                return self.refuse(&entry.key_range, message, "");
            }
            found
        });
        let found: Vec<_> = found.collect();
        found.into_iter().collect()
    }

    fn count(&mut self, entry: &Entry, events: &[Event]) -> Option<State> {
        let members = self.members(entry, COUNT_KEYS)?;
        let [by, within, more_than] = members.as_slice() else { return None };
        let by = self.by(&by.node, events, false);
        let within = self.within(&within.node);
        let more_than = match more_than.node.value {
            Value::Int(count) => u32::try_from(count).ok(),
            _ => None,
        };
        let Some(more_than) = more_than else {
            return self.refuse(&members[2].node.range, "`more_than` is a number from 0 to 4294967295", "");
        };
        Some(State { number: 0, by: by?, within: within?, kind: StateKind::Count(more_than) })
    }

    fn after(&mut self, entry: &Entry, names: Names<'_>, lines: &mut Lines, behind: usize) -> Option<State> {
        let members = self.members(entry, AFTER_KEYS)?;
        let [on, condition, by, within] = members.as_slice() else { return None };
        let within = self.within(&within.node);
        let events = self.events(&on.node)?;
        let both: Vec<_> = events.iter().chain(names.events).copied().collect();
        let by = self.by(&by.node, &both, true);
        let Part { alignment, checked, .. } =
            self.part(condition, "the condition", Names { events: &events, ..names })?;
        lines.add(self.text, &alignment, &checked.cond, behind);
        let events = with_copied(events, &checked.cond);
        let checked = checked.moved(behind);
        Some(State { number: 0, by: by?, within: within?, kind: StateKind::After(events, checked) })
    }

    fn by(&mut self, node: &Node, events: &[Event], has_tree: bool) -> Option<By> {
        let name = self.string(node, "`by`")?;
        if has_tree && name == TREE {
            return Some(By::Tree);
        }
        let is_key = |field: &&Field| matches!(field.kind, Kind::U32 | Kind::U64);
        let known = || {
            let carried = |field: &&Field| events.iter().all(|event| field.carried_by(*event));
            let fields = sensor_common::field::FIELDS.iter().filter(is_key).filter(carried).map(|field| field.name);
            fields.chain(has_tree.then_some(TREE)).collect::<Vec<_>>()
        };
        let field = Field::from_name(&name).filter(|field| known().contains(&field.name));
        if let Some(field) = field.and_then(IntField::new) {
            return Some(By::Field(field));
        }
        let problem = self.text.problem(&node.range, format!("`{name}` tells nothing apart here"));
        let fields = || format!("`by` is an integer field that all its events carry: {}", quoted_list(known()));
        self.note(problem.meant(nearest(&name, known()), fields))
    }

    /// A time, nanoseconds.
    fn within(&mut self, node: &Node) -> Option<u64> {
        let time = match &node.value {
            Value::Text(text) => time::nanoseconds(text),
            _ => None,
        };
        match time.filter(|time| (1..=WITHIN_MAX).contains(time)) {
            Some(time) => Some(time),
            None => self.refuse(&node.range, "`within` is a time of at most a day", time::LIKE),
        }
    }
}
