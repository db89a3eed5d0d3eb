//! The compiled program, run by this machine's kernel, against the CEL interpreter, on random rules and records.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use sensor_common::{event::Event, record::Record, verdict::Verdict};
use sensor_rules::{Budget, RuleSet, interpret};
use sensor_user::kernel::test_run::{TestRun, not_permitted};

use crate::{
    case::{Case, rules},
    random::{Random, record, rule_file},
};

/// How many records each rule set judges.
const RECORDS: u64 = 100;
/// Instructions of a program, where several are to be needed.
const SMALL: usize = 400;
/// After so many differences nothing more is learnt.
const DIFFERENCES_MAX: usize = 8;

/// What came of a comparison.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Compared {
    /// Pairs of rule set and record.
    pub pairs: u64,
    /// Those on which some rule matched.
    pub matched: u64,
    /// Rules in all sets.
    pub rules: u64,
    /// Rule sets.
    pub sets: u64,
    /// How long it took.
    pub time: Duration,
    /// The pairs on which the judges differ, made small, with a name by which the same is found again.
    pub differences: Vec<(String, Case)>,
}

/// Compares at least `pairs` pairs, on `threads` threads; the same seed makes the same pairs.
///
/// # Errors
/// Where rules that were to be well-typed do not pass the checks, or the interpreter fails: defects, too.
pub fn compare(seed: u64, pairs: u64, threads: usize) -> Result<Compared> {
    let started = Instant::now();
    let (rounds, next) = (pairs.div_ceil(RECORDS), AtomicU64::new(0));
    let total = Mutex::new(Compared::default());
    let work = || -> Result<()> {
        loop {
            let round = next.fetch_add(1, Ordering::Relaxed);
            let enough = lock(&total).differences.len() >= DIFFERENCES_MAX;
            if round >= rounds || enough {
                return Ok(());
            }
            let found = one(seed, round)?;
            let mut total = lock(&total);
            total.pairs += found.pairs;
            total.matched += found.matched;
            total.rules += found.rules;
            total.sets += 1;
            total.differences.extend(found.differences);
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })?;
    let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.time = started.elapsed();
    Ok(total)
}

/// One rule set and its records.
fn one(seed: u64, round: u64) -> Result<Compared> {
    let mut random = Random::new(seed.wrapping_mul(1_000_003).wrapping_add(round));
    let (event, text) = rule_file(&mut random);
    let checked = rules(&text)?;
    let mut found = Compared { rules: checked.rules().len() as u64, ..Compared::default() };
    // Now and then programs so small that the rules need several.
    let small = random.one_in(8).then(|| TestRun::load_within(&checked, Budget::of(SMALL)).ok()).flatten();
    let mut kernel = small.map_or_else(|| TestRun::load(&checked), Ok);
    for number in 0..RECORDS {
        let record = record(&mut random);
        let expected = interpret(&checked, event, &record)?;
        found.pairs += 1;
        found.matched += u64::from(expected.matched > 0 || expected.noted > 0);
        let same = kernel.as_mut().is_ok_and(|kernel| kernel.judge(event, &record).ok() == Some(expected));
        let same = same && (expected == Verdict::NONE || !is_passed_over(&checked, event, &record));
        if !same && found.differences.is_empty() {
            let case = Case { event, rules: text.clone(), record };
            found.differences.push((format!("seed-{seed}-round-{round}-record-{number}"), case.reduced()));
        }
    }
    Ok(found)
}

/// Whether a hook would say of the event, by one number, that no rule matches it. (A payload that could not be read
/// leaves rules undecided here, and can be too short for them there.)
fn is_passed_over(rules: &RuleSet, event: Event, record: &Record) -> bool {
    let (payload, signal) = (&record.object.payload, record.object.signal);
    let is_short = payload.len == payload.full && payload.full < rules.least_payload(event);
    is_short || event == Event::ProcessSignal && signal < u64::BITS && rules.signals() & 1 << signal == 0
}

/// Whether this process may load programs at all.
///
/// # Errors
/// Where it may and the kernel refuses the simplest of them.
pub fn may_load() -> Result<bool> {
    let rules = rules("rules:\n- {id: x, title: x, severity: low, on: fifo.open, condition: reads}\n")?;
    match TestRun::load(&rules) {
        Ok(_) => Ok(true),
        Err(error) if not_permitted(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A sum is whole between any two additions.
fn lock(total: &Mutex<Compared>) -> std::sync::MutexGuard<'_, Compared> {
    total.lock().unwrap_or_else(PoisonError::into_inner)
}
