//! The fault table: generations that take the daemon or the host down, and how the host comes back by itself.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use super::{
    Step,
    host::{self, BROUGHT, PATIENCE, SERVICE, property, run},
    progress::{Progress, Stage, now},
};
use crate::{
    content::{GUARD, guarded},
    fifo,
    protocol::Message,
    report,
    rules::{self, Draft},
    wait,
};

/// What is wrong with a generation.
struct Row {
    what: &'static str,
    /// The fault that a build for tests has for it: where and what, as in `sensor_user::daemon::fault`.
    fault: Option<&'static str>,
    rule: Draft<'static>,
    /// Whether it strikes after the host's next start only.
    at_boot: bool,
}

const EVERYTHING: &[&str] = &["fifo.create", "fifo.open", "pipe.create", "unix.connect", "unix.send", "unix.bind"];

const ROWS: &[Row] = &[
    Row { what: "kills the daemon at load", fault: Some("push abort"), rule: rules::NONE, at_boot: false },
    Row { what: "kills the daemon at boot only", fault: Some("start abort"), rule: rules::NONE, at_boot: true },
    Row { what: "hangs the daemon", fault: Some("push hang"), rule: rules::NONE, at_boot: false },
    Row { what: "panics the kernel at load", fault: Some("push panic"), rule: rules::NONE, at_boot: false },
    Row { what: "panics the kernel at boot only", fault: Some("start panic"), rule: rules::NONE, at_boot: true },
    Row {
        what: "blocks everything",
        fault: None,
        rule: Draft::block("everything", EVERYTHING, "true"),
        at_boot: false,
    },
    Row {
        what: "alerts on everything",
        fault: None,
        rule: Draft::alert("everything", EVERYTHING, "true"),
        at_boot: false,
    },
];

/// The good generation.
const GOOD: u64 = 1;

/// The number of a row's generation.
const fn number(row: usize) -> u64 {
    10 + row as u64
}

/// What a build with faults reads.
const FAULTS: &str = "/etc/creance/faults";

/// Until the host has to start again, or all is done.
///
/// # Errors
/// Where the host has not come back, or could not be brought to its start.
pub fn go_on() -> Result<Step> {
    let mut progress = Progress::after_boot()?;
    loop {
        match progress.stage {
            Stage::Install => {
                install()?;
                host::push(GOOD, &[GUARD])?;
                progress.goes_on(Stage::Good)?;
                return reboot(&mut progress);
            }
            Stage::Good => {
                becomes_good()?;
                early()?;
                progress.ordered = progress.boots;
                progress.goes_on(Stage::Break(0))?;
            }
            Stage::Break(index) => {
                let Some(row) = ROWS.get(index) else { return Ok(Step::Done(true)) };
                if breaks(row, index, &mut progress)? {
                    return reboot(&mut progress);
                }
            }
            Stage::Recover(index) => {
                let Some(row) = ROWS.get(index) else { bail!("no row {index}") };
                recovers(row, index, &progress)?;
                progress.ordered = progress.boots;
                progress.goes_on(Stage::Break(index + 1))?;
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

/// The package, with the build that has faults, and with less patience than hosts have.
fn install() -> Result<()> {
    host::is_up()?;
    run("dpkg", &["--install", &format!("{BROUGHT}/creance-1.deb")])?;
    run("systemctl", &["stop", SERVICE])?;
    let new = "/usr/bin/creance.new";
    fs::copy(format!("{BROUGHT}/creance-faults"), new)?;
    fs::set_permissions(new, fs::Permissions::from_mode(0o755))?;
    fs::rename(new, "/usr/bin/creance")?;
    host::set_up("--enforce --settle 1 --up 5")?;
    unit("creance.service.d/patience.conf", "[Service]\nWatchdogSec=20\n")?;
    unit("creance-panic.path", "[Path]\nPathExists=/run/creance/panic\n[Install]\nWantedBy=multi-user.target\n")?;
    unit("creance-panic.service", "[Service]\nExecStart=/bin/sh -c 'echo c > /proc/sysrq-trigger'\n")?;
    run("systemctl", &["daemon-reload"])?;
    run("systemctl", &["enable", "--now", "creance-panic.path"])?;
    run("systemctl", &["start", SERVICE])?;
    Ok(())
}

fn unit(name: &str, text: &str) -> Result<()> {
    let path = std::path::Path::new("/etc/systemd/system").join(name);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(path, text)?;
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
    let fault = row.fault.map(|fault| format!("{generation} {fault}\n")).unwrap_or_default();
    fs::write(FAULTS, fault)?;
    // SAFETY: takes nothing.
    unsafe { libc::sync() };
    progress.since = now();
    progress.goes_on(Stage::Recover(index))?;
    let pushed = host::push(generation, &[row.rule]);
    if row.at_boot {
        pushed.with_context(|| format!("the generation that {} is refused", row.what))?;
        return Ok(true);
    }
    if row.fault.is_none() {
        pushed.with_context(|| format!("the generation that {} is refused", row.what))?;
        // Work such as any host has, and much of it.
        for _ in 0..300 {
            drop(fifo::remake("/tmp/work"));
            drop(fifo::open("/tmp/work"));
            drop(fifo::pipe());
        }
    }
    Ok(false)
}

fn recovers(row: &Row, index: usize, progress: &Progress) -> Result<()> {
    let generation = number(index);
    let reason = wait::within(PATIENCE, &format!("the host to come back from one that {}", row.what), || {
        let Ok(status) = host::status() else { return Ok(None) };
        let denied = status.content.map(|content| content.denied).unwrap_or_default();
        let reason = denied.into_iter().find(|(number, _)| *number == generation).map(|(_, reason)| reason);
        Ok(reason.filter(|_| status.generation == Some(GOOD)))
    })?;
    let seconds = now().saturating_sub(progress.since);
    let extra = progress.boots.saturating_sub(progress.ordered);
    let reachable = wait::within(PATIENCE, "a login", || Ok(host::reachable().ok())).is_ok();
    let guards = guarded();
    let login = if reachable { "reachable" } else { "NOT REACHABLE" };
    report::send(&Message::Seen {
        what: row.what.to_owned(),
        expected: format!("generation {GOOD}, reachable"),
        seen: format!("generation {GOOD}, {login}, {extra} extra boots, {seconds} s: {reason}"),
        ok: reachable && guards && extra <= 1,
    });
    fs::remove_file(FAULTS)?;
    Ok(())
}
