//! What rules cost per event, estimated from the plan: how often each is tried, how many instructions that
//! takes, what look-ups cost. `cargo xtask bench rules` prints the estimate beside what it measures.

use std::collections::{BTreeMap, BTreeSet};

use sensor_common::{event::Event, maps::Stage, record::TEXT_MAX};

use super::{names, programs};
use crate::{
    diagnostic::Diagnostics,
    emit::{self, Part},
    expr::{Cond, CondKind},
    plan::{
        Entry, Plan, entries,
        key::{Look, cover},
        rows::{Lookup, Walk},
    },
    rule::RuleSet,
    source::Place,
    text_test::TextTest,
};

/// Nanoseconds of the primitives, measured natively (`BPF_PROG_TEST_RUN`, see `docs/language.md`). Machines differ; the
/// proportions hardly do.
mod primitive {
    /// To find the record, and to leave.
    pub const ENTRY: f64 = 18.0;
    /// One instruction of straight code.
    pub const INSTRUCTION: f64 = 0.3;
    /// A look-up of one field: its first step, which most strings do not get beyond, and the row.
    pub const LOOKUP: f64 = 3.0;
    /// One place of a string at which a search looks.
    pub const SEARCHED: f64 = 0.8;
    /// To go on to the next program of a chain.
    pub const TAIL_CALL: f64 = 13.0;
    /// To look whether blocks are marked.
    pub const SWEEP: f64 = 2.0;
}

/// Bytes of an everyday string.
const LENGTH: f64 = 40.0;
/// Bytes of a short one and of the longest that is kept: what scans cost is said of both.
pub const LENGTHS: [u16; 2] = [16, 256];
const _: () = assert!(LENGTHS[1] as usize == TEXT_MAX);
/// Instructions after which a comparison of strings has mostly found a difference.
const FIRST_WORD: f64 = 5.0;
/// Instructions per byte of a `contains` on its own.
const LOOP: f64 = 6.0;
/// Instructions per byte of a pattern.
const STEP: f64 = 15.0;
/// How often a test holds of which nothing is known.
const UNKNOWN: f64 = 0.5;
/// On what part of all events a look-up finds anything, at most: the more literals it has, the rarer each of them is.
const FOUND_MAX: f64 = 0.03;

/// What the rules for one event cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EventCost {
    /// The event.
    pub event: Event,
    /// What no rule is to blame for, nanoseconds.
    pub base: f64,
    /// The look-ups, in their order.
    pub lookups: Vec<LookupCost>,
    /// The rules, in their order.
    pub rules: Vec<RuleCost>,
    /// Nanoseconds of all together where each string has as many bytes as [`LENGTHS`] says.
    pub by_length: [f64; 2],
}

/// What a look-up costs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LookupCost {
    /// Of what.
    pub what: String,
    /// How many literals or patterns of all rules it finds.
    pub finds: usize,
    /// Which of the two.
    pub of: &'static str,
    /// Nanoseconds per event.
    pub time: f64,
    /// How many bytes a step passes, where the whole string is gone through.
    pub step: Option<f64>,
}

/// What a rule costs beside the look-ups.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RuleCost {
    /// Its id.
    pub id: String,
    /// Where its condition begins.
    pub place: Place,
    /// On what part of all events it is tried, from 0 to 1: a guess from its keys and those of the rules of its block.
    pub tried: f64,
    /// The length of its code, instructions.
    pub instructions: usize,
    /// How many of them are executed when it is tried and does not match: a guess.
    pub executed: f64,
    /// Why it is tried so often.
    pub why: String,
}

impl RuleCost {
    /// Nanoseconds per event.
    pub fn time(&self) -> f64 {
        self.tried * self.executed * primitive::INSTRUCTION
    }
}

impl EventCost {
    /// Nanoseconds per event, all together.
    pub fn time(&self) -> f64 {
        let lookups: f64 = self.lookups.iter().map(|lookup| lookup.time).sum();
        let rules: f64 = self.rules.iter().map(RuleCost::time).sum();
        self.base + lookups + rules
    }
}

/// What the rules cost, by event: those that judge in full, on events that match nothing.
///
/// # Errors
/// As for [`compile`](crate::compile).
pub fn costs(rules: &RuleSet) -> Result<Vec<EventCost>, Diagnostics> {
    let mut costs: Vec<EventCost> = Vec::new();
    for event in Event::ALL {
        let parts = programs::of(rules, *event)?;
        let parts = parts.iter().filter(|part| part.plan.stage == Stage::Rules).map(|part| {
            let by_length = LENGTHS.map(|length| of_part(part, length.into()).time());
            EventCost { by_length, ..of_part(part, LENGTH) }
        });
        costs.extend(parts.reduce(|mut all, part| {
            all.base += part.base + primitive::TAIL_CALL;
            for (all, part) in all.by_length.iter_mut().zip(part.by_length) {
                *all += part + primitive::TAIL_CALL;
            }
            all.lookups.extend(part.lookups);
            all.rules.extend(part.rules);
            all
        }));
    }
    Ok(costs)
}

