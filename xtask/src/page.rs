//! `cargo xtask page`: the page that `creance rollout status --html` writes, in a real browser.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};

use crate::{build, command, project, setup};

/// Fetches a browser where there is none, looks at the page, and keeps what it shows as PNG files in `keep`.
///
/// # Errors
/// Where it cannot be looked at.
pub fn look(keep: Option<&Path>) -> Result<ExitCode> {
    setup::compiler()?;
    setup::browser()?;
    build::ebpf()?;
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet", "--release", "-p", "sensor-user", "--test", "page", "--", "--ignored"]);
    if let Some(keep) = keep {
        fs::create_dir_all(keep).with_context(|| format!("{} cannot be made", keep.display()))?;
        cargo.env("CREANCE_PAGE", fs::canonicalize(keep)?);
    }
    command::ends(cargo.current_dir(project::root()))
}
