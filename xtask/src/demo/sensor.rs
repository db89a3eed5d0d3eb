//! The VM with Creance: one gate after the other is left open, and the last row takes the kernel down.

use std::{fs, path::Path, time::Duration};

use anyhow::Result;

use super::disk;
use crate::{
    console,
    project::{self, KernelSeries},
    protocol::Message,
    vm::{Clock, Failure, LSM, Machine, Root},
};

/// How long it may say nothing.
const LIMIT: Duration = Duration::from_mins(10);

/// Lets a VM with this kernel meet the rows that `only` chooses, or all; hands on what it says and sees.
///
/// # Errors
/// Where there is no build with faults, or no VM. That the guest failed is in the inner result.
pub fn run(
    kernel: KernelSeries,
    archive: &Path,
    only: Option<&str>,
    hear: impl FnMut(Message),
) -> Result<Result<(), Failure>> {
    let disk = disk::make("replay", &[&project::binary("creance-faults")])?;
    let only = only.map(|only| format!(" creance.only={only}")).unwrap_or_default();
    let machine = Machine {
        kernel,
        name: "replay",
        arguments: format!("{LSM} creance.job=replay{only}"),
        root: Root::Host { archive, disk: &disk, ports: &[], trouble: &[console::PANIC] },
        clock: Clock::Real,
        limit: LIMIT,
    };
    let ending = machine.work(hear);
    fs::remove_file(&disk).ok();
    ending
}
