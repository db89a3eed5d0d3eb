//! Has attempts tried again and again, and compares what came of them with what is known.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use sensor_user::kernel::probe::Mode;

use super::{
    attempt::Attempt,
    families::attempts,
    judge::{Judge, Verdict},
    known::{self, Remain},
    setting,
};
use crate::{
    protocol::Table,
    report,
    suite::{self, NotHere},
};

/// After so many rounds the daemon begins anew: the file of its events, which each attempt reads, has grown.
const ROUNDS_OF_A_DAEMON: u32 = 10;

/// Which attempts are made, against which daemon.
pub struct Round {
    mode: Option<Mode>,
    chosen: fn(&Attempt) -> bool,
}

/// The worst that came of each attempt in one mode.
pub struct Worst {
    mode: Mode,
    verdicts: BTreeMap<&'static str, Verdict>,
    /// What stood in the way of attempts that could not be made.
    broken: BTreeMap<&'static str, String>,
    tries: u32,
    slowest: (Duration, &'static str),
    /// What daemons said they had not judged or not told, by reason.
    losses: BTreeMap<String, u64>,
}

impl Round {
    /// All of them, in the mode that the daemon chooses.
    pub const EACH: Self = Self { mode: None, chosen: |_| true };
    /// Those that depend on who is faster.
    pub const RACES: Self = Self { mode: None, chosen: |attempt| attempt.races };
    /// All of them, by programs that need no BPF among the security modules.
    pub const MODIFY_RETURN: Self = Self { mode: Some(Mode::ModifyReturn), chosen: |_| true };

    /// Tries all of them once, and then again until so much time is over.
    pub fn again_for(&self, time: Duration) -> Result<Worst> {
        setting::make()?;
        let until = Instant::now() + time;
        let mode = self.mode.unwrap_or_else(suite::mode);
        let mut worst = Worst::new(mode);
        let mut judge = Judge::start(mode)?;
        self.once(&mut judge, &mut worst, None)?;
        let mut rounds = 1_u32;
        while Instant::now() < until {
            if rounds.is_multiple_of(ROUNDS_OF_A_DAEMON) {
                worst.end(judge)?;
                // A machine that says nothing for long is taken to hang.
                report::say(format!("{} tries so far", worst.tries));
                judge = Judge::start(mode)?;
            }
            self.once(&mut judge, &mut worst, Some(until))?;
            rounds += 1;
        }
        worst.end(judge)?;
        worst.say();
        ensure!(worst.broken.is_empty(), "attempts that could not be made: {:#?}", worst.broken);
        Ok(worst)
    }

    /// Tries each of them, or as many as there is time for.
    fn once(&self, judge: &mut Judge, worst: &mut Worst, until: Option<Instant>) -> Result<()> {
        judge.again()?;
        for attempt in attempts().filter(|attempt| (self.chosen)(attempt)) {
            if until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
            let started = Instant::now();
            let result = judge.verdict(attempt);
            worst.add(attempt, started.elapsed(), result);
        }
        Ok(())
    }
}

impl Worst {
    const fn new(mode: Mode) -> Self {
        Self {
            mode,
            verdicts: BTreeMap::new(),
            broken: BTreeMap::new(),
            tries: 0,
            slowest: (Duration::ZERO, ""),
            losses: BTreeMap::new(),
        }
    }

    /// Ends a daemon, and keeps what it has counted.
    fn end(&mut self, judge: Judge) -> Result<()> {
        for (reason, count) in judge.losses()? {
            *self.losses.entry(reason).or_default() += count;
        }
        judge.stop()
    }

    fn add(&mut self, attempt: &Attempt, took: Duration, result: Result<Verdict>) {
        self.tries += 1;
        self.slowest = self.slowest.max((took, attempt.name));
        match result {
            Ok(verdict) => {
                let entry = self.verdicts.entry(attempt.name).or_insert(verdict);
                *entry = (*entry).max(verdict);
            }
            Err(error) if error.is::<NotHere>() => {}
            Err(error) => drop(self.broken.insert(attempt.name, format!("{error:#}"))),
        }
    }

    /// Each that could be made, in their order.
    fn all(&self) -> impl Iterator<Item = (&'static Attempt, Verdict)> {
        attempts().filter_map(|attempt| Some((attempt, *self.verdicts.get(attempt.name)?)))
    }

    /// Says how many came to what, and names those that were not stopped.
    fn say(&self) {
        let named = |verdict: Verdict| {
            let all: Vec<_> =
                self.verdicts.iter().filter(|(_, there)| **there == verdict).map(|(name, _)| *name).collect();
            let names =
                if verdict == Verdict::Stopped || all.is_empty() { "" } else { &format!(": {}", all.join("; ")) };
            format!("{} {}{names}", all.len(), verdict.name())
        };
        report::say(format!(
            "{} tries of {} attempts by {}. {}",
            self.tries,
            self.verdicts.len(),
            self.mode.name(),
            Verdict::ALL.map(named).join(". ")
        ));
        let (time, slowest) = self.slowest;
        report::say(format!("slowest: {slowest}, {time:.1?}; not judged or not told meanwhile: {:?}", self.losses));
    }
}

/// Tells what stands in a table of the document.
pub fn tell(table: Table, worst: &Worst) -> Result<()> {
    let known = known::here(worst.mode)?;
    for (attempt, verdict) in worst.all() {
        report::fact(table, attempt.name, &cell(attempt, verdict, of(&known, attempt)));
    }
    Ok(())
}

fn of<'a>(known: &[&'a Remain], attempt: &Attempt) -> Option<&'a Remain> {
    known.iter().copied().find(|remain| remain.attempt == attempt.name)
}

/// What stands in the document. Of a race only what holds in every run.
fn cell(attempt: &Attempt, verdict: Verdict, remain: Option<&Remain>) -> String {
    match remain {
        Some(remain) if attempt.races => format!("can be missed: {}", remain.why),
        Some(remain) => format!("{}: {}", verdict.name(), remain.why),
        None if attempt.races => "never missed".to_owned(),
        None => verdict.name().to_owned(),
    }
}

/// Nothing is missed but what is known to be, and that is, where it does not depend on who is faster. Nothing
/// that a rule blocks is only seen.
pub fn agree_with_known(worst: &Worst) -> Result<()> {
    let known = known::here(worst.mode)?;
    let mut wrong = Vec::new();
    for (attempt, verdict) in worst.all() {
        let (name, missed) = (attempt.name, verdict == Verdict::Missed);
        match of(&known, attempt) {
            None if missed => wrong.push(format!("{name}: succeeded unseen")),
            _ if verdict == Verdict::Seen => wrong.push(format!("{name}: succeeded, and was only seen")),
            Some(remain) if !missed && !attempt.races => {
                wrong.push(format!("{name}: {}, but known as missed ({})", verdict.name(), remain.why));
            }
            _ => {}
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
