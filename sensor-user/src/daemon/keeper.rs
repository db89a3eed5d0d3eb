//! What the daemon keeps of generations: the store, the owner's policy, trusted keys; and how far the present one got.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context;
use jiff::Timestamp;
use sensor_content::{
    bundle::{Budget, Bundle, Category},
    life::{Entry, Id, Judgement, Stage, Trial},
    policy::{Decision, Policy},
    store::{Directory, Phase, Rung, Start, Store, Switch, UNCLEAN},
};
use sensor_rules::RuleSet;

use super::settings::Settings;
use crate::{content, log::say, status};

/// What to say of rules in force that nobody has signed.
pub const TRANSIENT: &str = "nobody has signed these rules: `systemctl restart` leaves them in force, and they are gone after a crash, a stop, \
     a reboot, or with another version; sign a bundle to keep them (docs/content.md)";

/// Who put in force what is.
#[derive(Clone, Copy, Debug)]
enum Origin {
    ThisDaemon,
    DaemonBefore,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Keeper {
    /// What is on disk.
    pub store: Store<Directory>,
    settings: Settings,
    running: Rung,
    since: Instant,
    settled: bool,
    /// Judges in the shadow.
    shadow: Option<Id>,
    /// On probation, and to be tried again, not before this moment.
    retry: Option<(Trial, Instant)>,
    /// Rules that are switched off, because they were too loud: by generation and id.
    silenced: Vec<(Id, String)>,
    /// Who put in force what is.
    origin: Origin,
    switch: Option<Switch>,
    started: Instant,
    /// How many generations were rolled back at the start.
    charged: u64,
    /// Rules that alert only, because the owner's policy does not permit what they ask for.
    restrained: Vec<String>,
    /// The policy as it was read last, and what is wrong with the file if it cannot be read.
    policy: Policy,
    trouble: Option<String>,
    /// Whether it has been read since the start; until then [`Policy::unreadable`] holds.
    read: bool,
    /// Whether what runs is held to that.
    held: bool,
}

impl Keeper {
    /// Opens the store and reads the switches. A policy that cannot be read holds everything back that is new, and lets what comes
    /// into force only alert.
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
        let switch = content::switch(&settings.safe_mode);
        let now = |entry: &&Entry| entry.stage == Stage::RolledBack && entry.time == opened;
        let charged = store.history().unwrap_or_default().iter().filter(now).count() as u64;
        let mut keeper = Self {
            store,
            settings,
            running: Rung::Nothing,
            since: Instant::now(),
            settled: false,
            shadow: None,
            retry: None,
            silenced: Vec::new(),
            origin: Origin::ThisDaemon,
            switch,
            started: Instant::now(),
            charged,
            restrained: Vec::new(),
            policy: Policy::unreadable(),
            trouble: None,
            read: false,
            held: false,
        };
        keeper.read_policy();
        Ok(keeper)
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
        self.running
    }

    /// Since when.
    pub fn in_force(&self) -> Duration {
        self.since.elapsed()
    }

    /// Number of the generation in force; 0 where it is none from the store.
    pub const fn number(&self) -> u64 {
        match self.running {
            Rung::Generation(id) => id.number,
            Rung::Baseline | Rung::Nothing => 0,
        }
    }

    /// What to start with; the generation on probation is remembered for later.
    pub fn start(&mut self) -> Start {
        let start = self.store.start(self.switch);
        self.retry = start.retry.clone().map(|trial| (trial, self.started + self.settings.up));
        start
    }

    /// Reads the policy anew; what cannot be read changes nothing that runs.
    pub fn read_policy(&mut self) {
        let trouble = match self.settings.policy() {
            Ok(policy) => {
                (self.policy, self.read) = (policy, true);
                None
            }
            Err(error) => Some(format!("{error:#}")),
        };
        let before = std::mem::replace(&mut self.trouble, trouble);
        if self.trouble != before
            && let Some(words) = self.blindness()
        {
            say(format_args!("WARNING: {words}"));
        }
    }

