//! Has attempts tried again and again, and compares what came of them with what is known.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use sensor_user::kernel::probe::Mode;

use super::{
    Attempt, attempts,
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
        let mut worst = Worst { mode, verdicts: BTreeMap::new(), broken: BTreeMap::new() };
        let mut judge = Judge::start(mode)?;
        let mut tries = 0_u32;
        for round in 0.. {
            if round > 0 && round % ROUNDS_OF_A_DAEMON == 0 {
                judge.stop()?;
                judge = Judge::start(mode)?;
            }
            judge.again()?;
            for attempt in attempts().filter(|attempt| (self.chosen)(attempt)) {
                if round > 0 && Instant::now() >= until {
                    break;
                }
                worst.add(attempt, judge.verdict(attempt));
                tries += 1;
            }
            if Instant::now() >= until {
                break;
            }
        }
        let losses = judge.losses()?;
        judge.stop()?;
        worst.say(tries);
        report::say(format!("not judged or not told meanwhile: {losses:?}"));
        ensure!(worst.broken.is_empty(), "attempts that could not be made: {:#?}", worst.broken);
        Ok(worst)
    }
}

impl Worst {
    fn add(&mut self, attempt: &Attempt, result: Result<Verdict>) {
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
    fn say(&self, tries: u32) {
        let named = |verdict: Verdict| {
            let all: Vec<_> =
                self.verdicts.iter().filter(|(_, there)| **there == verdict).map(|(name, _)| *name).collect();
            let names =
                if verdict == Verdict::Stopped || all.is_empty() { "" } else { &format!(": {}", all.join("; ")) };
            format!("{} {}{names}", all.len(), verdict.name())
        };
        report::say(format!(
            "{tries} tries of {} attempts by {}. {}",
            self.verdicts.len(),
            self.mode.name(),
            Verdict::ALL.map(named).join(". ")
        ));
    }
}

/// Tells what stands in a table of the document.
pub fn tell(table: Table, worst: &Worst) -> Result<()> {
    let known = known::here()?;
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

/// Nothing is missed but what is known to be, and that is.
pub fn agree_with_known(worst: &Worst) -> Result<()> {
    let known = known::here()?;
    let mut wrong = Vec::new();
    for (attempt, verdict) in worst.all() {
        let (name, missed) = (attempt.name, verdict == Verdict::Missed);
        match of(&known, attempt) {
            None if missed => wrong.push(format!("{name}: succeeded unseen")),
            Some(remain) if !missed && !attempt.races => {
                wrong.push(format!("{name}: {}, but known as missed ({})", verdict.name(), remain.why));
            }
            _ => {}
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
