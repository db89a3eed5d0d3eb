//! The repository's directory.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::ensure;
use jiff::Timestamp;
use sensor_content::repository::{Metadata, Role, Tree};

/// The repository in a directory, where there is one.
pub fn open(path: &Path) -> anyhow::Result<(Tree, Metadata)> {
    let founded = path.join("metadata").is_dir();
    ensure!(founded, "{} holds no repository; `creance repo init` makes one", path.display());
    let tree = Tree::open(path)?;
    let metadata = tree.read()?;
    Ok((tree, metadata))
}

/// What is in force now.
pub fn show_versions(out: &mut impl Write, path: &Path, metadata: &Metadata) -> anyhow::Result<()> {
    let now = Timestamp::now();
    for ((role, version), (_, expires)) in metadata.versions().into_iter().zip(metadata.expiry()) {
        writeln!(out, "{:<10} version {version:<4} {}", role.name(), remaining(expires, now))?;
    }
    let root = metadata.versions().iter().find(|(role, _)| *role == Role::Root).map_or(0, |(_, version)| *version);
    writeln!(out, "hosts trust {}", path.join(format!("metadata/{root}.root.json")).display())?;
    Ok(())
}

/// When something expires, for people.
pub fn remaining(expires: Timestamp, now: Timestamp) -> String {
    let hours = expires.duration_since(now).as_hours();
    match hours {
        ..0 => format!("EXPIRED at {expires:.0}"),
        0..72 => format!("expires in {hours} hours, {expires:.0}"),
        _ => format!("expires in {} days, {expires:.0}", hours / 24),
    }
}

/// A directory that the commands share.
pub type Directory = PathBuf;
