//! A candidate judges live events beside the generation in force, and changes nothing: what is wrong is
//! rejected, what is right comes into force.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sensor_common::hook::Hook;
use sensor_content::life::Stage;
use sensor_rules::Source;
use sensor_user::api::{
    protocol::Request,
    status::{Shadow, ShadowEnd, Status},
};

use crate::{
    content::{Host, bundle_of, runs},
    fifo, hooks, report,
    rules::{self, Draft},
    sensor::Sensor,
    suite::{Boot, Test},
    swap::{self, NumberedWrites},
    user, wait,
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "shadow::a_good_one_is_promoted_and_each_event_judged_once", boot: Boot::Plain, run: good },
    Test { name: "shadow::one_that_blocks_everything_is_rejected_and_blocks_nothing", boot: Boot::Plain, run: blocks },
    Test { name: "shadow::one_that_alerts_on_everything_is_rejected", boot: Boot::Plain, run: alerts },
    Test { name: "shadow::one_that_costs_fifty_times_too_much_is_rejected", boot: Boot::Plain, run: dear },
    Test { name: "shadow::what_is_missing_is_said_and_a_killed_daemon_gives_it_up", boot: Boot::Plain, run: held },
    Test { name: "shadow::one_user_rejects_nothing_and_a_second_one_does", boot: Boot::Plain, run: veto },
    Test { name: "shadow::both_generations_count_apart", boot: Boot::Plain, run: apart },
];

const NUMBERED: &str = "/tmp/shadowed";
/// No release says that it costs more.
const ANYTHING: (u32, u32) = (u32::MAX, u32::MAX);
const FIRST: u64 = 1;
const SECOND: u64 = 2;

fn numbered(condition: &str) -> Source {
    rules::file("numbered.yaml", &[Draft::alert("numbered", &["fifo.payload"], condition)])
}

/// A host on which generation 1 reports each numbered write, and whose owner has these limits for a shadow.
fn host(name: &str, limits: &str) -> Result<(Host, Sensor)> {
    let host = Host::new(name)?;
    host.policy(&format!("[shadow]\n{limits}\n"))?;
    let mut sensor = host.starts()?;
    first(&sensor)?;
    sensor.forget()?;
    Ok((host, sensor))
}

fn first(sensor: &Sensor) -> Result<()> {
    let bundle = bundle_of(FIRST, numbered("path == '/tmp/shadowed'"), ANYTHING)?;
    let pushed = sensor.client()?.pushed(&Request::push_bundle(&bundle, false, true))?;
    ensure!(pushed.shadow.is_none() && sensor.status()?.generation == Some(FIRST), "{pushed:?}");
    Ok(())
}

/// Pushes what then judges in the shadow of generation 1.
fn push(sensor: &Sensor, number: u64, source: Source, budget: (u32, u32)) -> Result<()> {
    let pushed = sensor.client()?.push_bundle(&bundle_of(number, source, budget)?, false)?;
    ensure!(pushed.shadow.is_some() && pushed.previous == Some(FIRST), "it is not in the shadow: {pushed:?}");
    Ok(())
}

fn shadow(sensor: &Sensor) -> Result<Shadow> {
    sensor.status()?.shadow.context("there is nothing in the shadow")
}

/// What becomes of the candidate, while `work` goes on.
fn decided(sensor: &Sensor, number: u64, mut work: impl FnMut() -> Result<()>) -> Result<ShadowEnd> {
    wait::until("the shadow to be decided", || {
        work()?;
        Ok(sensor.status()?.last_shadow.filter(|end| end.shadow.generation == number))
    })
    .with_context(|| sensor.words())
}

fn stages(sensor: &Sensor, number: u64) -> Result<Vec<(Stage, String)>> {
    let history = sensor.client()?.history()?;
    let own = history.into_iter().filter(|entry| entry.generation.number == number);
    Ok(own.map(|entry| (entry.stage, entry.reason)).collect())
}

/// No hook is attached but those of generation 1, whose rule is on `fifo.payload`.
fn only_the_first(status: &Status) -> Result<()> {
    let attached: BTreeSet<_> =
        status.hooks.iter().filter(|hook| hook.attached).map(|hook| hook.hook.as_str()).collect();
    let needed = hooks::needed(Hook::PipeWrite);
    ensure!(attached == needed, "attached is {attached:?}, and needed {needed:?}");
    Ok(())
}

