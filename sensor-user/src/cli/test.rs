//! `creance test`: each rule's own events, on the interpreter and on the compiled program.

use std::{io::Write, path::PathBuf};

use clap::Args;
use sensor_common::{event::Event, record::Record, verdict::Verdict};
use sensor_rules::{Rule, RuleSet};

use super::{
    Done,
    check::{checked, plural},
};
use crate::{
    kernel::test_run::{TestRun, not_permitted},
    sources,
};

/// Try each rule on its own test events, on the interpreter and, where the kernel here permits, on the compiled program
#[derive(Args, Debug)]
pub struct Test {
    /// Directories with rule files (*.yaml), or rule files
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<PathBuf>,
}

/// How the examples of a rule fared with one judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Score {
    right: usize,
    wrong: usize,
}

/// A wrong answer.
struct Failure {
    place: String,
    rule: String,
    message: String,
}

impl Test {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let sources = sources::read(&self.paths)?;
        let Some(rules) = checked(&sources)? else { return Ok(Done::Badly) };
        let mut failures = Vec::new();
        let mut interpret = |event, record: &Record| Ok(sensor_rules::interpret(&rules, event, record)?);
        let interpreted = judge(&rules, "the interpreter", &mut interpret, &mut failures);
        let (compiled, why_not) = match TestRun::load(&rules) {
            Ok(mut kernel) => {
                let mut execute = |event, record: &Record| kernel.judge(event, record);
                (Some(judge(&rules, "the compiled program", &mut execute, &mut failures)), None)
            }
            Err(error) if not_permitted(&error) => (None, Some(error)),
            Err(error) => return Err(error.context("the compiled rules cannot be run here")),
        };
        table(out, &rules, &interpreted, compiled.as_deref())?;
        for Failure { place, rule, message } in &failures {
            writeln!(out, "FAILED {place}: rule `{rule}`: {message}")?;
        }
        let events: usize = rules.rules().iter().map(|rule| rule.examples.len()).sum();
        writeln!(
            out,
            "{} rule{}, {events} test event{}: {}",
            rules.rules().len(),
            plural(rules.rules().len()),
            plural(events),
            if failures.is_empty() { "all right".into() } else { format!("{} wrong", failures.len()) }
        )?;
        if let Some(error) = why_not {
            writeln!(
                out,
                "The compiled programs were not run: the kernel here does not permit it ({error:#}). Run this as root on a \
                 host that takes eBPF programs."
            )?;
        }
        Ok(if failures.is_empty() { Done::Well } else { Done::Badly })
    }
}

/// Lets a judge decide all examples of all rules.
fn judge(
    rules: &RuleSet,
    name: &str,
    judge: &mut dyn FnMut(Event, &Record) -> anyhow::Result<Verdict>,
    failures: &mut Vec<Failure>,
) -> Vec<Score> {
    let mut scores = Vec::with_capacity(rules.rules().len());
    for (number, rule) in rules.rules().iter().enumerate() {
        let mut score = Score::default();
        for example in &rule.examples {
            let wrong = match judge(example.event, &example.record) {
                Ok(verdict) => {
                    let matches = rules.holds(&verdict, number);
                    (matches != example.matches).then(|| mismatch(rule, example.event, example.matches, name))
                }
                Err(error) => Some(format!("{name} failed: {error:#}")),
            };
            match wrong {
                None => score.right += 1,
                Some(message) => {
                    score.wrong += 1;
                    failures.push(Failure { place: example.place.to_string(), rule: rule.id.clone(), message });
                }
            }
        }
        scores.push(score);
    }
    scores
}

fn mismatch(rule: &Rule, event: Event, must: bool, judge: &str) -> String {
    let (must, does) = if must { ("must match", "does not") } else { ("must not match", "does") };
    format!("it {must} this {} and {does}, says {judge}; the condition is `{}`", event.name(), rule.condition.trim())
}

fn table(
    out: &mut impl Write,
    rules: &RuleSet,
    interpreted: &[Score],
    compiled: Option<&[Score]>,
) -> std::io::Result<()> {
    let width = rules.rules().iter().map(|rule| rule.id.len()).max().unwrap_or(0).max(4);
    writeln!(out, "{:<width$}  {:>6}  {:<12} {:<12}", "rule", "events", "interpreter", "compiled")?;
    for (number, rule) in rules.rules().iter().enumerate() {
        let cell = |scores: Option<&[Score]>| match scores.and_then(|scores| scores.get(number)) {
            None => "not run".to_owned(),
            Some(Score { right: 0, wrong: 0 }) => "no tests".into(),
            Some(Score { wrong: 0, .. }) => "ok".into(),
            Some(Score { wrong, .. }) => format!("{wrong} WRONG"),
        };
        let (interpreted, compiled) = (cell(Some(interpreted)), cell(compiled));
        writeln!(out, "{:<width$}  {:>6}  {interpreted:<12} {compiled:<12}", rule.id, rule.examples.len())?;
    }
    writeln!(out)
}
