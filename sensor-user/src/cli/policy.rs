//! `creance policy`: what the host's owner wants of content.

use std::{collections::BTreeMap, io::Write, path::PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use sensor_content::{
    life::{BootId, Id},
    policy::approval,
    store::{Directory, Store},
};

use super::{Done, bundle};
use crate::{
    content,
    files::{self, Existing},
};

/// The policy of this host's owner: when which content is taken, and what it may do
#[derive(Debug, Subcommand)]
pub enum Policy {
    Check(Check),
    Explain(Explain),
    Approve(Approve),
}

/// Check a policy: every value, and that no two contradict each other
#[derive(Args, Debug)]
pub struct Check {
    /// The policy
    #[arg(value_name = "FILE", default_value = content::POLICY)]
    file: PathBuf,
}

/// Say when this host takes a bundle, and why
#[derive(Args, Debug)]
pub struct Explain {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The policy
    #[arg(long, value_name = "FILE", default_value = content::POLICY)]
    policy: PathBuf,
    /// Where the daemon keeps its generations
    #[arg(long, value_name = "DIR", default_value = content::STATE)]
    state: PathBuf,
    /// Where approvals are
    #[arg(long, value_name = "DIR", default_value = content::APPROVALS)]
    approvals: PathBuf,
}

/// Approve a bundle with the owner's private key
#[derive(Args, Debug)]
pub struct Approve {
    /// The bundle; its signature is verified where it is pushed
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The owner's private key (PEM)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Directory of approvals
    #[arg(long, value_name = "DIR", default_value = content::APPROVALS)]
    approvals: PathBuf,
}

impl Policy {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        match self {
            Self::Check(Check { file }) => {
                content::policy(&file)?;
                writeln!(out, "{}: no problem found", file.display())?;
            }
            Self::Explain(explain) => explain.run(out)?,
            Self::Approve(approve) => approve.run(out)?,
        }
        Ok(Done::Well)
    }
}

impl Explain {
    fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let policy = content::policy(&self.policy)?;
        let bundle = bundle::read(&self.bundle)?;
        let id = Id { number: bundle.claims().generation, digest: bundle.digest() };
        let (running, known) = self.host()?;
        let offered = (id, bundle.claims().category);
        writeln!(out, "{}", content::decide(&policy, &self.approvals, offered, (running, &known))?)?;
        Ok(())
    }

    /// The generation in force or last good, and the releases that are known with the time when each was first seen.
    fn host(&self) -> anyhow::Result<(u64, BTreeMap<u64, Timestamp>)> {
        if !self.state.is_dir() {
            return Ok((0, BTreeMap::new()));
        }
        let context = || format!("the generations in {} cannot be read", self.state.display());
        let directory = Directory::open(self.state.clone()).with_context(context)?;
        let mut store = Store::look(directory, BootId(String::new())).with_context(context)?;
        let memory = store.memory();
        let trial = memory.trial.as_ref().map(|trial| trial.id.number);
        let running = trial.or_else(|| memory.good.first().map(|id| id.number)).unwrap_or(0);
        Ok((running, store.known().with_context(context)?.clone()))
    }
}

impl Approve {
    fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let bundle = bundle::read(&self.bundle)?;
        let id = Id { number: bundle.claims().generation, digest: bundle.digest() };
        let key = content::private_key(&self.key)?;
        let path = self.approvals.join(approval::file_name(id));
        files::write(&path, approval::approve(id, &key).as_bytes(), 0o644, Existing::Replace)?;
        writeln!(out, "{}: generation {id} is approved", path.display())?;
        Ok(())
    }
}
