//! One daemon for many tests, each with rules of its own: to start one takes a slow machine ten seconds.

use anyhow::Result;
use sensor_rules::Source;

use crate::sensor::{Launch, Sensor};

/// A daemon that does not enforce, with these rules in force; its reports count from here. Give it back with
/// [`park`]: one that a failed test had is not used again.
///
/// # Errors
/// Where it does not start, or refuses the rules.
pub fn sensor(sources: Vec<Source>) -> Result<Sensor> {
    let mut sensor = match Sensor::parked() {
        Some(sensor) => sensor,
        None => Launch::default().roomy().with(&["--allow-skip-checks"]).start()?,
    };
    sensor.client()?.enforce(false)?;
    sensor.push(sources)?;
    sensor.forget()?;
    Ok(sensor)
}

/// The same, enforcing.
///
/// # Errors
/// As [`sensor`].
pub fn enforcing(sources: Vec<Source>) -> Result<Sensor> {
    let sensor = sensor(sources)?;
    sensor.client()?.enforce(true)?;
    Ok(sensor)
}

/// Leaves the daemon to the next test.
pub fn park(sensor: Sensor) {
    sensor.park();
}

/// Stops the parked daemon, cleanly: only one can run.
///
/// # Errors
/// Where it does not stop well.
pub fn stop() -> Result<()> {
    Sensor::stop_parked()
}
