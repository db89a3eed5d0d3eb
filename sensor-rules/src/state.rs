//! Rules with state: counts and sequences of two. What they judge by is pure, as in every rule; what they say
//! is noted, and the sensor keeps it; [`Windows`](crate::Windows) is its part as a model.

use sensor_common::{
    event::{Event, Groups},
    field::Field,
    record::Record,
    state::{Note, Step},
};

use crate::{condition::Checked, int::IntField};

/// What is counted apart, or must be the same in both events.
#[derive(Clone, Debug)]
pub enum By {
    /// An integer field.
    Field(IntField),
    /// The process tree below the parent of who performs the first event.
    Tree,
}

/// The fields that say in which trees a process is: its own, and those of who is above.
const TREES: [&str; 6] =
    ["process.pid", "parent.pid", "ancestor1.pid", "ancestor2.pid", "ancestor3.pid", "ancestor4.pid"];
/// How many of them the first event of a sequence opens: that of the process and that of its parent.
const OPENED: usize = 2;
/// The first process is above all: below it is everything, so it counts as itself only.
const TREE_MIN: i64 = 2;

impl By {
    /// The keys of the notes that a step makes: integer fields, and the least value that counts.
    pub fn keys(&self, step: Step) -> Vec<(IntField, Option<i64>)> {
        match self {
            Self::Field(field) => vec![(*field, None)],
            Self::Tree => {
                let count = if step == Step::First { OPENED } else { TREES.len() };
                let field = |name: &&str| Field::from_name(name).and_then(IntField::new);
                let above = (1..).map(|_| Some(TREE_MIN));
                TREES.iter().take(count).filter_map(field).zip(std::iter::once(None).chain(above)).collect()
            }
        }
    }

    /// The groups of fields that it reads.
    pub fn groups(&self) -> Groups {
        self.keys(Step::Second).into_iter().fold(Groups::NONE, |groups, (field, _)| groups.with(field.group))
    }
}

/// The state of a rule.
#[derive(Clone, Debug)]
pub struct State {
    /// Its number in the rule set.
    pub number: u32,
    /// What is told apart.
    pub by: By,
    /// For how long it is remembered, nanoseconds.
    pub within: u64,
    /// What it is.
    pub kind: StateKind,
}

impl State {
    /// The events that can be the first of a sequence.
    pub fn first_events(&self) -> &[Event] {
        match &self.kind {
            StateKind::Count(_) => &[],
            StateKind::After(events, _) => events,
        }
    }
}

/// Count or sequence.
#[derive(Clone, Debug)]
pub enum StateKind {
    /// The rule matches if its condition held more often than this.
    Count(u32),
    /// The rule matches if this condition held before, on one of these events.
    After(Vec<Event>, Checked),
}

/// What is done where a condition holds.
#[derive(Clone, Copy, Debug)]
pub enum Effect<'a> {
    /// The rule matches.
    Match,
    /// It is noted as a step.
    Note(&'a State, Step),
}

impl Effect<'_> {
    /// The groups of fields that it reads.
    pub fn groups(&self) -> Groups {
        match self {
            Self::Match => Groups::NONE,
            Self::Note(state, _) => state.by.groups(),
        }
    }
}

/// The notes of one step about `record`.
pub fn notes(state: &State, step: Step, record: &Record) -> Vec<Note> {
    let bytes = record.as_bytes();
    let read = |field: IntField| {
        let size = if field.wide { 8 } else { 4 };
        let mut value = [0; 8];
        if let Some(source) = bytes.get(field.offset..field.offset + size) {
            value[..size].copy_from_slice(source);
        }
        i64::from_le_bytes(value)
    };
    let keys = state.by.keys(step).into_iter().map(|(field, least)| (read(field), least));
    let counted = keys.filter(|(key, least)| least.is_none_or(|least| *key >= least));
    counted.map(|(key, _)| Note { state: state.number, step: step as u32, key: key.cast_unsigned() }).collect()
}
