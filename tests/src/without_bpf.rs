//! A kernel that was booted without BPF among its security modules.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use crate::{
    rules::{self, Draft},
    sensor::{CREANCE, Launch},
    suite::{Boot, Test},
};

/// See the [module](self).
pub const TESTS: &[Test] = &[
    Test { name: "without_bpf::doctor_says_what_is_missing", boot: Boot::WithoutBpf, run: doctor },
    Test { name: "without_bpf::the_daemon_says_what_is_missing", boot: Boot::WithoutBpf, run: daemon },
];

fn doctor() -> Result<()> {
    let words = words(&Command::new(CREANCE).arg("doctor").output().context("cannot start creance")?);
    for expected in ["lsm=", "bpf"] {
        ensure!(words.contains(expected), "doctor does not say {expected:?}: {words}");
    }
    Ok(())
}

/// It either observes and says so, or does not start and says why: never guards in words only.
fn daemon() -> Result<()> {
    let guard = rules::file("guard.yaml", &[Draft::block("guard", &["fifo.create"], "path == '/tmp/unguarded'")]);
    let words = match Launch::rules(&[guard])?.enforcing().start() {
        Ok(sensor) => {
            let words = sensor.words();
            sensor.stop()?;
            words
        }
        Err(error) => format!("{error:#}"),
    };
    ensure!(words.contains("lsm="), "the daemon does not name the kernel argument that is missing: {words}");
    ensure!(words.contains("block") || words.contains("BPF LSM"), "it does not say what cannot be done: {words}");
    Ok(())
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}
