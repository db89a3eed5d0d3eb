//! The kernel's side of the daemon: hooks, generations, and the switch between them.
//!
//! | Module | Holds |
//! |---|---|
//! | [`cgroups`] | what rules on containers see |
//! | [`crowd`] | who else is on a function of the kernel |
//! | [`btf`], [`offsets`] | the running kernel's types, and what hooks need to know of them |
//! | [`attach`] | programs on the kernel's functions: loaded, attached, detached, attached again |
//! | [`place`] | where a hook is attached |
//! | [`unseen`] | what a mode cannot see |
//! | [`hooks`] | our own programs: loaded when first needed, attached while needed |
//! | [`bank`], [`refusal`], [`verifier_log`] | a generation that the verifier accepted, or why it did not |
//! | [`brakes`] | what holds blocking back: switch, heartbeat, lifeline, budgets |
//! | [`banks`] | a generation put into a bank, and the switch from one bank to another |
//! | [`adopt`] | what an earlier daemon, or another version, left in force |
//! | [`chain`] | rules that did not fit one program |
//! | [`grace`] | waiting for programs that are still running |
//! | [`heap`] | freed memory, given back |
//! | [`shadow`], [`comparison`] | a candidate that judges beside the generation in force, and what is counted of both |
//! | [`noise`] | what the kernel side counts by actor |
//! | [`quarantine`] | what nobody may read |
//! | [`ring`] | the numbers of events, whoever reads them |
//! | [`own`] | who the daemon is on the host |
//! | [`pins`] | what outlives the daemon |
//! | [`mounts`] | the kernel's own file systems, mounted where they are not |
//! | [`maps`] | typed access to the shared maps |
//! | [`test_run`] | compiled rules on records handed in, without any hook |

mod adopt;
mod attach;
mod bank;
mod banks;
mod beside;
mod brakes;
pub mod btf;
mod cgroups;
mod chain;
mod comparison;
mod crowd;
pub mod engine;
mod grace;
mod heap;
mod hook_state;
mod hooks;
mod maps;
mod mounts;
mod noise;
mod offsets;
mod own;
mod pins;
mod place;
pub mod probe;
mod quarantine;
mod refusal;
mod ring;
mod shadow;
mod stages;
mod standing;
pub mod test_run;
mod unseen;
mod verifier_log;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use aya::maps::{Array, MapData, PerCpuArray};
use sensor_common::{
    event::Mode,
    maps::{ACTIVE, BANKS, COUNTERS, Container, Counters, GENERATIONS, Generation, Mark, ObjectKey, STATES},
    noise::{NoiseKey, Role},
    shadow::NO_BANK,
    state::Tracked,
};
use sensor_rules::RuleSet;

pub use brakes::Brakes;
pub use cgroups::Hierarchies;
pub use comparison::Seen;
pub use own::sees_host;
pub use pins::WhenGone;
pub use refusal::Refusal;
pub use ring::{Events, Numbers};
pub use unseen::{tracepoints_see, unseen};

use crate::api::kernel::{HookState, LoadedProgram};
use bank::Verified;
use btf::Btf;
use comparison::Comparison;
use grace::GracePeriod;
use hooks::Hooks;
use maps::{Value, sum, take};
use noise::NoiseMap;
use pins::Pins;
use ring::Numbered;

/// How the sensor is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// How hooks are attached.
    pub mode: Mode,
    /// Directory below a BPF file system; made at start, removed with all pins in it at a clean end.
    pub pin_dir: PathBuf,
    /// Size of the ring buffer, bytes; rounded up to a power of two of at least a page.
    pub ring_bytes: u32,
    /// How long the daemon may give no sign of life before every verdict is "allow"; zero: for ever.
    pub patience: Duration,
    /// What becomes of the hooks when the daemon is gone and none comes back.
    pub when_gone: WhenGone,
    /// How often one rule may report one process in a second; 0 for as often as it matches.
    pub reports: u32,
}

