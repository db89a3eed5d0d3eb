//! The attacker's suite: an ordinary user tries, in every way that is known here, what a blocking rule forbids. What succeeds
//! without a word of the sensor fails the test, unless it is a [known remain](known). `docs/evasion.md` is made of it.
//!
//! | Module | Holds |
//! |---|---|
//! | `judge` | runs an attempt, and says what came of it |
//! | `known` | what still gets through, and why |
//! | `rules.yaml` | the rules that are attacked |
//! | the others | one family of attempts each |

mod actors;
mod compat;
mod identity;
mod judge;
mod known;
mod message;
mod paths;
mod payload;
mod resources;
mod setting;
mod unix;
mod uring;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    preemption,
    protocol::Table,
    report,
    suite::{Boot, NotHere, Test},
};
use judge::{Judge, Verdict};

/// See the [module](self).
pub const TESTS: &[Test] = &[
    Test { name: "attack::one_minute", boot: Boot::Plain, run: one_minute },
    Test { name: "attack::one_minute_preempted", boot: Boot::Preempt, run: one_minute_preempted },
    Test { name: "attack::ten_minutes", boot: Boot::Long, run: ten_minutes },
];

/// Tries the forbidden thing: whether it succeeded. What stands in its way otherwise is an error.
type Try = fn() -> Result<bool>;

/// One way to get around a rule.
struct Attempt {
    /// Unique, and stable: rows of `docs/evasion.md` are known by it.
    name: &'static str,
    /// The rule of `rules.yaml` that forbids it.
    rule: &'static str,
    /// By the first of the users.
    run: Try,
    /// By another user afterwards: then this is the forbidden thing, and `run` only prepares it.
    then: Option<Try>,
    /// What comes of it depends on luck.
    races: bool,
}

impl Attempt {
    const fn new(name: &'static str, rule: &'static str, run: Try) -> Self {
        Self { name, rule, run, then: None, races: false }
    }

    const fn race(name: &'static str, rule: &'static str, run: Try) -> Self {
        Self { races: true, ..Self::new(name, rule, run) }
    }
}

const FAMILIES: &[&[Attempt]] = &[
    paths::ATTEMPTS,
    identity::ATTEMPTS,
    payload::ATTEMPTS,
    message::ATTEMPTS,
    unix::ATTEMPTS,
    uring::ATTEMPTS,
    compat::ATTEMPTS,
    resources::ATTEMPTS,
    // Last: they use up budgets.
    actors::ATTEMPTS,
];

fn attempts() -> impl Iterator<Item = &'static Attempt> {
    FAMILIES.iter().copied().flatten()
}

/// The role: tries one, or what follows it.
///
/// # Errors
/// Where there is none of this name.
pub fn play(part: &str, name: &str) -> Result<()> {
    let attempt = attempts().find(|attempt| attempt.name == name).context("no such attempt")?;
    let run = if part == judge::THEN { attempt.then.context("nothing follows")? } else { attempt.run };
    judge::tell(run())
}

/// The role: opens a FIFO, as another program would.
///
/// # Errors
/// Never: it does not return.
pub fn open(path: &str) -> Result<()> {
    judge::tell(paths::open(path))
}

fn one_minute() -> Result<()> {
    let worst = rounds(Duration::from_mins(1))?;
    for attempt in attempts() {
        if let Some(verdict) = worst.get(attempt.name) {
            report::fact(Table::Evasion, attempt.name, &cell(attempt, *verdict));
        }
    }
    agrees_with_known(&worst)
}

fn one_minute_preempted() -> Result<()> {
    preemption::can_preempt()?;
    agrees_with_known(&rounds(Duration::from_mins(1))?)
}

fn ten_minutes() -> Result<()> {
    agrees_with_known(&rounds(Duration::from_mins(10))?)
}

/// Tries all of them again and again for so long, at least once; the worst that came of each.
fn rounds(time: Duration) -> Result<BTreeMap<&'static str, Verdict>> {
    setting::make()?;
    let mut judge = Judge::start()?;
    let until = Instant::now() + time;
    let mut worst = BTreeMap::new();
    let mut broken = BTreeMap::new();
    let mut count = 0_u32;
    loop {
        judge.again()?;
        for attempt in attempts() {
            match judge.verdict(attempt) {
                Ok(verdict) => {
                    let entry = worst.entry(attempt.name).or_insert(verdict);
                    *entry = (*entry).max(verdict);
                }
                Err(error) if error.is::<NotHere>() => {}
                Err(error) => drop(broken.insert(attempt.name, format!("{error:#}"))),
            }
        }
        count += 1;
        if Instant::now() >= until {
            break;
        }
    }
    report::say(format!("{count} rounds of {} attempts: {}", worst.len(), tally(&worst)));
    let missed: Vec<_> =
        worst.iter().filter(|(_, verdict)| **verdict == Verdict::Missed).map(|(name, _)| *name).collect();
    report::say(format!("missed: {}", missed.join("; ")));
    judge.stop()?;
    ensure!(broken.is_empty(), "attempts that could not be made: {broken:#?}");
    Ok(worst)
}

fn tally(worst: &BTreeMap<&str, Verdict>) -> String {
    let count = |verdict| worst.values().filter(|there| **there == verdict).count();
    Verdict::ALL.map(|verdict| format!("{} {}", count(verdict), verdict.name())).join(", ")
}

/// What stands in the document. Of a race only what holds in every run.
fn cell(attempt: &Attempt, verdict: Verdict) -> String {
    match known::remain(attempt.name) {
        Some(remain) => format!("missed: {}", remain.why),
        None if attempt.races => "never missed".to_owned(),
        None => verdict.name().to_owned(),
    }
}

/// Nothing is missed but what is known to be, and that is.
fn agrees_with_known(worst: &BTreeMap<&'static str, Verdict>) -> Result<()> {
    let mut wrong = Vec::new();
    for attempt in attempts() {
        let Some(verdict) = worst.get(attempt.name) else { continue };
        let (missed, remain) = (*verdict == Verdict::Missed, known::remain(attempt.name));
        if missed && remain.is_none() {
            wrong.push(format!("{}: succeeded unseen", attempt.name));
        }
        if let Some(remain) = remain.filter(|_| !missed && !attempt.races) {
            wrong.push(format!(
                "{}: {}, and no longer missed ({}); take it off the list",
                attempt.name,
                verdict.name(),
                remain.why
            ));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_remains_are_attempts() {
        let mut names: Vec<_> = attempts().map(|attempt| attempt.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        for remain in known::REMAINS {
            assert!(names.contains(&remain.attempt), "{}", remain.attempt);
        }
    }
}
