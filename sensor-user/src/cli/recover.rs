//! `creance recover`: bring a host back that does not run, by the files on its disk.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;
use jiff::Timestamp;
use sensor_content::{
    gate::Gate,
    life::BootId,
    policy::Policy,
    store::{Directory, Rung, Store, Switch},
};

use super::Done;
use crate::{
    content, control,
    control::Client,
    files::{self, Existing},
};

/// Bring a host back that does not run, from rescue media: take back what is on probation, or more
///
/// Needs no daemon and no network, and gives the same when it is run again: for scripts over many disks.
#[derive(Args, Debug)]
pub struct Recover {
    /// Where the host's root file system is mounted
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Take this generation back, whatever it is; may be given several times
    #[arg(long, value_name = "NUMBER")]
    from: Vec<u64>,
    /// Set the switch that holds content back until the file etc/creance/safe-mode is removed: off, baseline or last-good
    #[arg(long, value_name = "SWITCH")]
    safe_mode: Option<Switch>,
    /// Forget all that was held against generations
    #[arg(long, conflicts_with = "from")]
    pardon: bool,
}

impl Recover {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let running = fs::canonicalize(&self.root).is_ok_and(|root| root == Path::new("/"));
        ensure!(
            !running || Client::connect(control::SOCKET).is_err(),
            "a daemon runs on this host: ask it, with `creance rollback`"
        );
        let state = self.below(content::STATE);
        ensure!(state.is_dir(), "{} is not there: is this the root of a host with Creance?", state.display());
        self.repair(&state, out).with_context(|| format!("the generations in {}", state.display()))?;
        if let Some(switch) = self.safe_mode {
            let path = content::safe_mode(&self.below(content::CONFIGURATION));
            files::write(&path, format!("{switch}\n").as_bytes(), 0o644, Existing::Replace)?;
            writeln!(out, "{}: {switch}", path.display())?;
        }
        Ok(Done::Well)
    }

    fn below(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// What that host's owner wants, as its daemon will read it.
    fn policy(&self) -> Policy {
        let path = self.below(content::POLICY);
        if path.symlink_metadata().is_err() {
            return Policy::default();
        }
        content::policy(&path).unwrap_or_else(|_| Policy::unreadable())
    }

    /// The switch that is set now, or was before, on its disk.
    fn switch(&self) -> Option<Switch> {
        self.safe_mode.or_else(|| content::switch_in(&content::safe_mode(&self.below(content::CONFIGURATION))).switch)
    }

    fn repair(&self, state: &Path, out: &mut impl Write) -> io::Result<()> {
        let now = Timestamp::now();
        // No start of that host's kernel: an attempt that was not ended is charged, as it would be at its next start.
        let mut store = Store::open(Directory::open(state.to_owned())?, BootId("recovery".into()), now)?;
        for damage in store.damage() {
            writeln!(out, "{damage}")?;
        }
        let memory = store.memory();
        let trial = memory.trial.as_ref().map(|trial| trial.id);
        let named = memory.good.iter().copied().chain(trial).filter(|id| self.from.contains(&id.number));
        let back: Vec<_> =
            if self.pardon { Vec::new() } else { named.chain(trial.filter(|_| self.from.is_empty())).collect() };
        for id in back {
            store.roll_back(id, None, "taken back by `creance recover`", now)?;
            writeln!(out, "generation {id} is taken back")?;
        }
        if self.pardon {
            store.pardon()?;
            writeln!(out, "nothing is held against any generation")?;
        } else {
            store.stopped()?;
        }
        let (policy, known) = (self.policy(), BTreeMap::new());
        let (switch, memory) = (self.switch(), store.memory());
        let gate = Gate { policy: &policy, blind: None, switch, memory, running: 0, known: &known, approved: true };
        let first = gate.start().rungs.first().copied().unwrap_or(Rung::Nothing);
        match first {
            Rung::Generation(id) => writeln!(out, "the host will start with generation {id}"),
            Rung::Baseline => writeln!(out, "the host will start with the baseline"),
            Rung::Nothing if store.memory().is_baseline_given_up() => {
                writeln!(out, "the host will observe nothing: the baseline is given up, and --pardon forgives it")
            }
            Rung::Nothing => writeln!(out, "the host will observe nothing"),
        }
    }
}
