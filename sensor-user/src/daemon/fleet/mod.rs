//! The host in its fleet: asks the repository, does what the roll-out and the owner's policy agree on, and
//! says what came of it.
//!
//! | Part | Is |
//! |---|---|
//! | [`member`] | from poll to push |
//! | [`board`] | what status and metrics say of it |
//! | [`ledger`] | the host's part in roll-outs, on disk |
//! | [`pace`] | how old releases are, as this host knows it |
//! | [`machine`] | what this host is, as far as a roll-out must know |

pub mod board;
pub mod ledger;
pub mod machine;
pub mod member;
pub mod pace;

use std::{sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;

pub use self::{machine::Machine, member::Member};
use super::core::Core;
use crate::{kernel::engine::Engine, log::say};

/// How often it is looked whether there is something to do: an order is obeyed so long after it was read at most.
const TICK: Duration = Duration::from_secs(5);

/// Follows the repository that the owner's policy names, as long as the daemon lives.
pub async fn follow<E: Engine>(core: Arc<Core<E>>) {
    let Some(mut member) = Member::open(&core, Machine::this()) else { return };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let core = Arc::clone(&core);
        let done = tokio::task::spawn_blocking(move || {
            member.tick(&core);
            member
        });
        match done.await {
            Ok(back) => member = back,
            Err(error) => return say(format_args!("WARNING: the repository is followed no more: {error}")),
        }
    }
}
