//! `creance rollout halt`, `resume`, `revoke`: what people decide. They take the road that every step takes.

use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use sensor_content::rollout::{Order, State, halt, resume, revoke};

use super::{Place, table};
use crate::cli::done::Done;

/// Stop the roll-out: no further host takes the release, hosts that have it keep it
#[derive(Args, Debug)]
pub struct Halt {
    #[command(flatten)]
    place: Place,
}

/// Resume a halted roll-out; the judge looks before anything is offered
#[derive(Args, Debug)]
pub struct Resume {
    #[command(flatten)]
    place: Place,
}

/// Revoke the release: hosts that have it return to their last good generation. To try again, release it
/// under a new number
#[derive(Args, Debug)]
pub struct Revoke {
    #[command(flatten)]
    place: Place,
}

impl Halt {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        order(&self.place, halt, "nobody new takes it", out)
    }
}

impl Resume {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        order(&self.place, resume, "the next `creance rollout advance` decides", out)
    }
}

impl Revoke {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        order(&self.place, revoke, "hosts that have it return to their last good generation", out)
    }
}

fn order(place: &Place, change: fn(&State) -> State, so: &str, out: &mut impl Write) -> anyhow::Result<Done> {
    let key = place.key()?;
    let (mut store, mut rollout) = place.rollout()?;
    let wanted = change(&rollout.state);
    // A step that was remembered and could not be published is published now.
    if wanted == rollout.state && store.is_published(&rollout)? {
        let why = if wanted.order == Order::Revoke { "it is revoked, for good" } else { "that changes nothing" };
        writeln!(out, "generation {}: {}; {why}", wanted.release, table::place(&rollout))?;
        return Ok(Done::Badly);
    }
    rollout.state = wanted;
    store.step(&mut rollout, key, Timestamp::now())?;
    writeln!(out, "generation {}: {}; {so}", rollout.state.release, table::place(&rollout))?;
    Ok(Done::Well)
}
