//! `creance rollout`: who gets a release when.

mod advance;
mod html;
mod orders;
mod plan;
mod replay;
mod start;
mod status;
mod table;

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{done::Done, repo};
use crate::{
    host::places,
    publisher::{Rollout, RolloutStore},
};

/// Roll out a release in stages; evidence from one stage opens the next
#[derive(Debug, Subcommand)]
pub enum Command {
    Plan(plan::ShowPlan),
    Start(start::Start),
    Status(status::Status),
    Advance(advance::Advance),
    Halt(orders::Halt),
    Resume(orders::Resume),
    Revoke(orders::Revoke),
    Replay(replay::Replay),
}

impl Command {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        match self {
            Self::Plan(command) => command.run(out),
            Self::Start(command) => command.run(out),
            Self::Status(command) => command.run(out),
            Self::Advance(command) => command.run(out),
            Self::Halt(command) => command.run(out),
            Self::Resume(command) => command.run(out),
            Self::Revoke(command) => command.run(out),
            Self::Replay(command) => command.run(out),
        }
    }
}

/// Where roll-outs are remembered, if nothing else is said.
const STATE: &str = "/var/lib/creance-rollout";

/// Where the publisher works.
#[derive(Args, Debug)]
struct Place {
    /// The repository
    #[arg(value_name = "REPO")]
    repository: PathBuf,
    /// Directory for the state of roll-outs, and for every decision with its inputs
    #[arg(long, value_name = "DIR", default_value = STATE)]
    state: PathBuf,
    /// The private online key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl Place {
    fn open(&self) -> anyhow::Result<RolloutStore> {
        RolloutStore::open(repo::open(&self.repository)?, &self.state)
    }

    fn key(&self) -> anyhow::Result<sensor_content::key::PrivateKey> {
        places::private_key(&self.key)
    }

    /// The store, and the roll-out on it.
    fn rollout(&self) -> anyhow::Result<(RolloutStore, Rollout)> {
        let store = self.open()?;
        let rollout = store.rollout()?.context("there is no roll-out; `creance rollout start` begins one")?;
        Ok((store, rollout))
    }
}
