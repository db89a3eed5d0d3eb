//! What a host remembers of its generations, and what it makes of a start that no clean stop preceded. Pure.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::life::{BootId, Denied, Entry, Generation, Good, Id, Probation, Rejected, RolledBack, Stage, Trial};

/// How many good generations are kept.
pub const GOOD_KEPT: usize = 3;
/// How many denials are remembered.
const DENIED_KEPT: usize = 64;
/// So many ends of the daemon without a clean stop, in one start of the kernel, end a probation.
pub const CRASHES: u32 = 3;
/// So many unclean starts in a row, each before it had settled, are charged to a good generation.
pub const UNCLEAN: u32 = 2;

/// What a sensor can start with, from best to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// A generation from the store.
    Generation(Id),
    /// The rules in the program itself.
    Baseline,
    /// No rules: the daemon is up and reports, and no program is loaded.
    Nothing,
}

/// How far an attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Its programs are about to be loaded.
    Loading,
    /// It judges in the shadow of what is in force.
    Shadow,
    /// It is in force.
    Running,
    /// It has been in force for a while.
    Settled,
    /// It is in force, and the daemon ended by order: the next one goes on with it.
    Left,
}

/// What was about to be done; on disk before it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// With what.
    pub rung: Rung,
    /// In which start of the kernel.
    pub boot: BootId,
    /// How far it got.
    pub phase: Phase,
}

/// A generation that this host takes no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// Which.
    pub id: Id,
    /// Since when.
    pub time: Timestamp,
    /// Why.
    pub reason: String,
}

/// Mishaps of a rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// Of which.
    pub rung: Rung,
    /// How many.
    pub times: u32,
}

/// The generations that a host remembers, and the attempt under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The last good generations, newest first; at most [`GOOD_KEPT`].
    pub good: Vec<Id>,
    /// The one on probation.
    pub trial: Option<Trial>,
    /// Those that are not taken again, oldest first.
    pub denied: Vec<Denial>,
    /// Mishaps that are not yet reason enough.
    pub charges: Vec<Charge>,
}

impl Memory {
    /// Why `id` is not taken here, if so.
    pub fn denial(&self, id: Id) -> Option<&Denial> {
        self.denied.iter().find(|denial| denial.id == id)
    }

    /// Whether the baseline is not started any more, until its owner pardons it.
    pub fn is_baseline_given_up(&self) -> bool {
        self.charged(Rung::Baseline) >= UNCLEAN
    }

    /// The generation is in force, on probation; what happened to the one that was before.
    pub fn begin(&mut self, trial: Trial, now: Timestamp) -> Option<Entry> {
        let reason = format!("generation {} took its place", trial.id.number);
        let before =
            self.trial.replace(trial).filter(|before| self.trial.as_ref().is_none_or(|now| now.id != before.id))?;
        Some(Generation::<Probation>::on_probation(&before).step::<RolledBack>(now, reason).1)
    }

    /// The generation on probation is good.
    pub fn promote(&mut self, now: Timestamp) -> Option<Entry> {
        let trial = self.trial.take()?;
        let (good, entry) = Generation::on_probation(&trial).step::<Good>(now, "survived its time and a reboot");
        self.good.retain(|id| *id != good.id());
        self.good.insert(0, good.id());
        self.good.truncate(GOOD_KEPT);
        self.settle(Rung::Generation(good.id()));
        Some(entry)
    }

    /// The generation on probation is taken out of force for what was heard of it; when it is to be tried
    /// again, after `back_off` for the first time. `None` where it has come to its end, or is not on probation:
    /// it is to be rolled back.
    pub fn suspend(
        &mut self,
        id: Id,
        reason: &str,
        back_off: SignedDuration,
        now: Timestamp,
    ) -> Option<(Timestamp, Entry)> {
        let trial = self.trial.as_mut().filter(|trial| trial.id == id)?;
        let again = trial.takes_back(back_off, now)?;
        let reason = format!("out of force, to be tried again from {again:.0} on: {reason}");
        Some((again, Entry { time: now, generation: id, stage: Stage::Probation, reason }))
    }

