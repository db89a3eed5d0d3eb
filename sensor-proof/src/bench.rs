//! How long rules take: to judge an event, to be compiled, to be verified.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use sensor_common::{event::Event, record::Record};
use sensor_proof::realistic;
use sensor_rules::{
    Options, RuleSet, Target, check, compile, compile_unplanned,
    explain::{EventCost, costs},
    interpret,
};
use sensor_user::kernel::test_run::TestRun;
use serde::Serialize;

/// How often the kernel runs a program for one figure.
const TIMES: u32 = 20_000;
/// Figures per event, of which the smallest is taken: what disturbs only adds.
const FIGURES: usize = 5;

/// Nanoseconds per event for 10, 100, 1,000 and 10,000 realistic rules, compiled, unplanned and interpreted
#[derive(Args)]
pub struct Bench {
    /// Numbers of rules
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000,10000")]
    rules: Vec<usize>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// The figures of one rule set.
#[derive(Serialize)]
struct Figures {
    event: &'static str,
    rules: usize,
    /// Nanoseconds per everyday event, mean.
    everyday: f64,
    /// What `creance explain --cost` says of them.
    estimate: f64,
    /// The slowest of them.
    worst: f64,
    /// Nanoseconds for an event that matches.
    matching: f64,
    /// As `everyday`, one rule after the other; absent where the kernel takes no such program.
    unplanned: Option<f64>,
    /// As `everyday`, by the CEL interpreter.
    interpreter: f64,
    /// From text to checked rules, milliseconds.
    check_ms: f64,
    /// From checked rules to objects, milliseconds.
    compile_ms: f64,
    /// From objects to maps and programs in the kernel without what follows, milliseconds.
    load_ms: f64,
    /// From text to rules in the kernel, all of the above, milliseconds.
    push_ms: f64,
    /// The kernel's share: to verify and translate the programs, milliseconds.
    verify_ms: f64,
    /// Instructions that the verifier looked at.
    verified: Option<u32>,
}

impl Bench {
    pub fn run(&self) -> Result<()> {
        let mut all = Vec::new();
        for event in [Event::FifoOpen, Event::PipePayload] {
            for rules in &self.rules {
                let figures = measure(event, *rules).with_context(|| format!("{rules} rules for {}", event.name()))?;
                if !self.json {
                    table_row(all.is_empty(), &figures);
                }
                all.push(figures);
            }
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&all)?);
        }
        Ok(())
    }
}

fn measure(event: Event, count: usize) -> Result<Figures> {
    let sources = realistic::rules(event, count);
    let (rules, check_time) = timed(|| check(&sources, Options::default()));
    let rules = rules?;
    let (objects, compile_time) = timed(|| compile(&rules, Target::SocketFilter));
    let objects = objects?;
    let (run, load_time) = timed(|| TestRun::load_objects(objects));
    let mut run = run?;
    let verify_time = run.verify_time();
    let load_time = load_time.saturating_sub(verify_time);
    let events = realistic::events(event);
    let (everyday, worst) = kernel(&mut run, event, &events)?;
    let attack = realistic::attack(event);
    let verdict = run.judge(event, &attack)?;
    ensure!(count < 16 || verdict.matched > 0, "the event that should match does not");
    let (matching, _) = kernel(&mut run, event, &[attack])?;
    let unplanned = compile_unplanned(&rules, Target::SocketFilter).ok().and_then(|objects| {
        let mut run = TestRun::load_objects(objects).ok()?;
        kernel(&mut run, event, &events).ok()
    });
    Ok(Figures {
        event: event.name(),
        rules: count,
        everyday,
        estimate: costs(&rules)?.iter().map(EventCost::time).sum(),
        worst,
        matching,
        unplanned: unplanned.map(|(mean, _)| mean),
        interpreter: interpreter(&rules, event, &events)?,
        check_ms: milliseconds(check_time),
        compile_ms: milliseconds(compile_time),
        load_ms: milliseconds(load_time),
        push_ms: milliseconds(check_time + compile_time + load_time),
        verify_ms: milliseconds(verify_time),
        verified: run.verified_instructions(event),
    })
}

/// Nanoseconds per event, by the kernel: the mean of all, and the most.
fn kernel(run: &mut TestRun, event: Event, events: &[Record]) -> Result<(f64, f64)> {
    let mut all = Vec::new();
    for record in events {
        let mut best = Duration::MAX;
        for _ in 0..FIGURES {
            best = best.min(run.time(event, record, TIMES)?.context("no rule is for this event")?);
        }
        all.push(best.as_secs_f64() * 1e9);
    }
    #[expect(clippy::cast_precision_loss, reason = "a few events")]
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    Ok((mean, all.into_iter().fold(0.0, f64::max)))
}

/// Nanoseconds per event, by the interpreter.
fn interpreter(rules: &RuleSet, event: Event, events: &[Record]) -> Result<f64> {
    let (result, time) = timed(|| events.iter().try_for_each(|record| interpret(rules, event, record).map(drop)));
    result?;
    #[expect(clippy::cast_precision_loss, reason = "a few events")]
    Ok(time.as_secs_f64() * 1e9 / events.len() as f64)
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    (work(), started.elapsed())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The columns of the table, and their units.
const COLUMNS: [(&str, &str); 14] = [
    ("event", ""),
    ("rules", ""),
    ("everyday", "ns"),
    ("estimate", "ns"),
    ("worst", "ns"),
    ("matching", "ns"),
    ("unplanned", "ns"),
    ("interpreter", "ns"),
    ("check", "ms"),
    ("compile", "ms"),
    ("load", "ms"),
    ("push", "ms"),
    ("verify", "ms"),
    ("verified", "instr."),
];

fn table_row(first: bool, figures: &Figures) {
    if first {
        table_line(&COLUMNS.map(|(name, _)| name.to_owned()));
        table_line(&COLUMNS.map(|(_, unit)| unit.to_owned()));
    }
    let Figures { everyday, estimate, worst, matching, interpreter, .. } = figures;
    let whole = |nanoseconds: &f64| format!("{nanoseconds:.0}");
    let tenths = |milliseconds: f64| format!("{milliseconds:.1}");
    table_line(&[
        figures.event.to_owned(),
        figures.rules.to_string(),
        whole(everyday),
        whole(estimate),
        whole(worst),
        whole(matching),
        figures.unplanned.as_ref().map_or_else(|| "refused".to_owned(), whole),
        whole(interpreter),
        tenths(figures.check_ms),
        tenths(figures.compile_ms),
        tenths(figures.load_ms),
        tenths(figures.push_ms),
        tenths(figures.verify_ms),
        figures.verified.map_or_else(|| "?".to_owned(), |count| count.to_string()),
    ]);
}

fn table_line(cells: &[String; COLUMNS.len()]) {
    let [event, rest @ ..] = cells;
    let rest: Vec<_> = rest.iter().map(|cell| format!("{cell:>12}")).collect();
    println!("{event:<13}{}", rest.concat());
}
