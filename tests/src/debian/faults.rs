//! The fault table: generations that take the daemon or the host down, and how the host comes back by itself.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use sensor_common::{event::Event, verdict::Action};
use sensor_content::life::Stage;
use sensor_rules::Source;
use sensor_user::control::client::Error;

use super::{
    fifos,
    host::{self, BROUGHT, PATIENCE, SERVICE, property, run},
    progress::{self, Next, Progress, Step, now},
};
use crate::{
    content::{GUARD, guarded},
    fifo,
    protocol::{Message, is_chosen},
    report,
    rules::{self, Draft},
    wait,
};

/// A generation with something wrong.
struct Row {
    what: &'static str,
    harm: Harm,
    rules: fn() -> Source,
    /// What its publisher says of it: nanoseconds per event, alerts in an hour.
    budget: (u32, u32),
    /// The owner's policy.
    policy: &'static str,
}

/// How a generation does harm.
#[derive(Clone, Copy)]
enum Harm {
    /// By this fault that a build for tests has, as in `sensor_user::daemon::fault`.
    Fault(&'static str),
    /// By such a fault after the host's next start only.
    AtBoot(&'static str),
    /// By its rules, once the host does this.
    Rules(fn() -> Result<()>),
}

/// Nothing is wrong with the rules themselves.
fn harmless() -> Source {
    host::file(&rules::NONE)
}

/// The events of which a rule may ask this.
fn all(action: Action) -> Vec<&'static str> {
    Event::ALL.iter().filter(|event| event.allows(action)).map(|event| event.name()).collect()
}

fn blocks() -> Source {
    host::file(&Draft::block("everything", &all(Action::Block), "true"))
}

fn blocks_fifos() -> Source {
    host::file(&Draft::block("every-fifo", &["fifo.open"], "true"))
}

fn alerts() -> Source {
    host::file(&Draft::alert("everything", &all(Action::Alert), "true"))
}

/// Each pattern walks what is written to its end: it names no string by which it could be passed over.
fn costs() -> Source {
    host::file(&Draft::alert("costly", &["fifo.payload"], &rules::costly()))
}

/// What the publisher says, nanoseconds per event.
const BUDGET: u32 = 200;
/// And alerts in an hour.
const ALERTS: u32 = 60;
/// How many times too much it costs.
const TOO_MUCH: u64 = 50;

/// No shadow: the generation comes into force at once.
const AT_ONCE: &str = "";
/// A shadow run in which only the budget of the release counts.
const SHADOW: &str = "[shadow]\ntime = \"1s\"\nevents = 100\ncost = 1000000000\n";

/// A harmless generation in force at once.
const ROW: Row = Row { what: "", harm: Harm::Rules(work), rules: harmless, budget: (BUDGET, ALERTS), policy: AT_ONCE };

const ROWS: &[Row] = &[
    Row { what: "kills the daemon at load", harm: Harm::Fault("push abort"), ..ROW },
    Row { what: "kills the daemon at boot only", harm: Harm::AtBoot("start abort"), ..ROW },
    Row { what: "hangs the daemon", harm: Harm::Fault("push hang"), ..ROW },
    Row { what: "panics the kernel at load", harm: Harm::Fault("push panic"), ..ROW },
    Row { what: "panics the kernel at boot only", harm: Harm::AtBoot("start panic"), ..ROW },
    Row { what: "blocks everything", rules: blocks, ..ROW },
    Row {
        what: "blocks every open of a FIFO",
        rules: blocks_fifos,
        harm: Harm::Rules(fifos::used),
        budget: (BUDGET, 1_000_000),
        ..ROW
    },
    Row { what: "alerts on everything", rules: alerts, ..ROW },
    Row { what: "costs 50 times too much", rules: costs, policy: SHADOW, ..ROW },
];

/// The rows that are asked for, as `creance.only` of the kernel's command line names them: by parts of what
/// they are, with `-` for spaces.
fn chosen(only: Option<&str>) -> Vec<(usize, &'static Row)> {
    let is_chosen = |row: &Row| only.is_none_or(|only| is_chosen(&row.what.replace(' ', "-"), only));
    (0..).zip(ROWS).filter(|(_, row)| is_chosen(row)).collect()
}

/// The good generation.
const GOOD: u64 = 1;

/// The number of a row's generation.
const fn number(row: usize) -> u64 {
    10 + row as u64
}

/// The nanoseconds in the reason of a shadow run: `an event costs 70000 ns, and …`.
fn cost(reason: &str) -> Option<u64> {
    reason.split("an event costs ").nth(1)?.split(' ').next()?.parse().ok()
}

/// The owner's policy.
const POLICY: &str = "/etc/creance/content.toml";
/// What a build with faults reads.
const FAULTS: &str = "/etc/creance/faults";

/// Until the host has to start again, or all is done.
///
/// # Errors
/// Where the host has not come back, or could not be brought to its start.
pub fn go_on(only: Option<&str>) -> Result<Step> {
    let rows = chosen(only);
    ensure!(!rows.is_empty(), "no row of the table contains {only:?}");
    let mut progress = Progress::after_boot()?;
    loop {
        match progress.next {
            Next::Install => {
                install()?;
                host::push(GOOD, host::file(&GUARD), (2000, ALERTS))?;
                progress.goes_on(Next::Good)?;
                return reboot(&mut progress);
            }
            Next::Good => {
                becomes_good()?;
                early()?;
                progress.ordered = progress.boots;
                progress.goes_on(Next::Break(0))?;
            }
            Next::Break(index) => {
                let Some((index, row)) = rows.iter().find(|(row, _)| *row >= index) else {
                    return Ok(Step::Done(true));
                };
                if breaks(row, *index, &mut progress)? {
                    return reboot(&mut progress);
                }
            }
            Next::Recover(index) => {
                let Some(row) = ROWS.get(index) else { bail!("no row {index}") };
                recovers(row, index, &progress)?;
                progress.ordered = progress.boots;
                progress.goes_on(Next::Break(index + 1))?;
            }
        }
    }
}

fn reboot(progress: &mut Progress) -> Result<Step> {
    progress.ordered += 1;
    progress.since = now();
    progress.keep()?;
    run("systemctl", &["reboot"])?;
    Ok(Step::Reboot)
}

/// The package, with the build that has faults.
fn install() -> Result<()> {
    host::is_up()?;
    host::install(&format!("{BROUGHT}/creance-1.deb"))?;
    run("systemctl", &["stop", SERVICE])?;
    let new = "/usr/bin/creance.new";
    fs::copy(format!("{BROUGHT}/creance-faults"), new)?;
    fs::set_permissions(new, fs::Permissions::from_mode(0o755))?;
    fs::rename(new, "/usr/bin/creance")?;
    host::set_up("--enforce --settle 1 --up 5")?;
    fs::write(POLICY, AT_ONCE)?;
    host::unit(progress::COUNTS_BOOTS.0, progress::COUNTS_BOOTS.1)?;
    host::unit("creance-panic.path", "[Path]\nPathExists=/run/creance/panic\n[Install]\nWantedBy=multi-user.target\n")?;
    host::unit("creance-panic.service", "[Service]\nExecStart=/bin/sh -c 'echo c > /proc/sysrq-trigger'\n")?;
    run("systemctl", &["daemon-reload"])?;
    run("systemctl", &["enable", progress::COUNTS_BOOTS.0])?;
    run("systemctl", &["enable", "--now", "creance-panic.path"])?;
    run("systemctl", &["start", SERVICE])?;
    Ok(())
}

fn becomes_good() -> Result<()> {
    host::runs(GOOD)?;
    wait::within(PATIENCE, "the first generation to be good", || {
        let content = host::status().ok().and_then(|status| status.content);
        Ok(content.filter(|content| content.good.contains(&GOOD)).map(drop))
    })?;
    ensure!(guarded(), "the good generation does not guard");
    Ok(())
}

/// The rules were in force before the first service that users see was started.
fn early() -> Result<()> {
    let time = |unit: &str, name: &str| -> Result<u64> { Ok(property(unit, name)?.parse()?) };
    let ready = time(SERVICE, "ActiveEnterTimestampMonotonic")?;
    let system = time("sysinit.target", "ActiveEnterTimestampMonotonic")?;
    let login = time("ssh.service", "ExecMainStartTimestampMonotonic")?;
    ensure!(ready <= system && system < login, "ready at {ready} µs, sysinit at {system} µs, sshd at {login} µs");
    let seen = format!("{:.1} s, then sysinit.target, then sshd", Duration::from_micros(ready).as_secs_f64());
    report::send(&Message::Seen {
        what: "boot: rules in force".to_owned(),
        expected: "before sysinit.target".to_owned(),
        seen,
        ok: true,
    });
    Ok(())
}

/// Sets the fault free; whether the host has to be started again for that.
fn breaks(row: &Row, index: usize, progress: &mut Progress) -> Result<bool> {
    let generation = number(index);
    host::runs(GOOD)?;
    let fault = match row.harm {
        Harm::Fault(fault) | Harm::AtBoot(fault) => format!("{generation} {fault}\n"),
        Harm::Rules(_) => String::new(),
    };
    fs::write(FAULTS, fault)?;
    fs::write(POLICY, row.policy)?;
    // SAFETY: takes nothing.
    unsafe { libc::sync() };
    progress.since = now();
    progress.goes_on(Next::Recover(index))?;
    let at_boot = matches!(row.harm, Harm::AtBoot(_));
    match host::push(generation, (row.rules)(), row.budget) {
        Err(error) if at_boot || matches!(error.downcast_ref(), Some(Error::Refused(_))) => {
            return Err(error.context(format!("the generation that {} is refused", row.what)));
        }
        // The answer dies with the daemon, or its reader is the first to be blocked.
        _ => {}
    }
    if let Harm::Rules(meanwhile) = row.harm {
        meanwhile()?;
    }
    Ok(at_boot)
}

/// Work such as any host has, and much of it; whether it is blocked does not matter.
#[expect(clippy::unnecessary_wraps, reason = "as other work of a host, which may fail")]
fn work() -> Result<()> {
    let file = "/tmp/work";
    for _ in 0..300 {
        drop(fifo::remake(file));
        drop(fifo::pipe());
        if let Ok(mut both) = fifo::open(file) {
            let written = both.write_all(&[b'a'; 256]);
            drop(written.and_then(|()| both.read_exact(&mut [0; 256])));
        }
    }
    Ok(())
}

/// What has become of a generation, once that is sure.
fn end(generation: u64) -> Option<String> {
    let status = host::status().ok()?;
    if status.generation != Some(GOOD) {
        return None;
    }
    let denied = status.content.map(|content| content.denied).unwrap_or_default();
    if let Some((_, reason)) = denied.into_iter().find(|(number, _)| *number == generation) {
        return Some(reason);
    }
    let history = host::client().ok()?.history().ok()?;
    let last = history.into_iter().rfind(|entry| entry.generation.number == generation);
    last.filter(|entry| entry.stage == Stage::Rejected).map(|entry| entry.reason)
}

fn recovers(row: &Row, index: usize, progress: &Progress) -> Result<()> {
    let generation = number(index);
    let reason = wait::within(PATIENCE, &format!("the host to come back from one that {}", row.what), || {
        if let Harm::Rules(_) = row.harm {
            work()?;
        }
        Ok(end(generation))
    })?;
    let seconds = now().saturating_sub(progress.since);
    let extra = progress.boots.saturating_sub(progress.ordered);
    let reachable = wait::within(PATIENCE, "a login", || Ok(host::reachable().ok())).is_ok();
    let guards = guarded();
    let dear = row.policy != SHADOW || cost(&reason).is_some_and(|cost| cost >= TOO_MUCH * u64::from(BUDGET));
    let login = if reachable { "reachable" } else { "NOT REACHABLE" };
    report::send(&Message::Seen {
        what: row.what.to_owned(),
        expected: format!("generation {GOOD}, reachable"),
        seen: format!("generation {GOOD}, {login}, {extra} extra boots, {seconds} s: {reason}"),
        ok: reachable && guards && dear && extra <= 1,
    });
    fs::remove_file(FAULTS)?;
    Ok(())
}
