//! Rules that ask for every known value, and the comparison of what was reported with what was done.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};
use sensor_common::{
    event::{Event, Hook, Mode},
    field::Field,
};
use serde_json::Value;

use super::{
    gaps,
    known::Values,
    plan::{Script, Seen},
};
use crate::{
    rules::{self, Draft},
    sensor::{field, names_rule},
};

/// The id of the rule for all that the actors do.
pub const SEEN: &str = "seen";

/// Nanoseconds of a tick of `/proc/PID/stat`.
const TICK: u64 = 10_000_000;

/// The families of fields that say who performs an event; all others are of the object.
const ACTORS: &[&str] = &["process.", "parent.", "ancestor"];

fn is_actors(field: &Field) -> bool {
    ACTORS.iter().any(|family| field.name.starts_with(family))
}

/// What has to be seen where only these hooks are there, in order, each with the step that it belongs to. In
/// the mode that observes tracepoints, the gaps of that are left out, each once; and what is no system call
/// of a 64-bit program, or only a part of one.
pub fn expected<'a>(script: &'a Script, hooks: &[Hook], mode: Mode) -> Result<Vec<(&'a str, &'a Seen, Event)>> {
    let mut all = Vec::new();
    let mut gaps: Vec<_> = if mode == Mode::Tracepoints { gaps::TRACED.iter().collect() } else { Vec::new() };
    for line in script.lines.iter().filter(|line| line.plain || mode != Mode::Tracepoints) {
        for seen in line.seen.iter().filter(|seen| !seen.inner || mode != Mode::Tracepoints) {
            let event = seen.event()?;
            let gap = gaps.iter().position(|gap| gap.what == line.what && gap.event == event);
            if let Some(gap) = gap {
                gaps.remove(gap);
            } else if hooks.contains(&event.hook()) {
                all.push((line.what.as_str(), seen, event));
            }
        }
    }
    let left: Vec<_> = gaps.iter().map(|gap| gap.what).collect();
    ensure!(left.is_empty(), "gaps that no step shows: {}", left.join(", "));
    Ok(all)
}

/// The id of the rule that asks for all that is known of an actor.
fn actor_rule(actor: usize) -> String {
    format!("actor-{actor}")
}

/// The rules that ask for all that is known of each event, and nothing twice.
#[derive(Default)]
pub struct Rules {
    /// Id, events, condition.
    rules: Vec<(String, Vec<&'static str>, String)>,
}

impl Rules {
    /// One for all that the actors do; one for each actor, one for each different object of each event.
    pub fn new(script: &Script, expected: &[(&str, &Seen, Event)]) -> Result<Self> {
        let mut all = Self::default();
        let cgroup = &script.actors.first().context("nobody acts")?["process.cgroup"];
        // The main thread does nothing but wait for the actor, and end.
        let watched = format!("process.cgroup == {cgroup} && process.tid != {}", script.pid);
        for (_, seen, event) in expected {
            all.add(SEEN, *event, watched.clone());
            let actor = &script.actors[seen.actor];
            let fields = Field::of(*event);
            let (who, what): (Vec<_>, Vec<_>) = fields.partition(|field| is_actors(field));
            all.add(&actor_rule(seen.actor), *event, condition(&who, actor)?);
            if !what.is_empty() {
                all.add(&all.object_rule(), *event, condition(&what, &seen.object)?);
            }
        }
        Ok(all)
    }

    fn object_rule(&self) -> String {
        format!("object-{}", self.rules.len())
    }

    fn add(&mut self, id: &str, event: Event, condition: String) {
        match self.rules.iter_mut().find(|(_, _, there)| *there == condition) {
            Some((_, events, _)) if events.contains(&event.name()) => {}
            Some((_, events, _)) => events.push(event.name()),
            None => self.rules.push((id.to_owned(), vec![event.name()], condition)),
        }
    }

    /// The rule file.
    pub fn file(&self) -> sensor_rules::Source {
        let drafts: Vec<_> =
            self.rules.iter().map(|(id, events, condition)| Draft::alert(id, events, condition)).collect();
        rules::file("conformance.yaml", &drafts)
    }

