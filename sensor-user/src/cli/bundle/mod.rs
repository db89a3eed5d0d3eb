//! `creance bundle`: releases as files.

mod build;
mod diff;
mod keygen;
mod show;
pub(super) mod source;
mod verify;

use std::io::Write;

use clap::Subcommand;

use super::done::Done;

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
