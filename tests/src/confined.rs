//! After its start the daemon has given up what it does not need.

use std::{
    fs::{self, File},
    io, thread,
};

use anyhow::{Context, Result, bail, ensure};
use sensor_user::{
    api::confinement::Confinement,
    daemon::confine::{self},
    kernel::probe::Mode,
};

use crate::{
    content::{GUARD, Host, bundle, guarded},
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "confined::every_thread_has_few_rights_and_all_works", boot: Boot::Plain, run: daemon },
    Test { name: "confined::nothing_else_can_be_written", boot: Boot::Plain, run: files },
];

/// Capabilities by their numbers in linux/capability.h.
const DAC_READ_SEARCH: u64 = 1 << 2;
const SYS_PTRACE: u64 = 1 << 19;
const PERFMON: u64 = 1 << 38;
const BPF: u64 = 1 << 39;

/// The value of a line in `/proc/PID/status`.
fn line<'a>(status: &'a str, name: &str) -> Result<&'a str> {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.map(str::trim).with_context(|| format!("no line {name}"))
}

fn daemon() -> Result<()> {
    let host = Host::new("confined")?;
    let sensor = host.starts()?;
    let pid = sensor.status()?.pid;
    let mut scans = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        let name = line(&status, "Name")?;
        let scan = name == "process-scan";
        scans += usize::from(scan);
        let kept = DAC_READ_SEARCH | if scan { SYS_PTRACE } else { PERFMON | BPF };
        for set in ["CapEff", "CapPrm", "CapBnd"] {
            let value = u64::from_str_radix(line(&status, set)?, 16)?;
            ensure!(value == kept, "thread {name} has {set} {value:x}");
        }
        ensure!(line(&status, "CapInh")?.trim_matches('0').is_empty(), "thread {name} hands rights on");
        ensure!(line(&status, "NoNewPrivs")? == "1", "thread {name} could get new rights");
        ensure!(line(&status, "Seccomp")? == "2", "thread {name} may make every system call");
    }
    ensure!(scans == 1, "{scans} threads scan processes");
    // What makes the daemon use its rights: a child, files, programs, links, pins.
    sensor.client()?.push_bundle(&bundle(124, &GUARD)?, false)?;
    ensure!(guarded(), "the bundle does not guard");
    ensure!(sensor.client()?.rollback()? == 0 && !guarded(), "the rollback does not lead to the baseline");
    sensor.client()?.push_bundle(&bundle(125, &GUARD)?, false)?;
    sensor.signal(libc::SIGUSR2)?;
    let mut sensor = sensor;
    sensor.ended()?;
    // Adopts.
    let sensor = host.starts()?;
    ensure!(sensor.status()?.generation == Some(125) && guarded(), "what is in force was not taken over");
    sensor.stop()
}

/// In a thread of its own, which is all that it concerns.
fn files() -> Result<()> {
    fs::create_dir_all("/tmp/inside")?;
    let tried = thread::spawn(|| {
        let confinement = confine::daemon(Mode::Lsm, &["/tmp/inside".into()], None);
        let inside = File::create("/tmp/inside/file").map(drop);
        let outside = File::create("/tmp/outside").map(drop);
        // SAFETY: takes a number.
        let namespace = if unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0 { 0 } else { errno() };
        (confinement, inside, outside, namespace)
    });
    let Ok((Confinement { files, .. }, inside, outside, namespace)) = tried.join() else { bail!("it panicked") };
    inside.context("inside")?;
    ensure!(namespace == libc::EPERM, "a confined thread can have a mount namespace of its own");
    let modules = fs::read_to_string("/sys/kernel/security/lsm")?;
    if modules.split(',').any(|module| module.trim() == "landlock") {
        ensure!(files.contains("Landlock"), "there is Landlock, and {files}");
        ensure!(outside.is_err(), "a file was made outside");
    } else {
        ensure!(files.starts_with("not confined: this kernel has no Landlock"), "{files}");
    }
    Ok(())
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or_default()
}