    /// The generation must not run here any more.
    pub fn roll_back(&mut self, id: Id, reason: &str, now: Timestamp) -> Vec<Entry> {
        let mut entries = Vec::new();
        let trial = self.trial.take_if(|trial| trial.id == id);
        let was_good = self.good.contains(&id);
        self.good.retain(|good| *good != id);
        if let Some(trial) = trial {
            let (back, entry) = Generation::<Probation>::on_probation(&trial).step::<RolledBack>(now, reason);
            entries.extend([entry, back.step::<Denied>(now, "it was rolled back here").1]);
        } else if was_good {
            let (back, entry) = Generation::<Good>::good(id).step::<RolledBack>(now, reason);
            entries.extend([entry, back.step::<Denied>(now, "it was rolled back here").1]);
        } else {
            entries.push(Entry { time: now, generation: id, stage: Stage::Denied, reason: reason.to_owned() });
        }
        if self.denial(id).is_none() {
            self.denied.push(Denial { id, time: now, reason: reason.to_owned() });
            let more = self.denied.len().saturating_sub(DENIED_KEPT);
            self.denied.drain(..more);
        }
        self.settle(Rung::Generation(id));
        entries
    }

    /// Nothing speaks against the rung any more.
    pub fn settle(&mut self, rung: Rung) {
        self.charges.retain(|charge| charge.rung != rung);
    }

    /// Counts a mishap; how many there are now.
    fn charge(&mut self, rung: Rung) -> u32 {
        if let Some(charge) = self.charges.iter_mut().find(|charge| charge.rung == rung) {
            charge.times += 1;
            return charge.times;
        }
        self.charges.push(Charge { rung, times: 1 });
        1
    }

    /// How often the rung was charged.
    pub fn charged(&self, rung: Rung) -> u32 {
        self.charges.iter().find(|charge| charge.rung == rung).map_or(0, |charge| charge.times)
    }

    /// Draws the conclusion from an attempt that no clean stop ended.
    pub fn conclude(&mut self, attempt: &Attempt, boot: &BootId, now: Timestamp) -> Vec<Entry> {
        let rebooted = attempt.boot != *boot;
        if attempt.phase == Phase::Left && !rebooted {
            return Vec::new();
        }
        let what = match (rebooted, attempt.phase) {
            (true, Phase::Loading) => "the host went down while it was loaded",
            (true, Phase::Shadow) => "the host went down while it judged in the shadow",
            (false, Phase::Shadow) => "the daemon ended while it judged in the shadow",
            (true, _) => "the host went down without a clean stop while it was in force",
            (false, Phase::Loading) => "the daemon ended while it was loaded",
            (false, _) => "the daemon ended without a clean stop while it was in force",
        };
        let Rung::Generation(id) = attempt.rung else {
            // What the baseline did while it settled counts; observing nothing can do no harm.
            let counts = attempt.phase == Phase::Loading || (attempt.phase == Phase::Running && rebooted);
            if attempt.rung == Rung::Baseline && counts {
                self.charge(attempt.rung);
            }
            return Vec::new();
        };
        if attempt.phase == Phase::Shadow && !rebooted {
            return vec![Generation::in_shadow(id).step::<Rejected>(now, what).1];
        }
        if self.good.contains(&id) {
            let counts = match attempt.phase {
                Phase::Loading | Phase::Shadow => true,
                Phase::Running => rebooted,
                Phase::Settled | Phase::Left => false,
            };
            return if counts && self.charge(attempt.rung) >= UNCLEAN {
                self.roll_back(id, &format!("{what}, {UNCLEAN} times in a row"), now)
            } else {
                Vec::new()
            };
        }
        if self.denial(id).is_some() {
            return Vec::new();
        }
        if rebooted || attempt.phase == Phase::Loading {
            self.roll_back(id, what, now)
        } else if self.charge(attempt.rung) >= CRASHES {
            self.roll_back(id, &format!("{what}, {CRASHES} times"), now)
        } else {
            Vec::new()
        }
    }
}
