//! What the daemon does again and again: the heartbeat, and looking after the brakes.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::{lifeline::Lifeline, off_file::OffFile};
use crate::{daemon::core::Core, kernel::engine::Engine, log::say};

/// Time between two heartbeats, and the longest that a demotion goes unreported.
const BEAT: Duration = Duration::from_millis(250);
/// How many heartbeats there are from one look at the executables of the lifeline to the next.
const LIFELINE_BEATS: u32 = 4;
/// The same for counts of windows that are over.
const SWEEP_BEATS: u32 = 40;

/// Beats until the future is dropped.
///
/// # Errors
/// When the kernel side does not answer.
pub async fn beat<E: Engine>(core: Arc<Core<E>>, mut lifeline: Lifeline) -> anyhow::Result<()> {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for beat in 0u32.. {
        ticks.tick().await;
        let guard = core.monitor();
        guard.beat()?;
        guard.report(core.journal())?;
        if beat.is_multiple_of(LIFELINE_BEATS) {
            guard.look_after(&mut lifeline)?;
        }
        if beat.is_multiple_of(SWEEP_BEATS) {
            guard.sweep()?;
        }
    }
    Ok(())
}

/// Turns blocking off while the file at `path` is there, until the future is dropped.
///
/// # Errors
/// When the file cannot be watched, or the kernel does not take it.
pub async fn obey_file<E: Engine>(core: Arc<Core<E>>, mut file: OffFile) -> anyhow::Result<()> {
    loop {
        let present = file.present();
        let there = present.is_some();
        if core.off_file(present)? {
            say(if there {
                "the file that turns blocking off is there: block, quarantine and kill are only reported"
            } else {
                "the file that turns blocking off is gone"
            });
        }
        file.changed().await?;
    }
}

/// The file at `path`, watched, and what it says taken in: before the first rule can block.
///
/// # Errors
/// As [`obey_file`].
pub fn read_file<E: Engine>(core: &Core<E>, path: &Path) -> anyhow::Result<OffFile> {
    let file = OffFile::new(path)?;
    let present = file.present();
    if let Some(path) = &present {
        say(format_args!("WARNING: {} is there: nothing is blocked while it is", path.display()));
    }
    core.off_file(present)?;
    Ok(file)
}
