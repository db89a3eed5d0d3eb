//! The kernel's side of the daemon: hooks, generations, and the switch between them.
//!
//! | Module | Holds |
//! |---|---|
//! | [`btf`], [`offsets`] | the running kernel's types, and what hooks need to know of them |
//! | [`attach`] | programs on the kernel's functions: loaded, attached, detached, attached again |
//! | [`place`] | where a hook is attached |
//! | [`unseen`] | what a mode cannot see |
//! | [`hooks`] | our own programs: loaded when first needed, attached while needed |
//! | [`bank`], [`refusal`], [`verifier_log`] | a generation that the verifier accepted, or why it did not |
//! | [`brakes`] | what holds blocking back: switch, heartbeat, lifeline, budgets |
//! | [`chain`] | rules that did not fit one program |
//! | [`grace`] | waiting for programs that are still running |
//! | [`heap`] | freed memory, given back |
//! | [`shadow`], [`comparison`] | a candidate that judges beside the generation in force, and what is counted of both |
//! | [`quarantine`] | what nobody may read |
//! | [`ring`] | the numbers of events, whoever reads them |
//! | [`pins`] | what outlives the daemon |
//! | [`maps`] | typed access to the shared maps |
//! | [`test_run`] | compiled rules on records handed in, without any hook |

mod attach;
mod bank;
mod brakes;
pub mod btf;
mod chain;
mod comparison;
mod grace;
mod heap;
mod hooks;
mod maps;
mod offsets;
mod pins;
mod place;
pub mod probe;
mod quarantine;
mod refusal;
mod ring;
mod shadow;
pub mod test_run;
mod unseen;
mod verifier_log;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, Map, MapData, PerCpuArray, RingBuf};
use sensor_common::{
    event::{Event, Hook, Mode},
    maps::{
        ACTIVE, BANKS, COUNTERS, Container, Counters, EVENTS, GENERATIONS, Generation, Mark, ObjectKey, STATES, Stage,
        stage_of,
    },
    shadow::NO_BANK,
    state::{STATES_MAX, Tracked},
};
use sensor_rules::RuleSet;

pub use bank::LoadedProgram;
pub use brakes::Brakes;
pub use comparison::Seen;
pub use hooks::HookState;
pub use pins::WhenGone;
pub use refusal::{Refusal, VerifierRefusal};
pub use ring::{Events, Numbers};
pub use unseen::{Unseen, tracepoints_see};

