//! What stands in the kernel, read back: what is not as the sensor left it, somebody else has changed. Who is root can do that; silently
//! he cannot.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aya::maps::{Array, Map, MapData, MapError};
use sensor_common::{
    event::{Event, Hook},
    maps::{FINISH, Stage, stage_of},
};

use super::{Sensor, banks::places, pins::Pins};

/// What stands in a hook's array of programs: their ids.
pub struct Stages(Array<MapData, u32>);

impl Stages {
    /// That of a hook, which must be loaded.
    ///
    /// # Errors
    /// Its pin is gone.
    pub fn open(hook: Hook, pins: &Pins) -> Result<Self> {
        let path = pins.map(hook.stages());
        let map = MapData::from_pin(&path).with_context(|| format!("{} cannot be opened", path.display()))?;
        // To who reads it, the kernel shows such an array as one of numbers (`bpf_fd_array_map_lookup_elem`).
        Ok(Self(Array::try_from(Map::Array(map))?))
    }

    /// The id of the program at this place, `None` where there is none.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn id(&self, index: u32) -> Result<Option<u32>> {
        match self.0.get(&index, 0) {
            Ok(id) => Ok(Some(id)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error).context("cannot read where programs are"),
        }
    }
}

/// The programs of a bank, by their ids, as they stand.
///
/// # Errors
/// The kernel does not tell.
pub fn ids(bank: usize, hooks: &[Hook], pins: &Pins) -> Result<BTreeMap<(Event, Stage), u32>> {
    let mut ids = BTreeMap::new();
    for hook in hooks {
        let stages = Stages::open(*hook, pins)?;
        for (event, stage) in places().filter(|(event, _)| event.hook() == *hook) {
            let id = stages.id(stage_of(u32::try_from(bank)?, stage as u32, event as u32))?;
            ids.extend(id.map(|id| ((event, stage), id)));
        }
    }
    Ok(ids)
}

impl Sensor {
    /// What is not as this daemon left it, in words.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn meddling(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        found.extend(self.brakes.meddling()?);
        let active = self.active.get(&0, 0).context("cannot read which generation is in force")?;
        if active as usize != self.bank {
            found.push("another generation than the daemon's is in force".to_owned());
        }
        let attached = self.hooks.attached();
        for hook in &attached {
            found.extend(self.hooks.unpinned(*hook));
            match Stages::open(*hook, &self.pins) {
                Ok(stages) if stages.id(FINISH)?.is_none() => {
                    found.push(format!("no event of {} is carried to its end", hook.name()));
                }
                Ok(_) => {}
                Err(error) => found.push(format!("{error:#}")),
            }
        }
        let Some(bank) = &self.banks[self.bank] else { return Ok(found) };
        // What cannot be read has been said.
        let stand = ids(self.bank, &attached, &self.pins).unwrap_or_else(|_| bank.ids.clone());
        let changed = bank.ids.iter().filter(|(place, id)| stand.get(place) != Some(id));
        let events: std::collections::BTreeSet<_> = changed.map(|((event, _), _)| event.name()).collect();
        found
            .extend(events.into_iter().map(|event| format!("the programs for {event} are not those that were loaded")));
        Ok(found)
    }
}