    /// What to say of a policy that cannot be read.
    pub fn blindness(&self) -> Option<String> {
        let trouble = self.trouble.as_ref()?;
        let until = if self.read {
            "nothing new is taken, and what was read before goes on to hold"
        } else {
            "nothing new is taken, and every rule only alerts"
        };
        Some(format!("the owner's policy cannot be read; until it can, {until}: {trouble}"))
    }

    /// Whether the generation in force only alerts because the policy could not be read, and now it can.
    pub const fn is_held_in_vain(&self) -> bool {
        self.held && self.read && matches!(self.running, Rung::Generation(_))
    }

    /// The owner's policy.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What is about to be loaded is on disk when this returns.
    ///
    /// # Errors
    /// When it is not.
    pub fn attempt(&mut self, rung: Rung) -> std::io::Result<()> {
        self.store.attempt(rung, Phase::Loading)
    }

    /// The rung has come into force.
    pub fn runs(&mut self, rung: Rung) {
        self.retry.take_if(|(trial, _)| rung == Rung::Generation(trial.id));
        self.is_in_force(rung);
        self.said(|store| store.attempt(rung, Phase::Running));
    }

    /// The generation has come into force, on probation for `soak` seconds at least, for the first time. Where that cannot be
    /// remembered, it is said, and this daemon goes on with it.
    pub fn begins(&mut self, id: Id, since: Timestamp, soak: u64, entries: &[Entry]) {
        let trial = Trial { id, since, boot: self.store.boot().clone(), soak, taken_back: 0 };
        // It takes the place of one that was to be tried again.
        self.retry = None;
        if let Err(error) = self.store.begin(trial, Timestamp::now()) {
            say(format_args!("WARNING: generation {id} is in force and will not be after a restart: {error}"));
            return self.runs(Rung::Generation(id));
        }
        self.is_in_force(Rung::Generation(id));
        self.said(|store| store.record(entries));
    }

    /// What the bundle of a generation in the store says that it costs, and what kind of release it is.
    pub fn budget(&self, id: Id) -> Option<(Budget, Category)> {
        let bundle = self.store.bundle(id, &self.settings.keys().ok()?).ok()?;
        Some((bundle.manifest().budget, bundle.manifest().category))
    }

    /// What is in force was so before this daemon: what was counted of it is not this daemon's to judge.
    pub const fn notes_inherited(&mut self) {
        self.origin = Origin::DaemonBefore;
    }

    /// Whether it was.
    pub const fn is_inherited(&self) -> bool {
        matches!(self.origin, Origin::DaemonBefore)
    }

    /// A rule of the generation is switched off where it is loaded from now on.
    pub fn silences(&mut self, id: Id, rule: String) {
        self.silenced.push((id, rule));
    }

    fn is_in_force(&mut self, rung: Rung) {
        (self.running, self.since, self.settled, self.origin) = (rung, Instant::now(), false, Origin::ThisDaemon);
    }

    /// The daemon ends by order: with nothing in force, or with everything, for the next one.
    pub fn ends(&mut self, everything: bool) {
        let running = self.running;
        self.said(|store| if everything { store.stopped() } else { store.attempt(running, Phase::Left) });
    }

    /// What a daemon before this one has left in force as generation `number`, if it may stay so.
    pub fn inherits(&self, number: u64) -> Option<Rung> {
        let memory = self.store.memory();
        let kept = memory.trial.iter().map(|trial| &trial.id).chain(&memory.good);
        let id = kept.copied().find(|id| id.number == number);
        match (self.switch, id) {
            (None, Some(id)) => Some(Rung::Generation(id)),
            (None | Some(Switch::Baseline), None) if number == 0 => Some(Rung::Baseline),
            _ => None,
        }
    }

    /// Whether a daemon before this one has left in force, by order, what nobody has signed, and that may stay so.
    pub fn inherits_unsigned(&self) -> bool {
        self.switch.is_none() && self.policy.allows_unsigned() && self.store.left() == Some(Rung::Nothing)
    }

