//! `creance rollout plan`: a plan, before it is used.

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::Args;
use sensor_content::rollout::{Plan, Ring};

use crate::{cli::done::Done, host::files};

/// Longest plan, bytes.
const PLAN_MAX: usize = 1 << 20;

/// Check a plan and show it
#[derive(Args, Debug)]
pub struct ShowPlan {
    /// The plan: routine, urgent, or a file
    #[arg(value_name = "PLAN", default_value = "routine")]
    plan: String,
    /// Print the plan's file, as a start for your own
    #[arg(long)]
    text: bool,
}

impl ShowPlan {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let text = text(&self.plan)?;
        let plan = Plan::parse(&text).with_context(|| self.plan.clone())?;
        if self.text {
            write!(out, "{text}")?;
            return Ok(Done::Well);
        }
        write!(out, "{:<16}", "stage")?;
        Ring::ALL.iter().try_for_each(|ring| write!(out, "{:>10}", ring.name()))?;
        writeln!(out, "{:>18}{:>8}{:>8}", "hosts per kernel", "ramp", "soak")?;
        for stage in plan.stages() {
            write!(out, "{:<16}", stage.name)?;
            for ring in Ring::ALL {
                write!(out, "{:>10}", stage.open.get(&ring).map_or("-".into(), ToString::to_string))?;
            }
            let (ramp, soak) = (format!("{:#}", stage.ramp), format!("{:#}", stage.soak));
            writeln!(out, "{:>18}{ramp:>8}{soak:>8}", stage.hosts_per_kernel)?;
        }
        write!(out, "{:<16}", "control group")?;
        Ring::ALL.iter().try_for_each(|ring| write!(out, "{:>10}", plan.control(*ring).to_string()))?;
        writeln!(out)?;
        Ok(Done::Well)
    }
}

/// The text of a plan by its name, or from a file.
fn text(name: &str) -> anyhow::Result<String> {
    match name {
        "routine" => Ok(Plan::ROUTINE.to_owned()),
        "urgent" => Ok(Plan::URGENT.to_owned()),
        file => files::read_text(&PathBuf::from(file), PLAN_MAX, "plan"),
    }
}

/// The plan with this name, or in this file.
pub(super) fn read(name: &str) -> anyhow::Result<Plan> {
    Plan::parse(&text(name)?).with_context(|| name.to_owned())
}
