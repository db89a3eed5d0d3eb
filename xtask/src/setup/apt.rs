//! Debian packages.

use std::{
    env,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result, bail};

use crate::command;

/// Installs packages, or brings them up to date. The lists are refreshed first, once: those of a machine's image may be
/// months old, and name versions that the archive no longer has, or compilers too old for us.
///
/// # Errors
/// Where there is no apt, no right to use it, no network, or no such package.
pub fn install(packages: &[&str]) -> Result<()> {
    static REFRESHED: AtomicBool = AtomicBool::new(false);
    // Before the lists are refreshed: who lacks the right is told which packages they are.
    privileged("apt-get", &packages.join(" "))?;
    if !REFRESHED.swap(true, Ordering::Relaxed) {
        update()?;
    }
    install_from(&[], packages)
}

/// Installs packages as apt knows them with these options.
///
/// # Errors
/// As [`install`].
pub fn install_from(options: &[&str], packages: &[&str]) -> Result<()> {
    println!("setup: apt-get install {}", packages.join(" "));
    let mut command = privileged("apt-get", &packages.join(" "))?;
    command
        .args(options)
        .args(["install", "--yes", "--no-install-recommends", "-qq", "-o", "Dpkg::Use-Pty=0"])
        .args(packages);
    command.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::process::Stdio::null());
    command::run(&mut command).with_context(|| {
        format!("apt could not install {}; is there a network, and is the disk not full?", packages.join(" "))
    })
}

/// Refreshes the package lists.
///
/// # Errors
/// Where there is no right or no network.
pub fn update() -> Result<()> {
    println!("setup: apt-get update");
    let mut command = privileged("apt-get", "a look at the package lists")?;
    command::run(command.args(["update", "-qq"])).context("apt could not fetch its package lists; is there a network?")
}

/// A command that runs as root, by `sudo` where needed. `what` is named where that cannot be.
fn privileged(program: &str, what: &str) -> Result<Command> {
    if command::find(program).is_none() {
        bail!("needed: {what}; this machine has no {program}: install them in its own way, then start again");
    }
    if Path::new("/proc/self").metadata().is_ok_and(|process| process.uid() == 0) {
        return Ok(Command::new(program));
    }
    if command::find("sudo").is_none() {
        bail!(
            "needed: {what}; you are {} and there is no sudo: run `apt-get install {what}` as root, then start again",
            env::var("USER").unwrap_or_else(|_| "not root".to_owned())
        );
    }
    println!("setup: as root, by sudo");
    let mut command = Command::new("sudo");
    command.arg(program);
    Ok(command)
}

/// Installs the packages of those programs that are missing: each with the package that it comes from.
///
/// # Errors
/// As [`install`].
pub fn install_programs(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<_> =
        programs.iter().filter(|(program, _)| command::find(program).is_none()).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}
