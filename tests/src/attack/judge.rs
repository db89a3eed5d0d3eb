//! Runs an attempt as an ordinary user, and says what came of it.

use std::{
    collections::BTreeMap,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, Stdio, exit},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use sensor_rules::Source;
use sensor_user::kernel::probe::Mode;
use serde_json::Value;

use super::{attempt::Attempt, setting};
use crate::{
    sensor::{Launch, Sensor, names_rule},
    suite::NotHere,
    wait, work,
};

/// What came of an attempt, the better the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It failed, and an event tells of it.
    Stopped,
    /// It succeeded, and an event tells of it.
    Seen,
    /// It succeeded, and an event says that it could not be judged.
    Undecided,
    /// It succeeded, and nothing tells of it.
    Missed,
}

impl Verdict {
    pub const ALL: [Self; 4] = [Self::Stopped, Self::Seen, Self::Undecided, Self::Missed];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Seen => "seen",
            Self::Undecided => "undecided",
            Self::Missed => "missed",
        }
    }
}

/// The rest of an attempt, which another user plays.
pub const THEN: &str = "then";
const FIRST: &str = "first";

/// How long one attempt may take on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);

const SUCCEEDED: i32 = 10;
const STOPPED: i32 = 11;
const NOT_HERE: i32 = 12;
const FAILED: i32 = 13;

/// Ends the process with what came of its attempt.
pub fn tell(result: Result<bool>) -> ! {
    exit(match result {
        Ok(true) => SUCCEEDED,
        Ok(false) => STOPPED,
        Err(error) if error.is::<NotHere>() => NOT_HERE,
        Err(error) => {
            eprintln!("attempt: {error:#}");
            FAILED
        }
    })
}

/// What [`tell`] told about a process that has ended: whether it succeeded. Whoever is killed did not.
pub fn told(status: std::process::ExitStatus) -> Result<bool> {
    match (status.code(), status.signal()) {
        (Some(SUCCEEDED), _) => Ok(true),
        (Some(STOPPED), _) | (_, Some(libc::SIGKILL)) => Ok(false),
        (Some(NOT_HERE), _) => Err(NotHere("it cannot be tried on this kernel").into()),
        _ => bail!("the attempt could not be made: it ended with {status}"),
    }
}

/// Has the rules in force, and reads what the daemon says.
pub struct Judge {
    sensor: Sensor,
    rules: Source,
}

impl Judge {
    pub fn start(mode: Mode) -> Result<Self> {
        let rules = Source { name: "attack.yaml".to_owned(), text: include_bytes!("rules.yaml").to_vec() };
        let launch = Launch::rules(std::slice::from_ref(&rules))?.enforcing().with(&["--mode", mode.name()]);
        let sensor = launch.start()?;
        Ok(Self { sensor, rules })
    }

    /// Begins a round: with the budgets of a new generation, and no mark on any pipe.
    pub fn again(&mut self) -> Result<()> {
        self.sensor.push(vec![self.rules.clone()])?;
        self.sensor.forget()
    }

    /// What the sensor says it has not judged or not told, by reason.
    pub fn losses(&self) -> Result<BTreeMap<String, u64>> {
        let mut losses = self.sensor.status()?.losses;
        losses.retain(|_, count| *count > 0);
        Ok(losses)
    }

    pub fn stop(self) -> Result<()> {
        self.sensor.stop()
    }

    /// Lets it be tried, once.
    pub fn verdict(&mut self, attempt: &Attempt) -> Result<Verdict> {
        self.sensor.forget()?;
        let mut succeeded = run(attempt, FIRST, setting::USER)?;
        if attempt.then.is_some() {
            self.sensor.forget()?;
            succeeded = run(attempt, THEN, setting::OTHER)?;
        }
        let reports = self.sensor.reports()?;
        let events: Vec<_> = reports.iter().filter(|report| names_rule(report, attempt.rule)).collect();
        let is_told = succeeded || events.iter().any(|event| is_stopped(event));
        ensure!(is_told, "it did not succeed, but no event tells that the sensor stopped it: {reports:#?}");
        // What was stopped says nothing of what was not.
        let mut telling = events.iter().filter(|event| !is_stopped(event)).peekable();
        Ok(if !succeeded {
            Verdict::Stopped
        } else if telling.peek().is_none() {
            Verdict::Missed
        } else if telling.all(|event| is_undecided(event)) {
            Verdict::Undecided
        } else {
            Verdict::Seen
        })
    }
}

/// Whether an event tells of what did not succeed.
fn is_stopped(event: &Value) -> bool {
    ["denied", "killed", "quarantined"].iter().any(|outcome| event["outcome"] == *outcome)
}

/// Whether an event names what it would have to know of more.
fn is_undecided(event: &Value) -> bool {
    event["undecided"].as_array().is_some_and(|fields| !fields.is_empty())
}

fn run(attempt: &Attempt, part: &str, user: u32) -> Result<bool> {
    let mut command = Command::new(work::PROGRAM);
    command.args(["work", "attack", part, attempt.name]).uid(user).gid(user).current_dir("/").stdin(Stdio::null());
    let mut child = Running(command.spawn().context("cannot start it")?);
    told(wait::within(PATIENCE, "the attempt to end", || Ok(child.0.try_wait()?))?)
}

/// Ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
