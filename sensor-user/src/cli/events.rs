//! `creance events`: what matched.

use std::io::Write;

use clap::Args;

use super::{connection::Connection, done::Done};
use crate::event::{schema, summary};

/// Show recent events; with --follow, new ones too
#[derive(Args, Debug)]
pub struct Events {
    /// Keep printing new events
    #[arg(long, short)]
    follow: bool,
    /// Print JSON, one event per line (docs/events.md)
    #[arg(long)]
    json: bool,
    /// Print docs/events.md, the description of the JSON, instead of events
    #[arg(long, conflicts_with_all = ["follow", "json"])]
    schema: bool,
    #[command(flatten)]
    daemon: Connection,
}

impl Events {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        if self.schema {
            write!(out, "{}", schema::events_markdown())?;
            return Ok(Done::Well);
        }
        for line in self.daemon.open()?.events(self.follow)? {
            let line = line?;
            let text = if self.json { None } else { summary(&line) };
            writeln!(out, "{}", text.unwrap_or(line))?;
            if self.follow {
                out.flush()?;
            }
        }
        Ok(Done::Well)
    }
}
