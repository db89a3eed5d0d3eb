//! `creance brakes`: what holds blocking back.

use std::io::Write;

use clap::{Args, Subcommand};

use super::{connection::Connection, done::Done};

/// Show the brakes that hold blocking back, or release a demoted rule
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Brakes {
    #[command(subcommand)]
    command: Option<What>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Connection,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Let a demoted rule (it hit several users or services) block again at once, with new budgets
    Release {
        /// Id of the rule, as `creance brakes` shows it
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        rule: Option<String>,
        /// Release all demoted rules
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        daemon: Connection,
    },
}

impl Brakes {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        if let Some(What::Release { rule, daemon, .. }) = self.command {
            return release(&daemon, rule, out);
        }
        let brakes = self.daemon.open()?.brakes()?;
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&brakes)?)?;
        } else {
            write!(out, "{brakes}")?;
            if brakes.demoted.is_empty() {
                writeln!(out, "no rule is held by a brake")?;
            }
        }
        Ok(Done::Well)
    }
}

fn release(daemon: &Connection, rule: Option<String>, out: &mut impl Write) -> anyhow::Result<Done> {
    let count = daemon.open()?.release_brake(rule.clone())?;
    match (count, rule) {
        (0, Some(rule)) => {
            writeln!(out, "no rule {rule} is held by a brake: `creance brakes` shows which are")?;
            return Ok(Done::Badly);
        }
        (1, _) => writeln!(out, "1 rule is carried out again")?,
        _ => writeln!(out, "{count} rules are carried out again")?,
    }
    Ok(Done::Well)
}
