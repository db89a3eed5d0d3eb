//! An attempt to put a generation in force, as a value.

use std::io;

use sensor_content::{
    life::{Entry, Id, Trial},
    store::Phase,
};

use super::Keeper;
use crate::{daemon::generations::permit::Permit, log::say};

/// An attempt that is on disk: should the host go down now, the next start knows what to charge. It ends with a
/// `commit…`; dropped before, it writes down that what was in force still is.
#[must_use = "dropped, the attempt has failed"]
pub struct Attempt<'a> {
    keeper: &'a mut Keeper,
    permit: Option<Permit>,
}

impl Keeper {
    /// Begins an attempt: it is on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn begin(&mut self, permit: Permit) -> io::Result<Attempt<'_>> {
        let written = self.store.attempt(permit.rung(), Phase::Loading);
        let attempt = Attempt { keeper: self, permit: Some(permit) };
        written.map(|()| attempt)
    }

    /// Like [`begin`](Self::begin), but goes on where the record cannot be written.
    pub fn begin_at_any_rate(&mut self, permit: Permit) -> Attempt<'_> {
        if let Err(error) = self.store.attempt(permit.rung(), Phase::Loading) {
            say(format_args!("WARNING: the attempt cannot be written down: {error}"));
        }
        Attempt { keeper: self, permit: Some(permit) }
    }
}

impl Attempt<'_> {
    /// What was permitted is in force.
    pub fn commit(mut self) {
        if let Some(permit) = self.permit.take() {
            self.keeper.record_running(permit);
        }
    }

    /// What was permitted is in force for the first time, on probation. Where that cannot be remembered, the log
    /// says so, and this daemon goes on with it.
    pub fn commit_on_probation(mut self, trial: Trial, entries: &[Entry]) {
        if let Some(permit) = self.permit.take() {
            self.keeper.begin_probation(permit, trial, entries);
        }
    }

    /// What was permitted judges in the shadow of what stays in force: should the host go down, that is charged.
    pub fn commit_in_shadow(mut self, id: Id) {
        self.permit = None;
        self.keeper.shadow = Some(id);
        self.keeper.charge_shadow();
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // A panic on the way is charged to what was attempted, as a crash is.
        if self.permit.take().is_some() && !std::thread::panicking() {
            self.keeper.record_still_running();
        }
    }
}
