//! The rows that need no kernel: what a publisher's own tools refuse.

use std::{
    fs,
    process::{Command, Output},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use sensor_content::{
    bundle::Category,
    digest::Digest,
    fleet::{Paced, Ramps, Release, Seat, host_id},
    life::Id,
    rollout::{Pace, Ramp, Ring},
};

use super::row::Row;
use crate::project;

/// A plan that offers a release to everybody at once, as on 19 July 2024.
const EVERYBODY: &str = "\
control = { early = \"20%\", general = \"1%\", late = \"1%\" }

[judge]
error_rate = 0.002
suspicion = 0.02
ratio = 1.5
refusals = \"0.1%\"
grace = \"10m\"
stale = \"5m\"
step = \"5m\"

[[stage]]
name = \"everybody\"
open = { early = \"100%\", general = \"100%\", late = \"100%\" }
hosts_per_kernel = 30
ramp = \"0s\"
soak = \"10m\"
";

/// A rule on two things, and tests that try one of them: the other might as well be a wildcard.
const UNTRIED: &str = "\
rules:
  - id: fifth-file
    title: A FIFO is made in /tmp as it is opened
    severity: high
    on: fifo.open
    condition: path.startsWith('/tmp/') && creates
    tests:
      match: [{path: /tmp/f, creates: true}]
      no_match: [{path: /run/f, creates: true}]
";

/// A row: its test, the mistake that is let in, what must stop it, and how that is tried.
type Trial = (&'static str, &'static str, &'static str, fn() -> Result<Told>);

const TRIALS: [Trial; 2] = [
    (
        "replay::row_9_released_to_everybody_at_once",
        "released to everybody at once",
        "the roll-out plan is refused; who stole the online key is refused by each host",
        everybody,
    ),
    (
        "replay::row_10_no_test_for_what_is_no_wildcard",
        "no test for what is no wildcard",
        "`creance test` and `creance bundle build`: a changed rule passes its tests",
        untried,
    ),
];
/// How many rows there are.
pub const ROWS: usize = TRIALS.len();

/// Each of them, tried.
pub fn rows() -> impl Iterator<Item = Row> {
    TRIALS.into_iter().map(tell)
}

/// What was seen, and the words.
type Told = (String, String);

fn tell((test, mistake, stopped_by, run): Trial) -> Row {
    let started = Instant::now();
    let told = run();
    let ok = told.is_ok();
    let (seen, words) = told.unwrap_or_else(|error| ("NOT AS EXPECTED".to_owned(), format!("{error:#}")));
    let [test, mistake, stopped_by] = [test, mistake, stopped_by].map(str::to_owned);
    Row { test, mistake, stopped_by, seen, words, ok, took: started.elapsed() }
}

fn everybody() -> Result<Told> {
    let said = refused(&["rollout", "plan"], "everybody.toml", EVERYBODY)?;
    ensure!(said.contains("there is no release without a canary"), "it says {said}");
    let sound = creance(&["rollout", "plan", "routine"])?;
    ensure!(sound.status.success(), "the plan that ships is refused");
    let host = stolen()?;
    let seen = "refused; the plan that ships is taken; a host waits for what the content keys allow";
    Ok((seen.to_owned(), format!("{said}\n{host}")))
}

/// Who stole the online key offers a release to everybody at once, and signs that a month has passed since its
/// publication; what a host says.
fn stolen() -> Result<String> {
    let (now, id) = (Timestamp::now(), Id { number: 291, digest: Digest::of(b"291") });
    let pace = Pace { published: now, ramp: Ramp::shipped(Category::Urgent) };
    let seat = Seat { host: host_id("a host"), ring: Ring::General, hangs: false };
    let paced = Paced::Signed(pace);
    let release = Release { id, category: Category::Urgent, paced: Some(&paced) };
    let mut ramps = Ramps::default();
    ramps.learns(seat, Some(now + SignedDuration::from_hours(24 * 30)), [release].into_iter());
    ramps.passes(SignedDuration::ZERO, now);
    let said = ramps.waits(id).context("the host takes it")?.to_string();
    ensure!(said.contains("the content keys allow it on this host"), "it says {said}");
    Ok(said)
}

fn untried() -> Result<Told> {
    let said = refused(&["test"], "untried.yaml", UNTRIED)?;
    ensure!(said.contains("its tests are right as well where `creates` is always true"), "it says {said}");
    let tried = UNTRIED.replace("no_match: [", "no_match: [{path: /tmp/f}, ");
    ensure!(refused(&["test"], "tried.yaml", &tried).is_err(), "the same rule with one test more is refused");
    Ok(("refused; with one test more it is taken".to_owned(), said))
}

/// Gives a command a file that it must refuse; its words.
fn refused(arguments: &[&str], name: &str, text: &str) -> Result<String> {
    let place = project::target("demo-291");
    fs::create_dir_all(&place)?;
    let file = place.join(name);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    let path = file.to_string_lossy();
    let output = creance(&arguments.iter().copied().chain([&*path]).collect::<Vec<_>>())?;
    fs::remove_file(&file)?;
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&words).replace(&*path, name);
    ensure!(!output.status.success(), "{name} is taken: {words}");
    Ok(words.trim().to_owned())
}

fn creance(arguments: &[&str]) -> Result<Output> {
    Command::new(project::binary("creance")).args(arguments).output().context("cannot start creance")
}