    /// What a daemon before this one has left in force by order, if it may stay so: one on probation too, for the host is up.
    pub fn goes_on(&self) -> Option<Rung> {
        let rung = self.store.left()?;
        let Rung::Generation(id) = rung else { return None };
        self.inherits(id.number).filter(|kept| *kept == rung)
    }

    /// Loading has failed: what ran is what would be charged again.
    pub fn still_runs(&mut self) {
        let (running, phase) = (self.running, if self.settled { Phase::Settled } else { Phase::Running });
        self.said(|store| store.attempt(running, phase));
        self.charges_shadow();
    }

    /// Notes what judges in the shadow: should the host go down, that is charged.
    pub fn shadows(&mut self, id: Option<Id>) {
        self.shadow = id;
        self.charges_shadow();
    }

    fn charges_shadow(&mut self) {
        if let Some(id) = self.shadow {
            self.said(|store| store.attempt(Rung::Generation(id), Phase::Shadow));
        }
    }

    /// The generation is not in force any more for what was heard of it: it is tried again later, or has had its chances.
    pub fn suspends(&mut self, id: Id, reason: &str) {
        let now = Timestamp::now();
        match self.store.suspend(id, reason, now) {
            Ok(Some(again)) => {
                let wait = Duration::try_from(again.duration_since(now)).unwrap_or_default();
                self.retry = self.store.memory().trial.clone().map(|trial| (trial, Instant::now() + wait));
                say(format_args!("generation {id} is tried again from {again:.0} on"));
            }
            Ok(None) => self.takes_back(id, reason),
            Err(error) => {
                say(format_args!("WARNING: generation {id} will not be tried again: {error}"));
                self.takes_back(id, reason);
            }
        }
    }

    /// The generation must not run here any more.
    pub fn takes_back(&mut self, id: Id, reason: &str) {
        self.retry.take_if(|(trial, _)| trial.id == id);
        let shadow = self.shadow;
        self.said(|store| store.roll_back(id, shadow, reason, Timestamp::now()));
    }

    /// Writes to the store what is said anyway: a disk that fails must not stop the sensor.
    pub fn said(&mut self, write: impl FnOnce(&mut Store<Directory>) -> std::io::Result<()>) {
        if let Err(error) = write(&mut self.store) {
            say(format_args!("WARNING: {} cannot be written: {error}", self.settings.state.display()));
        }
    }

    /// Why the generation is not taken now, if so.
    pub fn refusal(&mut self, bundle: &Bundle, aside: bool) -> Option<Unwanted> {
        let id = Id { number: bundle.number(), digest: bundle.digest() };
        self.objection(id, bundle.manifest().category, aside)
    }

    /// Why a generation of this kind is not taken now, if so.
    pub fn objection(&mut self, id: Id, category: Category, aside: bool) -> Option<Unwanted> {
        if let Some(denial) = self.store.memory().denial(id) {
            return Some(Unwanted::Denied(format!(
                "generation {id} is denied here since {:.0}: {}",
                denial.time, denial.reason
            )));
        }
        if let Some(words) = self.blindness() {
            return Some(Unwanted::Policy(words));
        }
        if id.number <= self.number() && aside {
            return Some(Unwanted::Old(format!(
                "generation {id} is not newer than {}, which is in force",
                self.number()
            )));
        }
        (!aside).then(|| self.policy_refusal(id, category)).flatten()
    }

    fn policy_refusal(&mut self, id: Id, category: Category) -> Option<Unwanted> {
        let (number, nothing) = (self.number(), BTreeMap::new());
        let known = self.store.known().unwrap_or(&nothing);
        let (offered, host) = ((id, category), (number, known));
        match content::decide(&self.policy, &self.settings.approvals, offered, host) {
            Ok(answer) if answer.decision == Decision::Take => None,
            Ok(answer) => Some(Unwanted::Policy(answer.to_string())),
            Err(error) => {
                Some(Unwanted::Policy(format!("whether the owner has approved it cannot be found out: {error:#}")))
            }
        }
    }

