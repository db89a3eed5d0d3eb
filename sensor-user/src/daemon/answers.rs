//! What the daemon answers on its control socket.

use base64ct::{Base64, Encoding};
use sensor_common::maps::Container;
use sensor_content::{life::Entry, shadow::without_examples};
use sensor_rules::Source;

use super::{core::Core, engine::Engine, journal::Journal, shadow::Candidate};
use crate::{
    control::{
        admission::Access,
        protocol::{Quarantined, Reply, Request},
        server::{Answer, Service},
    },
    event::Clock,
    kernel::{Hierarchies, Unseen},
    status::{self, Status},
};

impl<E: Engine> Core<E> {
    /// What nobody may read, oldest first.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn quarantine(&self) -> anyhow::Result<Vec<Quarantined>> {
        let marks = self.lock().engine.quarantine()?;
        let clock = Clock::now();
        let quarantined = marks.into_iter().map(|(key, mark)| Quarantined {
            inode: mark.inode,
            container: Container::from_index(key.container).map_or("", Container::name).to_owned(),
            device: mark.device,
            since: clock.at(mark.time),
            generation: mark.generation,
            rule: self.journal.rule_name(mark.generation, mark.rule),
            pid: mark.pid,
        });
        Ok(quarantined.collect())
    }

    /// What runs.
    ///
    /// # Errors
    /// When the kernel does not tell its counts.
    pub fn status(&self) -> anyhow::Result<Status> {
        let mut state = self.lock();
        let switch = self.switch();
        let counters = state.engine.counters()?;
        let generation = state.engine.active();
        let rules = generation.and_then(|generation| self.journal.rules(generation));
        // With an owner, a roll-back does not lead to what the kernel holds, but to what may come into force.
        let previous = match &mut state.keeper {
            Some(keeper) => keeper.goal(),
            None => state.engine.previous(),
        };
        let hooks = state.engine.hooks()?;
        let in_vain = rules.as_ref().and_then(|rules| Hierarchies::of_this_host().warning(rules));
        let missing = hooks.iter().filter_map(|hook| hook.missing.clone());
        let warnings = self.warnings().into_iter().chain(missing).chain(in_vain).collect();
        let content = state.keeper.as_mut().map(|keeper| keeper.status(generation));
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started: self.started,
            kernel: self.kernel.clone(),
            mode: self.mode.name().into(),
            enforcing: switch.is_on(),
            off_file: switch.off().map(|path| path.display().to_string()),
            confinement: self.confinement.clone(),
            brakes: self.guard.status(&self.journal)?,
            generation,
            previous,
            rules: rules.as_ref().map_or(0, |rules| rules.rules().len()),
            asking: rules.as_ref().map_or(0, |rules| rules.braked().count()),
            unseen: rules.as_ref().map_or(Vec::new(), |rules| Unseen::all(rules, self.mode)),
            warnings,
            hooks,
            events: status::by_event(&counters),
            outcomes: status::by_outcome(&counters),
            losses: status::by_reason(&counters),
            quarantine: status::by_deed(&counters),
            preempted: counters.preempted,
            undecided: counters.undecided,
            reports: self.journal.tally().into(),
            changes: state.changes,
            content,
            fleet: self.fleet.read(),
            shadow: state.candidate.as_ref().map(Candidate::status),
            last_shadow: state.last_shadow.clone(),
            last_refusal: state.last_refusal.clone(),
        })
    }
}

impl<E: Engine> Service for Core<E> {
    fn answer(&self, request: Request, access: Access) -> Answer {
        Answer::Reply(Box::new(match request {
            Request::Events { follow } => return Answer::Events { follow },
            Request::Push { sources, skip_checks, no_shadow } => {
                let sources: Vec<Source> = sources.into_iter().map(Into::into).collect();
                self.push(&sources, skip_checks, no_shadow).map_or_else(Reply::Refused, Reply::Pushed)
            }
            Request::PushBundle { bundle, policy_aside, no_shadow } => match Base64::decode_vec(&bundle) {
                Ok(bytes) => {
                    self.push_bundle(bytes, policy_aside, no_shadow).map_or_else(Reply::Refused, Reply::Pushed)
                }
                Err(error) => Reply::Error { message: format!("the bundle is not in base64: {error}") },
            },
            Request::History => self.history().map_or_else(failed, |entries| Reply::History(told(entries, access))),
            Request::Rollback => {
                self.rollback().map_or_else(Reply::Refused, |generation| Reply::RolledBack { generation })
            }
            Request::Enforce { on } => self.enforce(on).map_or_else(failed, |on| Reply::Enforcing { on }),
            Request::Quarantine => self.quarantine().map_or_else(failed, Reply::Quarantine),
            Request::Release { inode } => {
                self.lock().engine.release(inode).map_or_else(failed, |count| Reply::Released { count })
            }
            Request::Brakes => self.guard.status(&self.journal).map_or_else(failed, Reply::Brakes),
            Request::ReleaseBrake { rule } => self
                .guard
                .release(&self.journal, rule.as_deref())
                .map_or_else(failed, |count| Reply::Released { count }),
            Request::Status => self.status().map_or_else(failed, |status| {
                let status = if access == Access::Full { status } else { status.without_examples() };
                Reply::Status(Box::new(status))
            }),
        }))
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }
}

/// The journal as one with this access may read it.
fn told(mut entries: Vec<Entry>, access: Access) -> Vec<Entry> {
    if access != Access::Full {
        for entry in &mut entries {
            entry.reason = without_examples(&entry.reason);
        }
    }
    entries
}

#[expect(clippy::needless_pass_by_value, reason = "taken by map_or_else")]
fn failed(error: anyhow::Error) -> Reply {
    Reply::Error { message: format!("{error:#}") }
}
