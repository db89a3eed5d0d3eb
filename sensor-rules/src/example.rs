//! The tests that rules carry: events written down field by field, one alone or several as a sequence.

use sensor_common::{
    constant::Constants,
    event::Event,
    field::{Field, Kind},
    record::{Record, TEXT_MAX, Text as RecordText},
};

use crate::{
    condition::{nearest, quoted_list},
    diagnostic::Diagnostic,
    keys::unknown_key,
    rule::{Answer, Example, Happening, Happenings},
    text::Text,
    time,
    yaml::{Entry, Node, Value},
};

/// Keys of an event in a sequence, beside its fields: when it happens, and how often then.
const AT: &str = "at";
const TIMES: &str = "times";
/// Longest sequence, nanoseconds: two days, twice what a rule remembers.
const AT_MAX: u64 = 48 * 3600 * 1_000_000_000;
/// Most events of a sequence.
const EVENTS_MAX: u32 = 100_000;

/// What the tests of a rule can be about.
#[derive(Clone, Copy)]
pub struct Kinds<'a> {
    /// The events that the rule judges.
    pub events: &'a [Event],
    /// Whether it has `count` or `after`, and so sequences.
    pub sequences: bool,
}

/// The keys of `tests`.
fn keys() -> impl Iterator<Item = &'static str> {
    Answer::ALL.into_iter().map(Answer::key)
}

/// Reads the value of the key `tests` of a rule; what is wrong goes to `problems`.
pub fn read(text: &Text<'_>, node: &Node, kinds: Kinds<'_>, problems: &mut Vec<Diagnostic>) -> Vec<Example> {
    let Value::Map(entries) = &node.value else {
        let message =
            format!("`tests` is a map with the keys {}, and this is {}", quoted_list(keys()), node.value.kind());
        problems.push(text.problem(&node.range, message));
        return Vec::new();
    };
    let mut examples = Vec::new();
    for entry in entries {
        let Some(expected) = Answer::ALL.into_iter().find(|answer| answer.key() == entry.key) else {
            problems.push(unknown_key(text, entry, &Answer::ALL.map(Answer::key)));
            continue;
        };
        let Value::List(nodes) = &entry.node.value else {
            let message = format!("`{}` is a list of events, and this is {}", entry.key, entry.node.value.kind());
            problems.push(text.problem(&entry.key_range, message));
            continue;
        };
        for node in nodes {
            match example(text, node, kinds, expected) {
                Ok(example) => examples.push(example),
                Err(found) => problems.extend(found),
            }
        }
    }
    examples
}

/// One test.
fn example(text: &Text<'_>, node: &Node, kinds: Kinds<'_>, expected: Answer) -> Result<Example, Vec<Diagnostic>> {
    if expected == Answer::Undecided && kinds.sequences {
        let problem = text.problem(&node.range, "a rule with `count` or `after` is never undecided");
        let help = "it takes a possible step for a step: write the event under `match`";
        return Err(vec![Diagnostic { help: Some(help.to_owned()), ..problem }]);
    }
    let events = match &node.value {
        Value::List(nodes) => Happenings::Sequence(sequence(text, node, nodes, kinds)?),
        _ => Happenings::One(happening(text, node, kinds.events, None)?),
    };
    Ok(Example { events, expected, place: text.place(node.range.start) })
}

