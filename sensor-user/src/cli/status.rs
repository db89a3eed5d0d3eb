//! `creance status`: what runs, what it did, what it lost.

use std::io::Write;

use clap::Args;

use super::{connection::Connection, done::Done};

/// Show what runs, what it did and what was lost
#[derive(Args, Debug)]
pub struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Connection,
}

impl Status {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let status = self.daemon.open()?.status()?;
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
        } else {
            write!(out, "{status}")?;
        }
        Ok(Done::Well)
    }
}