/// Generation 1 is in force and refused nothing; the last step of `number` says why it was rejected.
fn is_rejected(sensor: &Sensor, before: &Status, number: u64, why: &str) -> Result<()> {
    let status = sensor.status()?;
    ensure!(status.generation == Some(FIRST) && status.shadow.is_none(), "{status}");
    ensure!(status.outcomes["denied"] == before.outcomes["denied"], "the shadow has blocked: {status}");
    ensure!(status.losses == before.losses, "losses: {:?}", status.losses);
    let (stage, reason) = stages(sensor, number)?.pop().context("no history")?;
    ensure!(stage == Stage::Rejected && reason.contains(why), "{stage:?}: {reason}");
    Ok(())
}

fn good() -> Result<()> {
    let (_host, sensor) = host("good", "time = \"2s\"\nevents = 300\ncost = 1000000000")?;
    let before = sensor.status()?;
    let writes = NumberedWrites::start(NUMBERED, swap::PAUSE)?;
    // Another condition, fields that generation 1 does not read, an event that it has no rule for, and a rule
    // that blocks nothing here.
    let second = rules::file(
        "second.yaml",
        &[
            Draft::alert("numbered", &["fifo.payload"], "path == '/tmp/shadowed' && process.exe != '/bin/other'"),
            Draft::block("guard", &["fifo.create"], "path == '/tmp/guarded-by-the-second'"),
            Draft::alert("signals", &["process.signal"], "signal == 64"),
        ],
    );
    push(&sensor, SECOND, second, ANYTHING)?;
    let hooks = sensor.status()?.hooks;
    ensure!(
        hooks.iter().any(|hook| hook.hook == "task_kill" && hook.attached),
        "its hooks are not attached: {hooks:?}"
    );
    let own = i32::try_from(std::process::id())?;
    let mut seen = Shadow::default();
    let end = decided(&sensor, SECOND, || {
        // SAFETY: takes two numbers; signal 0 is sent to nobody.
        unsafe { libc::kill(own, 0) };
        seen = sensor.status()?.shadow.unwrap_or_else(|| seen.clone());
        Ok(())
    })?;
    ensure!(end.promoted, "{end}");
    ensure!(seen.missed == 0 && end.shadow.events >= 300 && end.shadow.matched > 0, "{seen:?} {end}");
    runs(&sensor, SECOND)?;
    let switched = sensor.status()?.reports.received;
    wait::until("the second to report", || Ok((sensor.status()?.reports.received > switched + 100).then_some(())))?;
    let last = writes.stop()?;
    let judged = swap::generations(&sensor.lines()?, last)?;
    let by = |generation| judged.values().filter(|judge| **judge == generation).count() as u64;
    ensure!(
        by(FIRST) + by(SECOND) == last && by(FIRST) >= 300 && by(SECOND) >= 100,
        "{} and {}",
        by(FIRST),
        by(SECOND)
    );
    let status = sensor.status()?;
    let [was, is] = [&before, &status].map(|status| status.events["fifo.payload"]);
    let counted = (is.judged - was.judged, is.matched - was.matched);
    ensure!(counted == (last, last), "{last} writes, and judged and matched {counted:?}");
    ensure!(status.losses == before.losses, "losses: {:?}", status.losses);
    let steps: Vec<_> = stages(&sensor, SECOND)?.into_iter().map(|(stage, _)| stage).collect();
    ensure!(steps.ends_with(&[Stage::Verified, Stage::Shadow, Stage::Probation]), "{steps:?}");
    report::say(format!("{last} writes judged once, {} beside each other; {end}", end.shadow.events));
    ensure!(fifo::is_refused(&fifo::make("/tmp/guarded-by-the-second")), "the second does not block in force");
    ensure!(sensor.client()?.rollback()? != SECOND, "the way back is closed");
    sensor.stop()
}

fn blocks() -> Result<()> {
    report::say(rejects_what_blocks()?);
    Ok(())
}

/// A candidate that blocks everything is rejected, and has blocked nothing; why.
///
/// # Errors
/// Where it is not.
pub(super) fn rejects_what_blocks() -> Result<String> {
    let (_host, sensor) = host("blocks", "time = \"1s\"\nevents = 100\ncost = 1000000000")?;
    let before = sensor.status()?;
    let all = Draft::block("all", &["fifo.open", "fifo.create", "fifo.write"], "true");
    push(&sensor, SECOND, rules::file("all.yaml", &[all]), ANYTHING)?;
    let end = decided(&sensor, SECOND, || {
        fifo::remake("/tmp/free")?;
        fifo::open("/tmp/free")?;
        Ok(())
    })?;
    let words = end.to_string();
    ensure!(!end.promoted && words.contains("rule all would block"), "{words}");
    ensure!(words.contains("/tmp/free"), "no example: {words}");
    is_rejected(&sensor, &before, SECOND, "rule all would block")?;
    fifo::remake("/tmp/free")?;
    only_the_first(&sensor.status()?)?;
    sensor.stop()?;
    Ok(words)
}