    /// The id of the rule with this condition.
    fn id(&self, condition: &str) -> Result<&str> {
        let rule = self.rules.iter().find(|(_, _, there)| there == condition);
        Ok(&rule.context("no rule asks for this")?.0)
    }
}

/// That each of the fields has its known value. A field of which nothing is known fails the test.
fn condition(fields: &[&'static Field], values: &Values) -> Result<String> {
    let mut tests = Vec::new();
    for field in fields {
        let name = field.name;
        match values.get(name).with_context(|| format!("nothing is known of {name}"))? {
            Value::Null => {}
            Value::String(text) => tests.push(format!("{name} == '{}'", literal(text))),
            Value::Number(tick) if name == "process.start_time" => {
                let first = tick.as_u64().unwrap_or_default() * TICK;
                tests.push(format!("{name} >= {first} && {name} < {}", first + TICK));
            }
            value => tests.push(format!("{name} == {value}")),
        }
    }
    Ok(tests.join(" && "))
}

/// A text as it stands between quotes in CEL.
fn literal(text: &str) -> String {
    text.replace('\\', r"\\").replace('\'', r"\'").replace('\0', r"\x00")
}

/// Compares all reports with all that was done: the same events in the same order, each with each value.
pub fn compare(script: &Script, expected: &[(&str, &Seen, Event)], rules: &Rules, reports: &[Value]) -> Result<()> {
    let mut problems = Vec::new();
    for ((what, seen, event), report) in expected.iter().zip(reports) {
        if report["event"] != event.name() {
            problems.push(format!("{what}: {} was seen, not {}", report["event"], event.name()));
            break;
        }
        if let Err(error) = one(script, seen, *event, rules, report) {
            problems.push(format!("{what}, {}: {error:#}", event.name()));
        }
    }
    if problems.is_empty() && expected.len() == reports.len() {
        return Ok(());
    }
    if expected.len() != reports.len() || problems.last().is_some_and(|problem| problem.contains(" was seen, not ")) {
        problems.push(sequences(expected, reports));
    }
    bail!("{}", problems.join("\n"))
}

fn one(script: &Script, seen: &Seen, event: Event, rules: &Rules, report: &Value) -> Result<()> {
    let known: Values =
        script.actors[seen.actor].iter().chain(&seen.object).map(|(k, v)| (k.clone(), v.clone())).collect();
    let mut wrong = String::new();
    for Field { name, .. } in Field::of(event) {
        let (is, wanted) = (field(report, name), &known[*name]);
        let same = match *name {
            _ if wanted.is_null() => !is.is_null(),
            "process.start_time" => is.as_u64().map(|time| time / TICK) == wanted.as_u64(),
            _ => is == wanted,
        };
        if !same {
            write!(wrong, "{name} is {is}, and it was {wanted}; ")?;
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    let (who, what): (Vec<_>, Vec<_>) = Field::of(event).partition(|field| is_actors(field));
    for (fields, values) in [(who, &script.actors[seen.actor]), (what, &seen.object)] {
        if fields.is_empty() {
            continue;
        }
        let id = rules.id(&condition(&fields, values)?)?;
        ensure!(names_rule(report, id), "rule {id}, which asks for each value, does not match: {}", report["rules"]);
    }
    Ok(())
}

/// Both sequences side by side, from a little before the first difference.
fn sequences(expected: &[(&str, &Seen, Event)], reports: &[Value]) -> String {
    let same = expected.iter().zip(reports).take_while(|((_, _, event), report)| report["event"] == event.name());
    let from = same.count().saturating_sub(3);
    let mut text = format!("{} events were seen, not {}:", reports.len(), expected.len());
    for index in from..(from + 40).min(expected.len().max(reports.len())) {
        let wanted = expected.get(index).map_or(String::new(), |(what, _, event)| format!("{} ({what})", event.name()));
        let is = reports.get(index).map_or(String::new(), |report| {
            format!("{} by {} {}", report["event"], report["process"]["tid"], report["path"])
        });
        let _ = write!(text, "\n  {wanted:<60} {is}");
    }
    text
}
