//! What the daemon answers on its control socket.

use base64ct::{Base64, Encoding};
use sensor_common::maps::Container;
use sensor_content::{life::Entry, shadow::without_examples};
use sensor_rules::Source;

use super::{
    admission::Access,
    server::{Answer, Service},
};
use crate::{
    api::{
        protocol::{Quarantined, Reply, Request},
        status::Status,
    },
    daemon::{core::Core, events::journal::Journal, generations::options::PushOptions},
    event::{Clock, counts},
    kernel::{self, Hierarchies, engine::Engine},
};

impl<E: Engine> Core<E> {
    /// What nobody may read, oldest first.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn quarantine(&self) -> anyhow::Result<Vec<Quarantined>> {
        let marks = self.generations().engine_mut().quarantine()?;
        let clock = Clock::now();
        let quarantined = marks.into_iter().map(|(key, mark)| Quarantined {
            inode: mark.inode,
            container: Container::from_index(key.container).map_or("", Container::name).to_owned(),
            device: mark.device,
            since: clock.at(mark.time),
            generation: mark.generation,
            rule: self.journal().rule_name(mark.generation, mark.rule),
            pid: mark.pid,
        });
        Ok(quarantined.collect())
    }

    /// What runs.
    ///
    /// # Errors
    /// When the kernel does not tell its counts.
    pub fn status(&self) -> anyhow::Result<Status> {
        let mut generations = self.generations();
        let switch = self.switch();
        let counters = generations.engine().counters()?;
        let generation = generations.active();
        let rules = generations.rules_in_force();
        let summary = generations.summary();
        let hooks = generations.engine().hooks()?;
        let in_vain = rules.as_ref().and_then(|rules| Hierarchies::of_this_host().warning(rules));
        let missing = hooks.iter().filter_map(|hook| hook.missing.clone());
        let warnings = self.warnings().into_iter().chain(missing).chain(in_vain).collect();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started: self.started,
            kernel: self.kernel.clone(),
            mode: self.mode.name().into(),
            enforcing: switch.is_on(),
            off_file: switch.off().map(|path| path.display().to_string()),
            confinement: self.confinement.clone(),
            brakes: self.monitor().status(self.journal())?,
            generation,
            previous: summary.previous,
            rules: rules.as_ref().map_or(0, |rules| rules.rules().len()),
            asking: rules.as_ref().map_or(0, |rules| rules.braked().count()),
            unseen: rules.as_ref().map_or(Vec::new(), |rules| kernel::unseen(rules, self.mode)),
            warnings,
            hooks,
            events: counts::by_event(&counters),
            outcomes: counts::by_outcome(&counters),
            losses: counts::by_reason(&counters),
            quarantine: counts::by_deed(&counters),
            preempted: counters.preempted,
            undecided: counters.undecided,
            reports: self.journal().tally(),
            changes: summary.changes,
            content: summary.content,
            fleet: self.fleet().read(),
            shadow: summary.shadow,
            last_shadow: summary.last_shadow,
            last_refusal: summary.last_refusal,
        })
    }
}

impl<E: Engine> Service for Core<E> {
    fn answer(&self, request: Request, access: Access) -> Answer {
        Answer::Reply(Box::new(match request {
            Request::Events { follow } => return Answer::Events { follow },
            Request::Push { sources, skip_checks, no_shadow } => {
                let sources: Vec<Source> = sources.into_iter().map(Into::into).collect();
                let options = PushOptions { skip_checks, at_once: no_shadow, ..PushOptions::default() };
                self.push(&sources, options).map_or_else(Reply::Refused, Reply::Pushed)
            }
            Request::PushBundle { bundle, policy_aside, no_shadow } => match Base64::decode_vec(&bundle) {
                Ok(bytes) => {
                    let options = PushOptions { policy_aside, at_once: no_shadow, ..PushOptions::default() };
                    self.push_bundle(bytes, options).map_or_else(Reply::Refused, Reply::Pushed)
                }
                Err(error) => Reply::Error { message: format!("the bundle is not in base64: {error}") },
            },
            Request::History => {
                self.generations().history().map_or_else(failed, |entries| Reply::History(told(entries, access)))
            }
            Request::Rollback => self
                .generations()
                .roll_back()
                .map_or_else(Reply::Refused, |generation| Reply::RolledBack { generation }),
            Request::Enforce { on } => self.enforce(on).map_or_else(failed, |on| Reply::Enforcing { on }),
            Request::Quarantine => self.quarantine().map_or_else(failed, Reply::Quarantine),
            Request::Release { inode } => {
                self.generations().engine_mut().release(inode).map_or_else(failed, |count| Reply::Released { count })
            }
            Request::Brakes => self.monitor().status(self.journal()).map_or_else(failed, Reply::Brakes),
            Request::ReleaseBrake { rule } => self
                .monitor()
                .release(self.journal(), rule.as_deref())
                .map_or_else(failed, |count| Reply::Released { count }),
            Request::Status => self.status().map_or_else(failed, |status| {
                let status = if access == Access::Full { status } else { status.without_examples() };
                Reply::Status(Box::new(status))
            }),
        }))
    }

    fn journal(&self) -> &Journal {
        Self::journal(self)
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
