//! What was left in force: by an earlier daemon of this version, which is taken over, or by another version,
//! which is taken away.

use anyhow::{Context, Result, ensure};
use aya::maps::{Map, MapData, RingBuf};
use sensor_common::maps::{EVENTS, Generation};

use super::{
    Sensor,
    bank::Verified,
    maps::Value,
    pins::{self, Pins},
    standing,
};

impl Sensor {
    /// Takes over what an earlier daemon left in force, wherever it was interrupted: the bank that `ACTIVE`
    /// names is in force with every hook that it needs, because these are attached before and detached after
    /// that is written. A candidate is given up.
    pub(super) fn adopt(&mut self) -> Result<()> {
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
        self.attach_needed(self.bank)?;
        let (bank, attached) = (self.bank, self.hooks.attached());
        if let Some(verified) = &mut self.banks[bank] {
            verified.ids = standing::ids(bank, &attached, &self.pins)?;
        }
        self.guard_quarantine()
    }

    /// Whether what runs was put in force by an earlier daemon.
    pub fn adopted(&self) -> bool {
        self.pins.adopted()
    }

    /// Whether another version of the sensor is in force, to be taken away by [`replace_others`](Self::replace_others).
    pub fn has_others(&self) -> bool {
        !self.pins.others().is_empty()
    }

    /// Takes away every other version of the sensor, now that this one judges: `record` gets the reports that
    /// nobody has read yet.
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
}
