//! `creance repo`: the publisher's repository.

mod add;
pub(super) mod directory;
mod expire;
mod export;
mod init;
mod keys;
mod ramp;
mod rotate;

use std::io::Write;

use clap::Subcommand;

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
