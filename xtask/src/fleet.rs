//! `cargo xtask fleet`: a fleet on loopback, with nginx and Prometheus.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::{build, project, setup};

/// The test that is run.
const TEST: &str = "a_good_release_reaches_all_and_a_bad_one_is_stopped_at_the_canary";

/// Runs it with so many hosts, showing what happens.
///
/// # Errors
/// Where it cannot be run.
pub fn run(hosts: usize) -> Result<ExitCode> {
    setup::compiler()?;
    setup::servers()?;
    build::ebpf()?;
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet", "--release", "-p", "sensor-user", "--test", "fleet", TEST, "--", "--nocapture"]);
    cargo.current_dir(project::root()).env("CREANCE_FLEET", hosts.to_string());
    let status = cargo.status().context("cargo cannot be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
