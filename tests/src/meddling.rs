//! What root changes in the kernel behind the daemon's back is said, and so is that it is as it was.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, Map, MapData};
use sensor_common::maps::{SETTINGS, Settings};

use crate::{
    rules::{self, Draft},
    sensor::Sensor,
    shared,
    suite::{Boot, Test},
    wait,
};

/// See the [module](self).
pub const TESTS: &[Test] =
    &[Test { name: "meddling::what_root_changes_behind_the_daemon_is_said", boot: Boot::Plain, run: said }];

const PINS: &str = "/sys/fs/bpf/creance";
/// The settings as they lie in their map.
type Bytes = [u64; size_of::<Settings>() / 8];

fn said() -> Result<()> {
    let guard = Draft::block("guard", &["fifo.open"], "path == '/tmp/meddled'");
    let sensor = shared::enforcing(vec![rules::file("guard.yaml", &[guard])])?;
    ensure!(changes(&sensor)?.is_empty(), "at the start: {:?}", changes(&sensor)?);
    let mut settings: Array<MapData, Bytes> = Array::try_from(Map::Array(MapData::from_pin(pin(SETTINGS)?)?))?;
    let ours = settings.get(&0, 0)?;
    settings.set(0, [0; size_of::<Settings>() / 8], 0)?;
    is_said(&sensor, "the settings in the kernel are not the daemon's")?;
    settings.set(0, ours, 0)?;
    wait::until("it is as it was", || Ok(changes(&sensor)?.is_empty().then_some(())))?;
    let link = pin("link_file_open")?;
    fs::remove_file(link)?;
    is_said(&sensor, "the pin that keeps file_open attached when the daemon ends is gone")?;
    sensor.stop()
}

/// Waits until the daemon's status and its log say so.
fn is_said(sensor: &Sensor, words: &str) -> Result<()> {
    wait::until(words, || Ok(changes(sensor)?.iter().any(|change| change.contains(words)).then_some(())))?;
    ensure!(sensor.words().contains(words), "the log does not say {words:?}");
    Ok(())
}

/// What the status says that somebody else has changed.
fn changes(sensor: &Sensor) -> Result<Vec<String>> {
    let warnings = sensor.status()?.warnings;
    Ok(warnings.into_iter().filter(|warning| warning.contains("somebody else")).collect())
}

/// Where the daemon has pinned this.
fn pin(name: &str) -> Result<PathBuf> {
    let versions = fs::read_dir(PINS)?.collect::<Result<Vec<_>, _>>()?;
    let pins = versions.into_iter().map(|version| version.path().join(name));
    pins.into_iter().find(|path| path.exists()).with_context(|| format!("{name} is not pinned"))
}
