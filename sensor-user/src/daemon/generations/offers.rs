//! What the daemon does with what is offered: notes it, asks the owner's policy, and leaves what is taken back.

use jiff::Timestamp;
use sensor_content::{
    fleet::Ramps,
    gate::Step,
    life::{Generation, Id, Signed},
    repository::Listed,
    rollout::Signal,
    store::Rung,
};

use super::{keeper::Keeper, permit::name, probation::heard, reply::refused, state::Generations};
use crate::{kernel::engine::Engine, log::say};

/// So many of the newest are noted: an owner may want to stay that far behind.
const NOTED: usize = 4;

impl<E: Engine> Generations<E> {
    /// Of these releases, the newest first, the one that the owner wants now, by the [`policy`](Self::policy)
    /// as it was read last. When each was first seen is noted: delays count from there.
    pub fn wanted(&mut self, offered: &[Listed]) -> Option<Listed> {
        let keeper = self.keeper.as_mut()?;
        let now = Timestamp::now();
        // Others can have tried nothing before the content keys allow it: a delay counts from there.
        let noted: Vec<_> = offered.iter().filter(|listed| keeper.ramps().waits(listed.id).is_none()).collect();
        for listed in noted.into_iter().take(NOTED) {
            if keeper.store.known().is_ok_and(|known| known.contains_key(&listed.id.number)) {
                continue;
            }
            let (generation, arrived) = Generation::arrived(listed.id, now, "listed in the repository");
            let (_, signed) = generation.step::<Signed>(now, "by the repository's content keys");
            keeper.write(|store| store.record(&[arrived, signed]));
        }
        offered
            .iter()
            .copied()
            .find(|listed| keeper.admit(&Step::Take { id: listed.id, category: listed.category, aside: false }).is_ok())
    }

    /// Whether the owner would want this one now, if the content keys allowed it.
    pub fn would_want(&mut self, listed: &Listed) -> bool {
        self.keeper.as_mut().is_some_and(|keeper| keeper.would_admit(listed.id, listed.category))
    }

    /// How fast the content keys allow what exists, as it was known last; `None` where no generations are kept.
    pub fn ramps(&self) -> Option<Ramps> {
        self.keeper.as_ref().map(|keeper| keeper.ramps().clone())
    }

    /// How fast the content keys allow what exists, as it is known now.
    pub fn keep_pace(&mut self, ramps: &Ramps) {
        if let Some(keeper) = self.keeper.as_mut() {
            keeper.keep_pace(ramps);
        }
    }

    /// The generation is taken back by its publisher: it runs here no more, now or ever, whether or not it
    /// ever did; `listed` is what the repository has under its number. Whether that changed anything.
    pub fn withdraw(&mut self, number: u64, listed: Option<Id>) -> bool {
        const REASON: &str = "its publisher has revoked it";
        if self.give_up(number, REASON) {
            return true;
        }
        let Some(keeper) = self.keeper.as_mut() else { return false };
        if keeper.number() == number {
            return match self.leave(REASON) {
                Some(Ok(to)) => {
                    self.changes.rolled_back += 1;
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
        keeper.take_back(id, REASON);
        say(format_args!("generation {id} is revoked by its publisher, and will not be loaded here"));
        true
    }

    /// Number of the generation in force; 0 where it is none from the store.
    pub fn running(&self) -> u64 {
        self.keeper.as_ref().map_or(0, Keeper::number)
    }

    /// The generation that this host has given up by itself since this was asked last, and why.
    pub const fn take_charge(&mut self) -> Option<(u64, Signal)> {
        self.charge.take()
    }

    /// Alerts that the generation in force may bring in an hour, as its publisher said, and how many speak
    /// against it until now: without those of the loudest ordinary user.
    pub fn alerts(&self) -> Option<(u64, u64)> {
        let keeper = self.keeper.as_ref()?;
        let Rung::Generation(id) = keeper.running() else { return None };
        let heard = heard(&self.engine().noise().ok()?, id.number);
        Some((keeper.budget(id)?.0.alerts_per_hour.into(), heard.all.evidence()))
    }
}
