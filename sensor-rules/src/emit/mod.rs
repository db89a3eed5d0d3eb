//! From plans to eBPF objects.

mod asm;
mod automaton;
mod chain;
mod cond;
mod decode;
mod hashed;
mod int;
mod listing;
mod lookup;
mod object;
mod program;
mod record;
mod set;
mod sizes;
mod stack;
mod sweep;
mod target;
mod text;

use sensor_common::{
    event::{Event, Hook},
    maps::Stage,
};

pub use self::{
    chain::Budget,
    target::{PARTS_MAP, RECORD_MAP, Target},
};
pub(crate) use self::{chain::Part, listing::listing, sizes::sizes};
use self::{
    chain::{Broken, CARRIED_MAX, Limit, PARTS_MAX, chain},
    cond::SLOTS_MAX,
    program::{Mark, booleans},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    plan::{Plan, PlannedRule},
    rule::{Rule, RuleSet},
    source::Place,
};

/// One ELF file with the programs of one hook, to be loaded with aya's `EbpfLoader`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Object {
    /// The hook whose events the programs judge.
    pub hook: Hook,
    /// The file.
    pub elf: Vec<u8>,
    /// What is in it; at least one.
    pub programs: Vec<Program>,
    /// How many of them are called by others of them, through the array [`PARTS_MAP`].
    pub chained: u32,
}

/// One program for one event: all rules, or what sorts out events that none of them matches.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Program {
    /// The event it judges.
    pub event: Event,
    /// Which of the two it is.
    pub stage: Stage,
    /// Its symbol in the object, such as `rules_fifo_open`.
    pub name: String,
    /// Where in the array [`PARTS_MAP`] the program before it finds it; `None` for the first of each event and stage.
    pub chained: Option<u32>,
    /// Number of its instructions.
    pub instructions: usize,
    /// From which instruction on which origin holds; ascending.
    pub(crate) origins: Vec<(usize, Option<Origin>)>,
}

/// The text from which an instruction was made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// Id of the rule.
    pub rule: String,
    /// The part of its condition.
    pub place: Place,
    /// The line of the rule file there, trimmed.
    pub text: String,
}

impl Program {
    /// Where an instruction comes from; `None` for those that belong to no rule. `instruction` is the index that the
    /// verifier's log prints.
    pub fn origin(&self, instruction: usize) -> Option<&Origin> {
        let behind = self.origins.partition_point(|(first, _)| *first <= instruction);
        self.origins.get(behind.checked_sub(1)?)?.1.as_ref()
    }
}

/// Compiles all rules: for each hook (in the order of [`Hook::ALL`]) that has rules, one object.
///
/// # Errors
/// A rule too large for one program, or rules together for as many as can call each other.
pub fn compile(rules: &RuleSet, target: Target) -> Result<Vec<Object>, Diagnostics> {
    compile_within(rules, target, Budget::default())
}

/// As [`compile`], with no more in one program than `budget` says.
///
/// # Errors
/// As for [`compile`].
pub fn compile_within(rules: &RuleSet, target: Target, budget: Budget) -> Result<Vec<Object>, Diagnostics> {
    objects(rules, target, budget, room)
}

/// How many words of marks there is room for.
fn room(planned: &[PlannedRule<'_>]) -> usize {
    stack::words(booleans(planned))
}

/// The programs for one event, as [`compile`] makes them.
pub(crate) fn parts(rules: &RuleSet, event: Event, target: Target) -> Result<Vec<Part<'_>>, Diagnostics> {
    chains(rules, event, target, Budget::default(), &room, 0).map_err(|problem| Diagnostics(vec![*problem]))
}

/// The programs for one event. Those that others call are reached at `reached` and on.
fn chains<'a>(
    rules: &'a RuleSet,
    event: Event,
    target: Target,
    budget: Budget,
    words: &impl Fn(&[PlannedRule<'_>]) -> usize,
    mut reached: u32,
) -> Result<Vec<Part<'a>>, Box<Diagnostic>> {
    let mut all = Vec::new();
    for plan in Plan::all(rules, event, words) {
        if let Some(planned_rule) =
            plan.rules.iter().find(|planned_rule| planned_rule.conds().any(|cond| cond.nested_same() > SLOTS_MAX))
        {
            return Err(Box::new(too_large(planned_rule.rule, "its comparisons of booleans are nested too deep")));
        }
        let rules = plan.rules.len();
        let parts = chain(plan, target, budget, words, reached).map_err(|broken| {
            Box::new(match broken {
                Broken::Rule(plan, limit) => over(&plan, limit),
                Broken::Long(parts) => too_many(event, rules, parts),
            })
        })?;
        reached += u32::try_from(parts.len()).unwrap_or(u32::MAX) - 1;
        all.extend(parts);
    }
    Ok(all)
}

