//! What is in force, what judges beside it, and what is kept on disk.

use std::sync::Arc;

use jiff::Timestamp;
use sensor_common::event::Mode;
use sensor_content::{life::Entry, rollout::Signal};
use sensor_rules::{RuleSet, Source};

use super::{
    candidate::Candidate,
    keeper::Keeper,
    kernel_side::KernelSide,
    probation::Watch,
    reply::{Cause, first_line, refused},
    rule_archive::RuleArchive,
};
use crate::{
    api::{
        protocol::Refused,
        status::{Changes, Content, LastRefusal, Shadow, ShadowEnd},
    },
    daemon::{brakes::monitor::BrakeMonitor, events::journal::Journal},
    host::settings::Settings,
    kernel::engine::Engine,
};

/// Generations that are pushed without a number count from here: no release comes so far.
pub const UNNUMBERED: u64 = 1 << 40;

/// The only code that can change what is in force: this type and the files beside it.
pub struct Generations<E> {
    pub(super) kernel: KernelSide<E>,
    /// The number that the next generation gets that is pushed without one.
    pub(super) next: u64,
    pub(super) changes: Changes,
    /// Where the daemon keeps generations, if it does.
    pub(super) keeper: Option<Keeper>,
    /// What the generation on probation is held to.
    pub(super) watch: Option<Watch>,
    /// A generation that this host gave up by itself, and what the judge of a roll-out is told of it.
    pub(super) charge: Option<(u64, Signal)>,
    /// The rules that nobody has signed that came into force last, as they were pushed.
    pub(super) unsigned: Option<(u64, Arc<RuleSet>)>,
    /// What judges in the shadow.
    pub(super) candidate: Option<Candidate>,
    /// What became of the last one.
    pub(super) last_shadow: Option<ShadowEnd>,
    pub(super) last_refusal: Option<LastRefusal>,
    /// What the brakes hold back, and what the owner wants of them.
    pub(super) monitor: Arc<BrakeMonitor>,
}

/// What `creance status` says of generations.
pub struct Summary {
    /// To which a roll-back returns.
    pub previous: Option<u64>,
    /// What became of pushes and rollbacks.
    pub changes: Changes,
    /// What is kept, where anything is.
    pub content: Option<Content>,
    /// The candidate in the shadow.
    pub shadow: Option<Shadow>,
    /// What became of the last one.
    pub last_shadow: Option<ShadowEnd>,
    /// The last push or rollback that was refused.
    pub last_refusal: Option<LastRefusal>,
}

impl<E: Engine> Generations<E> {
    /// Nothing is in force but what the engine has adopted.
    pub fn new(engine: E, journal: Arc<Journal>, mode: Mode, monitor: Arc<BrakeMonitor>) -> Self {
        let next = engine.active().max(engine.previous()).map_or(1, |last| last + 1);
        Self {
            kernel: KernelSide::new(engine, journal, mode),
            next,
            changes: Changes::default(),
            keeper: None,
            watch: None,
            charge: None,
            unsigned: None,
            candidate: None,
            last_shadow: None,
            last_refusal: None,
            monitor,
        }
    }

    /// Keeps the rules of each generation in `archive` for the daemon that comes next, and takes over what the one
    /// before left there.
    pub fn set_archive(&mut self, archive: RuleArchive) {
        self.next = self.next.max(archive.highest().map_or(1, |last| last + 1));
        self.kernel.set_archive(archive);
    }

    /// Keeps generations from now on. Those that are pushed without a number get one that no release has.
    pub fn set_keeper(&mut self, keeper: Keeper) {
        self.changes.rolled_back += keeper.charged();
        self.monitor.owner_wants(keeper.policy().lifeline());
        self.keeper = Some(keeper);
        self.next = self.next.max(UNNUMBERED);
    }

    /// Where things are; `None` where the daemon keeps no generations.
    pub fn settings(&self) -> Option<Settings> {
        self.keeper.as_ref().map(|keeper| keeper.settings().clone())
    }

    /// The engine, to ask it.
    pub fn engine(&self) -> &E {
        self.kernel.engine()
    }

    /// The engine, for work that changes nothing that is in force.
    pub fn engine_mut(&mut self) -> &mut E {
        self.kernel.engine_mut()
    }

    /// The generation in force.
    pub fn active(&self) -> Option<u64> {
        self.engine().active()
    }

    /// The rules in force, where they are known.
    pub fn rules_in_force(&self) -> Option<Arc<RuleSet>> {
        self.kernel.journal().rules(self.active()?)
    }

    /// Whether the generation was made of these files.
    pub fn is_made_of(&self, generation: u64, sources: &[Source]) -> bool {
        let kept = self.kernel.archive().and_then(|archive| archive.sources(generation).ok().flatten());
        kept.is_some_and(|(kept, _)| kept == sources)
    }

    /// The generation that judges in the shadow.
    pub fn in_shadow(&self) -> Option<u64> {
        self.candidate.as_ref().map(|candidate| candidate.generation)
    }

    /// The journal of generations, oldest first.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn history(&self) -> anyhow::Result<Vec<Entry>> {
        let keeper = self.keeper.as_ref();
        let keeper =
            keeper.ok_or_else(|| anyhow::anyhow!("the daemon keeps no generations: start it with --state DIR"))?;
        Ok(keeper.store.history()?)
    }

    /// For `creance status`.
    pub fn summary(&mut self) -> Summary {
        let active = self.active();
        Summary {
            // With an owner, a roll-back does not lead to what the kernel holds, but to what may come into force.
            previous: match &mut self.keeper {
                Some(keeper) => keeper.goal(),
                None => self.kernel.engine().previous(),
            },
            changes: self.changes,
            content: self.keeper.as_mut().map(|keeper| keeper.status(active)),
            shadow: self.candidate.as_ref().map(Candidate::status),
            last_shadow: self.last_shadow.clone(),
            last_refusal: self.last_refusal.clone(),
        }
    }

    /// Ends in order. With `everything`, no trace is left in the kernel; else all that is in force stays, for the
    /// next daemon. Afterwards nobody may ask for anything.
    pub fn stop(&mut self, everything: bool) {
        self.end_shadow();
        if let Some(keeper) = &mut self.keeper {
            keeper.record_end(everything);
        }
        self.kernel.stop(everything);
    }

    /// Writes a refusal down, and says it in the words of the protocol.
    ///
    /// # Errors
    /// Where `result` is one.
    pub fn answer<T>(&mut self, result: Result<T, Cause>) -> Result<T, Box<Refused>> {
        result.map_err(|cause| {
            let refused = refused(cause, self.active());
            self.changes.refused += 1;
            self.last_refusal =
                Some(LastRefusal { time: Timestamp::now(), reason: first_line(&refused.message).to_owned() });
            Box::new(refused)
        })
    }
}
