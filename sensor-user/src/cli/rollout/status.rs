//! `creance rollout status`: where a roll-out stands.

use std::{io::Write, path::PathBuf};

use clap::Args;
use jiff::Timestamp;

use super::{STATE, html, table};
use crate::{
    cli::done::Done,
    host::files::{self, Existing},
    log::say,
    publisher::{Prometheus, Rollout, RolloutStore},
};

/// Characters of a bar.
const BAR: usize = 20;

/// Show stages, hosts, gates and the judge's reasons
#[derive(Args, Debug)]
pub struct Status {
    /// Directory for the state of roll-outs
    #[arg(long, value_name = "DIR", default_value = STATE)]
    state: PathBuf,
    /// Ask Prometheus at this address for current counts; without it, show those of the last step
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,
    /// Write an HTML page to this file; it needs no server
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let now = Timestamp::now();
        let Some(mut rollout) = RolloutStore::read(&self.state)? else {
            writeln!(out, "there is no roll-out; `creance rollout start` begins one")?;
            return Ok(Done::Badly);
        };
        if let Some(address) = &self.prometheus {
            match Prometheus::new(address)?.health(&rollout, now) {
                Ok(health) => rollout.health = health,
                Err(error) => say(format_args!("WARNING: the counts are those of the last step: {error:#}")),
            }
        }
        if let Some(path) = &self.html {
            files::write(path, html::page(&rollout, now).as_bytes(), 0o644, Existing::Replace)?;
            writeln!(out, "{}: written", path.display())?;
        } else if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&rollout)?)?;
        } else {
            show(&rollout, now, out)?;
        }
        Ok(Done::Well)
    }
}

fn show(rollout: &Rollout, now: Timestamp, out: &mut impl Write) -> anyhow::Result<()> {
    let age = now.duration_since(rollout.state.stepped).as_secs();
    writeln!(out, "generation {}: {}", rollout.state.release, table::place(rollout))?;
    writeln!(out, "begun {:.0}, last step {age} s ago, document {}", rollout.started, rollout.state.serial)?;
    if age > 600 {
        writeln!(out, "WARNING: nobody runs `creance rollout advance`: nothing opens")?;
    }
    writeln!(out, "{}", table::allowed(rollout, now))?;
    rollout.reasons.iter().try_for_each(|reason| writeln!(out, "  {reason}"))?;
    writeln!(out)?;
    for (ring, kernels) in &rollout.health.census {
        let hosts: u64 = kernels.values().sum();
        writeln!(out, "ring {:<10} {hosts:>9} hosts, {} kernels", ring.name(), kernels.len())?;
    }
    writeln!(
        out,
        "\n{:<16}{:<BAR$}  {:>9}{:>9}{:>9}{:>9}  mishaps",
        "stage", "", "fetched", "heard", "silent", "control"
    )?;
    for row in table::rows(rollout) {
        let (treated, control) = (row.treated, row.control);
        writeln!(
            out,
            "{:<16}{}  {:>9}{:>9}{:>9}{:>9}  {}",
            row.name,
            bar(row.done),
            treated.fetched,
            treated.heard,
            treated.missing,
            control.fetched,
            table::mishaps(&treated)
        )?;
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "0 to 20")]
fn bar(done: f64) -> String {
    let full = (done.clamp(0.0, 1.0) * BAR as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}
