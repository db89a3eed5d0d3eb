//! What the service manager is told: `sd_notify`(3). Without one, nothing.

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

use super::core::Core;
use crate::{kernel::engine::Engine, log::say};

/// The rules are in force and the socket answers.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The daemon was told to stop.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says again and again that the daemon works, if the manager wants to know (`WatchdogSec=` of
/// systemd.service(5)). Each word has been through the event loop and has held the engine: one that hangs is
/// silent, and the manager starts the daemon anew.
pub async fn watchdog<E: Engine>(core: Arc<Core<E>>) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = interval(patience / 4);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let core = Arc::clone(&core);
        if tokio::task::spawn_blocking(move || core.is_alive()).await.unwrap_or(false) {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        say(format_args!("the service manager cannot be told: {error}"));
    }
}
