//! The maps behind the brakes: the switch, the heartbeat, the lifeline and the budgets of rules.
//!
//! Apart from the rest of the kernel side, so that nothing ever waits for a push to turn blocking off.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData},
};
use sensor_common::{
    brakes::{
        BUDGETS, BUDGETS_MAX, Budget, DEMOTED, Demotion, FIRINGS, FileKey, FiringsKey, HEARTBEAT, LIFELINE,
        LIFELINE_MAX, Reach, RuleKey, UNNAMED, WITNESSES,
    },
    event::{Event, Groups},
    maps::{Container, Generation, SETTINGS, Settings},
    verdict::Action,
};
use sensor_rules::{BlockBudget, RuleSet};

use super::{
    maps::{self, Value, take},
    own,
};
use crate::event::clock;

/// Reads and writes the maps of the brakes.
pub struct Brakes {
    patience: Duration,
    reports: u32,
    /// The process id of the daemon on the host.
    sensor: u32,
    maps: Mutex<Maps>,
}

struct Maps {
    settings: Array<MapData, Value<Settings>>,
    /// What this daemon wrote there last.
    written: Option<Settings>,
    heartbeat: Array<MapData, u64>,
    lifeline: HashMap<MapData, Value<FileKey>, Value<u32>>,
    budgets: HashMap<MapData, Value<RuleKey>, Value<Budget>>,
    windows: HashMap<MapData, Value<FiringsKey>, u64>,
    witnesses: HashMap<MapData, Value<FiringsKey>, u64>,
    demoted: HashMap<MapData, Value<RuleKey>, Value<Demotion>>,
}