/// Events one after the other.
fn sequence(text: &Text<'_>, node: &Node, nodes: &[Node], kinds: Kinds<'_>) -> Result<Vec<Happening>, Vec<Diagnostic>> {
    let refuse = |message: &str, help: &str| {
        Err(vec![Diagnostic { help: Some(help.to_owned()), ..text.problem(&node.range, message) }])
    };
    if !kinds.sequences {
        return refuse(
            "a list is a sequence of events, and this rule looks at each event alone",
            "write each event as a test of its own; sequences are for rules with `count` or `after`",
        );
    }
    let (mut events, mut problems, mut now) = (Vec::new(), Vec::new(), 0);
    for node in nodes {
        match happening(text, node, kinds.events, Some(now)) {
            Ok(happening) => {
                now = happening.at;
                events.push(happening);
            }
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let count = events.iter().fold(0u32, |count, happening| count.saturating_add(happening.times));
    match count {
        0 => refuse("this sequence holds no event", "list at least one"),
        1..=EVENTS_MAX => Ok(events),
        _ => {
            refuse(&format!("this sequence has {count} events; at most {EVENTS_MAX} are tried"), "write a shorter one")
        }
    }
}

/// One event; in a sequence, `now` is when the one before happens.
fn happening(text: &Text<'_>, node: &Node, events: &[Event], now: Option<u64>) -> Result<Happening, Vec<Diagnostic>> {
    let Value::Map(entries) = &node.value else {
        let message = format!("a test is a map of fields, such as {{path: /tmp/f}}, and this is {}", node.value.kind());
        return Err(vec![text.problem(&node.range, message)]);
    };
    let event = event(text, node, entries, events).map_err(|problem| vec![*problem])?;
    let mut bytes = *Record::EMPTY.as_bytes();
    let (mut problems, mut at, mut times) = (Vec::new(), now.unwrap_or(0), 1);
    for entry in entries.iter().filter(|entry| entry.key != "event") {
        let read = match (entry.key.as_str(), now) {
            (AT, Some(now)) => when(text, entry, now).map(|found| at = found),
            (TIMES, Some(_)) => how_often(text, entry).map(|found| times = found),
            (AT | TIMES, None) => Err(of_a_sequence(text, entry)),
            _ => set(text, entry, event, &mut bytes),
        };
        if let Err(problem) = read {
            problems.push(*problem);
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut record = Record::from_bytes(&bytes).unwrap_or(Record::EMPTY);
    record.head.event = event as u32;
    Ok(Happening { event, record: Box::new(record), at, times })
}

/// When an event of a sequence happens: not before the one before.
fn when(text: &Text<'_>, entry: &Entry, now: u64) -> Result<u64, Box<Diagnostic>> {
    let found = if let Value::Text(time) = &entry.node.value { time::nanoseconds(time) } else { None };
    let refuse = |message: &str, help: &str| {
        Err(Box::new(Diagnostic { help: Some(help.to_owned()), ..text.problem(&entry.node.range, message) }))
    };
    match found {
        Some(at) if at > AT_MAX => refuse("a sequence lasts two days at most", "a rule remembers a day"),
        Some(at) if at < now => refuse(
            "this event happens before the one above it",
            "`at` is the time since the sequence began: write the events in their order",
        ),
        Some(at) => Ok(at),
        None => refuse("`at` is a time since the sequence began", time::LIKE),
    }
}

/// How often an event of a sequence happens.
fn how_often(text: &Text<'_>, entry: &Entry) -> Result<u32, Box<Diagnostic>> {
    let times = if let Value::Int(times) = entry.node.value { u32::try_from(times).ok() } else { None };
    times.filter(|times| (1..=EVENTS_MAX).contains(times)).ok_or_else(|| {
        Box::new(text.problem(&entry.node.range, format!("`{TIMES}` is a number from 1 to {EVENTS_MAX}")))
    })
}

/// The problem of a key that only an event in a sequence has.
fn of_a_sequence(text: &Text<'_>, entry: &Entry) -> Box<Diagnostic> {
    let problem = text.problem(&entry.key_range, format!("`{}` is for events of a sequence", entry.key));
    let help = "a sequence is a list, for rules with `count` or `after`: `match: [[{path: /tmp/f, times: 21}]]`";
    Box::new(Diagnostic { help: Some(help.to_owned()), ..problem })
}

/// The event of a test: named where the rule has several.
fn event(text: &Text<'_>, node: &Node, entries: &[Entry], events: &[Event]) -> Result<Event, Box<Diagnostic>> {
    let stated = entries.iter().find(|entry| entry.key == "event");
    let names = || quoted_list(events.iter().map(|event| event.name()));
    let is_companion = |event: &Event| events.iter().any(|other| other.companion() == Some(*event));
    let asked: Vec<_> = events.iter().filter(|event| !is_companion(event)).collect();
    match (stated, asked.as_slice()) {
        (None, [only]) => Ok(**only),
        (None, _) => {
            let help = format!("add `event:` with one of {}", names());
            let problem = text.problem(&node.range, "this test does not say which event it is");
            Err(Box::new(Diagnostic { help: Some(help), ..problem }))
        }
        (Some(entry), _) => {
            let name = if let Value::Text(name) = &entry.node.value { name.as_str() } else { "" };
            events.iter().copied().find(|event| event.name() == name).ok_or_else(|| {
                let problem = text.problem(&entry.node.range, "the rule is not for this event");
                Box::new(Diagnostic { help: Some(format!("it is for {}", names())), ..problem })
            })
        }
    }
}

/// Writes one field of a test into the bytes of its record.
fn set(text: &Text<'_>, entry: &Entry, event: Event, record: &mut [u8]) -> Result<(), Box<Diagnostic>> {
    let Some(field) = Field::of(event).find(|field| field.name == entry.key) else {
        let names = || Field::of(event).map(|field| field.name);
        let problem = text.problem(&entry.key_range, format!("no field `{}` on {}", entry.key, event.name()));
        let problem =
            problem.meant(nearest(&entry.key, names()), || format!("its fields are {}", quoted_list(names())));
        return Err(Box::new(problem));
    };
    if let (Some(constants), Value::Text(names)) = (field.constants, &entry.node.value) {
        let value = valued(constants, names).ok_or_else(|| {
            let message = format!("`{names}` is no value of `{}`", field.name);
            let known = quoted_list(constants.values.iter().map(|(name, _)| *name));
            let help = Some(format!("its constants are {known}"));
            Box::new(Diagnostic { help, ..text.problem(&entry.node.range, message) })
        })?;
        if let Some(place) = record.get_mut(field.offset..field.offset + field.kind.size()) {
            place.copy_from_slice(&value.to_le_bytes()[..field.kind.size()]);
        }
        return Ok(());
    }
    let Some(bytes) = encoded(field.kind, &entry.node.value) else {
        let range = &entry.node.range;
        let message = format!("`{}` is {}, and this is {}", field.name, type_name(field.kind), entry.node.value.kind());
        return Err(Box::new(Diagnostic { help: entry.node.octal(text), ..text.problem(range, message) }));
    };
    if let Some(place) = record.get_mut(field.offset..field.offset + bytes.len()) {
        place.copy_from_slice(&bytes);
    }
    Ok(())
}

/// The value of a constant, or of several with `|` between them where they are bits.
fn valued(constants: &Constants, names: &str) -> Option<i64> {
    if !constants.bits {
        return constants.value(names);
    }
    names.split('|').try_fold(0, |bits, name| Some(bits | constants.value(name.trim())?))
}

/// `value` as a field of this kind lies in the record; `None` where it is no value of that kind.
fn encoded(kind: Kind, value: &Value) -> Option<Vec<u8>> {
    match (kind, value) {
        (Kind::U32, Value::Int(value)) => Some(u32::try_from(*value).ok()?.to_ne_bytes().to_vec()),
        (Kind::U64, Value::Int(value)) => Some(value.to_ne_bytes().to_vec()),
        (Kind::Bool, Value::Bool(value)) => Some(u32::from(*value).to_ne_bytes().to_vec()),
        (Kind::Text(capacity), Value::Text(value)) => {
            let mut kept: RecordText<TEXT_MAX> = RecordText::EMPTY;
            kept.set(value.as_bytes());
            let length = kept.as_bytes().len().min(capacity);
            let mut bytes = u32::try_from(length).ok()?.to_ne_bytes().to_vec();
            bytes.extend(kept.full.to_ne_bytes());
            bytes.extend(kept.as_bytes().iter().take(length));
            Some(bytes)
        }
        // There is a text, and nothing of it was seen. What is kept of names of threads always is.
        (Kind::Text(TEXT_MAX), Value::Null) => Some([0u32.to_ne_bytes(), 1u32.to_ne_bytes()].concat()),
        _ => None,
    }
}

const fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::U32 => "an integer from 0 to 4294967295",
        Kind::U64 => "an integer",
        Kind::Bool => "a boolean",
        Kind::Text(_) => "text (put it in quotes)",
    }
}
