//! A plan in words.

use std::fmt::{self, Write};

use sensor_common::{
    event::{Event, Groups},
    field::Field,
    maps::Stage,
    state::Step,
};

use super::{
    names,
    predicate::{self, some},
    programs,
};
use crate::{
    diagnostic::Diagnostics,
    emit::Part,
    plan::{Entry, Index, KEYS_MIN, Plan, SEARCHES_MIN, entries, key::How},
    rule::RuleSet,
    state::{By, Effect, State, StateKind},
};

/// How the rules for each event are found and tried, in words. Of rules only those whose id `shown` accepts.
///
/// # Errors
/// As for [`compile`](crate::compile).
pub fn plan(rules: &RuleSet, shown: &dyn Fn(&str) -> bool) -> Result<String, Diagnostics> {
    let mut out = String::new();
    for event in Event::ALL {
        let parts = programs::of(rules, *event)?;
        if parts.iter().flat_map(|part| &part.plan.rules).any(|planned_rule| shown(&planned_rule.rule.id)) {
            if !out.is_empty() {
                out.push('\n');
            }
            // Writing to a string does not fail.
            let _ = Words { rules, event: *event, parts: &parts }.write(&mut out, shown);
        }
    }
    Ok(out)
}

/// What is said of one event.
struct Words<'a> {
    rules: &'a RuleSet,
    event: Event,
    parts: &'a [Part<'a>],
}

impl Words<'_> {
    fn write(&self, out: &mut String, shown: &dyn Fn(&str) -> bool) -> fmt::Result {
        let hook = self.event.hook();
        let deny = if hook.can_deny() { "can deny" } else { "only observes" };
        let full = || self.parts.iter().map(|part| &part.plan).filter(|plan| plan.stage == Stage::Rules);
        let count = full().map(|plan| plan.rules.len()).sum();
        writeln!(out, "{}: {}, on the hook {} ({deny})", self.event.name(), counted(count, "rule"), hook.name())?;
        let needs = self.rules.needs(self.event);
        let early = self.rules.early(self.event);
        writeln!(out, "  filled on every event: {}", fields(self.event, early.map_or(needs, |early| early.reads)))?;
        match early {
            Some(early) => {
                writeln!(
                    out,
                    "  filled where the early program finds that a rule may match: {}",
                    fields(self.event, needs.without(early.reads))
                )?;
            }
            None if needs.meets(Groups::LATE) => {
                writeln!(out, "  no early program: there is a rule that it would have to let pass always")?;
            }
            None => writeln!(out, "  no early program: no rule reads a field that costs much to fill")?,
        }
        for Part { plan, code } in self.parts {
            program(out, plan, code.bytes.len() / 8)?;
        }
        for plan in full() {
            for (number, entry) in entries(&plan.rules).iter().enumerate() {
                if shown(&plan.rules[number].rule.id) {
                    rule(out, plan, number, entry)?;
                }
            }
        }
        Ok(())
    }
}

/// What a program looks up and how it holds its rules.
fn program(out: &mut String, plan: &Plan<'_>, size: usize) -> fmt::Result {
    write!(out, "  program {}, {}", plan.name(), counted(size, "instruction"))?;
    let Some(index) = &plan.index else { return writeln!(out, ": tries one rule after the other") };
    writeln!(
        out,
        ": {} in the order of rules, {} of marks",
        counted(index.blocks.len(), "block"),
        counted(index.words, "word")
    )?;
    for lookup in &index.lookups {
        let what = names::look(lookup.look);
        let how = if matches!(lookup.look.how, How::Anywhere(_)) { "from every byte at most" } else { "at most" };
        writeln!(
            out,
            "    looks up {what}: {}, {how} {}",
            counted(lookup.literals, "literal"),
            counted(lookup.depth, "step")
        )?;
    }
    for walk in &index.walks {
        let patterns = counted(walk.union.patterns.len(), "pattern");
        writeln!(out, "    walks {} by one automaton: {patterns}, one step per byte", names::of(walk.offset))?;
    }
    Ok(())
}

/// How one rule is found, and what it says.
fn rule(out: &mut String, plan: &Plan<'_>, number: usize, entry: &Entry) -> fmt::Result {
    let planned_rule = &plan.rules[number];
    writeln!(out, "\n  rule {} ({})", planned_rule.rule.id, planned_rule.rule.condition_place)?;
    writeln!(out, "    reads: {}", fields(plan.event, planned_rule.cond.groups()))?;
    let found = |cover: &crate::plan::key::Cover| {
        let keys: Vec<_> = cover.keys.iter().collect();
        some(&keys, |key| names::key(key))
    };
    match (entry, &plan.index) {
        (Entry::Found(cover), Some(_)) => writeln!(out, "    found by: {}", found(cover))?,
        (Entry::Found(_) | Entry::Rare(_) | Entry::Always, None) => {
            writeln!(out, "    tried on every event: look-ups would cost more than these few rules")?;
        }
        (Entry::Rare(cover), Some(_)) => writeln!(
            out,
            "    tried on every event: {} has fewer literals in all rules than a look-up is worth ({KEYS_MIN}; {SEARCHES_MIN} for contains)",
            found(cover)
        )?,
        (Entry::Always, Some(_)) => {
            writeln!(
                out,
                "    tried on every event: no literal that can be looked up must hold where the rule matches"
            )?;
        }
    }
    if let Some(index) = &plan.index {
        block(out, plan, index, number)?;
    }
    writeln!(out, "    then: {}", predicate::text(&planned_rule.cond))?;
    match planned_rule.effect {
        Effect::Match => Ok(()),
        Effect::Note(state, step) => writeln!(out, "    {}", noted(state, step)),
    }
}

/// What becomes of a rule with state where its condition holds.
fn noted(state: &State, step: Step) -> String {
    let time = time(state.within);
    let apart = match &state.by {
        By::Field(field) => names::int(*field),
        By::Tree => "process tree".to_owned(),
    };
    match (&state.kind, step) {
        (StateKind::Count(more_than), _) => {
            format!("counts: matches where that held more than {more_than} times in {time}, apart for each {apart}")
        }
        (StateKind::After(..), Step::First) => {
            format!("is the first of two: the second may follow in the same {apart} within {time}")
        }
        (StateKind::After(events, _), _) => {
            let events: Vec<_> = events.iter().map(|event| event.name()).collect();
            format!(
                "is the second of two: matches where the first ({}) was at most {time} before, in the same {apart}",
                events.join(", ")
            )
        }
    }
}

/// A time, as rules write it.
fn time(nanoseconds: u64) -> String {
    let units = [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000)];
    let whole = units.into_iter().find(|(_, unit)| nanoseconds.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{nanoseconds} ns"), |(name, unit)| format!("{}{name}", nanoseconds / unit))
}

/// Which other rules are tried together with this one.
fn block(out: &mut String, plan: &Plan<'_>, index: &Index, number: usize) -> fmt::Result {
    let Some((at, block)) = index.blocks.iter().enumerate().find(|(_, block)| block.rules.contains(&number)) else {
        return Ok(());
    };
    let others: Vec<_> = block.rules.clone().filter(|other| *other != number).collect();
    if others.is_empty() {
        return writeln!(out, "    in block {at}, alone");
    }
    writeln!(out, "    in block {at}, with {}", some(&others, |other| plan.rules[*other].rule.id.clone()))
}

/// The fields of these groups that the event carries.
fn fields(event: Event, groups: Groups) -> String {
    let names: Vec<_> = Field::of(event).filter(|field| groups.contains(field.group)).map(|field| field.name).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// A number and its noun.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