/// Every answer can be an error: that the kernel does not tell, or does not take it.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Brakes {
    /// The brakes of a loaded object. The daemon may be silent for `patience` (zero: for ever) before every
    /// verdict is "allow"; one rule may report one process so often in a second.
    pub fn new(ebpf: &mut Ebpf, patience: Duration, reports: u32) -> Result<Self> {
        let sensor = own::process_id(ebpf)?;
        let maps = Maps {
            settings: take(ebpf, SETTINGS)?,
            written: None,
            heartbeat: take(ebpf, HEARTBEAT)?,
            lifeline: take(ebpf, LIFELINE)?,
            budgets: take(ebpf, BUDGETS)?,
            windows: take(ebpf, FIRINGS)?,
            witnesses: take(ebpf, WITNESSES)?,
            demoted: take(ebpf, DEMOTED)?,
        };
        Ok(Self { patience, reports, sensor, maps: Mutex::new(maps) })
    }

    /// Lets verdicts be carried out, or only reported.
    pub fn set_enforce(&self, on: bool) -> Result<()> {
        let patience = u64::try_from(self.patience.as_nanos()).unwrap_or(u64::MAX);
        let settings =
            Settings { enforce: u32::from(on), sensor: self.sensor, reports: self.reports, padding: 0, patience };
        self.lock().set(settings)
    }

    /// What the daemon before had set stays, but it is this process now whose own work is not judged.
    pub fn take_over(&self) -> Result<()> {
        let mut maps = self.lock();
        let Value(before) = maps.settings.get(&0, 0).context("cannot read the settings")?;
        maps.set(Settings { sensor: self.sensor, ..before })
    }

    /// What is not as this daemon has set it, in words.
    pub fn meddling(&self) -> Result<Option<String>> {
        let maps = self.lock();
        let Value(there) = maps.settings.get(&0, 0).context("cannot read the settings")?;
        let Some(written) = maps.written.filter(|written| *written != there) else { return Ok(None) };
        Ok(Some(format!("the settings in the kernel are not the daemon's: {there:?}, written was {written:?}")))
    }

    /// How long the daemon may be silent before every verdict is "allow"; zero: for ever.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Tells the kernel side that the daemon is alive.
    pub fn beat(&self) -> Result<()> {
        self.lock().heartbeat.set(0, now(libc::CLOCK_MONOTONIC), 0).context("cannot write the heartbeat")
    }

    /// For how long the daemon has given no sign of life.
    pub fn silence(&self) -> Result<Duration> {
        let beat = self.lock().heartbeat.get(&0, 0).context("cannot read the heartbeat")?;
        Ok(Duration::from_nanos(now(libc::CLOCK_MONOTONIC).saturating_sub(beat)))
    }

    /// Takes over the lifeline of another version of the sensor, where it wrote it down in the same way.
    pub fn inherit(&self, other: &Path) {
        let map = MapData::from_pin(other.join(LIFELINE)).map(Map::HashMap);
        let Some(listed) = map.ok().and_then(|map| HashMap::<_, Value<FileKey>, Value<u32>>::try_from(map).ok()) else {
            return;
        };
        let lifeline = &mut self.lock().lifeline;
        for (key, reach) in listed.iter().flatten() {
            // One that finds no room is looked up as others are.
            drop(lifeline.insert(key, reach, 0));
        }
    }

    /// The executables on the lifeline: those that an earlier daemon put there, until this one does.
    pub fn lifeline(&self) -> Result<BTreeMap<FileKey, Reach>> {
        Ok(maps::entries(&self.lock().lifeline)?.into_iter().map(|(key, reach)| (key, Reach(reach))).collect())
    }

    /// Makes these executables the lifeline.
    pub fn set_lifeline(&self, listed: &BTreeMap<FileKey, Reach>) -> Result<()> {
        let max = LIFELINE_MAX as usize;
        ensure!(listed.len() <= max, "{} executables are on the lifeline, and there is room for {max}", listed.len());
        let lifeline = &mut self.lock().lifeline;
        maps::remove_where(lifeline, |key| !listed.contains_key(key))
            .context("cannot take an executable from the lifeline")?;
        for (key, reach) in listed {
            lifeline.insert(Value(*key), Value(reach.0), 0).context("cannot put an executable on the lifeline")?;
        }
        Ok(())
    }

    /// Gives each rule of a generation that asks for more than an alert its budget, and no other. Before the
    /// generation is put in force.
    pub fn allow(&self, generation: u64, rules: &RuleSet) -> Result<()> {
        let budgets = &mut self.lock().budgets;
        // It may be in force with other actions, as the owner permitted them before.
        let asking: BTreeSet<u32> = rules.braked().map(|(number, _)| number).chain([UNNAMED]).collect();
        maps::remove_where(budgets, |key| key.generation == generation && !asking.contains(&key.rule))?;
        let room = (BUDGETS_MAX as usize).saturating_sub(budgets.keys().count());
        let wanted = rules.braked().count() + 1;
        ensure!(
            wanted <= room,
            "{wanted} rules ask for more than an alert, and there is room for {room} more in the kernel"
        );
        let default = BlockBudget::DEFAULT;
        let unnamed = (UNNAMED, Action::Kill, default);
        for (number, action, budget) in
            rules.braked().map(|(number, rule)| (number, rule.action, rule.budget)).chain([unnamed])
        {
            let window = Duration::from_secs(budget.seconds.into()).as_nanos();
            let budget = Budget {
                action: action as u32,
                count: budget.count,
                window: u64::try_from(window).unwrap_or(u64::MAX),
                fired: 0,
                held: 0,
            };
            let key = Value(RuleKey::new(generation, number));
            budgets.insert(key, Value(budget), 0).context("cannot write a rule's budget")?;
        }
        Ok(())
    }

    /// Drops all that is noted of a generation.
    pub fn forget(&self, generation: u64) -> Result<()> {
        let maps = &mut *self.lock();
        maps::remove_where(&mut maps.budgets, |key| key.generation == generation)?;
        maps.uncount(|key| key.generation == generation)?;
        maps::remove_where(&mut maps.demoted, |key| key.generation == generation)?;
        Ok(())
    }

    /// Drops all that is noted of other generations than these: a daemon that was killed in a push leaves it behind.
    pub fn keep_only(&self, generations: &[u64]) -> Result<()> {
        let others: BTreeSet<_> =
            self.budgets()?.keys().map(|key| key.generation).filter(|one| !generations.contains(one)).collect();
        others.into_iter().try_for_each(|generation| self.forget(generation))
    }

    /// What the rules of a generation may put in quarantine: at most what its events lead to.
    pub fn quarantines(&self, generation: &Generation) -> Result<Option<Container>> {
        // What is forbidden and already copied can only be kept from being read.
        if Groups(generation.needs[Event::UnixCopied as usize]).contains(Groups::ENFORCED) {
            return Ok(Event::UnixCopied.container());
        }
        let asks = |(key, budget): (&RuleKey, &Budget)| {
            key.generation == generation.id && budget.action == Action::Quarantine as u32
        };
        let judged = Event::ALL.iter().filter(|event| generation.needs[**event as usize] != 0);
        let possible = judged.filter_map(|event| event.container()).max();
        Ok(if self.budgets()?.iter().any(asks) { possible } else { None })
    }

    /// What each rule is allowed and did.
    pub fn budgets(&self) -> Result<BTreeMap<RuleKey, Budget>> {
        Ok(maps::entries(&self.lock().budgets)?.into_iter().collect())
    }

    /// The rules that only alert now.
    pub fn demoted(&self) -> Result<BTreeMap<RuleKey, Demotion>> {
        let now = now(libc::CLOCK_BOOTTIME);
        Ok(maps::entries(&self.lock().demoted)?.into_iter().filter(|(_, demotion)| demotion.holds(now)).collect())
    }

    /// Lets a demoted rule be carried out again, with a new budget; false where it was not demoted.
    pub fn release(&self, rule: RuleKey) -> Result<bool> {
        let maps = &mut *self.lock();
        maps.uncount(|key| (key.generation, key.rule) == (rule.generation, rule.rule))?;
        Ok(maps::remove_where(&mut maps.demoted, |key| *key == rule)? > 0)
    }

    /// Drops the counts of windows that are over: a window later, so that no program still counts in them.
    pub fn sweep(&self) -> Result<()> {
        let now = now(libc::CLOCK_BOOTTIME);
        let maps = &mut *self.lock();
        let budgets: BTreeMap<_, _> = maps::entries(&maps.budgets)?.into_iter().collect();
        maps.uncount(|key| {
            let budget = budgets.get(&RuleKey::new(key.generation, key.rule));
            budget.is_none_or(|budget| u64::from(key.window) + 2 <= now / budget.window.max(1))
        })?;
        let demoted: BTreeMap<_, _> = maps::entries(&maps.demoted)?.into_iter().collect();
        maps::remove_where(&mut maps.demoted, |key| {
            demoted.get(key).is_some_and(|demotion| demotion.is_forgiven(now))
        })?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Maps> {
        // No step leaves a map half changed.
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Maps {
    fn set(&mut self, settings: Settings) -> Result<()> {
        self.settings.set(0, Value(settings), 0).context("cannot write the settings")?;
        self.written = Some(settings);
        Ok(())
    }

    /// Drops the counts and the witnesses of these windows.
    fn uncount(&mut self, meant: impl Fn(&FiringsKey) -> bool) -> Result<()> {
        maps::remove_where(&mut self.windows, &meant)?;
        maps::remove_where(&mut self.witnesses, &meant)?;
        Ok(())
    }
}

/// The time of a clock, nanoseconds.
fn now(clock: libc::clockid_t) -> u64 {
    u64::try_from(clock::read(clock).as_nanos()).unwrap_or(0)
}
