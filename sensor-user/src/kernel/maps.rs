//! Typed access to the maps that the kernel side shares with the daemon.

use std::io;

use anyhow::{Context, Result};
use aya::{
    Ebpf, Pod,
    maps::{HashMap, Map, MapData, MapError, PerCpuArray},
};
use sensor_common::{
    brakes::{Budget, Demotion, FileKey, FiringsKey, RuleKey},
    maps::{Counters, Generation, Mark, ObjectKey, Settings},
    noise::NoiseKey,
    shadow::{Matches, ShadowCounts, ShadowKey},
    state::{Tracked, Window, WindowKey},
};

/// A map value of `sensor-common`, as aya wants it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Value<T>(pub T);

// SAFETY: `repr(C)` of integers without padding.
unsafe impl Pod for Value<Generation> {}
// SAFETY: as above.
unsafe impl Pod for Value<Settings> {}
// SAFETY: as above.
unsafe impl Pod for Value<Counters> {}
// SAFETY: as above.
unsafe impl Pod for Value<ObjectKey> {}
// SAFETY: as above.
unsafe impl Pod for Value<Mark> {}
// SAFETY: as above.
unsafe impl Pod for Value<RuleKey> {}
// SAFETY: as above.
unsafe impl Pod for Value<FileKey> {}
// SAFETY: as above.
unsafe impl Pod for Value<u32> {}
// SAFETY: as above.
unsafe impl Pod for Value<FiringsKey> {}
// SAFETY: as above.
unsafe impl Pod for Value<Budget> {}
// SAFETY: as above.
unsafe impl Pod for Value<Demotion> {}
// SAFETY: as above.
unsafe impl Pod for Value<Tracked> {}
// SAFETY: as above.
unsafe impl Pod for Value<ShadowKey> {}
// SAFETY: as above.
unsafe impl Pod for Value<Matches> {}
// SAFETY: as above.
unsafe impl Pod for Value<ShadowCounts> {}
// SAFETY: as above.
unsafe impl Pod for Value<NoiseKey> {}
// SAFETY: as above.
unsafe impl Pod for Value<u64> {}
// SAFETY: as above.
unsafe impl Pod for Value<WindowKey> {}
// SAFETY: as above.
unsafe impl Pod for Value<Window> {}

/// Takes a map out of the loaded object.
pub fn take<T>(ebpf: &mut Ebpf, name: &str) -> Result<T>
where
    T: TryFrom<Map>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    let map = ebpf.take_map(name).with_context(|| format!("the sensor's object has no map {name}"))?;
    T::try_from(map).with_context(|| format!("the map {name} has another layout"))
}

/// All entries of a hash; without those that are taken out meanwhile.
pub fn entries<K: Copy, V: Copy>(map: &HashMap<MapData, Value<K>, Value<V>>) -> Result<Vec<(K, V)>>
where
    Value<K>: Pod,
    Value<V>: Pod,
{
    entries_up_to(map, usize::MAX)
}

/// As [`entries`], of a map in which others put entries meanwhile: where the key that was read last is gone, the
/// kernel begins again (`htab_map_get_next_key` of `kernel/bpf/hashtab.c`), so no more than `most` are read, and
/// one may come twice.
pub fn entries_up_to<K: Copy, V: Copy>(map: &HashMap<MapData, Value<K>, Value<V>>, most: usize) -> Result<Vec<(K, V)>>
where
    Value<K>: Pod,
    Value<V>: Pod,
{
    let mut all = Vec::new();
    for entry in map.iter().take(most) {
        match entry {
            Ok((Value(key), Value(value))) => all.push((key, value)),
            Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(error).context("cannot read a map of the sensor"),
        }
    }
    Ok(all)
}

/// Removes an entry of a hash, which the kernel side may do too; whether it was there.
pub fn remove<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>, key: &K) -> Result<bool> {
    match map.remove(key) {
        Ok(()) => Ok(true),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context("cannot change a map of the sensor"),
    }
}

/// Removes the entries of a hash whose key is meant; how many there were.
pub fn remove_where<K: Copy, V: Pod>(
    map: &mut HashMap<MapData, Value<K>, V>,
    meant: impl Fn(&K) -> bool,
) -> Result<usize>
where
    Value<K>: Pod,
{
    let keys: Vec<_> = map.keys().filter_map(Result::ok).filter(|key| meant(&key.0)).collect();
    for key in &keys {
        remove(map, key)?;
    }
    Ok(keys.len())
}

/// The counters of all CPUs, added up.
pub fn sum(counters: &PerCpuArray<MapData, Value<Counters>>) -> Result<Counters> {
    let mut sum = Counters::ZERO;
    for cpu in counters.get(&0, 0).context("cannot read the counters")?.iter() {
        add(&mut sum.judged, &cpu.0.judged);
        add(&mut sum.matched, &cpu.0.matched);
        add(&mut sum.outcomes, &cpu.0.outcomes);
        add(&mut sum.lost, &cpu.0.lost);
        add(&mut sum.kept, &cpu.0.kept);
        sum.preempted += cpu.0.preempted;
        sum.undecided += cpu.0.undecided;
    }
    Ok(sum)
}

/// Adds each of `more`.
pub fn add(sum: &mut [u64], more: &[u64]) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}
