//! `creance test`: each rule's own tests, on the interpreter and on the compiled program, and what they leave untried.

use std::{io::Write, path::PathBuf};

use clap::Args;
use sensor_common::record::Record;
use sensor_rules::{
    Options, RuleSet, mutants,
    selftest::{self, Report},
};

use super::{
    Done,
    check::{checked, plural},
};
use crate::{
    kernel::test_run::{TestRun, not_permitted},
    rule_files,
};

/// Run each rule's own tests on the interpreter and, if this kernel permits, on the compiled program; report the
/// parts of rules that these tests leave untried
#[derive(Args, Debug)]
pub struct Test {
    /// Directories with rule files (*.yaml), or rule files
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<PathBuf>,
}

impl Test {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let sources = rule_files::read(&self.paths)?;
        let Some(rules) = checked(&sources, Options { mutants: true, ..Options::default() })? else {
            return Ok(Done::Badly);
        };
        let interpreted = selftest::run(&rules);
        let (compiled, why_not) = match TestRun::load(&rules) {
            Ok(mut kernel) => {
                let judge = |_, event, record: &Record| kernel.judge(event, record);
                (Some(selftest::run_on(&rules, "the compiled program", judge)), None)
            }
            Err(error) if not_permitted(&error) => (None, Some(error)),
            Err(error) => return Err(error.context("the compiled rules cannot be run here")),
        };
        table(out, &rules, &interpreted, compiled.as_ref())?;
        let wrong: Vec<_> = std::iter::once(&interpreted).chain(&compiled).flat_map(|report| &report.wrong).collect();
        for wrong in &wrong {
            writeln!(out, "FAILED {wrong}")?;
        }
        let tests = interpreted.tried;
        writeln!(
            out,
            "{} rule{}, {tests} test{}: {}",
            rules.rules().len(),
            plural(rules.rules().len()),
            plural(tests),
            if wrong.is_empty() { "all right".into() } else { format!("{} wrong", wrong.len()) }
        )?;
        // Tests that are wrong say nothing of what they leave untried.
        let untried = if wrong.is_empty() { mutants::run(&rules).wrong } else { Vec::new() };
        for part in &untried {
            writeln!(out, "UNTRIED {part}")?;
        }
        if !untried.is_empty() {
            writeln!(
                out,
                "{} change{} that no test notices: add a test that tells; where none can, since another part decides \
                 already, take the part out",
                untried.len(),
                plural(untried.len())
            )?;
        }
        if let Some(error) = why_not {
            writeln!(
                out,
                "The compiled programs were not run: the kernel here does not permit it ({error:#}). Run this as root on a \
                 host that takes eBPF programs."
            )?;
        }
        Ok(if wrong.is_empty() && untried.is_empty() { Done::Well } else { Done::Badly })
    }
}

fn table(
    out: &mut impl Write,
    rules: &RuleSet,
    interpreted: &Report,
    compiled: Option<&Report>,
) -> std::io::Result<()> {
    let width = rules.rules().iter().map(|rule| rule.id.len()).max().unwrap_or(0).max(4);
    writeln!(out, "{:<width$}  {:>6}  {:<12} {:<12}", "rule", "tests", "interpreter", "compiled")?;
    for rule in rules.rules() {
        let cell = |report: Option<&Report>| {
            let Some(report) = report else { return "not run".to_owned() };
            match report.wrong.iter().filter(|wrong| wrong.rule == rule.id).count() {
                _ if rule.examples.is_empty() => "no tests".into(),
                0 => "ok".into(),
                wrong => format!("{wrong} WRONG"),
            }
        };
        let (interpreted, compiled) = (cell(Some(interpreted)), cell(compiled));
        writeln!(out, "{:<width$}  {:>6}  {interpreted:<12} {compiled:<12}", rule.id, rule.examples.len())?;
    }
    writeln!(out)
}
