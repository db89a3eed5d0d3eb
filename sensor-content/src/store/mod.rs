//! What a host keeps on disk, so that it always comes back: the last good generations, the one on probation,
//! the attempt under way, and the journal. Every write is atomic: a power cut leaves what was there before,
//! or all of the new.
//!
//! | File | Holds |
//! |---|---|
//! | `state` | [`Memory`] |
//! | `attempt` | [`Attempt`]; removed by a clean stop |
//! | `NUMBER-DIGEST.bundle` | a generation |
//! | `journal` | an [`Entry`] a line |

mod fs;
mod journal;
mod memory;
pub(crate) mod sealed;
mod switch;

use std::{collections::BTreeMap, io};

use jiff::{SignedDuration, Timestamp};

use fs::NEW;
#[cfg(feature = "repository")]
pub(crate) use fs::replace;
pub use fs::{Directory, Fs};
pub use memory::{Attempt, CRASHES, Charge, Denial, GOOD_KEPT, Memory, Phase, Rung, UNCLEAN};
pub use switch::{Switch, SwitchError};

use crate::{
    bundle::{BUNDLE_MAX, Bundle, Number, Unverified},
    key::PublicKey,
    life::{BootId, Entry, Id, Stage, Trial},
};

const STATE: &str = "state";
const ATTEMPT: &str = "attempt";
const SUFFIX: &str = ".bundle";
/// Longest state or attempt, bytes.
const SEALED_MAX: usize = 1 << 20;

/// A host's content on disk.
#[derive(Debug)]
pub struct Store<F> {
    fs: F,
    boot: BootId,
    memory: Memory,
    /// See [`known`](Self::known); `None` until somebody asks.
    known: Option<BTreeMap<Number, Timestamp>>,
    /// What was found damaged at the start.
    damage: Vec<String>,
    /// See [`left`](Self::left).
    left: Option<Rung>,
}

impl<F: Fs> Store<F> {
    /// Opens the store in this start of the kernel, and draws the conclusion from an attempt that was not ended.
    ///
    /// # Errors
    /// The directory cannot be read. What is damaged in it, or cannot be written to a disk that is full, is
    /// no error: it is said by [`damage`](Self::damage), and the ladder goes on without it.
    pub fn open(fs: F, boot: BootId, now: Timestamp) -> io::Result<Self> {
        let mut store = Self { fs, boot, memory: Memory::default(), known: None, damage: Vec::new(), left: None };
        let cleared = store.clear_away();
        store.notes("what was left half done", cleared);
        store.memory = store.unsealed(STATE)?.unwrap_or_default();
        let mended = journal::mend(&mut store.fs);
        store.notes("the journal", mended);
        if let Some(attempt) = store.unsealed::<Attempt>(ATTEMPT)? {
            let here = attempt.phase == Phase::Left && attempt.boot == store.boot;
            store.left = here.then_some(attempt.rung);
            let before = store.memory.clone();
            let entries = store.memory.conclude(&attempt, &store.boot, now);
            if store.memory != before {
                let remembered = store.remember();
                store.notes("what is held against generations", remembered);
            }
            let recorded = store.record(&entries);
            store.notes("the journal", recorded);
        }
        Ok(store)
    }

    /// Notes what could not be written at the start.
    fn notes(&mut self, what: &str, written: io::Result<()>) {
        if let Err(error) = written {
            self.damage.push(format!("{what} cannot be written: {error}"));
        }
    }

