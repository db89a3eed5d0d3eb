//! `creance policy`: what the host's owner wants of content.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use sensor_content::{
    fleet::Ramps,
    gate::{Gate, Step, Wish},
    life::{BootId, Id},
    policy::{Policy, approval},
    store::{Directory, Memory, Rung, Store},
};

use super::{bundle, done::Done};
use crate::host::{
    files::{self, Existing},
    places, ramps,
};

/// Check, explain and apply the host policy: when this host takes which content, and what it may do
#[derive(Debug, Subcommand)]
pub enum Commands {
    Check(Check),
    Explain(Explain),
    Approve(Approve),
}

/// Check a policy: every value, contradictions between values, and settings that no longer have an effect
#[derive(Args, Debug)]
pub struct Check {
    /// The policy
    #[arg(value_name = "FILE", default_value = places::POLICY)]
    file: PathBuf,
    /// State directory of the daemon, to check whether a rollback is possible
    #[arg(long, value_name = "DIR", default_value = places::STATE)]
    state: PathBuf,
}

/// Say when this host takes a bundle, and why
#[derive(Args, Debug)]
pub struct Explain {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The policy
    #[arg(long, value_name = "FILE", default_value = places::POLICY)]
    policy: PathBuf,
    /// State directory of the daemon
    #[arg(long, value_name = "DIR", default_value = places::STATE)]
    state: PathBuf,
    /// Directory of approvals
    #[arg(long, value_name = "DIR", default_value = places::APPROVALS)]
    approvals: PathBuf,
}

/// Approve a bundle with the owner's private key
#[derive(Args, Debug)]
pub struct Approve {
    /// The bundle; the push verifies its signature
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The owner's private key (PEM)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Directory of approvals
    #[arg(long, value_name = "DIR", default_value = places::APPROVALS)]
    approvals: PathBuf,
}

impl Commands {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        match self {
            Self::Check(check) => check.run(out)?,
            Self::Explain(explain) => explain.run(out)?,
            Self::Approve(approve) => approve.run(out)?,
        }
        Ok(Done::Well)
    }
}

impl Check {
    fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let policy = places::check_policy(&self.file)?;
        if let Some(words) = Host::open(&self.state)?.wish(&policy) {
            bail!("{}: {words}", self.file.display());
        }
        writeln!(out, "{}: no problem found", self.file.display())?;
        Ok(())
    }
}

impl Explain {
    fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let policy = self.policy(out)?;
        let bundle = bundle::source::read(&self.bundle)?;
        let id = Id { number: bundle.claims().generation, digest: bundle.digest() };
        let host = Host::open(&self.state)?;
        let approved = places::is_approved(&policy, &self.approvals, id)?;
        let (category, now) = (bundle.claims().category, Timestamp::now());
        let gate = host.gate(&policy, approved);
        match gate.admits(&Step::Take { id, category, aside: false }, now) {
            Err(objection) => writeln!(out, "{objection}")?,
            Ok(()) => writeln!(out, "{}", gate.answer(id.number, category, now))?,
        }
        if let Some(words) = host.wish(&policy) {
            writeln!(out, "{words}")?;
        }
        Ok(())
    }
}

impl Explain {
    /// The policy; where this host has none, the one that holds then. A file that was named must be there.
    fn policy(&self, out: &mut impl Write) -> anyhow::Result<Policy> {
        if self.policy != Path::new(places::POLICY) {
            return places::policy(&self.policy);
        }
        let policy = places::policy_if_any(&self.policy)?;
        if policy.is_none() {
            writeln!(out, "{} is not there: this host takes every release at once", places::POLICY)?;
        }
        Ok(policy.unwrap_or_default())
    }
}

/// What is known of the host without asking its daemon.
struct Host {
    memory: Memory,
    known: BTreeMap<u64, Timestamp>,
    ramps: Ramps,
}

impl Host {
    fn open(state: &Path) -> anyhow::Result<Self> {
        if !state.is_dir() {
            return Ok(Self { memory: Memory::default(), known: BTreeMap::new(), ramps: Ramps::default() });
        }
        let context = || format!("the generations in {} cannot be read", state.display());
        let directory = Directory::open(state.to_owned()).with_context(context)?;
        let mut store = Store::look(directory, BootId(String::new())).with_context(context)?;
        let known = store.known().with_context(context)?.clone();
        Ok(Self { memory: store.memory().clone(), known, ramps: ramps::read(state) })
    }

    /// The generation on probation or last good: in force, or it would be.
    fn running(&self) -> Option<Id> {
        let trial = self.memory.trial.as_ref().map(|trial| trial.id);
        trial.or_else(|| self.memory.good.first().copied())
    }

    fn gate<'a>(&'a self, policy: &'a Policy, approved: bool) -> Gate<'a> {
        let running = self.running().map_or(0, |id| id.number);
        Gate { running, known: &self.known, approved, ramps: &self.ramps, ..Gate::new(policy, &self.memory) }
    }

    /// Why a wish to go back cannot be met, if so.
    fn wish(&self, policy: &Policy) -> Option<String> {
        let running = Rung::Generation(self.running()?);
        match self.gate(policy, true).wish(running) {
            Wish::Unmet(words) => Some(words),
            Wish::Nothing | Wish::Back(_) => None,
        }
    }
}

impl Approve {
    fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let bundle = bundle::source::read(&self.bundle)?;
        let id = Id { number: bundle.claims().generation, digest: bundle.digest() };
        let key = places::private_key(&self.key)?;
        let path = self.approvals.join(approval::file_name(id));
        files::write(&path, approval::approve(id, &key).as_bytes(), 0o644, Existing::Replace)?;
        writeln!(out, "{}: generation {id} is approved", path.display())?;
        Ok(())
    }
}
