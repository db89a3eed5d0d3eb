//! An event as the world sees it: one JSON object on one line, described in `docs/events.md`.
//!
//! The fields are those of the field table; nothing here lists them again.

pub(crate) mod clock;
pub mod counts;
mod summary;
mod value;

pub mod schema;

pub use clock::Clock;
pub use summary::summary;

use std::fmt;

use jiff::Timestamp;
use sensor_common::{
    event::{Event, Groups},
    field::Field,
    record::Record,
    verdict::{Action, Outcome},
};
use sensor_content::printable;
use sensor_rules::{Rule, RuleSet};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use value::{Kept, Value};

/// A record that matched, ready to be written. `Serialize` gives the object of `docs/events.md`.
#[derive(Clone, Copy)]
pub struct Report<'a> {
    seq: u64,
    time: Timestamp,
    event: Event,
    record: &'a Record,
    rules: Option<&'a RuleSet>,
}

/// The record is none that the sensor writes: its event has the unknown index given.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownEvent(pub u32);

impl<'a> Report<'a> {
    /// The report of `record`, with this number. `rules` are those of the generation that
    /// judged it; without them the report names rules by their number only.
    ///
    /// # Errors
    /// The event's index is not known: the record comes from another version of the sensor.
    pub fn new(record: &'a Record, rules: Option<&'a RuleSet>, seq: u64, clock: Clock) -> Result<Self, UnknownEvent> {
        let event = Event::from_index(record.head.event).ok_or(UnknownEvent(record.head.event))?;
        Ok(Self { seq, time: clock.at(record.head.time), event, record, rules })
    }

    /// The report as one line of JSON, without the line end. What a terminal would not show as itself is escaped.
    pub fn to_line(self) -> String {
        // Only keys that are no strings and failing writers make this fail; there are none here.
        let line = serde_json::to_string(&self).unwrap_or_default();
        if line.is_ascii() && !line.contains('\x7f') { line } else { printable::lines(&line) }
    }

    /// The fields that the event carries and the hook filled.
    fn fields(&self) -> impl Iterator<Item = (&'static Field, Value<'a>)> {
        let (record, filled) = (self.record, Groups(self.record.head.filled));
        Field::of(self.event)
            .filter(move |field| filled.contains(field.group))
            .map(move |field| (field, value::read(field, record)))
    }
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.to_line())
    }
}

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Record { head, verdict, .. } = self.record;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("seq", &self.seq)?;
        map.serialize_entry("time", &self.time)?;
        map.serialize_entry("boottime", &head.time)?;
        map.serialize_entry("event", self.event.name())?;
        map.serialize_entry("generation", &head.generation)?;
        map.serialize_entry("action", &Action::from_index(verdict.action).map(Action::name))?;
        map.serialize_entry("outcome", &Outcome::from_index(head.outcome).map(Outcome::name))?;
        map.serialize_entry("matched", &verdict.matched)?;
        map.serialize_entry("rules", &Matched { numbers: &verdict.rules().collect::<Vec<_>>(), rules: self.rules })?;
        let fields: Vec<_> = self.fields().collect();
        for parts in fields.chunk_by(|(left, _), (right, _)| family(left) == family(right) && family(left).is_some()) {
            match parts {
                [(field, value)] if family(field).is_none() => map.serialize_entry(field.name, value)?,
                [(first, _), ..] => map.serialize_entry(family(first).unwrap_or_default(), &Family(parts))?,
                [] => {}
            }
        }
        let truncated: Vec<_> = fields
            .iter()
            .filter(|(_, value)| matches!(value, Value::Text(_, kept) if *kept != Kept::Whole))
            .map(|(field, _)| field.name)
            .collect();
        map.serialize_entry("truncated", &truncated)?;
        let rules = self.rules.filter(|_| !truncated.is_empty());
        let undecided = rules.map_or_else(Vec::new, |rules| rules.undecided(self.event, self.record, verdict));
        map.serialize_entry("undecided", &undecided.iter().map(|field| field.name).collect::<Vec<_>>())?;
        let named = |number: u32| self.rules.and_then(|rules| rules.rules().get(number as usize)).map(|rule| &rule.id);
        let rules: Vec<_> = verdict.undecided().map(|number| Named { number, id: named(number) }).collect();
        map.serialize_entry("undecided_rules", &rules)?;
        map.end()
    }
}

/// A rule by its id, where that is known.
#[derive(Serialize)]
struct Named<'a> {
    number: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a String>,
}

/// The part of a field's name before its dot: the object in which the field is written.
fn family(field: &Field) -> Option<&'static str> {
    field.name.split_once('.').map(|(family, _)| family)
}

/// Fields of one family, under their names without it.
struct Family<'a>(&'a [(&'static Field, Value<'a>)]);

impl Serialize for Family<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|(field, value)| (field.name.split_once('.').map_or(field.name, |(_, name)| name), value)),
        )
    }
}

/// The rules that matched.
struct Matched<'a> {
    numbers: &'a [u32],
    rules: Option<&'a RuleSet>,
}

impl Serialize for Matched<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.numbers.len()))?;
        for &number in self.numbers {
            let rule = self.rules.and_then(|rules| rules.rules().get(number as usize));
            list.serialize_element(&MatchedRule::new(number, rule))?;
        }
        list.end()
    }
}

/// What a report says of one rule.
#[derive(Serialize)]
struct MatchedRule<'a> {
    number: u32,
    #[serde(flatten)]
    known: Option<KnownRule<'a>>,
}

#[derive(Serialize)]
struct KnownRule<'a> {
    id: &'a str,
    title: &'a str,
    severity: &'static str,
    attack: &'a [String],
}

impl<'a> MatchedRule<'a> {
    fn new(number: u32, rule: Option<&'a Rule>) -> Self {
        let known = rule.map(|rule| KnownRule {
            id: &rule.id,
            title: &rule.title,
            severity: rule.severity.name(),
            attack: &rule.attack,
        });
        Self { number, known }
    }
}