use bank::Verified;
use btf::Btf;
use comparison::Comparison;
use grace::GracePeriod;
use hooks::Hooks;
use maps::{Value, sum, take};
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
    /// Makes the maps, or adopts all that a daemon of this version left in force; no hook is loaded until a generation needs it.
    ///
    /// # Errors
    /// The kernel lacks something the sensor needs, or refuses it; the error says what.
    pub fn start(options: &Options) -> Result<Self> {
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
        sensor.brakes.beat()?;
        if sensor.pins.adopted() {
            sensor.adopt().context("cannot adopt what an earlier daemon left in force")?;
        } else {
            sensor.brakes.set_enforce(false)?;
            sensor.comparison.set_bank(NO_BANK)?;
            (0..sensor.banks.len()).try_for_each(|bank| sensor.empty(bank))?;
        }
        heap::give_back();
        Ok(sensor)
    }

    /// Takes over what an earlier daemon left in force, wherever it was interrupted: the bank that `ACTIVE` names is in force with
    /// every hook that it needs, because these are attached before and detached after that is written. A candidate is given up.
    fn adopt(&mut self) -> Result<()> {
        self.hooks.adopt()?;
        self.bank = self.active.get(&0, 0).context("cannot read which generation is in force")? as usize;
        ensure!(self.bank < self.banks.len(), "bank {} is in force, and there is no such bank", self.bank);
        for (index, bank) in (0..).zip(&mut self.banks) {
            let Value(facts) = self.generations.get(&index, 0).context("cannot read the generations")?;
            if facts.id != Generation::NONE.id {
                *bank = Some(Verified::adopted(&facts, self.brakes.quarantines(&facts)?));
            }
        }
        self.candidate = self.comparison.bank()?.filter(|bank| *bank != self.bank && self.banks[*bank].is_some());
        self.give_up()?;
        self.before = (0..self.banks.len()).find(|bank| *bank != self.bank && self.banks[*bank].is_some());
        let known = self.known();
        self.brakes.keep_only(&known)?;
        for bank in (0..self.banks.len()).filter(|bank| self.banks[*bank].is_none()) {
            self.pins.unpin_parts(bank);
        }
        let bank = self.banks[self.bank].as_ref();
        for hook in self.hooks.attached() {
            if !bank.is_some_and(|bank| bank.needs(hook)) {
                drop(self.hooks.detach(hook));
            }
        }
        self.guard_quarantine()
    }

    /// The generations in the kernel.
    fn known(&self) -> Vec<u64> {
        self.banks.iter().flatten().map(|bank| bank.facts.id).collect()
    }

    /// Whether what runs was put in force by an earlier daemon.
    pub fn adopted(&self) -> bool {
        self.pins.adopted()
    }

    /// Whether another version of the sensor is in force, to be taken away by [`replace_others`](Self::replace_others).
    pub fn has_others(&self) -> bool {
        !self.pins.others().is_empty()
    }

    /// Takes away every other version of the sensor, now that this one judges: `record` gets the reports that nobody has read yet.
    ///
    /// # Errors
    /// One cannot be removed.
    pub fn replace_others(&mut self, mut record: impl FnMut(&[u8])) -> Result<()> {
        for other in self.pins.others() {
            self.hooks.quarantine().inherit(&other);
            self.guard_quarantine()?;
            pins::detach_all(&other);
            // What is under way in its programs goes on to its end, and into its ring buffer.
            self.grace.wait()?;
            if Pins::is_readable(&other)
                && let Ok(map) = MapData::from_pin(other.join(EVENTS))
                && let Ok(mut events) = RingBuf::try_from(Map::RingBuf(map))
            {
                while let Some(item) = events.next() {
                    record(&item);
                }
            }
            pins::remove(&other).with_context(|| format!("cannot remove old pins at {}", other.display()))?;
        }
        Ok(())
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

    /// Notes that there is no generation in a bank, before it is filled: a daemon may be killed in the middle.
    fn empty(&mut self, bank: usize) -> Result<()> {
        let nothing = Value(Generation::NONE);
        self.generations.set(u32::try_from(bank)?, nothing, 0).context("cannot empty a bank")
    }

    /// Fills a bank that is not in use with a generation that is not in force yet. Until it is, `SHADOW` names the bank: a daemon
    /// that comes after this one knows it by that.
    fn prepare(&mut self, verified: Verified) -> Result<usize> {
        let used = [Some(self.bank), self.before, self.candidate];
        let bank = (0..self.banks.len()).find(|bank| !used.contains(&Some(*bank))).context("all banks are in use")?;
        self.clear(bank)?;
        self.comparison.set_bank(u32::try_from(bank)?)?;
        for (hook, parts) in verified.parts() {
            self.pins.pin_parts(bank, hook, parts)?;
        }
        self.fill(bank, &verified)?;
        self.banks[bank] = Some(verified);
        Ok(bank)
    }

    /// Puts a prepared bank in force; the generation before the present one is forgotten.
    fn put_in_force(&mut self, bank: usize, rules: &RuleSet, started: Instant) -> Result<Activation, Refusal> {
        let previous = self.active();
        if let Some(before) = self.before.take() {
            self.clear(before)?;
        }
        let verified = self.banks[bank].as_ref().context("the bank is empty")?;
        let (generation, programs) = (verified.facts.id, verified.programs.clone());
        let (compile_time, verify_time) = (verified.compile_time, verified.verify_time);
        self.brakes.allow(generation, rules)?;
        let present = self.bank;
        self.switch(bank)?;
        self.comparison.set_bank(NO_BANK)?;
        self.before = self.banks[present].is_some().then_some(present);
        let switch_time = started.elapsed();
        heap::give_back();
        Ok(Activation { generation, previous, programs, compile_time, verify_time, switch_time })
    }

    /// Forgets the generation in a bank that nothing judges by any more.
    fn clear(&mut self, bank: usize) -> Result<()> {
        let old = self.banks[bank].take();
        // (One that was put in force twice is in two.)
        if let Some(old) = old.filter(|old| !self.known().contains(&old.facts.id)) {
            self.brakes.forget(old.facts.id)?;
        }
        self.empty(bank)?;
        self.pins.unpin_parts(bank);
        Ok(())
    }

    /// Puts the programs of a generation into a bank that is not in force.
    fn fill(&mut self, bank: usize, verified: &Verified) -> Result<()> {
        for (event, stage) in Event::ALL.iter().flat_map(|event| [(*event, Stage::Early), (*event, Stage::Rules)]) {
            let index = stage_of(u32::try_from(bank)?, stage as u32, event as u32);
            match verified.program(event, stage) {
                Some(program) => {
                    let stages = self.hooks.stages(event.hook())?;
                    stages.set(index, program.fd()?, 0).context("cannot make rules reachable")?;
                }
                // An empty place cannot be emptied: the kernel answers ENOENT. A hook that was never needed has no places.
                None => drop(self.hooks.stages(event.hook()).map(|stages| stages.clear_index(&index))),
            }
        }
        for (index, tracked) in (u32::try_from(bank)? * STATES_MAX..).zip(&verified.states) {
            self.states.set(index, Value(*tracked), 0).context("cannot describe the rules with state")?;
        }
        self.generations.set(u32::try_from(bank)?, Value(verified.facts), 0).context("cannot describe the generation")
    }

    /// Puts a filled bank in force: attaches what it needs, switches by one write, waits until the other bank is
    /// at rest, detaches what is needed no more.
    fn switch(&mut self, bank: usize) -> Result<()> {
        let is_needed = |hook: &Hook| self.banks[bank].as_ref().is_some_and(|verified| verified.needs(*hook));
        let (needed, unneeded): (Vec<Hook>, Vec<Hook>) = Hook::ALL.iter().copied().partition(is_needed);
        for hook in needed {
            self.hooks.attach(hook)?;
        }
        // What the generation before needs is needed until nothing is judged by it.
        let before = self.quarantines(self.bank)?;
        let quarantines = self.quarantines(bank)?;
        self.hooks.guard_quarantine(before.max(quarantines))?;
        self.active.set(0, u32::try_from(bank)?, 0).context("cannot switch generations")?;
        if let Err(error) = self.grace.wait() {
            // A bank that may still be in use must not be filled anew: back to where we were.
            self.active.set(0, u32::try_from(self.bank)?, 0).context("cannot switch back")?;
            return Err(error);
        }
        self.bank = bank;
        self.pins.settle();
        for hook in unneeded {
            // A hook that stays attached without need costs a few instructions and finds no rules: no reason to fail.
            drop(self.hooks.detach(hook));
        }
        self.guard_quarantine()
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
