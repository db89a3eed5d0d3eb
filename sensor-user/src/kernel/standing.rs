//! What stands in the kernel, read back: what is not as the sensor left it, somebody else has changed. Who is
//! root can do that; silently he cannot.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use sensor_common::{
    event::{Event, Hook},
    maps::{FINISH, Stage, stage_of},
};

use super::{
    Sensor,
    bank::Verified,
    maps::Value,
    pins::Pins,
    stages::{Stages, places},
};

/// The programs of a bank, by their ids, as they stand.
///
/// # Errors
/// The kernel does not tell.
pub fn ids(bank: usize, hooks: &[Hook], pins: &Pins) -> Result<BTreeMap<(Event, Stage), u32>> {
    let mut ids = BTreeMap::new();
    for hook in hooks {
        ids.extend(ids_of(bank, *hook, &Stages::open(*hook, pins)?)?);
    }
    Ok(ids)
}

/// The same, of one hook.
fn ids_of(bank: usize, hook: Hook, stages: &Stages) -> Result<BTreeMap<(Event, Stage), u32>> {
    let mut ids = BTreeMap::new();
    for (event, stage) in places().filter(|(event, _)| event.hook() == hook) {
        let id = stages.id(stage_of(u32::try_from(bank)?, stage as u32, event as u32))?;
        ids.extend(id.map(|id| ((event, stage), id)));
    }
    Ok(ids)
}

impl Sensor {
    /// What is not as this daemon left it, in words.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn meddling(&self) -> Result<Vec<String>> {
        let mut found: Vec<_> = self.brakes.meddling()?.into_iter().collect();
        let active = self.active.get(&0, 0).context("cannot read which generation is in force")?;
        if active as usize != self.bank {
            found.push("another generation than the daemon's is in force".to_owned());
        }
        for hook in self.hooks.attached() {
            found.extend(self.hooks.unpinned(hook));
            match Stages::open(hook, &self.pins) {
                Ok(stages) => found.extend(self.replaced(hook, &stages)?),
                Err(error) => found.push(format!("{error:#}")),
            }
        }
        if let Some(bank) = &self.banks[self.bank] {
            found.extend(self.unasked(bank)?);
        }
        Ok(found)
    }

    /// Which programs that events of an attached hook reach are not the daemon's.
    fn replaced(&self, hook: Hook, stages: &Stages) -> Result<Vec<String>> {
        let mut found = Vec::new();
        if stages.id(FINISH)? != self.hooks.finish(hook) {
            found.push(format!("events of {} do not come to the daemon's end", hook.name()));
        }
        let Some(bank) = &self.banks[self.bank] else { return Ok(found) };
        let stand = ids_of(self.bank, hook, stages)?;
        let changed = bank.ids.iter().filter(|(place, id)| place.0.hook() == hook && stand.get(place) != Some(id));
        let events: BTreeSet<_> = changed.map(|((event, _), _)| event.name()).collect();
        let said = events.into_iter().map(|event| format!("the programs for {event} are not those that were loaded"));
        found.extend(said);
        Ok(found)
    }

    /// What the generation in force asks for and does not get.
    fn unasked(&self, bank: &Verified) -> Result<Vec<String>> {
        let attached = self.hooks.attached();
        let is_gone = |hook: &&Hook| bank.needs(**hook) && !attached.contains(hook) && !self.hooks.is_missing(**hook);
        let missing = Hook::ALL.iter().filter(is_gone);
        let mut found: Vec<_> = missing.map(|hook| format!("{} is needed and not attached", hook.name())).collect();
        let Value(facts) =
            self.generations.get(&u32::try_from(self.bank)?, 0).context("cannot read the generations")?;
        if !bank.is_as(&facts) {
            found.push("what the generation in force asks of events is not what was written".to_owned());
        }
        Ok(found)
    }
}
