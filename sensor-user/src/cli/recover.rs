//! `creance recover`: bring a host back that does not run, by the files on its disk.

use std::{
    fs,
    io::{self, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use jiff::Timestamp;
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2},
    io::Errno,
};
use sensor_content::{
    gate::Gate,
    life::BootId,
    policy::Policy,
    store::{Directory, Rung, Store, Switch},
};

use super::done::Done;
use crate::{
    control::{self, Client},
    host::{
        files::{self, Existing},
        places,
    },
};

/// Recover a host that does not run, from rescue media: roll back the generation on probation, or more
///
/// Needs no daemon and no network. Running it again changes nothing more, so scripts can go over many disks.
#[derive(Args, Debug)]
pub struct Recover {
    /// Where the host's root file system is mounted
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Roll back this generation, whatever its state; repeatable
    #[arg(long, value_name = "NUMBER")]
    from: Vec<u64>,
    /// Set the switch that holds content back until the file etc/creance/safe-mode is removed: off, baseline
    /// or last-good
    #[arg(long, value_name = "SWITCH")]
    safe_mode: Option<Switch>,
    /// Forget everything held against generations
    #[arg(long, conflicts_with = "from")]
    pardon: bool,
}

/// A directory of the host: links in its path lead where they lead there, and never out of its root.
struct Inside(OwnedFd);

impl Inside {
    fn open(root: &Path, path: &str) -> anyhow::Result<Self> {
        let context =
            || format!("{} of {} cannot be opened: is this the root of a host with Creance?", path, root.display());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = openat(CWD, root, flags, Mode::empty()).with_context(context)?;
        let found = openat2(top, path.trim_start_matches('/'), flags, Mode::empty(), ResolveFlags::IN_ROOT);
        if matches!(found, Err(Errno::NOSYS)) {
            bail!(
                "the kernel that runs here cannot keep links inside of {}: it needs Linux 5.6 or later",
                root.display()
            );
        }
        found.map(Self).with_context(context)
    }

    /// The way to it that no link can change.
    fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

impl Recover {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let below = |path: &str| self.root.join(path.trim_start_matches('/'));
        let inside = |path: &str| Inside::open(&self.root, path);
        let running = fs::canonicalize(&self.root).is_ok_and(|root| root == Path::new("/"));
        ensure!(
            !running || Client::connect(control::SOCKET).is_err(),
            "a daemon runs on this host: ask it, with `creance rollback`"
        );
        let state = inside(places::STATE)?;
        // Before anything is changed.
        let switch = self.safe_mode.map(|switch| inside(places::CONFIGURATION).map(|directory| (switch, directory)));
        let switch = switch.transpose()?;
        let named = below(places::STATE);
        self.repair(&state.path(), out).with_context(|| format!("the generations in {}", named.display()))?;
        if let Some((switch, directory)) = switch {
            let path = places::safe_mode(&directory.path());
            let named = places::safe_mode(&below(places::CONFIGURATION));
            files::write(&path, format!("{switch}\n").as_bytes(), 0o644, Existing::Replace)
                .with_context(|| named.display().to_string())?;
            writeln!(out, "{}: {switch}", named.display())?;
        }
        Ok(Done::Well)
    }

    /// A file of the host's configuration; `None` where there is no such directory.
    fn configured<T>(&self, read: impl FnOnce(&Path) -> T) -> Option<T> {
        Inside::open(&self.root, places::CONFIGURATION).ok().map(|directory| read(&directory.path()))
    }

    /// What that host's owner wants, as its daemon will read it.
    fn policy(&self) -> Policy {
        let read = |directory: &Path| {
            let path = places::policy_file(directory);
            let is_there = path.symlink_metadata().is_ok();
            if is_there { places::policy(&path).unwrap_or_else(|_| Policy::unreadable()) } else { Policy::default() }
        };
        self.configured(read).unwrap_or_default()
    }

    /// The switch that is set now, or was before, on its disk.
    fn switch(&self) -> Option<Switch> {
        let on_disk = |directory: &Path| places::switch_in(&places::safe_mode(directory)).switch;
        self.safe_mode.or_else(|| self.configured(on_disk).flatten())
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
        let policy = self.policy();
        let gate = Gate { switch: self.switch(), approved: true, ..Gate::new(&policy, store.memory()) };
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