    /// Opens the store to look at it: changes nothing.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn look(fs: F, boot: BootId) -> io::Result<Self> {
        let memory = fs.read(STATE, SEALED_MAX)?.and_then(|bytes| sealed::unseal(&bytes)).unwrap_or_default();
        Ok(Self { fs, boot, memory, known: None, damage: Vec::new(), left: None })
    }

    /// What is remembered.
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What was found damaged.
    pub fn damage(&self) -> &[String] {
        &self.damage
    }

    /// What a daemon has left in force by order, in this start of the kernel, for the one that opened this.
    pub const fn left(&self) -> Option<Rung> {
        self.left
    }

    /// This start of the kernel.
    pub const fn boot(&self) -> &BootId {
        &self.boot
    }

    /// Keeps a bundle.
    ///
    /// # Errors
    /// It is not kept.
    pub fn keep(&mut self, bundle: &Bundle) -> io::Result<Id> {
        let id = Id { number: bundle.number(), digest: bundle.digest() };
        fs::replace(&mut self.fs, &file_name(id), bundle.bytes())?;
        Ok(id)
    }

    /// A bundle that is kept, verified anew: whoever can write the directory cannot sign.
    ///
    /// # Errors
    /// Why it is not there whole.
    pub fn bundle(&self, id: Id, keys: &[PublicKey]) -> Result<Bundle, String> {
        let bytes = self.fs.read(&file_name(id), BUNDLE_MAX).map_err(|error| error.to_string())?;
        let bytes = bytes.ok_or_else(|| format!("the bundle of generation {id} is not there"))?;
        let bundle = Unverified::read(bytes).map_err(|error| error.to_string())?;
        let bundle = bundle.signed_by(keys).map_err(|error| error.to_string())?;
        if bundle.number() == id.number && bundle.digest() == id.digest {
            Ok(bundle)
        } else {
            Err(format!("the file of generation {id} holds another"))
        }
    }

    /// Writes down what is about to be loaded. Must return before it is.
    ///
    /// # Errors
    /// It is not certain that a crash would be charged to the right one.
    pub fn attempt(&mut self, rung: Rung, phase: Phase) -> io::Result<()> {
        let attempt = Attempt { rung, boot: self.boot.clone(), phase };
        fs::replace(&mut self.fs, ATTEMPT, &sealed::seal(&attempt)?)
    }

    /// The generation has come into force, on probation.
    ///
    /// # Errors
    /// It is not remembered.
    pub fn begin(&mut self, trial: Trial, now: Timestamp) -> io::Result<()> {
        let rung = Rung::Generation(trial.id);
        let before = self.memory.begin(trial, now);
        self.remember()?;
        self.attempt(rung, Phase::Running)?;
        self.record(before.as_slice())
    }

    /// The rung has been in force for a while.
    ///
    /// # Errors
    /// It is not remembered.
    pub fn settle(&mut self, rung: Rung) -> io::Result<()> {
        if self.memory.charged(rung) > 0 {
            self.memory.settle(rung);
            self.remember()?;
        }
        self.attempt(rung, Phase::Settled)
    }

    /// The generation on probation is good. Of the others, the bundle of the one in the `shadow` stays too.
    ///
    /// # Errors
    /// It is not remembered.
    pub fn promote(&mut self, shadow: Option<Id>, now: Timestamp) -> io::Result<()> {
        let Some(entry) = self.memory.promote(now) else { return Ok(()) };
        self.remember()?;
        self.record(&[entry])?;
        self.forget(shadow)
    }

    /// The generation on probation is taken out of force for what was heard of it; when it is to be tried
    /// again, after `back_off` for the first time; `None` where it is to be rolled back.
    ///
    /// # Errors
    /// It is not remembered.
    pub fn suspend(
        &mut self,
        id: Id,
        reason: &str,
        back_off: SignedDuration,
        now: Timestamp,
    ) -> io::Result<Option<Timestamp>> {
        let Some((again, entry)) = self.memory.suspend(id, reason, back_off, now) else { return Ok(None) };
        self.remember()?;
        self.record(&[entry])?;
        Ok(Some(again))
    }

    /// The generation must not run here any more. Of the others, the bundle of the one in the `shadow` stays too.
    ///
    /// # Errors
    /// It is not remembered.
    pub fn roll_back(&mut self, id: Id, shadow: Option<Id>, reason: &str, now: Timestamp) -> io::Result<()> {
        let entries = self.memory.roll_back(id, reason, now);
        self.remember()?;
        self.record(&entries)?;
        self.forget(shadow.filter(|shadow| *shadow != id))
    }

    /// Takes denied generations again, and lets the baseline run: an order of the host's owner.
    ///
    /// # Errors
    /// It is not remembered.
    pub fn pardon(&mut self) -> io::Result<()> {
        self.memory.denied.clear();
        self.memory.charges.clear();
        self.remember()?;
        self.stopped()
    }

    /// Nothing runs any more, and that was intended.
    ///
    /// # Errors
    /// The next start will think that something went wrong.
    pub fn stopped(&mut self) -> io::Result<()> {
        self.fs.remove(ATTEMPT)?;
        self.fs.sync_directory()
    }

    /// Adds to the journal.
    ///
    /// # Errors
    /// It is not written.
    pub fn record(&mut self, entries: &[Entry]) -> io::Result<()> {
        journal::append(&mut self.fs, entries)?;
        if let Some(known) = &mut self.known {
            first_seen(known, entries);
        }
        Ok(())
    }

    /// The journal, oldest first.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn history(&self) -> io::Result<Vec<Entry>> {
        journal::read(&self.fs)
    }

    /// The releases that a trusted key vouched for, and when each was first seen here, by number.
    ///
    /// # Errors
    /// The journal, which is read the first time that this is asked, cannot be.
    pub fn known(&mut self) -> io::Result<&BTreeMap<Number, Timestamp>> {
        let known = if let Some(known) = self.known.take() {
            known
        } else {
            let mut known = BTreeMap::new();
            first_seen(&mut known, &self.history()?);
            known
        };
        Ok(self.known.insert(known))
    }

    fn remember(&mut self) -> io::Result<()> {
        let sealed = sealed::seal(&self.memory)?;
        fs::replace(&mut self.fs, STATE, &sealed)
    }

    /// Removes bundles that nothing refers to. The one in the shadow is in no memory until it has come into force.
    fn forget(&mut self, shadow: Option<Id>) -> io::Result<()> {
        let trial = self.memory.trial.iter().map(|trial| trial.id);
        let needed: Vec<_> = self.memory.good.iter().copied().chain(trial).chain(shadow).map(file_name).collect();
        for name in self.fs.names()? {
            if name.ends_with(SUFFIX) && !needed.contains(&name) {
                self.fs.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Removes what a power cut left half done.
    fn clear_away(&mut self) -> io::Result<()> {
        for name in self.fs.names()? {
            if name.strip_suffix(NEW).is_some() {
                self.fs.remove(&name)?;
            }
        }
        Ok(())
    }

    fn unsealed<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> io::Result<Option<T>> {
        let Some(bytes) = self.fs.read(name, SEALED_MAX)? else { return Ok(None) };
        let value = sealed::unseal(&bytes);
        if value.is_none() {
            self.damage.push(format!("the file `{name}` is damaged and was put aside as `{name}.damaged`"));
            let aside = self.fs.rename(name, &format!("{name}.damaged"));
            self.notes(name, aside);
        }
        Ok(value)
    }
}

/// The value that [`write_sealed`] wrote last; none where there is none, or what is there is damaged.
///
/// # Errors
/// It cannot be read.
pub fn read_sealed<T: serde::de::DeserializeOwned>(fs: &impl Fs, name: &str) -> io::Result<Option<T>> {
    Ok(fs.read(name, SEALED_MAX)?.and_then(|bytes| sealed::unseal(&bytes)))
}

/// Writes a value so that a power cut leaves it, or the one before.
///
/// # Errors
/// The one before is there still.
pub fn write_sealed<T: serde::Serialize>(fs: &mut impl Fs, name: &str, value: &T) -> io::Result<()> {
    fs::replace(fs, name, &sealed::seal(value)?)
}

/// Adds the releases that these steps say a trusted key vouched for.
fn first_seen(known: &mut BTreeMap<Number, Timestamp>, entries: &[Entry]) {
    for entry in entries.iter().filter(|entry| entry.stage == Stage::Signed) {
        known.entry(entry.generation.number).or_insert(entry.time);
    }
}

fn file_name(id: Id) -> String {
    format!("{}-{}{SUFFIX}", id.number, id.digest.short())
}
