//! The program `sensor-proof`: what is proved and measured on this machine's kernel.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{command, project, setup};

/// Builds it and runs a task of it.
///
/// # Errors
/// Where it cannot be started.
pub fn run(task: &str, options: &[String]) -> Result<ExitCode> {
    setup::compiler()?;
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--release", "--package", "sensor-proof", "--", task]).args(options);
    command::ends(cargo.current_dir(project::root()))
}
