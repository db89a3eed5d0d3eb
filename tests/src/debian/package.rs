//! The package: installed, started, upgraded, removed, purged.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::host::{self, BROUGHT, SERVICE, property, run};
use crate::{
    content::{GUARD, guarded},
    protocol::Message,
    report, wait,
};

type Step = fn() -> Result<()>;

/// One after the other, on the same host.
const STEPS: &[(&str, Step)] = &[
    ("package::installs_and_starts", installs),
    ("package::is_confined_by_systemd_too", confined),
    ("package::lets_its_group_read_the_status_only", group),
    ("package::a_bundle_comes_into_force_and_back", takes),
    ("package::recover_works_beside_the_service", recovers),
    ("package::an_upgrade_leaves_no_gap", upgrades),
    ("package::a_killed_daemon_is_started_again", killed),
    ("package::removed_it_leaves_nothing_in_force", removes),
    ("package::purged_it_leaves_nothing", purges),
];

/// The most that `systemd-analyze security` may say: 0 is all confined, 10 nothing.
const EXPOSURE: f64 = 4.0;

/// Every step until one fails; whether none did.
///
/// # Errors
/// Where the host does not come up.
pub fn all() -> Result<bool> {
    host::is_up()?;
    for (name, step) in STEPS {
        let test = (*name).to_owned();
        let started = Instant::now();
        let result = step();
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(()) => report::send(&Message::Passed { test, millis }),
            Err(error) => {
                let why = format!("{error:#}\n{}", host::words());
                report::send(&Message::Failed { test, millis, why });
                return Ok(true);
            }
        }
    }
    Ok(true)
}

fn package(revision: u32) -> String {
    format!("{BROUGHT}/creance-{revision}.deb")
}

fn installs() -> Result<()> {
    host::install(&package(1))?;
    ensure!(run("systemctl", &["is-enabled", SERVICE])? == "enabled", "it is not enabled");
    ensure!(run("systemctl", &["is-active", SERVICE])? == "active", "it does not run");
    let status = host::status()?;
    ensure!(status.generation == Some(0) && status.rules > 0, "no baseline: {status}");
    ensure!(!status.enforcing, "it blocks before its owner has said so");
    for file in [
        "/usr/share/man/man1/creance.1.gz",
        "/usr/share/man/man1/creance-daemon.1.gz",
        "/usr/share/bash-completion/completions/creance",
        "/usr/share/creance/rules",
        "/etc/creance/content.toml",
    ] {
        ensure!(Path::new(file).exists(), "{file} is missing");
    }
    let said = run("creance", &["policy", "check"])?;
    ensure!(said.contains("no problem found"), "the packaged policy: {said}");
    let said = run("systemd-analyze", &["verify", "--man=no", SERVICE])?;
    ensure!(!said.contains("creance"), "the unit: {said}");
    Ok(())
}

fn confined() -> Result<()> {
    let said = run("systemd-analyze", &["security", "--no-pager", SERVICE])?;
    let last = said.lines().rfind(|line| line.contains("Overall exposure level")).context("no figure")?;
    let figure = last.split(": ").nth(1).and_then(|words| words.split(' ').next()).context("no figure")?;
    report::say(format!("systemd-analyze security {SERVICE}: {figure}"));
    ensure!(figure.parse::<f64>()? <= EXPOSURE, "{said}");
    let status = host::status()?;
    let confinement = status.confinement;
    ensure!(
        confinement.capabilities == "CAP_DAC_READ_SEARCH, CAP_PERFMON, CAP_BPF"
            && confinement.files.contains("Landlock")
            && confinement.calls.contains("seccomp"),
        "{confinement}"
    );
    Ok(())
}

fn group() -> Result<()> {
    let asks = |group: &str, command: &str| {
        run("setpriv", &["--reuid", "nobody", "--regid", "nogroup", "--groups", group, "creance", command])
    };
    asks("creance", "status")?;
    let refused = asks("creance", "rollback");
    ensure!(refused.is_err(), "a member of the group can roll back");
    ensure!(asks("nogroup", "status").is_err(), "anybody can read the status");
    Ok(())
}

