//! A kernel that was booted without BPF among its security modules.

use std::{
    fs,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use sensor_common::event::Mode;

use crate::{
    fifo,
    rules::{self, Draft},
    sensor::{CREANCE, Launch, Sensor},
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "without_bpf::doctor_says_what_is_missing", boot: Boot::WithoutBpf, run: doctor },
    Test { name: "without_bpf::the_daemon_blocks_all_the_same", boot: Boot::WithoutBpf, run: blocks },
    Test { name: "without_bpf::who_only_observes_says_what_is_missing", boot: Boot::WithoutBpf, run: observes },
];

const UNGUARDED: &str = "/tmp/unguarded";

fn doctor() -> Result<()> {
    let words = words(&Command::new(CREANCE).arg("doctor").output().context("cannot start creance")?);
    for expected in ["lsm=", "bpf", "can block", "modify-return"] {
        ensure!(words.contains(expected), "doctor does not say {expected:?}: {words}");
    }
    Ok(())
}

/// It blocks all the same, and says how.
fn blocks() -> Result<()> {
    let sensor = guarding(&[])?;
    let status = sensor.status()?;
    ensure!(status.mode == Mode::ModifyReturn.name() && status.enforcing, "{status}");
    ensure!(status.to_string().contains("modify-return"), "{status}");
    let result = fifo::make(UNGUARDED);
    ensure!(fifo::is_refused(&result), "mkfifo ended with {result:?}");
    let reports = sensor.reports()?;
    ensure!(reports.len() == 1 && reports[0]["outcome"] == "denied", "{reports:#?}");
    sensor.stop()?;
    fifo::make(UNGUARDED).context("what the sensor blocked is blocked without it")?;
    Ok(fs::remove_file(UNGUARDED)?)
}

/// Where it is told to observe only, it says so, and what to do: never guards in words only.
fn observes() -> Result<()> {
    let sensor = guarding(&["--mode", Mode::Observe.name()])?;
    ensure!(!sensor.status()?.enforcing, "it says that it enforces");
    let words = sensor.words();
    fifo::make(UNGUARDED)?;
    fs::remove_file(UNGUARDED)?;
    sensor.stop()?;
    ensure!(words.contains("lsm="), "the daemon does not name the kernel argument that is missing: {words}");
    ensure!(words.contains("cannot block"), "it does not say what cannot be done: {words}");
    Ok(())
}

/// A daemon that is to guard one path.
fn guarding(arguments: &[&str]) -> Result<Sensor> {
    let condition = format!("path == '{UNGUARDED}'");
    let guard = rules::file("guard.yaml", &[Draft::block("guard", &["fifo.create"], &condition)]);
    Launch::rules(&[guard])?.with(arguments).enforcing().start()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}
