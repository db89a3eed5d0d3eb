//! The tools that make packages, built here.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{command, project};

/// Where cargo puts the programs that it installs here; it goes on the `PATH` of the eBPF build.
pub fn directory() -> PathBuf {
    project::target("tools/bin")
}

/// A subcommand of cargo that makes packages.
#[derive(Clone, Copy)]
pub struct Packager {
    name: &'static str,
    version: &'static str,
}

/// For Debian.
pub const CARGO_DEB: Packager = Packager { name: "cargo-deb", version: "3.8.0" };
/// For what uses RPM.
pub const CARGO_GENERATE_RPM: Packager = Packager { name: "cargo-generate-rpm", version: "0.21.1" };

impl Packager {
    /// Where it is installed.
    pub fn path(self) -> PathBuf {
        directory().join(self.name)
    }

    /// What cargo calls it by.
    pub fn subcommand(self) -> &'static str {
        self.name.trim_start_matches("cargo-")
    }
}

/// Builds the programs of a crate, and installs them below `target/tools`. `more` adds what is to be said of this one.
///
/// # Errors
/// Where it cannot be had, or does not build.
pub fn cargo_install(name: &str, version: &str, more: impl FnOnce(&mut Command)) -> Result<()> {
    let mut cargo = command::fresh("cargo");
    cargo.env("CARGO_TARGET_DIR", project::target("tools/build"));
    cargo.args(["install", "--quiet", "--locked", "--force", name, "--version", version, "--root"]);
    cargo.arg(project::target("tools"));
    more(&mut cargo);
    // Not from inside the checkout: its flags ask for static binaries, and some of these link libraries of
    // this machine.
    cargo.current_dir("/");
    command::run(&mut cargo).with_context(|| format!("{name} could not be built; is there a network?"))?;
    fs::remove_dir_all(project::target("tools/build")).ok();
    Ok(())
}

/// Builds and installs it below `target/tools`, where it is not there in this version already.
///
/// # Errors
/// Where it cannot be had.
pub fn install(packager: Packager) -> Result<()> {
    let Packager { name, version } = packager;
    let built = project::target("tools").join(format!("{name}.version"));
    if packager.path().exists() && fs::read_to_string(&built).is_ok_and(|text| text == version) {
        return Ok(());
    }
    println!("setup: cargo install {name} {version} into target/tools (a minute or two)");
    cargo_install(name, &format!("={version}"), |_| {})?;
    fs::write(&built, version).with_context(|| format!("cannot write {}", built.display()))
}