fn takes() -> Result<()> {
    host::set_up("--enforce")?;
    // At once: shadow runs are tested elsewhere.
    fs::write("/etc/creance/content.toml", "")?;
    run("systemctl", &["restart", SERVICE])?;
    host::push(7, host::file(&GUARD), (2000, 60))?;
    ensure!(guarded(), "the bundle does not guard");
    ensure!(host::client()?.rollback()? == 0 && !guarded(), "the rollback does not lead to the baseline");
    host::push(8, host::file(&GUARD), (2000, 60))?;
    ensure!(guarded(), "the second bundle does not guard");
    Ok(())
}

fn recovers() -> Result<()> {
    run("systemctl", &["stop", SERVICE])?;
    ensure!(!guarded(), "a daemon that was stopped leaves rules in force");
    let said = run("creance", &["recover", "--root", "/", "--pardon"])?;
    ensure!(said.contains("the host will start with"), "{said}");
    run("systemctl", &["start", SERVICE])?;
    // On probation: tried again when the host has been up for a while. Another one comes meanwhile.
    host::push(9, host::file(&GUARD), (2000, 60))?;
    ensure!(guarded(), "after the recovery nothing comes into force");
    Ok(())
}

/// Somebody tries again and again what is forbidden while the package is replaced.
fn upgrades() -> Result<()> {
    let before = host::status()?;
    let stop = AtomicBool::new(false);
    let (upgraded, tried) = thread::scope(|scope| {
        let tries = scope.spawn(|| {
            let (mut refused, mut done) = (0u64, 0u64);
            while !stop.load(Ordering::Relaxed) {
                *(if guarded() { &mut refused } else { &mut done }) += 1;
                // Within the rule's budget of 100 in 10 s: over it, the brake lets everything pass.
                thread::sleep(Duration::from_millis(200));
            }
            (refused, done)
        });
        let upgraded = run("dpkg", &["--install", &package(2)]);
        stop.store(true, Ordering::Relaxed);
        (upgraded, tries.join())
    });
    upgraded?;
    let Ok((refused, done)) = tried else { bail!("the one who tries panicked") };
    let after = host::runs(9)?;
    ensure!(after.pid != before.pid, "the daemon is the same");
    ensure!(refused > 0 && done == 0, "tried: {refused} times refused, {done} times done");
    ensure!(run("dpkg-query", &["--show", "--showformat", "${Version}", "creance"])?.ends_with("-2"), "not upgraded");
    ensure!(after.enforcing, "the owner's options are gone");
    report::say(format!("while the package was upgraded: {refused} tries, all refused"));
    Ok(())
}

fn killed() -> Result<()> {
    let before = host::status()?;
    run("systemctl", &["kill", "--signal", "KILL", SERVICE])?;
    wait::within(host::PATIENCE, "another daemon", || {
        Ok(host::status().ok().filter(|status| status.pid != before.pid).map(drop))
    })?;
    ensure!(guarded(), "what was in force is not");
    ensure!(property(SERVICE, "NRestarts")? != "0", "systemd did not start it");
    Ok(())
}

fn removes() -> Result<()> {
    run("dpkg", &["--remove", "creance"])?;
    host::is_gone()?;
    ensure!(!guarded(), "a removed package leaves rules in force");
    let pins = Path::new("/sys/fs/bpf/creance");
    ensure!(!pins.exists() || fs::read_dir(pins)?.next().is_none(), "a removed package leaves pins");
    for kept in ["/etc/creance/content.toml", "/etc/creance/keys/publisher.pub", "/var/lib/creance/state"] {
        ensure!(Path::new(kept).exists(), "{kept} is gone with the package");
    }
    Ok(())
}

fn purges() -> Result<()> {
    run("dpkg", &["--purge", "creance"])?;
    for gone in ["/etc/creance", "/etc/default/creance", "/var/lib/creance", "/var/log/creance", "/run/creance"] {
        ensure!(!Path::new(gone).exists(), "{gone} is still there");
    }
    ensure!(run("getent", &["group", "creance"]).is_err(), "the group is still there");
    host::reachable()
}
