//! `creance repo add`: bundles into the repository.

use std::{io::Write, path::PathBuf};

use clap::Args;
use jiff::Timestamp;
use sensor_content::{
    repository::{Lifetime, bundle_name},
    rollout::Ramp,
};

use super::{Directory, keys, open, ramp};
use crate::cli::{bundle, done::Done};

/// Add bundles; no host takes them before a roll-out
#[derive(Args, Debug)]
pub struct Add {
    /// The repository
    #[arg(value_name = "DIR")]
    repository: Directory,
    /// The bundles
    #[arg(value_name = "BUNDLE", required = true)]
    bundles: Vec<PathBuf>,
    /// The fastest ramp that they may ever have: routine, urgent, or a file. Without it, the one of their category
    #[arg(long, value_name = "RAMP")]
    ramp: Option<String>,
    /// A private key that signs; repeatable: enough content keys, and the online key
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
}

impl Add {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let bundles = self.bundles.iter().map(|path| bundle::source::read(path)).collect::<anyhow::Result<Vec<_>>>()?;
        let (signers, now) = (keys::signing(&self.key)?, Timestamp::now());
        let asked = self.ramp.as_deref().map(ramp::read).transpose()?;
        let (tree, mut metadata) = open(&self.repository)?;
        let mut said = Vec::new();
        let mut targets = Vec::new();
        for bundle in &bundles {
            let number = bundle.claims().generation;
            let ramp = asked.clone().unwrap_or_else(|| Ramp::shipped(bundle.claims().category));
            let new = metadata.add(bundle, &ramp, &signers, Lifetime::default(), now)?;
            let digest = bundle.digest().short();
            let so = if new { "; no host takes it before a roll-out" } else { " already" };
            said.push(format!("generation {number} ({digest}) is in the repository{so}"));
            said.extend(metadata.pace(number)?.map(|pace| format!("its fastest ramp: {pace}")));
            if new {
                targets.push((bundle_name(number), bundle.bytes()));
            }
        }
        if !targets.is_empty() {
            tree.write(&metadata, &targets)?;
        }
        said.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        Ok(Done::Well)
    }
}