/// What a part costs where strings have `length` bytes.
fn of_part(Part { plan, code }: &Part<'_>, length: f64) -> EventCost {
    let sizes = emit::sizes(plan, code);
    let entries = entries(&plan.rules);
    let index = plan.index.as_ref();
    let walks = index.iter().flat_map(|index| &index.walks).map(|made| walk(made, length));
    let lookups = index.iter().flat_map(|index| &index.lookups).map(|made| lookup(made, length)).chain(walks).collect();
    let often = often(&entries);
    let rules = plan.rules.iter().zip(&sizes).enumerate().map(|(number, (planned_rule, sizes))| {
        let (tried, why) = tried(plan, &entries, &often, number);
        let mut leaves = sizes.leaves.iter().copied();
        let (executed, _) = expected(&planned_rule.cond, &mut leaves, length);
        let (id, place) = (planned_rule.rule.id.clone(), planned_rule.rule.condition_place.clone());
        RuleCost { id, place, tried, instructions: sizes.all, executed, why }
    });
    let base = primitive::ENTRY + if plan.index.is_some() { primitive::SWEEP } else { 0.0 };
    EventCost { event: plan.event, base, lookups, rules: rules.collect(), by_length: [0.0; 2] }
}

fn lookup(lookup: &Lookup, length: f64) -> LookupCost {
    let (time, step) = match &lookup.filter {
        Some((filter, _)) => (primitive::SEARCHED * length / filter.step, Some(filter.step)),
        None => (primitive::LOOKUP, None),
    };
    LookupCost { what: names::look(lookup.look), finds: lookup.literals, of: "literal", time, step }
}

fn walk(walk: &Walk, length: f64) -> LookupCost {
    let what = format!("{} by what it has", names::of(walk.offset));
    let time = STEP * length * primitive::INSTRUCTION;
    LookupCost { what, finds: walk.union.patterns.len(), of: "pattern", time, step: Some(1.0) }
}

/// On what part of all events the keys of each rule hold: a guess.
fn often(entries: &[Entry]) -> Vec<f64> {
    let guess = |entry: &Entry| match entry {
        Entry::Found(cover) => f64::from(cover.wakes.min(1000)) / 1000.0,
        Entry::Rare(_) | Entry::Always => 1.0,
    };
    // A rule whose keys are of several look-ups counts for the first.
    let look = |entry: &Entry| match entry {
        Entry::Found(cover) => cover.keys.first().map(|key| key.look),
        Entry::Rare(_) | Entry::Always => None,
    };
    let mut sums: BTreeMap<Look, f64> = BTreeMap::new();
    for entry in entries {
        if let Some(look) = look(entry) {
            *sums.entry(look).or_default() += guess(entry);
        }
    }
    let share = |look: Look| sums.get(&look).map_or(1.0, |sum| (FOUND_MAX / sum).min(1.0));
    entries.iter().map(|entry| guess(entry) * look(entry).map_or(1.0, share)).collect()
}

/// On what part of all events a rule is tried, and why.
fn tried(plan: &Plan<'_>, entries: &[Entry], often: &[f64], number: usize) -> (f64, String) {
    let Some(index) = &plan.index else {
        return (1.0, "tried on every event: too few rules for a look-up".to_owned());
    };
    let cover = match &entries[number] {
        Entry::Always => return (1.0, "tried on every event: no fixed string or number to be found by".to_owned()),
        Entry::Rare(cover) => {
            let what = cover.keys.first().map(|key| names::look(key.look)).unwrap_or_default();
            return (1.0, format!("tried on every event: too few literals for a look-up of {what}"));
        }
        Entry::Found(cover) => cover,
    };
    let block = index.blocks.iter().find(|block| block.rules.contains(&number));
    let mates = block.map_or(number..number + 1, |block| block.rules.clone());
    let tried: f64 = often[mates.clone()].iter().sum();
    let key = cover.keys.first().map(names::key).unwrap_or_default();
    let more = if cover.keys.len() > 1 { format!(" or {} more", cover.keys.len() - 1) } else { String::new() };
    let with = if mates.len() > 1 { format!(", or another of its block of {}", mates.len()) } else { String::new() };
    (tried.min(1.0), format!("tried where {key}{more}{with}"))
}

