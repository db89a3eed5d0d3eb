//! `creance bundle`: releases as files.

mod build;
mod diff;
mod keygen;
mod show;
mod verify;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use sensor_content::{
    bundle::{self, Unverified},
    key::PublicKey,
};

use super::Done;
use crate::host::{files, places};

/// Make, inspect and verify bundles: signed files with a manifest and rules
#[derive(Debug, Subcommand)]
pub enum Bundle {
    Build(build::Build),
    Show(show::Show),
    Verify(verify::Verify),
    Diff(diff::Diff),
    Keygen(keygen::Keygen),
}

impl Bundle {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        match self {
            Self::Build(command) => command.run(out),
            Self::Show(command) => command.run(out),
            Self::Verify(command) => command.run(out),
            Self::Diff(command) => command.run(out),
            Self::Keygen(command) => command.run(out),
        }
    }
}

/// Keys that count.
#[derive(Args, Debug)]
pub struct Trusted {
    /// Public key (PEM) of a trusted publisher; repeatable
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
}

impl Trusted {
    pub(super) fn read(&self) -> anyhow::Result<Vec<PublicKey>> {
        self.keys.iter().map(|path| places::public_key(path)).collect()
    }
}

/// The bundle in a file, of unknown origin.
pub(super) fn read(path: &Path) -> anyhow::Result<Unverified> {
    let bytes = files::read(path, bundle::BUNDLE_MAX, "bundle")?;
    Unverified::read(bytes).map_err(|error| anyhow!("{}: {error}", path.display()))
}
