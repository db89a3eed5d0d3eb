//! `cargo xtask bench rules`: what judging by many rules costs, on this machine's kernel.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{project, setup};

/// Builds and runs the benchmark of `sensor-proof`.
///
/// # Errors
/// Where it cannot be started.
pub fn rules(json: bool) -> Result<ExitCode> {
    setup::compiler()?;
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--release", "--package", "sensor-proof", "--", "bench"]);
    if json {
        command.arg("--json");
    }
    let status = command.current_dir(project::root()).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