/// What the activation of a generation did and took.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Activation {
    /// The generation in force now.
    pub generation: u64,
    /// The one before it.
    pub previous: Option<u64>,
    /// Its programs.
    pub programs: Vec<LoadedProgram>,
    /// From rules to objects.
    pub compile_time: Duration,
    /// From objects to accepted programs: the verifier's share.
    pub verify_time: Duration,
    /// From accepted programs to the moment when no event is judged by the generation before any more.
    pub switch_time: Duration,
    /// What of the hooks and guards that it needs is not attached, and why.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// The sensor in the kernel. What it put in force stays when it is dropped, unless the owner wants it otherwise or
/// [`stop`](Self::stop) was called.
pub struct Sensor {
    hooks: Hooks,
    active: Array<MapData, u32>,
    generations: Array<MapData, Value<Generation>>,
    brakes: Arc<Brakes>,
    states: Array<MapData, Value<Tracked>>,
    counters: PerCpuArray<MapData, Value<Counters>>,
    noise: NoiseMap,
    events: Option<Events>,
    numbered: Numbered,
    comparison: Comparison,
    grace: GracePeriod,
    banks: [Option<Verified>; BANKS as usize],
    /// In force.
    bank: usize,
    /// Was in force before.
    before: Option<usize>,
    /// Judges in the shadow.
    candidate: Option<usize>,
    pins: Arc<Pins>,
}

impl Sensor {
    /// Makes the maps, or adopts all that a daemon of this version left in force; no hook is loaded until a
    /// generation needs it.
    ///
    /// # Errors
    /// The kernel lacks something the sensor needs, or refuses it; the error says what.
    pub fn start(options: &Options) -> Result<Self> {
        heap::settle();
        if let probe::Finding::No(why) = probe::kernel_memory() {
            bail!("{why}");
        }
        mounts::BPF.provide(&options.pin_dir)?;
        if options.mode == Mode::Tracepoints && place::tracepoints().is_err() {
            mounts::TRACEFS.provide(Path::new(mounts::TRACEFS.place()))?;
        }
        let btf = Btf::of_this_kernel()?;
        let ring_bytes = ring_size(options.ring_bytes);
        let pins = Arc::new(Pins::open(&options.pin_dir, hooks::OBJECT, ring_bytes, options.mode, options.when_gone)?);
        let mut hooks = Hooks::new(options.mode, &btf, Arc::clone(&pins), ring_bytes)?;
        let ebpf = hooks.ebpf();
        let numbered = Numbered::new(ebpf)?;
        let mut sensor = Self {
            active: take(ebpf, ACTIVE)?,
            generations: take(ebpf, GENERATIONS)?,
            brakes: Arc::new(Brakes::new(ebpf, options.patience, options.reports)?),
            states: take(ebpf, STATES)?,
            counters: take(ebpf, COUNTERS)?,
            noise: NoiseMap::new(ebpf)?,
            events: Some(numbered.events(ebpf)?),
            numbered,
            comparison: Comparison::new(ebpf)?,
            grace: GracePeriod::new()?,
            banks: [const { None }; BANKS as usize],
            bank: 0,
            before: None,
            candidate: None,
            hooks,
            pins,
        };
        sensor.pins.others().iter().for_each(|other| sensor.brakes.inherit(other));
        if sensor.pins.adopted() {
            // No heartbeat yet: the switch and the lifeline may have changed since the daemon before, and are
            // not known.
            sensor.brakes.take_over()?;
            sensor.adopt().context("cannot adopt what an earlier daemon left in force")?;
        } else {
            sensor.brakes.beat()?;
            sensor.brakes.set_enforce(false)?;
            sensor.comparison.set_bank(NO_BANK)?;
            (0..sensor.banks.len()).try_for_each(|bank| sensor.empty(bank))?;
        }
        heap::give_back();
        Ok(sensor)
    }

    /// The generations in the kernel.
    fn known(&self) -> Vec<u64> {
        self.banks.iter().flatten().map(|bank| bank.facts.id).collect()
    }

    /// Takes everything out of the kernel when this is dropped.
    pub fn stop(&self) {
        self.pins.clear();
    }

    /// Compiles `rules`, lets the verifier judge them, and puts them in force as `generation` on all hooks at once.
    ///
    /// When it returns, no event is judged by the generation before any more.
    ///
    /// # Errors
    /// Any step refused; the generation in force stays in force.
    pub fn activate(&mut self, generation: u64, rules: &RuleSet) -> Result<Activation, Refusal> {
        let verified = Verified::load(generation, rules, &mut self.hooks)?;
        self.give_up()?;
        let started = Instant::now();
        let bank = self.prepare(verified)?;
        self.put_in_force(bank, rules, started)
    }

