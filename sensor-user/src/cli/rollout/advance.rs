//! `creance rollout advance`: one step, for a timer.

use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use sensor_content::rollout::Order;

use super::{Place, table};
use crate::{cli::done::Done, log::say, publisher::Prometheus};

/// Do one step of the roll-out: look at the fleet, decide, sign, publish. Run it once a minute from a timer or cron;
/// without it nothing advances
#[derive(Args, Debug)]
pub struct Advance {
    #[command(flatten)]
    place: Place,
    /// Address of Prometheus
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    prometheus: String,
}

impl Advance {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let (now, key) = (Timestamp::now(), self.place.key()?);
        let mut store = self.place.open()?;
        let Some(mut rollout) = store.rollout()? else {
            let renewed = store.renew(key, now)?;
            writeln!(out, "there is no roll-out; {}", if renewed { "signed anew" } else { "nothing to do" })?;
            return Ok(Done::Well);
        };
        // Without an answer the last one grows old, and the judge pauses: no data is not healthy.
        let health = Prometheus::new(&self.prometheus)?.health(&rollout, now);
        let blind = health.is_err();
        match health {
            Ok(health) => rollout.health = health,
            Err(error) => say(format_args!(
                "the fleet's health cannot be read: {error:#}; does Prometheus answer at {}, or where else (--prometheus)?",
                self.prometheus
            )),
        }
        let before = rollout.state.order;
        let decision = store.step(&mut rollout, key, now)?;
        writeln!(out, "generation {}: {}", rollout.state.release, table::place(&rollout))?;
        decision.reasons.iter().try_for_each(|reason| writeln!(out, "  {reason}"))?;
        let stopped = rollout.state.order == Order::Revoke && before != Order::Revoke;
        if stopped {
            writeln!(out, "REVOKED: hosts that have it return to their last good generation")?;
        }
        Ok(if stopped || blind { Done::Badly } else { Done::Well })
    }
}
