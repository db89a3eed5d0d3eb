//! What root changes in the kernel behind the daemon's back is said, and so is that it is as it was.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use aya::{
    Pod,
    maps::{Array, Map, MapData, ProgramArray},
};
use sensor_common::{
    event::Event,
    maps::{ACTIVE, BANKS, FINISH, GENERATIONS, Generation, SETTINGS, Settings, Stage, stage_of},
};

use crate::{
    rules::{self, Draft},
    sensor::Sensor,
    shared,
    suite::{Boot, Test},
    wait,
};

/// The tests of this file.
pub const TESTS: &[Test] =
    &[Test { name: "meddling::what_root_changes_behind_the_daemon_is_said", boot: Boot::Plain, run: said }];

const PINS: &str = "/sys/fs/bpf/creance";
/// The settings as they lie in their map.
type Bytes = [u64; size_of::<Settings>() / 8];
/// A generation as it lies in its map.
type Facts = [u8; size_of::<Generation>()];

fn said() -> Result<()> {
    let guard = Draft::block("guard", &["fifo.open"], "path == '/tmp/meddled'");
    let sensor = shared::enforcing(vec![rules::file("guard.yaml", &[guard])])?;
    ensure!(changes(&sensor)?.is_empty(), "at the start: {:?}", changes(&sensor)?);
    changed::<Bytes>(&sensor, SETTINGS, 0, "the settings in the kernel are not the daemon's", |settings| {
        *settings = [0; size_of::<Settings>() / 8];
    })?;
    let mut bank = 0;
    changed::<u32>(&sensor, ACTIVE, 0, "another generation than the daemon's is in force", |active| {
        bank = *active;
        *active = (bank + 1) % BANKS;
    })?;
    changed::<Facts>(&sensor, GENERATIONS, bank, "what the generation in force asks of events is not", |facts| {
        // Its number stays, what it needs of each event does not.
        facts[8..].fill(0);
    })?;
    let mut stages = ProgramArray::try_from(Map::ProgramArray(MapData::from_pin(pin("STAGES_file_open")?)?))?;
    stages.clear_index(&FINISH)?;
    is_said(&sensor, "events of file_open do not come to the daemon's end")?;
    let place = stage_of(bank, Stage::Rules as u32, Event::FifoOpen as u32);
    stages.clear_index(&place)?;
    is_said(&sensor, "the programs for fifo.open are not those that were loaded")?;
    let link = pin("link_file_open")?;
    fs::remove_file(link)?;
    is_said(&sensor, "the pin that keeps file_open attached when the daemon ends is gone")?;
    sensor.stop()
}

/// Changes an element of a map, waits until that is said, and until it is no longer where it is as it was.
fn changed<T: Pod>(sensor: &Sensor, map: &str, index: u32, words: &str, change: impl FnOnce(&mut T)) -> Result<()> {
    let mut map: Array<MapData, T> = Array::try_from(Map::Array(MapData::from_pin(pin(map)?)?))?;
    let ours = map.get(&index, 0)?;
    let mut theirs = ours;
    change(&mut theirs);
    map.set(index, theirs, 0)?;
    is_said(sensor, words)?;
    map.set(index, ours, 0)?;
    wait::until("it is as it was", || Ok(changes(sensor)?.is_empty().then_some(())))
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
