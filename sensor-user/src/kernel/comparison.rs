//! What the kernel side counts while a candidate judges beside the generation in force.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, PerCpuArray, RingBuf},
};
use sensor_common::{
    noise::NoiseKey,
    record::Record,
    shadow::{
        Matches, SHADOW, SHADOW_COUNTS, SHADOW_EXAMPLES, SHADOW_MATCHES, SHADOW_WINDOWS, ShadowCounts, ShadowKey,
    },
    state::{Window, WindowKey},
};

use super::maps::{self, Value, take};

/// What was seen since the candidate judges.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The counts of all processors together.
    pub counts: ShadowCounts,
    /// What the candidate's rules did, by number.
    pub candidate: BTreeMap<u32, Matches>,
    /// What the rules of the generation in force did with the events that both judged.
    pub active: BTreeMap<u32, Matches>,
    /// Who made the rules of both match such events.
    pub noise: Vec<(NoiseKey, u64)>,
    /// Examples of what the candidate's rules match, that came since the last look.
    pub examples: Vec<Record>,
}

/// Reads the counts of a shadow run.
pub struct Comparison {
    bank: Array<MapData, u32>,
    counts: PerCpuArray<MapData, Value<ShadowCounts>>,
    matches: HashMap<MapData, Value<ShadowKey>, Value<Matches>>,
    windows: HashMap<MapData, Value<WindowKey>, Value<Window>>,
    examples: RingBuf<MapData>,
}

impl Comparison {
    /// The maps of a loaded object.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            bank: take(ebpf, SHADOW)?,
            counts: take(ebpf, SHADOW_COUNTS)?,
            matches: take(ebpf, SHADOW_MATCHES)?,
            windows: take(ebpf, SHADOW_WINDOWS)?,
            examples: take(ebpf, SHADOW_EXAMPLES)?,
        })
    }

    /// The bank of a generation that is not in force yet.
    pub fn bank(&self) -> Result<Option<usize>> {
        let bank = self.bank.get(&0, 0).context("cannot read which generation is the candidate")?;
        Ok((bank < sensor_common::shadow::NO_BANK).then_some(bank as usize))
    }

    /// Notes it.
    pub fn set_bank(&mut self, bank: u32) -> Result<()> {
        self.bank.set(0, bank, 0).context("cannot write which generation is the candidate")
    }

    /// Begins with no counts. No candidate judges at this moment.
    pub fn reset(&mut self) -> Result<()> {
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| error).context("cannot count the processors")?;
        let zero = aya::maps::PerCpuValues::try_from(vec![Value(ShadowCounts::ZERO); cpus])?;
        self.counts.set(0, zero, 0).context("cannot reset the counts of the shadow")?;
        maps::remove_where(&mut self.matches, |_| true)?;
        maps::remove_where(&mut self.windows, |_| true)?;
        while self.examples.next().is_some() {}
        Ok(())
    }

    /// What was counted until now, of the candidate in a bank and the generation in force in another.
    pub fn look(&mut self, candidate: usize, active: usize, noise: Vec<(NoiseKey, u64)>) -> Result<Seen> {
        let mut counts = ShadowCounts::ZERO;
        for Value(cpu) in self.counts.get(&0, 0).context("cannot read the counts of the shadow")?.iter() {
            counts.matched += cpu.matched;
            counts.missed += cpu.missed;
            maps::add(&mut counts.judged, &cpu.judged);
            maps::add(&mut counts.time, &cpu.time);
        }
        let all = maps::entries(&self.matches)?;
        let of = |bank: usize| {
            let own = all.iter().filter(|(key, _)| key.bank as usize == bank);
            own.map(|(key, matches)| (key.rule, *matches)).collect()
        };
        let mut examples = Vec::new();
        while let Some(bytes) = self.examples.next() {
            examples.extend(Record::from_bytes(&bytes));
        }
        Ok(Seen { counts, candidate: of(candidate), active: of(active), noise, examples })
    }
}
