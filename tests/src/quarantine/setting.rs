//! The rule that marks, what it marks, and what the sensor and its command say of that.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sensor_common::maps::Kept;

use crate::{
    rules::Draft,
    sensor::{CREANCE, Sensor},
};

/// A FIFO with what is kept.
pub const FIFO: &str = "/tmp/kept";
/// What the rule marks.
pub const CONTENT: &[u8] = b"echo owned > /tmp/owned\n";
/// Puts it into quarantine.
pub const RULE: Draft<'_> = Draft {
    action: "quarantine",
    ..Draft::alert("kept", &["fifo.payload", "pipe.payload"], "payload.contains('owned')")
};

/// How often the sensor has counted this.
pub fn kept(sensor: &Sensor, kept: Kept) -> Result<u64> {
    Ok(sensor.status()?.quarantine[kept.name()])
}

/// Releases everything.
pub fn released() -> Result<()> {
    creance(&["quarantine", "release", "--all"]).map(drop)
}

/// What the command prints.
pub fn creance(arguments: &[&str]) -> Result<String> {
    let output = Command::new(CREANCE).args(arguments).output().context("cannot start creance")?;
    ensure!(output.status.success(), "creance {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
