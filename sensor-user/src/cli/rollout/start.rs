//! `creance rollout start`: a release begins to go out.

use std::io::Write;

use anyhow::ensure;
use clap::Args;
use jiff::Timestamp;
use sensor_content::rollout::{Order, State};

use super::{Place, plan, table};
use crate::{cli::done::Done, publisher::Rollout};

/// Start to roll out a release; no stage opens before the first `advance` has looked at the fleet
#[derive(Args, Debug)]
pub struct Start {
    #[command(flatten)]
    place: Place,
    /// The generation; it must be in the repository
    #[arg(value_name = "GENERATION")]
    generation: u64,
    /// The plan: routine, urgent, or a file
    #[arg(long, value_name = "PLAN", default_value = "routine")]
    plan: String,
    /// Give up the roll-out in progress
    #[arg(long)]
    instead: bool,
}

impl Start {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let (now, number) = (Timestamp::now(), self.generation);
        let (plan, key) = (plan::read(&self.plan)?, self.place.key()?);
        let mut store = self.place.open()?;
        let exist = store.generations();
        ensure!(
            exist.contains(&number),
            "generation {number} is not in the repository (there are {exist:?}); `creance repo add` it first"
        );
        let last = store.rollout()?;
        let state = match &last {
            None => State::start(number, now),
            Some(last) => {
                let state = &last.state;
                ensure!(
                    number > state.release,
                    "generation {number} is not newer than {}, which went out; a release that was stopped comes back with a new number",
                    state.release
                );
                let stands = state.progress.finished || state.order == Order::Revoke || self.instead;
                ensure!(
                    stands,
                    "generation {} is going out ({}); wait, `creance rollout revoke` it, or say --instead",
                    state.release,
                    table::place(last)
                );
                state.next(number, now)
            }
        };
        let base = state.base;
        let mut rollout = Rollout::start(plan, state);
        store.step(&mut rollout, key, now)?;
        let stages = rollout.plan.stages().len();
        writeln!(out, "generation {number} goes out by the plan `{}` in {stages} stages", self.plan)?;
        if let Some(base) = base {
            writeln!(out, "hosts that come late take generation {base} meanwhile")?;
        }
        writeln!(out, "{}", table::allowed(&rollout, now))?;
        writeln!(out, "nothing is open before `creance rollout advance` has looked at the fleet: run it every minute")?;
        Ok(Done::Well)
    }
}