    /// The rules of a generation as the owner permits them, without those that were too loud.
    pub fn restrain(&mut self, id: Id, rules: RuleSet) -> RuleSet {
        let rules = rules.silenced(|rule| self.silenced.contains(&(id, rule.id.clone())));
        let (rules, restrained) = rules.restrained(|event, action| self.policy.permits(event, action));
        (self.restrained, self.held) = (restrained, !self.read);
        rules
    }

    /// What there is to do now, apart from loading: what has been in force long enough has settled, what is good is good.
    pub fn matures(&mut self) {
        let rung = self.running;
        if !self.settled && self.since.elapsed() >= self.settings.settle {
            self.settled = true;
            self.said(|store| store.settle(rung));
            self.charges_shadow();
        }
        let memory = self.store.memory();
        let good = self.settled
            && memory.trial.as_ref().is_some_and(|trial| {
                rung == Rung::Generation(trial.id)
                    && trial.judge(Timestamp::now(), self.store.boot()) == Judgement::Good
            });
        if good {
            let shadow = self.shadow;
            self.said(|store| store.promote(shadow, Timestamp::now()));
            say(format_args!("generation {} is good", self.number()));
        }
    }

    /// The generation on probation, once the host is up and it has been out of force long enough; given once.
    pub fn retries(&mut self) -> Option<Trial> {
        self.retry.take_if(|(_, from)| Instant::now() >= *from).map(|(trial, _)| trial)
    }

    /// Where the owner's policy wants to go back to.
    pub fn wants_back(&self) -> Option<Id> {
        let good = &self.store.memory().good;
        let numbers: Vec<_> = good.iter().map(|id| id.number).collect();
        let number = self.policy.wants_back(self.number(), &numbers)?;
        good.iter().copied().find(|id| id.number == number)
    }

    /// What to say of a baseline that is not started any more.
    pub fn baseline_trouble(&self) -> Option<String> {
        self.store.memory().is_baseline_given_up().then(|| {
            format!(
                "the baseline is given up: {UNCLEAN} times in a row the host went down, or the daemon ended, before it had settled; to \
                 start it again, stop the daemon and run `creance recover --root / --pardon`"
            )
        })
    }

    /// Why nothing is in force.
    pub fn why_nothing(&self) -> String {
        match (self.switch, self.baseline_trouble()) {
            (Some(Switch::Off), _) => "a switch says off".into(),
            (_, Some(trouble)) => trouble,
            _ => "neither a generation nor the baseline could be started".into(),
        }
    }

    /// For `creance status`.
    pub fn status(&self, active: Option<u64>) -> status::Content {
        let memory = self.store.memory();
        let stage = match self.running {
            Rung::Nothing if active.is_some() => format!("not kept: {TRANSIENT}"),
            Rung::Nothing => "no generation from the store".to_owned(),
            Rung::Baseline => "baseline".to_owned(),
            Rung::Generation(id) => match memory.trial.as_ref().filter(|trial| trial.id == id) {
                None => "good".to_owned(),
                Some(trial) => match trial.judge(Timestamp::now(), self.store.boot()) {
                    Judgement::Until(time) => format!("on probation until {time:.0} and a reboot"),
                    Judgement::Reboot => "on probation until the host has been rebooted".to_owned(),
                    Judgement::Good => "on probation until it has settled".to_owned(),
                },
            },
        };
        status::Content {
            stage,
            good: memory.good.iter().map(|id| id.number).collect(),
            trial: memory.trial.as_ref().map(|trial| trial.id.number),
            denied: memory.denied.iter().map(|denial| (denial.id.number, denial.reason.clone())).collect(),
            switch: self.switch.map(|switch| switch.to_string()),
            restrained: self.restrained.clone(),
            trouble: self
                .blindness()
                .into_iter()
                .chain(self.baseline_trouble())
                .chain(self.store.damage().iter().cloned())
                .collect(),
        }
    }
}

/// Why a bundle that is sound is not taken.
#[derive(Debug)]
pub enum Unwanted {
    /// This host has rolled it back.
    Denied(String),
    /// A newer one is in force.
    Old(String),
    /// The owner does not want it, or not now.
    Policy(String),
}
