//! nginx and Prometheus, for the fleet on loopback: unpacked below `target/tools`, so that this machine
//! serves nothing afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use super::{apt, lists::Lists};
use crate::{command, project};

/// Programs, and the package that each comes from.
const SERVERS: &[(&str, &str)] = &[("nginx", "nginx"), ("prometheus", "prometheus"), ("promtool", "prometheus")];

/// Fetches what is missing; prints only what it does.
///
/// # Errors
/// Where there is no network, or no such package.
pub fn fetch() -> Result<()> {
    for (program, package) in SERVERS {
        if find(program).is_none() {
            unpack(package)?;
            // It may lack a library that a small machine does not have.
            if !find(program).is_some_and(|path| runs(&path)) {
                apt::install(&[package])?;
            }
        }
    }
    Ok(())
}

/// Where the program is.
fn find(program: &str) -> Option<PathBuf> {
    let own = ["usr/sbin", "usr/bin"].map(|below| directory().join(below).join(program));
    let system = Path::new("/usr/sbin").join(program);
    own.into_iter().chain([system]).find(|path| path.is_file()).or_else(|| command::find(program))
}

fn runs(program: &Path) -> bool {
    let mut command = Command::new(program);
    let version = if program.ends_with("nginx") { "-v" } else { "--version" };
    command.arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn directory() -> PathBuf {
    project::target("tools/servers")
}

fn unpack(package: &str) -> Result<()> {
    let new = directory().join("new");
    let archive = Lists::of_this_machine().fetch(package, &new)?;
    command::run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(directory()))
        .with_context(|| format!("{} cannot be unpacked", archive.display()))?;
    Ok(fs::remove_dir_all(&new)?)
}
