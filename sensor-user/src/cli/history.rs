//! `creance history`: what became of generations.

use std::io::Write;

use clap::Args;

use super::{connection::Connection, done::Done};

/// Show the history of generations: each step, when, and why
#[derive(Args, Debug)]
pub struct History {
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Connection,
}

impl History {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        for entry in self.daemon.open()?.history()? {
            if self.json {
                writeln!(out, "{}", serde_json::to_string(&entry)?)?;
            } else {
                writeln!(out, "{entry}")?;
            }
        }
        Ok(Done::Well)
    }
}
