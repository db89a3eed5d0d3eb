//! What stands in the kernel, read back: what is not as the sensor left it, somebody else has changed. Who is root can do that; silently
//! he cannot.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use sensor_common::{
    event::{Event, Hook},
    maps::{FINISH, Stage, stage_of},
};

use super::{Sensor, banks::places, maps::Value, pins::Pins, stages::Stages};

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
                Ok(stages) if stages.id(FINISH)? != self.hooks.finish(*hook) => {
                    found.push(format!("events of {} do not come to the daemon's end", hook.name()));
                }
                Ok(_) => {}
                Err(error) => found.push(format!("{error:#}")),
            }
        }
        let Some(bank) = &self.banks[self.bank] else { return Ok(found) };
        for hook in Hook::ALL.iter().filter(|hook| bank.needs(**hook) && !attached.contains(hook)) {
            found.push(format!("{} is needed and not attached", hook.name()));
        }
        let Value(facts) =
            self.generations.get(&u32::try_from(self.bank)?, 0).context("cannot read the generations")?;
        if !bank.is_as(&facts) {
            found.push("what the generation in force asks of events is not what was written".to_owned());
        }
        // What cannot be read has been said.
        let stand = ids(self.bank, &attached, &self.pins).unwrap_or_else(|_| bank.ids.clone());
        let changed = bank.ids.iter().filter(|(place, id)| stand.get(place) != Some(id));
        let events: BTreeSet<_> = changed.map(|((event, _), _)| event.name()).collect();
        found
            .extend(events.into_iter().map(|event| format!("the programs for {event} are not those that were loaded")));
        Ok(found)
    }
}
