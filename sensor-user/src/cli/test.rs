//! `creance test`: each rule's own tests, on the interpreter and on the compiled program, and what they leave untried.

use std::{io::Write, path::PathBuf};

use clap::Args;
use sensor_common::record::Record;
use sensor_rules::{
    Options, RuleSet, mutants,
    selftest::{self, Report, Wrong},
};

use super::{
    check::{checked, plural},
    done::Done,
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
        // What both get wrong is said once.
        let is_new = |wrong: &&Wrong| {
            !interpreted.wrong.iter().any(|known| (&known.place, &known.rule) == (&wrong.place, &wrong.rule))
        };
        let of_compiled = compiled.iter().flat_map(|report| &report.wrong).filter(is_new);
        let wrong: Vec<_> = interpreted.wrong.iter().chain(of_compiled).collect();
        for wrong in &wrong {
            writeln!(out, "FAILED {wrong}")?;
        }
        // Tests that are wrong say nothing of what they leave untried.
        let untried = if wrong.is_empty() { mutants::run(&rules).wrong } else { Vec::new() };
        for part in &untried {
            writeln!(out, "UNTRIED {part}")?;
        }
        let (tests, count) = (interpreted.tried, rules.rules().len());
        let found = match (wrong.len(), untried.len()) {
            (0, 0) => "all right".to_owned(),
            (0, parts) => format!(
                "all right, but {parts} change{} of the rules would go unnoticed: add the tests named above; where no test can \
                 tell, because another part already decides, remove the part",
                plural(parts)
            ),
            (wrong, _) => format!("{wrong} wrong"),
        };
        writeln!(out, "{count} rule{}, {tests} test{}: {found}", plural(count), plural(tests))?;
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
