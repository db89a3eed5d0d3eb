//! SIGHUP: files of events are opened anew, the owner's policy and the rules directory read anew.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::signal::unix::Signal;

use super::{core::Core, generations::options::PushOptions};
use crate::{api::protocol::Pushed, kernel::engine::Engine, log::say, rule_files};

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
        let policy = self.generations().read_policy_again();
        let rules = rules.map(|directory| {
            self.rules_anew(directory)
                .unwrap_or_else(|why| format!("the rules in {} change nothing: {why}", directory.display()))
        });
        let done = ["SIGHUP: files of events are opened anew".to_owned()].into_iter().chain(policy).chain(rules);
        done.collect::<Vec<_>>().join("; ")
    }

    fn rules_anew(&self, directory: &Path) -> Result<String, String> {
        let sources = rule_files::read(&[directory]).map_err(|error| format!("{error:#}"))?;
        let same = {
            let generations = self.generations();
            generations.active().filter(|generation| generations.is_made_of(*generation, &sources))
        };
        if let Some(generation) = same {
            return Ok(format!("the rules in {} are those of generation {generation}, in force", directory.display()));
        }
        let Pushed { generation, rules, .. } =
            self.push(&sources, PushOptions::AT_ONCE).map_err(|refused| refused.message)?;
        Ok(format!("generation {generation} is in force: {rules} rules of {}", directory.display()))
    }
}
