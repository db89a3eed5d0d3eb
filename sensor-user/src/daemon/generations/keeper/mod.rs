//! What the daemon keeps of generations: the store, the owner's policy, trusted keys; and how far the present one got.

mod attempt;
mod inherited;
mod policy_file;
mod status;

use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use sensor_content::{
    bundle::{Budget, Category},
    digest::Digest,
    fleet::Ramps,
    gate::{Start, Step},
    life::{Entry, Id, Judgement, Stage, Trial},
    policy::Policy,
    store::{Directory, Phase, Rung, Store, Switch},
};

use self::policy_file::PolicyFile;
use super::permit::{Permit, number};
use crate::{
    host::{
        places::{self, Switched},
        ramps,
        settings::Settings,
    },
    log::say,
};

/// What to say of rules in force that nobody has signed.
pub const TRANSIENT: &str = "nobody has signed these rules: `systemctl restart` leaves them in force, and they are gone after a crash, a stop, \
     a reboot, or with another version; sign a bundle to keep them (docs/content.md)";

/// Which daemon put in force what is.
#[derive(Clone, Copy, Debug)]
enum Origin {
    ThisDaemon,
    DaemonBefore,
}

/// What is in force, and how far it got.
#[derive(Debug)]
struct Running {
    /// The leave by which it came into force.
    permit: Permit,
    since: Instant,
    /// Whether it has been in force long enough that a crash is not charged to it.
    settled: bool,
    origin: Origin,
}

impl Running {
    fn new(permit: Permit) -> Self {
        Self { permit, since: Instant::now(), settled: false, origin: Origin::ThisDaemon }
    }

    const fn phase(&self) -> Phase {
        if self.settled { Phase::Settled } else { Phase::Running }
    }
}

/// The store, the owner's policy and the trusted keys, with the state of the present generation.
#[derive(Debug)]
pub struct Keeper {
    /// What is on disk.
    pub store: Store<Directory>,
    settings: Settings,
    running: Running,
    /// Judges in the shadow.
    shadow: Option<Id>,
    /// On probation, and to be tried again.
    retry: Option<Retry>,
    /// Rules that are switched off, because they were too loud: by generation and id.
    silenced: Vec<(Id, String)>,
    /// The switch as it is now.
    switched: Switched,
    /// The switch as it was at the start.
    started_under: Option<Switch>,
    started: Instant,
    /// How many generations were rolled back at the start.
    charged: u64,
    policy_file: PolicyFile,
    /// What was said last of the owner's wish to go back, so that it is said once.
    said_of_wish: Option<String>,
    /// How fast the content keys allow what the repository lists.
    ramps: Ramps,
}

/// A generation on probation that is out of force, and is to be tried again.
#[derive(Debug)]
struct Retry {
    trial: Trial,
    /// Not before this moment.
    from: Instant,
    /// Why the owner does not want it now, if so.
    waits: Option<String>,
}