/// How many instructions of a condition are executed, and how often it holds. `sizes` are those of its parts
/// without parts, in order.
fn expected(cond: &Cond, sizes: &mut impl Iterator<Item = usize>, length: f64) -> (f64, f64) {
    let mut of = |cond: &Cond| expected(cond, sizes, length);
    match &cond.kind {
        CondKind::Not(inner) => {
            let (cost, holds) = of(inner);
            (cost, 1.0 - holds)
        }
        CondKind::And(left, right) => {
            let (left, right) = (of(left), of(right));
            (left.0 + left.1 * right.0, left.1 * right.1)
        }
        CondKind::Or(left, right) => {
            let (left, right) = (of(left), of(right));
            (left.0 + (1.0 - left.1) * right.0, left.1 + (1.0 - left.1) * right.1)
        }
        CondKind::Choose(by, one, other) => {
            let (by, one, other) = (of(by), of(one), of(other));
            let weighed = |one: f64, other: f64| by.1 * one + (1.0 - by.1) * other;
            (by.0 + weighed(one.0, other.0), weighed(one.1, other.1))
        }
        CondKind::Same(left, right) => {
            let (left, right) = (of(left), of(right));
            (left.0 + right.0 + 4.0, left.1 * right.1 + (1.0 - left.1) * (1.0 - right.1))
        }
        CondKind::Const(holds) => (0.0, if *holds { 1.0 } else { 0.0 }),
        _ => (executed(cond, sizes.next().unwrap_or(0), length), holds(cond)),
    }
}

/// How often a part without parts holds.
fn holds(cond: &Cond) -> f64 {
    cover(cond, true).map_or(UNKNOWN, |cover| f64::from(cover.wakes.min(1000)) / 1000.0)
}

/// How many of its `size` instructions are executed where strings have `length` bytes.
#[expect(clippy::cast_precision_loss, reason = "a program has fewer than a million instructions")]
fn executed(cond: &Cond, size: usize, length: f64) -> f64 {
    let size = size as f64;
    match &cond.kind {
        // Three instructions are an answer that a look-up has found already.
        CondKind::Text(TextTest::Contains, ..) if size > 3.0 => LOOP * length,
        CondKind::Pattern(..) if size > 3.0 => STEP * length,
        CondKind::Text(..) | CondKind::TextSame(..) => size.min(FIRST_WORD),
        // A comparison of the length for each length, and of strings where one is right.
        CondKind::TextIn(_, literals) => {
            let lengths: BTreeSet<_> = literals.iter().map(Vec::len).collect();
            size.min(FIRST_WORD + lengths.len() as f64)
        }
        _ => size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Source, check};

    fn costs_of(conditions: &[&str]) -> EventCost {
        let rules: Vec<_> = conditions
            .iter()
            .enumerate()
            .map(|(number, condition)| {
                format!(
                    "- id: r{number}\n  title: x\n  severity: low\n  on: fifo.open\n  condition: |-\n    {condition}\n"
                )
            })
            .collect();
        let source = Source { name: "x.yaml".into(), text: format!("rules:\n{}", rules.concat()).into_bytes() };
        let rules = check(&[source], Options::default()).map_err(|problems| problems.to_string()).unwrap();
        costs(&rules).map_err(|problems| problems.to_string()).unwrap().remove(0)
    }

    #[test]
    fn a_rule_without_a_literal_costs_more_than_one_that_is_looked_up() {
        let paths = ["path == '/a/b/c/d'", "path == '/b'", "path == '/c'", "path == '/d'"];
        let cost = costs_of(&[&paths[..], &["process.uid != owner"]].concat());
        assert_eq!(cost.lookups.len(), 1);
        assert_eq!((cost.rules[4].tried, cost.rules[0].tried), (1.0, 0.001));
        assert!(cost.rules[4].time() > 100.0 * cost.rules[0].time());
        assert!(cost.rules[4].why.contains("no fixed string"), "{}", cost.rules[4].why);
        assert!(cost.rules[0].why.contains("path begins with \"/a/b/c/d\""), "{}", cost.rules[0].why);
    }

    #[test]
    fn the_right_side_is_paid_only_where_the_left_does_not_decide() {
        let cost = costs_of(&["path == '/tmp/f' && process.uid != owner", "process.uid != owner"]);
        assert!(cost.rules[0].executed < 5.0 + cost.rules[1].executed / 2.0, "{:?}", cost.rules);
        assert!(cost.rules[0].instructions > cost.rules[1].instructions);
    }
}
