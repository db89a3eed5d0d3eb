//! Which programs stand in the arrays through which hooks reach them.

use anyhow::{Context, Result};
use aya::maps::{Array, Map, MapData, MapError};
use sensor_common::{
    event::{Event, Hook},
    maps::Stage,
};

use super::pins::Pins;

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

/// Every place that a bank has for a program.
pub fn places() -> impl Iterator<Item = (Event, Stage)> {
    Event::ALL.iter().flat_map(|event| Stage::ALL.iter().map(|stage| (*event, *stage)))
}