impl Keeper {
    /// Opens the store and reads the switches. A policy that cannot be read holds everything back that is
    /// new, and lets what comes into force only alert.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub fn open(settings: Settings) -> anyhow::Result<Self> {
        let opened = Timestamp::now();
        let directory = Directory::open(settings.state.clone());
        let store = directory
            .and_then(|directory| Store::open(directory, settings.boot.clone(), opened))
            .with_context(|| format!("the generations in {} cannot be read", settings.state.display()))?;
        for damage in store.damage() {
            say(format_args!("WARNING: {damage}"));
        }
        let now = |entry: &&Entry| entry.stage == Stage::RolledBack && entry.time == opened;
        let charged = store.history().unwrap_or_default().iter().filter(now).count() as u64;
        let mut keeper = Self {
            store,
            ramps: ramps::read(&settings.state),
            settings,
            running: Running::new(Permit::of_nobody(Rung::Nothing)),
            shadow: None,
            retry: None,
            silenced: Vec::new(),
            switched: Switched::default(),
            started_under: None,
            started: Instant::now(),
            charged,
            policy_file: PolicyFile::default(),
            said_of_wish: None,
        };
        keeper.read_policy();
        Ok(keeper)
    }

    /// How fast the content keys allow what the repository lists, as it was said last.
    pub const fn ramps(&self) -> &Ramps {
        &self.ramps
    }

    /// That is said now.
    pub fn keep_pace(&mut self, ramps: &Ramps) {
        self.ramps.clone_from(ramps);
    }

    /// Where things are.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many generations were rolled back at the start, for what they did before.
    pub const fn charged(&self) -> u64 {
        self.charged
    }

    /// What is in force.
    pub const fn running(&self) -> Rung {
        self.running.permit.rung()
    }

    /// The switch that holds content back, as it is now.
    pub const fn switch(&self) -> Option<Switch> {
        self.switched.switch
    }

    /// Rules of what is about to run that were too loud before.
    pub fn silenced(&self, rung: Rung) -> Vec<String> {
        let of = |id: &Id| rung == Rung::Generation(*id);
        self.silenced.iter().filter(|(id, _)| of(id)).map(|(_, rule)| rule.clone()).collect()
    }

    /// How long it has been in force.
    pub fn in_force(&self) -> Duration {
        self.running.since.elapsed()
    }

    /// Number of the generation in force; 0 where it is none from the store.
    pub const fn number(&self) -> u64 {
        number(self.running())
    }

    /// What to start with, best first; the generation on probation is remembered for later.
    pub fn start(&mut self) -> Vec<Rung> {
        let Start { rungs, retry } = self.ladder();
        let from = self.started + self.settings.up;
        self.started_under = self.switch();
        self.retry = retry.map(|trial| Retry { trial, from, waits: None });
        rungs
    }

    /// Reads the policy and the switch anew; what cannot be read changes nothing that runs.
    pub fn read_policy(&mut self) {
        let switched = places::switch(&self.settings.safe_mode);
        for complaint in switched.complaints.iter().filter(|complaint| !self.switched.complaints.contains(complaint)) {
            say(format_args!("WARNING: {complaint}"));
        }
        self.switched = switched;
        if let Some(words) = self.policy_file.read(&self.settings) {
            say(format_args!("WARNING: {words}"));
        }
    }

    /// What to say of a policy that cannot be read.
    pub fn blindness(&self) -> Option<String> {
        self.policy_file.blindness()
    }

    /// Whether what is in force may do more or less than the policy permits now. The baseline only alerts,
    /// whatever is permitted.
    pub fn is_permitted_otherwise(&self) -> bool {
        self.running() != Rung::Baseline && self.running.permit.actions() != self.policy().actions()
    }

    /// What is in force stays so, by this permit from now on.
    pub fn renew_permit(&mut self, permit: Permit) {
        self.running.permit = permit;
    }

    /// The owner's policy.
    pub const fn policy(&self) -> &Policy {
        self.policy_file.policy()
    }

    /// Writes down that what was permitted is in force.
    pub fn record_running(&mut self, permit: Permit) {
        let rung = permit.rung();
        self.retry.take_if(|retry| rung == Rung::Generation(retry.trial.id));
        self.running = Running::new(permit);
        self.write(|store| store.attempt(rung, Phase::Running));
    }

    /// The generation has come into force, on probation for `soak` seconds at least, for the first time.
    /// Where that cannot be remembered, it is said, and this daemon goes on with it. The owner may have set
    /// the policy `aside` for it.
    fn begin_probation(&mut self, permit: Permit, trial: Trial, entries: &[Entry]) {
        let id = trial.id;
        self.shadow.take_if(|shadow| *shadow == id);
        // It takes the place of one that was to be tried again.
        self.retry = None;
        if let Err(error) = self.store.begin(trial, Timestamp::now()) {
            say(format_args!("WARNING: generation {id} is in force and will not be after a restart: {error}"));
            return self.record_running(permit);
        }
        self.running = Running::new(permit);
        self.write(|store| store.record(entries));
    }

    /// What the bundle of a generation in the store says that it costs, and what kind of release it is.
    pub fn budget(&self, id: Id) -> Option<(Budget, Category)> {
        let bundle = self.store.bundle(id, &self.settings.keys().ok()?).ok()?;
        Some((bundle.manifest().budget, bundle.manifest().category))
    }

    /// Marks what is in force as inherited: this daemon does not judge counts from before its start.
    pub const fn mark_inherited(&mut self) {
        self.running.origin = Origin::DaemonBefore;
    }

    /// Whether what is in force is inherited.
    pub const fn is_inherited(&self) -> bool {
        matches!(self.running.origin, Origin::DaemonBefore)
    }

    /// A rule of the generation is switched off where it is loaded from now on.
    pub fn silence(&mut self, id: Id, rule: String) {
        self.silenced.push((id, rule));
    }

    /// Writes down that the daemon ends by order: with nothing in force, or with everything, for the next one.
    pub fn record_end(&mut self, everything: bool) {
        let running = self.running();
        self.write(|store| if everything { store.stopped() } else { store.attempt(running, Phase::Left) });
    }

    /// Writes down that what was in force still is: nothing else is charged should the host go down.
    pub fn record_still_running(&mut self) {
        let (running, phase) = (self.running(), self.running.phase());
        self.write(|store| store.attempt(running, phase));
        self.charge_shadow();
    }

    /// Notes what judges in the shadow: from the next record of an attempt on, it is charged should the host go down.
    pub const fn set_shadow(&mut self, id: Option<Id>) {
        self.shadow = id;
    }

    fn charge_shadow(&mut self) {
        if let Some(id) = self.shadow {
            self.write(|store| store.attempt(Rung::Generation(id), Phase::Shadow));
        }
    }

    /// The generation is not in force any more for what was heard of it: it is tried again later, or has had
    /// its chances.
    pub fn suspend(&mut self, id: Id, reason: &str) {
        let now = Timestamp::now();
        match self.store.suspend(id, reason, self.settings.back_off, now) {
            Ok(Some(again)) => {
                let wait = Duration::try_from(again.duration_since(now)).unwrap_or_default();
                let from = Instant::now() + wait;
                self.retry = self.store.memory().trial.clone().map(|trial| Retry { trial, from, waits: None });
                say(format_args!("generation {id} is tried again from {again:.0} on"));
            }
            Ok(None) => self.take_back(id, reason),
            Err(error) => {
                say(format_args!("WARNING: generation {id} will not be tried again: {error}"));
                self.take_back(id, reason);
            }
        }
    }

    /// The generation must not run here any more.
    pub fn take_back(&mut self, id: Id, reason: &str) {
        self.retry.take_if(|retry| retry.trial.id == id);
        let shadow = self.shadow;
        self.write(|store| store.roll_back(id, shadow, reason, Timestamp::now()));
    }

    /// Writes to the store. A disk that fails must not stop the sensor: the log says so.
    pub fn write(&mut self, write: impl FnOnce(&mut Store<Directory>) -> std::io::Result<()>) {
        if let Err(error) = write(&mut self.store) {
            say(format_args!("WARNING: {} cannot be written: {error}", self.settings.state.display()));
        }
    }

    /// What there is to do now, apart from loading: what has been in force long enough has settled, what is
    /// good is good.
    pub fn mature(&mut self) {
        let rung = self.running();
        if !self.running.settled && self.running.since.elapsed() >= self.settings.settle {
            self.running.settled = true;
            self.write(|store| store.settle(rung));
            self.charge_shadow();
        }
        let memory = self.store.memory();
        let good = self.running.settled
            && memory.trial.as_ref().is_some_and(|trial| {
                rung == Rung::Generation(trial.id)
                    && trial.judge(Timestamp::now(), self.store.boot()) == Judgement::Good
            });
        if good {
            let shadow = self.shadow;
            self.write(|store| store.promote(shadow, Timestamp::now()));
            say(format_args!("generation {} is good", self.number()));
        }
    }

    /// The generation on probation, once the host is up, it has been out of force long enough, and the owner
    /// wants it now; given once.
    pub fn take_retry(&mut self) -> Option<(Trial, Step)> {
        let trial = self.retry.as_ref().filter(|retry| Instant::now() >= retry.from)?.trial.clone();
        let category = self.budget(trial.id).map_or(Category::Routine, |(_, category)| category);
        let step = Step::Take { id: trial.id, category, aside: self.is_aside(trial.aside) };
        let waits = match self.admit(&step) {
            Ok(permit) => self.cannot_attempt(&permit),
            Err(objection) => Some(objection.to_string()),
        };
        let retry = self.retry.as_mut()?;
        if let Some(words) = waits {
            if retry.waits.as_ref() != Some(&words) {
                say(format_args!("generation {} is not tried again now: {words}", trial.id));
            }
            retry.waits = Some(words);
            return None;
        }
        self.retry = None;
        Some((trial, step))
    }

    /// Why what was permitted cannot be tried, where its attempt cannot be written down: a full disk is nobody's
    /// fault but the host's.
    fn cannot_attempt(&mut self, permit: &Permit) -> Option<String> {
        let error = self.store.attempt(permit.rung(), Phase::Loading).err()?;
        self.record_still_running();
        Some(format!("the attempt cannot be written down: {error}"))
    }

    /// Whether the policy that the owner has set `aside` for a release is still the one that he has written.
    pub fn is_aside(&self, aside: Option<Digest>) -> bool {
        aside == Some(self.policy().written())
    }
}
