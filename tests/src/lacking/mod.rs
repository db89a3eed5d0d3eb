//! What a host lacks: the sensor does what it can without, and says what is missing and what to do.
//!
//! | Module | Holds |
//! |---|---|
//! | `crowd` | programs that leave no room for the sensor's on a function of the kernel |

mod crowd;

use std::{
    ffi::CString,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};

use crate::{
    conformance::call::call,
    rules::{self, Draft},
    sensor::{CREANCE, Launch},
    shared,
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "lacking::lockdown_for_confidentiality_is_named", boot: Boot::Locked, run: locked },
    Test {
        name: "lacking::a_full_function_leaves_out_one_hook_and_says_who_is_there",
        boot: Boot::Plain,
        run: crowd::hook,
    },
    Test { name: "lacking::a_full_function_leaves_out_one_guard", boot: Boot::Plain, run: crowd::guard },
    Test { name: "lacking::rules_on_containers_are_told_that_they_see_no_cgroups", boot: Boot::Plain, run: cgroups },
];

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

/// No mode works here: the daemon ends with a sentence, and doctor has promised nothing else.
fn locked() -> Result<()> {
    let doctor = Command::new(CREANCE).arg("doctor").output().context("cannot start creance")?;
    let said = words(&doctor);
    ensure!(!doctor.status.success(), "doctor says that the daemon can run: {said}");
    for expected in ["kernel memory", "lockdown=integrity", "cannot run here"] {
        ensure!(said.contains(expected), "doctor does not say {expected:?}: {said}");
    }
    let launch = Launch::rules(&[rules::file("none.yaml", &[rules::NONE])])?;
    let daemon = launch.command("/tmp/locked-events".as_ref()).output()?;
    let said = words(&daemon);
    ensure!(!daemon.status.success(), "the daemon runs: {said}");
    ensure!(said.contains("lockdown=integrity"), "it does not say what to do: {said}");
    ensure!(!said.contains("bpf_probe_read_kernel") && !said.contains("processed"), "a verifier's log: {said}");
    Ok(())
}

/// Mounts one kind of cgroups in the place of what is there.
fn remount(kind: &str, options: &str) -> Result<()> {
    const PLACE: &std::ffi::CStr = c"/sys/fs/cgroup";
    call!(umount2(PLACE.as_ptr(), libc::MNT_DETACH))?;
    let (kind, options) = (CString::new(kind)?, CString::new(options)?);
    call!(mount(kind.as_ptr(), PLACE.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast()))?;
    Ok(())
}

fn cgroups() -> Result<()> {
    remount("cgroup", "none,name=old")?;
    let said = on_old_cgroups();
    remount("cgroup2", "")?;
    said?;
    let sensor = shared::sensor(vec![on_containers()])?;
    let warnings = sensor.status()?.warnings;
    ensure!(!warnings.iter().any(|warning| warning.contains("cgroup")), "{warnings:?}");
    shared::park(sensor);
    Ok(())
}

fn on_containers() -> sensor_rules::Source {
    rules::file("one.yaml", &[Draft::alert("in-docker", &["fifo.create"], "process.cgroup_path.startsWith('/docker')")])
}

fn on_old_cgroups() -> Result<()> {
    let doctor = words(&Command::new(CREANCE).arg("doctor").output().context("cannot start creance")?);
    ensure!(doctor.contains("cgroups            NO   this host uses cgroup v1"), "{doctor}");
    let sensor = Launch::rules(&[on_containers()])?.start()?;
    let expected = "rules that ask for cgroups (in-docker): this host uses cgroup v1";
    let warnings = sensor.status()?.warnings;
    ensure!(warnings.iter().any(|warning| warning.starts_with(expected)), "{warnings:?}");
    ensure!(sensor.words().contains(expected), "not in the log: {}", sensor.words());
    let pushed = sensor.push(vec![on_containers()])?.warnings;
    ensure!(pushed.iter().any(|warning| warning.starts_with(expected)), "{pushed:?}");
    let pushed = sensor.push(vec![rules::file("none.yaml", &[rules::NONE])])?.warnings;
    ensure!(pushed.is_empty(), "of rules that ask for no cgroup: {pushed:?}");
    sensor.stop()
}