fn alerts() -> Result<()> {
    let (_host, sensor) = host("alerts", "time = \"1s\"\nevents = 1000000\nalerts = 20\ncost = 1000000000")?;
    let before = sensor.status()?;
    let all = || rules::file("all.yaml", &[Draft::alert("all", &["fifo.open"], "true")]);
    push(&sensor, SECOND, all(), ANYTHING)?;
    fifo::remake("/tmp/free")?;
    let mut open = || {
        fifo::open("/tmp/free")?;
        Ok(())
    };
    let end = decided(&sensor, SECOND, &mut open)?;
    ensure!(!end.promoted && end.to_string().contains("rule all would report"), "{end}");
    is_rejected(&sensor, &before, SECOND, "rule all would report")?;
    // What the release says of itself counts too.
    push(&sensor, 3, all(), (u32::MAX, 10))?;
    let end = decided(&sensor, 3, open)?;
    ensure!(!end.promoted && end.to_string().contains("for an hour"), "{end}");
    let reports = sensor.lines()?;
    ensure!(reports.is_empty(), "the shadow has reported: {reports:?}");
    sensor.stop()
}

/// Writes that are as long as rules can read.
fn write_at_length() -> Result<impl FnMut() -> Result<()>> {
    use std::io::{Read as _, Write as _};
    fifo::remake(NUMBERED)?;
    let mut both = fifo::open(NUMBERED)?;
    Ok(move || {
        for _ in 0..50 {
            both.write_all(&[b'a'; 256])?;
            both.read_exact(&mut [0; 256])?;
        }
        Ok(())
    })
}

fn dear() -> Result<()> {
    report::say(rejects_what_is_slow()?);
    Ok(())
}

/// A candidate that costs fifty times what its release says is rejected; what it cost.
///
/// # Errors
/// Where it is not.
pub(super) fn rejects_what_is_slow() -> Result<String> {
    let (_host, sensor) = host("dear", "time = \"1s\"\nevents = 300\ncost = 1000000000")?;
    push(&sensor, SECOND, numbered("path == '/tmp/shadowed' && payload.contains('needle')"), ANYTHING)?;
    let end = decided(&sensor, SECOND, write_at_length()?)?;
    ensure!(end.promoted, "{end}");
    // A tenth of what one search takes: however quick or busy the machine is, the next release is far above it.
    let budget = u32::try_from(end.shadow.nanoseconds_per_event / 10)?.max(1);

    let condition = format!("path == '/tmp/shadowed' && ({})", rules::costly());
    let before = sensor.status()?;
    let bundle = bundle_of(3, numbered(&condition), (budget, u32::MAX))?;
    sensor.client()?.push_bundle(&bundle, false)?;
    let end = decided(&sensor, 3, write_at_length()?)?;
    let cost = end.shadow.nanoseconds_per_event;
    ensure!(!end.promoted && end.to_string().contains(&format!("an event costs {cost} ns")), "{end}");
    ensure!(cost >= 50 * u64::from(budget), "it costs {cost} ns of {budget}");
    let status = sensor.status()?;
    ensure!(status.generation == Some(SECOND) && status.losses == before.losses, "{status}");
    sensor.stop()?;
    Ok(format!("{cost} ns of a budget of {budget} ns per event"))
}

