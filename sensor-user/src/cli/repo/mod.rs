//! `creance repo`: the publisher's repository.

mod add;
mod expire;
mod export;
mod init;
mod keys;
mod ramp;
mod rotate;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::ensure;
use clap::Subcommand;
use jiff::Timestamp;
use sensor_content::repository::{Metadata, Role, Tree};

use super::done::Done;

/// Manage the publisher's repository: signed static files for any web server
#[derive(Debug, Subcommand)]
pub enum Repo {
    Init(init::Init),
    Add(add::Add),
    Ramp(ramp::SetRamp),
    RotateKeys(rotate::Rotate),
    Expire(expire::Expire),
    Export(export::Export),
}

impl Repo {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        match self {
            Self::Init(command) => command.run(out),
            Self::Add(command) => command.run(out),
            Self::Ramp(command) => command.run(out),
            Self::RotateKeys(command) => command.run(out),
            Self::Expire(command) => command.run(out),
            Self::Export(command) => command.run(out),
        }
    }
}

/// The repository in a directory, where there is one.
pub fn open(path: &Path) -> anyhow::Result<(Tree, Metadata)> {
    let founded = path.join("metadata").is_dir();
    ensure!(founded, "{} holds no repository; `creance repo init` makes one", path.display());
    let tree = Tree::open(path)?;
    let metadata = tree.read()?;
    Ok((tree, metadata))
}

/// What is in force now.
fn show_versions(out: &mut impl Write, path: &Path, metadata: &Metadata) -> anyhow::Result<()> {
    let now = Timestamp::now();
    for ((role, version), (_, expires)) in metadata.versions().into_iter().zip(metadata.expiry()) {
        writeln!(out, "{:<10} version {version:<4} {}", role.name(), remaining(expires, now))?;
    }
    let root = metadata.versions().iter().find(|(role, _)| *role == Role::Root).map_or(0, |(_, version)| *version);
    writeln!(out, "hosts trust {}", path.join(format!("metadata/{root}.root.json")).display())?;
    Ok(())
}

/// When something expires, for people.
fn remaining(expires: Timestamp, now: Timestamp) -> String {
    let hours = expires.duration_since(now).as_hours();
    match hours {
        ..0 => format!("EXPIRED at {expires:.0}"),
        0..72 => format!("expires in {hours} hours, {expires:.0}"),
        _ => format!("expires in {} days, {expires:.0}", hours / 24),
    }
}

/// A directory that the commands share.
type Directory = PathBuf;
