//! What the kernel offers to the sensor and to those whom it watches: for `docs/kernels.md`.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use io_uring::IoUring;
use sensor_user::kernel::probe::{Finding, Host};

use crate::{
    conformance,
    protocol::Table,
    report,
    sensor::CREANCE,
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] = &[Test { name: "features::are_what_doctor_says", boot: Boot::Plain, run: as_doctor_says }];

/// What the probe finds is what `creance doctor` prints; what the sensor does not probe is tried.
fn as_doctor_says() -> Result<()> {
    let host = Host::probe();
    let output = Command::new(CREANCE).arg("doctor").output().context("cannot start creance")?;
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    for (feature, finding) in [
        ("BPF LSM", &host.lsm),
        ("typed current task", &host.typed_task),
        ("task storage", &host.task_storage),
        ("recursion misses", &host.recursion_misses),
    ] {
        let (mark, text) = match finding {
            Finding::Yes(text) => ("yes", text),
            Finding::No(text) => ("no", text),
            Finding::Unknown(text) => ("?", text),
        };
        let said = words.lines().any(|line| line.starts_with(feature) && line.ends_with(text));
        ensure!(said, "doctor does not say {feature:?} {text:?}: {words}");
        // The list of modules is that of this machine's command line.
        let value = if feature == "BPF LSM" || mark == "yes" { mark.to_owned() } else { format!("{mark}: {text}") };
        report::fact(Table::Kernel, feature, &value);
    }
    let version = fs::read_to_string("/proc/version")?;
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    report::fact(Table::Kernel, "`preempt=full`", yes(version.contains("PREEMPT")));
    report::fact(Table::Kernel, "`io_uring`", yes(IoUring::new(2).is_ok()));
    report::fact(Table::Kernel, "system calls of 32-bit programs", yes(conformance::has_compat()?));
    Ok(())
}
