//! What the kernel side counts by actor.

use std::collections::BTreeMap;

use anyhow::Result;
use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use sensor_common::noise::{NOISE, NOISE_MAX, NoiseKey, Role};

use super::maps::{self, Value, take};

/// The map of matches by actor.
pub struct NoiseMap(HashMap<MapData, Value<NoiseKey>, Value<u64>>);

impl NoiseMap {
    /// The map of a loaded object.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        take(ebpf, NOISE).map(Self)
    }

    /// What the actors caused of generations in this role, each once.
    pub fn of(&self, role: Role) -> Result<Vec<(NoiseKey, u64)>> {
        let all = maps::entries_up_to(&self.0, NOISE_MAX as usize)?;
        let once: BTreeMap<_, _> = all.into_iter().filter(|(key, _)| key.role == role as u32).collect();
        Ok(once.into_iter().collect())
    }

    /// Nothing was caused of a generation in force, from now on.
    pub fn forget(&mut self, generation: u64) -> Result<()> {
        let meant = |key: &NoiseKey| key.generation == generation && key.role == Role::InForce as u32;
        maps::remove_where(&mut self.0, meant).map(drop)
    }

    /// Nothing was compared, from now on.
    pub fn reset(&mut self) -> Result<()> {
        maps::remove_where(&mut self.0, |key| key.role == Role::Compared as u32).map(drop)
    }
}
