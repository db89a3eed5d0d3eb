//! The program `sensor-proof`: what is proved and measured on this machine's kernel.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{
    command,
    project::{self, KernelSeries},
    setup, uml,
};

/// Builds it and runs a task of it.
///
/// # Errors
/// Where it cannot be started.
pub fn run(task: &str, options: &[String]) -> Result<ExitCode> {
    setup::compiler()?;
    command::ends(cargo("run").args(["--", task]).args(options))
}

/// The same under a kernel of this series that runs as a process; `hear` gets each line that it says. Returns
/// whether all is well, `None` where there is no such kernel.
///
/// # Errors
/// Where it cannot be started.
pub fn run_under(kernel: KernelSeries, task: &str, options: &[String], hear: impl FnMut(&str)) -> Result<Option<bool>> {
    setup::compiler()?;
    command::run(&mut cargo("build"))?;
    let arguments = [&[task.to_owned()], options].concat();
    uml::run(kernel, &project::binary("sensor-proof"), &arguments, hear)
}

fn cargo(does: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args([does, "--quiet", "--release", "--package", "sensor-proof"]).current_dir(project::root());
    cargo
}
