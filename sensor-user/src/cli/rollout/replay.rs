//! `creance rollout replay`: was each decision what its inputs demanded?

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::STATE;
use crate::{cli::done::Done, publisher::RolloutStore};

/// Repeat every decision about a release from its recorded inputs
#[derive(Args, Debug)]
pub struct Replay {
    /// The generation
    #[arg(value_name = "GENERATION")]
    generation: u64,
    /// Directory for the state of roll-outs
    #[arg(long, value_name = "DIR", default_value = STATE)]
    state: PathBuf,
}

impl Replay {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let count = RolloutStore::replay(&self.state, self.generation)?;
        writeln!(out, "generation {}: {count} decisions, each the same again", self.generation)?;
        Ok(Done::Well)
    }
}
