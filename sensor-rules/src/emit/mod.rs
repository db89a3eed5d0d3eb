//! From plans to eBPF objects.

mod asm;
mod automaton;
mod cond;
mod decode;
mod int;
mod listing;
mod lookup;
mod object;
mod program;
mod stack;
mod sweep;
mod text;

use sensor_common::{
    event::{Event, Hook, Mode},
    maps::Stage,
};

pub(crate) use self::listing::listing;
use self::{
    asm::{Code, Limit},
    cond::{SLOTS_MAX, nested_same},
    program::{Mark, booleans, program},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    plan::{Judge, Plan},
    rule::{Rule, RuleSet},
    source::Place,
};

/// Name of the map (array of one [`Record`](sensor_common::record::Record)) that programs for
/// [`Target::SocketFilter`] judge.
pub const RECORD_MAP: &str = "RECORD";

/// What programs are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The sensor's hooks, as they are attached in this mode: one object per hook that has rules, one program per event
    /// in it, and for some events an early one. A program finds the record of its task in `RECORDS`, writes the verdict into it, and calls finish.
    Hook(Mode),
    /// Test runs: the same judgement in a socket filter, on the record in the map [`RECORD_MAP`].
    SocketFilter,
}

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
/// A rule, or rules together, too large for one program.
pub fn compile(rules: &RuleSet, target: Target) -> Result<Vec<Object>, Diagnostics> {
    objects(rules, target, room)
}

/// How many words of marks there is room for.
fn room(judges: &[Judge<'_>]) -> usize {
    stack::words(booleans(judges))
}

/// The plans for one event, as [`compile`] makes them.
pub(crate) fn plans(rules: &RuleSet, event: Event) -> Vec<Plan<'_>> {
    Plan::all(rules, event, &room)
}

/// The code of one plan.
pub(crate) fn code(plan: &Plan<'_>, target: Target) -> Result<Code<Mark>, Box<Diagnostic>> {
    let nested = plan.judges.iter().find(|judge| nested_same(&judge.cond) > SLOTS_MAX);
    if let Some(judge) = nested {
        return Err(Box::new(too_large(judge.rule, "its comparisons of booleans are nested too deep")));
    }
    program(plan, plan.event.hook(), target).map_err(|limit| Box::new(over(plan, limit)))
}

/// How long the code of a rule is, instructions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sizes {
    /// All of it.
    pub all: usize,
    /// The parts of its condition that have no parts, in the order in which they are tried.
    pub leaves: Vec<usize>,
}

/// The sizes of all rules in the code of `plan`.
pub(crate) fn sizes(plan: &Plan<'_>, code: &Code<Mark>) -> Vec<Sizes> {
    let mut sizes = vec![Sizes::default(); plan.judges.len()];
    let ends = code.origins.iter().skip(1).map(|(first, _)| *first).chain([code.bytes.len() / 8]);
    let mut before = None;
    for ((first, mark), end) in code.origins.iter().zip(ends) {
        let Some((judge, _)) = *mark else {
            before = None;
            continue;
        };
        // Where a rule begins, nothing has been emitted yet.
        let begins = before != Some(judge);
        before = Some(judge);
        if let Some(sizes) = sizes.get_mut(judge) {
            sizes.all += end - first;
            if !begins {
                sizes.leaves.push(end - first);
            }
        }
    }
    sizes
}

/// As [`compile`], with programs that look nothing up and try one rule after the other: what look-ups are compared with.
///
/// # Errors
/// As for [`compile`].
pub fn compile_unplanned(rules: &RuleSet, target: Target) -> Result<Vec<Object>, Diagnostics> {
    objects(rules, target, |_| 0)
}

/// All objects. `words` says how many words of marks there is room for.
fn objects(rules: &RuleSet, target: Target, words: impl Fn(&[Judge<'_>]) -> usize) -> Result<Vec<Object>, Diagnostics> {
    let mut objects = Vec::new();
    for hook in Hook::ALL {
        let plans: Vec<_> = Event::of(*hook).flat_map(|event| Plan::all(rules, event, &words)).collect();
        if !plans.is_empty() {
            objects.push(object(*hook, &plans, target).map_err(|problem| Diagnostics(vec![*problem]))?);
        }
    }
    Ok(objects)
}

/// All programs of one hook in one file.
fn object(hook: Hook, plans: &[Plan<'_>], target: Target) -> Result<Object, Box<Diagnostic>> {
    let mut codes = Vec::new();
    for plan in plans {
        codes.push(code(plan, target)?);
    }
    let names: Vec<_> = plans.iter().map(Plan::name).collect();
    let parts: Vec<_> = names
        .iter()
        .zip(&codes)
        .zip(plans)
        .map(|((name, code), plan)| object::Part {
            name,
            bytes: &code.bytes,
            maps: &code.maps,
            memory: plan.index.as_ref().map_or(&[], |index| &index.memory),
            tables: &code.tables,
        })
        .collect();
    let elf = object::write(hook, target, &parts).map_err(|error| Box::new(unwritten(hook, &error.to_string())))?;
    let programs = plans.iter().zip(names).zip(codes).map(|((plan, name), code)| Program {
        event: plan.event,
        stage: plan.stage,
        name,
        instructions: code.bytes.len() / 8,
        origins: code.origins.into_iter().map(|(first, mark)| (first, origin(plan, mark))).collect(),
    });
    Ok(Object { hook, elf, programs: programs.collect() })
}

/// The text behind a mark in a program's code.
fn origin(plan: &Plan<'_>, mark: Mark) -> Option<Origin> {
    let (index, start) = mark?;
    let rule = plan.judges.get(index)?.rule;
    let (place, text) = rule.origins.get(start)?;
    Some(Origin { rule: rule.id.clone(), place: place.clone(), text: text.clone() })
}

/// The problem of a program over a limit.
fn over(plan: &Plan<'_>, limit: Limit) -> Diagnostic {
    let name = plan.event.name();
    match (limit, plan.judges.iter().max_by_key(|judge| judge.rule.condition.len())) {
        (Limit::Jump(_), Some(judge)) => {
            too_large(judge.rule, &format!("its code for {name} has a jump of more than 32,767 instructions"))
        }
        (Limit::Length, Some(judge)) => too_large(
            judge.rule,
            &format!("the rules for {name} together have more than a million instructions; this is the longest"),
        ),
        (_, None) => unwritten(plan.event.hook(), "a program without rules is too large"),
    }
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