fn held() -> Result<()> {
    let (host, mut sensor) = host("held", "time = \"1s\"\nevents = 1000000\ncost = 1000000000")?;
    let rule = || rules::file("held.yaml", &[Draft::block("held", &["fifo.create"], "path == '/tmp/held'")]);
    push(&sensor, SECOND, rule(), ANYTHING)?;
    fifo::remake("/tmp/free")?;
    let held = wait::until("an event to be judged in the shadow", || {
        Ok(Some(shadow(&sensor)?).filter(|shadow| shadow.events > 0))
    })?;
    let missing = format!("{} events more are to be seen", 1_000_000 - held.events);
    ensure!(held.reasons.iter().any(|reason| reason == &missing), "{missing}: {held:?}");
    let status = sensor.status()?.to_string();
    ensure!(status.contains("generation 2, 1 rules, judges beside") && status.contains("events more"), "{status}");
    ensure!(stages(&sensor, SECOND)?.last().is_some_and(|(stage, _)| *stage == Stage::Shadow), "not in the history");

    sensor.signal(libc::SIGKILL)?;
    sensor.ended()?;
    sensor = host.starts()?;
    let status = sensor.status()?;
    ensure!(status.generation == Some(FIRST) && status.shadow.is_none(), "{status}");
    only_the_first(&status)?;
    let (stage, reason) = stages(&sensor, SECOND)?.pop().context("no history")?;
    ensure!(stage == Stage::Rejected && reason.contains("the daemon ended"), "{stage:?}: {reason}");
    // Nothing is held against it.
    push(&sensor, SECOND, rule(), ANYTHING)?;
    // Another takes its place.
    push(&sensor, 3, rule(), ANYTHING)?;
    ensure!(shadow(&sensor)?.generation == 3, "{}", sensor.status()?);
    let (stage, reason) = stages(&sensor, SECOND)?.pop().context("no history")?;
    ensure!(stage == Stage::Rejected && reason.contains("generation 3 took its place"), "{stage:?}: {reason}");
    sensor.stop()?;
    ensure!(!fs::exists("/sys/fs/bpf/creance")?, "pins are left");
    Ok(())
}

fn veto() -> Result<()> {
    const SHARED: &str = "/tmp/shared-by-users";
    let (_host, sensor) = host("shadow-veto", "time = \"1s\"\nevents = 1000000\ncost = 1000000000")?;
    let before = sensor.status()?;
    user::fifo_for_all(SHARED)?;
    let all = Draft::block("all", &["fifo.open"], "path == '/tmp/shared-by-users'");
    push(&sensor, SECOND, rules::file("all.yaml", &[all]), ANYTHING)?;
    user::opens(1000, SHARED, 200)?;
    // Several looks at the candidate.
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        let shadow =
            sensor.status()?.shadow.with_context(|| format!("one user had it rejected: {}", sensor.words()))?;
        ensure!(shadow.generation == SECOND, "{shadow:?}");
        thread::sleep(Duration::from_millis(100));
    }
    ensure!(shadow(&sensor)?.matched == 200, "{:?}", shadow(&sensor)?);
    user::opens(1001, SHARED, 1)?;
    let end = decided(&sensor, SECOND, || Ok(()))?;
    ensure!(!end.promoted && end.to_string().contains("of 2 users and 0 services"), "{end}");
    is_rejected(&sensor, &before, SECOND, "rule all would block 201 events")?;
    report::say(end.to_string());
    sensor.stop()
}

/// A rule that matches from the eleventh FIFO on.
fn counting(id: &str) -> Source {
    let text = format!(
        "rules:\n- id: {id}\n  title: Many\n  severity: low\n  on: fifo.create\n  condition: path.startsWith('/tmp/counted')\n  \
         count: {{by: process.pid, within: 600s, more_than: 10}}\n"
    );
    Source { name: "counting.yaml".into(), text: text.into_bytes() }
}

fn apart() -> Result<()> {
    let host = Host::new("apart")?;
    host.policy("unsigned = true\n[shadow]\ntime = \"1s\"\nevents = 40\ncost = 1000000000\nalerts = 100")?;
    let sensor = host.starts()?;
    let Source { name, text } = counting("many");
    let sources = vec![Source { name, text }.into()];
    sensor.client()?.pushed(&Request::Push { sources, skip_checks: false, no_shadow: true })?;
    let create = |count| (0..count).try_for_each(|_| fifo::remake("/tmp/counted"));
    create(5)?;
    let pushed = sensor.push(vec![counting("many")])?;
    ensure!(pushed.shadow.is_some(), "it is not in the shadow: {pushed:?}");
    create(20)?;
    // Five and twenty; of twenty, the candidate saw all and nothing before.
    let matched = || -> Result<u64> { Ok(sensor.status()?.events["fifo.create"].matched) };
    let seen = wait::until("the candidate to have judged them", || {
        Ok(Some(shadow(&sensor)?).filter(|shadow| shadow.events == 20))
    })?;
    ensure!((seen.matched, matched()?) == (10, 15), "{} and {} matched", seen.matched, matched()?);
    create(20)?;
    let end = decided(&sensor, pushed.generation, || {
        thread::yield_now();
        Ok(())
    })?;
    ensure!(end.promoted && end.shadow.matched == 30, "{end}");
    ensure!(matched()? == 35, "{} matched in force", matched()?);
    sensor.stop()
}
