//! The life of a generation on a host. Trust is earned step by step, and lost at once.
//!
//! ```text
//! downloaded ─► signed ─► checked ─► compiled ─► verified ─► shadow ─► probation ─► good
//!      └───────────┴──────────┴───────────┴───────────┴─────────┴─► rejected │         │
//!      └─► denied                                                       rolled back ◄──┘
//! ```
//!
//! Each state is a type; a step that is not in this picture does not compile:
//!
//! ```compile_fail
//! use sensor_content::life::{Generation, Good, Signed};
//! fn hurry(generation: Generation<Signed>, now: jiff::Timestamp) -> Generation<Good> {
//!     generation.step(now, "it looks fine").0
//! }
//! ```

mod id;
mod probation;
mod stage;

use std::{fmt, marker::PhantomData};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use id::{BootId, Id};
pub use probation::{BACK_OFF, Judgement, Trial};
pub use stage::{
    Checked, Compiled, Denied, Downloaded, Good, Next, Probation, Rejected, RolledBack, Shadow, Signed, Stage, State,
    Verified,
};

/// A step that was taken: a line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use = "each step belongs in the journal"]
pub struct Entry {
    /// When.
    pub time: Timestamp,
    /// Which generation.
    pub generation: Id,
    /// Where it stands now.
    pub stage: Stage,
    /// Why, or with what result.
    pub reason: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, generation, stage, reason } = self;
        write!(out, "{time:.0} {:>6} {:<13} {}", generation.number, stage.name(), crate::printable::escaped(reason))
    }
}

/// A generation in the state `S`.
#[derive(Debug)]
pub struct Generation<S> {
    id: Id,
    state: PhantomData<S>,
}

impl Generation<Downloaded> {
    /// A generation that has just arrived.
    pub fn arrived(id: Id, now: Timestamp, reason: impl Into<String>) -> (Self, Entry) {
        let generation = Self { id, state: PhantomData };
        let entry = generation.entry(now, reason.into());
        (generation, entry)
    }
}

impl Generation<Shadow> {
    /// The generation in the shadow, after a start of the daemon.
    pub fn in_shadow(id: Id) -> Self {
        Self { id, state: PhantomData }
    }
}

impl Generation<Probation> {
    /// The generation on probation, after a start of the daemon.
    pub fn on_probation(trial: &Trial) -> Self {
        Self { id: trial.id, state: PhantomData }
    }
}

impl Generation<Good> {
    /// A generation that the store keeps as good.
    pub fn good(id: Id) -> Self {
        Self { id, state: PhantomData }
    }
}

impl<S: State> Generation<S> {
    /// Which it is.
    pub const fn id(&self) -> Id {
        self.id
    }

    /// Takes a step that the state allows.
    pub fn step<N: State>(self, now: Timestamp, reason: impl Into<String>) -> (Generation<N>, Entry)
    where
        S: Next<N>,
    {
        let next = Generation { id: self.id, state: PhantomData };
        let entry = next.entry(now, reason.into());
        (next, entry)
    }

    fn entry(&self, time: Timestamp, reason: String) -> Entry {
        Entry { time, generation: self.id, stage: S::STAGE, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_life_is_written_down_step_by_step() {
        let id = Id { number: 124, digest: Digest::of(b"124") };
        let now = Timestamp::UNIX_EPOCH;
        let (generation, arrived) = Generation::arrived(id, now, "pushed");
        let (generation, signed) = generation.step::<Signed>(now, "by a key");
        let (generation, checked) = generation.step::<Checked>(now, "4 tests");
        let (_, rejected) = generation.step::<Rejected>(now, "the verifier refused it");
        let stages = [arrived, signed, checked, rejected].map(|entry| entry.stage);
        assert_eq!(stages, [Stage::Downloaded, Stage::Signed, Stage::Checked, Stage::Rejected]);
        assert!(stages.array_windows().all(|[from, to]| from.next().contains(to)));
    }
}
