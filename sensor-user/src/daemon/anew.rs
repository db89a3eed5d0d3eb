//! SIGHUP: files of events are opened anew, the owner's policy and the rules directory read anew.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::signal::unix::Signal;

use super::{core::Core, engine::Engine};
use crate::{
    control::{protocol::Pushed, server::Service},
    log::say,
    sources,
};

/// Does so whenever the signal comes, until the future is dropped.
pub async fn by_order<E: Engine>(core: Arc<Core<E>>, mut hangup: Signal, rules: Option<PathBuf>) {
    while hangup.recv().await.is_some() {
        core.journal().reopen();
        let (core, rules) = (Arc::clone(&core), rules.clone());
        // One that panicked has said so; the next may do better.
        let _ = tokio::task::spawn_blocking(move || say(core.read_anew(rules.as_deref()))).await;
    }
}

impl<E: Engine> Core<E> {
    /// Reads the owner's policy and the rules in a directory anew; what to say of that. What cannot be read,
    /// or is refused, changes nothing.
    pub fn read_anew(&self, rules: Option<&Path>) -> String {
        let policy = self.policy_anew();
        let rules = rules.map(|directory| {
            self.rules_anew(directory)
                .unwrap_or_else(|why| format!("the rules in {} change nothing: {why}", directory.display()))
        });
        let done = ["SIGHUP: files of events are opened anew".to_owned()].into_iter().chain(policy).chain(rules);
        done.collect::<Vec<_>>().join("; ")
    }

    /// `None` where the daemon has no policy.
    fn policy_anew(&self) -> Option<String> {
        let state = &mut *self.lock();
        let keeper = self.read_policy(state)?;
        let words = keeper.blindness().unwrap_or_else(|| "the owner's policy is read anew".to_owned());
        self.permits_otherwise(state);
        Some(words)
    }

    fn rules_anew(&self, directory: &Path) -> Result<String, String> {
        let sources = sources::read(&[directory]).map_err(|error| format!("{error:#}"))?;
        let active = self.lock().engine.active();
        if let Some(generation) = active.filter(|generation| self.holds(*generation, &sources)) {
            return Ok(format!("the rules in {} are those of generation {generation}, in force", directory.display()));
        }
        let Pushed { generation, rules, .. } = self.push(&sources, false, true).map_err(|refused| refused.message)?;
        Ok(format!("generation {generation} is in force: {rules} rules of {}", directory.display()))
    }

    /// Whether the generation is made of these.
    fn holds(&self, generation: u64, sources: &[sensor_rules::Source]) -> bool {
        let kept = self.memory.as_ref().and_then(|memory| memory.sources(generation).ok().flatten());
        kept.is_some_and(|(kept, _)| kept == sources)
    }
}