/// As [`compile`], with programs that look nothing up and try one rule after the other: what look-ups are
/// compared with.
///
/// # Errors
/// As for [`compile`].
pub fn compile_unplanned(rules: &RuleSet, target: Target) -> Result<Vec<Object>, Diagnostics> {
    objects(rules, target, Budget::default(), |_| 0)
}

/// All objects. `words` says how many words of marks there is room for.
fn objects(
    rules: &RuleSet,
    target: Target,
    budget: Budget,
    words: impl Fn(&[PlannedRule<'_>]) -> usize,
) -> Result<Vec<Object>, Diagnostics> {
    let mut objects = Vec::new();
    for hook in Hook::ALL {
        let mut parts = Vec::new();
        for event in Event::of(*hook) {
            let reached = chained(&parts);
            parts.extend(
                chains(rules, event, target, budget, &words, reached).map_err(|problem| Diagnostics(vec![*problem]))?,
            );
        }
        if !parts.is_empty() {
            objects.push(object(*hook, &parts, target).map_err(|problem| Diagnostics(vec![*problem]))?);
        }
    }
    Ok(objects)
}

/// How many of the programs are called by others.
fn chained(parts: &[Part<'_>]) -> u32 {
    let chained = parts.iter().filter(|part| part.plan.link.reached.is_some()).count();
    u32::try_from(chained).unwrap_or(u32::MAX)
}

/// All programs of one hook in one file.
fn object(hook: Hook, parts: &[Part<'_>], target: Target) -> Result<Object, Box<Diagnostic>> {
    let names: Vec<_> = parts.iter().map(|part| part.plan.name()).collect();
    let written: Vec<_> = names
        .iter()
        .zip(parts)
        .map(|(name, Part { plan, code })| object::Part {
            name,
            bytes: &code.bytes,
            maps: &code.maps,
            memory: plan.index.as_ref().map_or(&[], |index| &index.memory),
            tables: &code.tables,
        })
        .collect();
    let chained = chained(parts);
    let elf = object::write(hook, target, &written, chained)
        .map_err(|error| Box::new(unwritten(hook, &error.to_string())))?;
    let programs = parts.iter().zip(names).map(|(Part { plan, code }, name)| Program {
        event: plan.event,
        stage: plan.stage,
        name,
        chained: plan.link.reached,
        instructions: code.bytes.len() / 8,
        origins: code.origins.iter().map(|(first, mark)| (*first, origin(plan, *mark))).collect(),
    });
    Ok(Object { hook, elf, programs: programs.collect(), chained })
}

/// The text behind a mark in a program's code.
fn origin(plan: &Plan<'_>, mark: Mark) -> Option<Origin> {
    let (index, start) = mark?;
    let rule = plan.rules.get(index)?.rule;
    let (place, text) = rule.origins.get(start)?;
    Some(Origin { rule: rule.id.clone(), place: place.clone(), text: text.clone() })
}

/// The problem of a program over a limit.
fn over(plan: &Plan<'_>, limit: Limit) -> Diagnostic {
    let name = plan.event.name();
    let Some(planned_rule) = plan.rules.first() else {
        return unwritten(plan.event.hook(), "a program without rules is too large");
    };
    let why = match limit {
        Limit::Jump => format!("its code for {name} has a jump of more than 32,767 instructions"),
        Limit::Length => format!("its code for {name} has more than a million instructions"),
        Limit::Work => {
            format!("a kernel's verifier would look at more than a million instructions of its code for {name}")
        }
        Limit::Carried => format!(
            "the tables of its lists and patterns for {name} have more than {CARRIED_MAX} bytes (a string of a list takes 20 to 45 for each 8 of its bytes)"
        ),
        Limit::Pending => {
            format!(
                "its code for {name} has more conditions in a row than a kernel's verifier keeps in mind (some 7,500)"
            )
        }
    };
    too_large(planned_rule.rule, &why)
}

/// The problem of rules that need more programs than can call each other.
fn too_many(event: Event, rules: usize, parts: usize) -> Diagnostic {
    let why = format!(
        "the {rules} rules for {} need some {parts} programs one after the other, and kernels allow for {PARTS_MAX}",
        event.name(),
    );
    let help = "take rules out, or put rules that differ only in a name into one with a list".to_owned();
    Diagnostic { help: Some(help), ..unwritten(event.hook(), &why) }
}

fn too_large(rule: &Rule, why: &str) -> Diagnostic {
    Diagnostic {
        place: rule.condition_place.clone(),
        rule: Some(rule.id.clone()),
        message: format!("this rule is too large: {why}"),
        label: String::new(),
        help: Some("split it into several rules, or shorten its lists".to_owned()),
        excerpt: None,
        other: None,
    }
}

fn unwritten(hook: Hook, why: &str) -> Diagnostic {
    Diagnostic {
        place: Place { file: hook.name().to_owned(), line: 0, column: 0 },
        rule: None,
        message: format!("the programs of the hook {} could not be written: {why}", hook.name()),
        label: String::new(),
        help: None,
        excerpt: None,
        other: None,
    }
}
