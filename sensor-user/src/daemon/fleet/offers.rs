//! What the daemon does with what is offered: notes it, asks the owner's policy, and leaves what is taken back.

use std::path::PathBuf;

use jiff::Timestamp;
use sensor_content::{
    fleet::Ramps,
    gate::Step,
    life::{BootId, Generation, Id, Signed},
    policy::Policy,
    repository::Listed,
    rollout::Signal,
    store::Rung,
};

use super::super::{cause::refused, core::Core, engine::Engine, keeper::Keeper, permit::name, probation::heard};
use crate::log::say;

/// So many of the newest are noted: an owner may want to stay that far behind.
const NOTED: usize = 4;

impl<E: Engine> Core<E> {
    /// Of these releases, the newest first, the one that the owner wants now, by the [`policy`](Self::policy)
    /// as it was read last. When each was first seen is noted: delays count from there.
    pub fn wanted(&self, offered: &[Listed]) -> Option<Listed> {
        let state = &mut *self.lock();
        let keeper = state.keeper.as_mut()?;
        let now = Timestamp::now();
        // Others can have tried nothing before the content keys allow it: a delay counts from there.
        let noted: Vec<_> = offered.iter().filter(|listed| keeper.ramps().waits(listed.id).is_none()).collect();
        for listed in noted.into_iter().take(NOTED) {
            if keeper.store.known().is_ok_and(|known| known.contains_key(&listed.id.number)) {
                continue;
            }
            let (generation, arrived) = Generation::arrived(listed.id, now, "listed in the repository");
            let (_, signed) = generation.step::<Signed>(now, "by the repository's content keys");
            keeper.said(|store| store.record(&[arrived, signed]));
        }
        offered
            .iter()
            .copied()
            .find(|listed| keeper.admit(&Step::Take { id: listed.id, category: listed.category, aside: false }).is_ok())
    }

    /// Whether the owner would want this one now, if the content keys allowed it.
    pub fn would_want(&self, listed: &Listed) -> bool {
        let state = &mut *self.lock();
        state.keeper.as_mut().is_some_and(|keeper| keeper.would_admit(listed.id, listed.category))
    }

    /// How fast the content keys allow what exists, as it is known now.
    pub fn keep_pace(&self, ramps: &Ramps) {
        if let Some(keeper) = self.lock().keeper.as_mut() {
            keeper.keep_pace(ramps);
        }
    }

    /// The generation is taken back by its publisher: it runs here no more, now or ever, whether or not it
    /// ever did; `listed` is what the repository has under its number. Whether that changed anything.
    pub fn withdraw(&self, number: u64, listed: Option<Id>) -> bool {
        const REASON: &str = "its publisher has revoked it";
        let state = &mut *self.lock();
        if Self::give_up(state, number, REASON) {
            return true;
        }
        let Some(keeper) = state.keeper.as_mut() else { return false };
        if keeper.number() == number {
            return match self.leave(state, REASON) {
                Some(Ok(to)) => {
                    state.changes.rolled_back += 1;
                    say(format_args!(
                        "generation {number} is revoked by its publisher; {} is in force again",
                        name(to)
                    ));
                    true
                }
                Some(Err(cause)) => {
                    say(format_args!(
                        "WARNING: generation {number} is revoked and cannot be left: {}",
                        refused(cause, None).message
                    ));
                    false
                }
                None => false,
            };
        }
        let memory = keeper.store.memory();
        let kept = memory.trial.iter().map(|trial| trial.id).chain(memory.good.iter().copied());
        let listed = listed.filter(|id| memory.denial(*id).is_none());
        let Some(id) = kept.chain(listed).find(|id| id.number == number) else { return false };
        keeper.takes_back(id, REASON);
        say(format_args!("generation {id} is revoked by its publisher, and will not be loaded here"));
        true
    }

    /// The owner's policy, read anew.
    pub fn policy(&self) -> Policy {
        let mut state = self.lock();
        let Some(keeper) = self.read_policy(&mut state) else { return Policy::default() };
        keeper.policy().clone()
    }

    /// The directory of generations, and this start of the kernel.
    pub fn keeper_place(&self) -> Option<(PathBuf, BootId)> {
        let state = self.lock();
        let settings = state.keeper.as_ref()?.settings();
        Some((settings.state.clone(), settings.boot.clone()))
    }

    /// Number of the generation in force; 0 where it is none from the store.
    pub fn running(&self) -> u64 {
        self.lock().keeper.as_ref().map_or(0, Keeper::number)
    }

    /// The generation that this host has given up by itself since this was asked last, and why.
    pub fn take_charge(&self) -> Option<(u64, Signal)> {
        self.lock().charge.take()
    }

    /// Alerts that the generation in force may bring in an hour, as its publisher said, and how many speak
    /// against it until now: without those of the loudest ordinary user.
    pub fn alerts(&self) -> Option<(u64, u64)> {
        let state = self.lock();
        let keeper = state.keeper.as_ref()?;
        let Rung::Generation(id) = keeper.running() else { return None };
        let heard = heard(&state.engine.noise().ok()?, id.number);
        Some((keeper.budget(id)?.0.alerts_per_hour.into(), heard.all.evidence()))
    }
}
