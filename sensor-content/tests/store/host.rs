//! A host with a store, as the daemon uses it.

use std::{io, sync::LazyLock};

use jiff::Timestamp;
use sensor_content::{
    bundle::{Bundle, Release, Unverified},
    gate::{Gate, Start},
    key::{PrivateKey, PublicKey},
    life::{BootId, Id, Trial},
    policy::Policy,
    store::{Fs, Phase, Rung, Store, Switch},
};
use sensor_rules::Source;

use super::disk::Disk;

/// With what a host starts whose owner has said no more than this.
pub fn start<F: Fs>(store: &Store<F>, switch: Option<Switch>) -> Start {
    let policy = Policy::default();
    Gate { switch, approved: true, ..Gate::new(&policy, store.memory()) }.start()
}

pub fn boot(name: &str) -> BootId {
    BootId(name.to_owned())
}

pub fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[1; 32])
}

pub fn keys() -> [PublicKey; 1] {
    [key().public()]
}

/// Generations 1 to 7.
static BUNDLES: LazyLock<Vec<Bundle>> = LazyLock::new(|| {
    let text = "rules:\n  - {id: one, title: A FIFO, severity: low, on: fifo.open, condition: 'path == \"/f\"', action: alert}\n";
    let build = |number| {
        let release = format!(
            "generation = {number}\ncategory = \"routine\"\nsoak = \"0s\"\nchangelog = \"{number}\"\n\
             budget = {{ nanoseconds_per_event = 1, alerts_per_hour = 1 }}"
        );
        let source = Source { name: "one.yaml".into(), text: text.into() };
        let bytes = Release::parse(&release).unwrap().build(vec![source], &key()).unwrap();
        Unverified::read(bytes).unwrap().signed_by(&keys()).unwrap()
    };
    (1..=7).map(build).collect()
});

pub fn bundle(number: u64) -> &'static Bundle {
    &BUNDLES[usize::try_from(number).unwrap() - 1]
}

pub fn id(number: u64) -> Id {
    Id { number, digest: bundle(number).digest() }
}

pub struct Host {
    pub store: Store<Disk>,
    disk: Disk,
    running: Rung,
}

impl Host {
    /// It starts, and loads what the ladder says first.
    pub fn boots(disk: Disk, name: &str) -> io::Result<Self> {
        let store = Store::open(disk.clone(), boot(name), now())?;
        let mut host = Self { store, disk, running: Rung::Nothing };
        host.starts(None)?;
        Ok(host)
    }

    pub fn starts(&mut self, switch: Option<Switch>) -> io::Result<Rung> {
        self.running = start(&self.store, switch).rungs[0];
        self.store.attempt(self.running, Phase::Loading)?;
        self.store.attempt(self.running, Phase::Running)?;
        Ok(self.running)
    }

    /// It goes down, cleanly only after [`stops`](Self::stops), and starts again.
    pub fn reboots(self, name: &str) -> io::Result<Self> {
        Self::boots(self.disk, name)
    }

    pub fn good(&self) -> Vec<Id> {
        self.store.memory().good.clone()
    }

    pub fn is_denied(&self, number: u64) -> bool {
        self.store.memory().denial(id(number)).is_some()
    }

    pub fn keeps(&mut self, number: u64) -> io::Result<()> {
        self.store.keep(bundle(number)).map(drop)
    }

    pub fn loads(&mut self, number: u64) -> io::Result<()> {
        self.running = Rung::Generation(id(number));
        self.store.attempt(self.running, Phase::Loading)
    }

    /// A new generation comes into force, on probation.
    pub fn tries(&mut self, number: u64) -> io::Result<()> {
        self.keeps(number)?;
        self.loads(number)?;
        let trial = Trial {
            id: id(number),
            since: now(),
            boot: self.store.boot().clone(),
            soak: 0,
            taken_back: 0,
            aside: None,
        };
        self.store.begin(trial, now())
    }

    /// The generation on probation, once the host is up.
    pub fn retries(&mut self) -> io::Result<()> {
        let trial = start(&self.store, None).retry.unwrap();
        self.running = Rung::Generation(trial.id);
        self.store.attempt(self.running, Phase::Loading)?;
        self.store.attempt(self.running, Phase::Running)
    }

    pub fn settles(&mut self) -> io::Result<()> {
        self.store.settle(self.running)
    }

    pub fn promotes(&mut self) -> io::Result<()> {
        self.store.promote(None, now())
    }

    pub fn takes_back(&mut self, number: u64) -> io::Result<()> {
        self.store.roll_back(id(number), None, "the owner wants it", now())
    }

    pub fn stops(&mut self) -> io::Result<()> {
        self.store.stopped()
    }
}