    /// Lets the verifier judge `rules` as if they were to be put in force, and changes nothing.
    ///
    /// # Errors
    /// Any step refused.
    pub fn verify(&mut self, rules: &RuleSet) -> Result<Vec<LoadedProgram>, Refusal> {
        Verified::load(0, rules, &mut self.hooks).map(|verified| verified.programs)
    }

    /// Puts the generation before the present one in force again: its programs are still loaded.
    ///
    /// # Errors
    /// There is none, or the switch failed.
    pub fn rollback(&mut self) -> Result<u64, Refusal> {
        let (Some(before), Some(generation)) = (self.before, self.previous()) else {
            return Err(Refusal::Kernel(anyhow::anyhow!("there is no earlier generation to go back to")));
        };
        self.give_up()?;
        let present = self.bank;
        self.switch(before)?;
        self.before = self.banks[present].is_some().then_some(present);
        Ok(generation)
    }

    /// The generation in force; `None` before the first.
    pub fn active(&self) -> Option<u64> {
        self.banks[self.bank].as_ref().map(|verified| verified.facts.id)
    }

    /// The generation that [`rollback`](Self::rollback) would put in force.
    pub fn previous(&self) -> Option<u64> {
        self.banks[self.before?].as_ref().map(|verified| verified.facts.id)
    }

    /// What holds blocking back. Usable while a push is under way.
    pub fn brakes(&self) -> Arc<Brakes> {
        Arc::clone(&self.brakes)
    }

    /// What is in quarantine, oldest first.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn quarantine(&mut self) -> Result<Vec<(ObjectKey, Mark)>> {
        self.hooks.quarantine().list()
    }

    /// Lets what has this inode number, or everything in quarantine, be read again; how many there were.
    ///
    /// # Errors
    /// The map cannot be changed.
    pub fn release(&mut self, inode: Option<u64>) -> Result<usize> {
        let released = self.hooks.quarantine().release(inode)?;
        self.guard_quarantine()?;
        Ok(released)
    }

    /// All counts since the start, of all CPUs together.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn counters(&self) -> Result<Counters> {
        sum(&self.counters)
    }

    /// By whom rules in force were made to match, and how often.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn noise(&self) -> Result<Vec<(NoiseKey, u64)>> {
        self.noise.of(Role::InForce)
    }

    /// The state of each hook that was ever needed.
    ///
    /// # Errors
    /// The kernel does not show a program's state.
    pub fn hooks(&self) -> Result<Vec<HookState>> {
        self.hooks.states()
    }

    /// The ring buffer with the records of events that matched; can be taken once.
    ///
    /// # Errors
    /// It was taken before.
    pub fn take_events(&mut self) -> Result<Events> {
        self.events.take().context("the ring buffer has been taken already")
    }

    /// The next event in the ring buffer, of which so many were taken out, has the number after `last`.
    ///
    /// # Errors
    /// The map cannot be written.
    pub fn number_from(&mut self, last: u64, taken: u64) -> Result<()> {
        self.numbered.go_on(last, taken)
    }

    /// Keeps readers away while a rule in force asks for quarantine or something is in it.
    fn guard_quarantine(&mut self) -> Result<()> {
        let needed = self.quarantines(self.bank)?;
        self.hooks.guard_quarantine(needed)
    }

    /// The last of what has to be guarded: what rules of a bank may put in quarantine, and what is in it.
    fn quarantines(&mut self, bank: usize) -> Result<Option<Container>> {
        let asked = self.banks[bank].as_ref().and_then(|verified| verified.quarantines);
        Ok(asked.max(self.hooks.quarantine().last()?))
    }
}

/// What the kernel demands of a ring buffer's size: a power of two, and whole pages.
fn ring_size(bytes: u32) -> u32 {
    bytes.clamp(4096, 1 << 30).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_sizes_are_what_the_kernel_takes() {
        assert_eq!(ring_size(0), 4096);
        assert_eq!(ring_size(5000), 8192);
        assert_eq!(ring_size(u32::MAX), 1 << 30);
    }
}
