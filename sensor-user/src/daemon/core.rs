//! The daemon without its loop: its parts, and what goes through several of them.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use sensor_common::event::Mode;
use sensor_rules::{Options, RuleSet, Source};

use super::{
    brakes::{
        monitor::BrakeMonitor,
        switch::{Switch, observing},
    },
    events::journal::Journal,
    fleet::board::Board,
    generations::{
        bundles::{self, Examined, Log},
        keeper::Keeper,
        options::PushOptions,
        reply::Cause,
        rule_archive::RuleArchive,
        state::Generations,
    },
};
use crate::{
    api::{
        confinement::Confinement,
        protocol::{Pushed, Refused},
    },
    kernel::{Refusal, engine::Engine},
    log::say,
};

/// The daemon's parts. Each owns what it changes.
pub struct Core<E> {
    pub(super) mode: Mode,
    pub(super) started: Timestamp,
    pub(super) kernel: String,
    pub(super) confinement: Confinement,
    permits: Permits,
    journal: Arc<Journal>,
    monitor: Arc<BrakeMonitor>,
    fleet: Board,
    /// Why the figures are not served where the owner wants them.
    unserved: Mutex<Option<String>>,
    /// What somebody else has changed in the kernel, as it was found last.
    meddling: Mutex<Vec<String>>,
    switch: Mutex<Switch>,
    generations: Mutex<Generations<E>>,
}

/// What the one who started the daemon permits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permits {
    /// Rules may be pushed past our own checks of fields. For tests only.
    pub skip_checks: bool,
}

impl Permits {
    /// What is to be said of a daemon with these permits on a kernel of this mode, at its start and in every status.
    pub fn warnings(self, mode: Mode) -> Vec<String> {
        let observing = observing(mode);
        let unchecked = self.skip_checks.then(|| {
            "started with --allow-skip-checks, which is for tests: rules can be pushed past the checks of their fields".into()
        });
        observing.into_iter().chain(unchecked).collect()
    }

    /// Our own checks of rules. They take no lock: the daemon answers others meanwhile.
    fn check(self, sources: &[Source], skip_checks: bool) -> Result<Arc<RuleSet>, Cause> {
        if skip_checks && !self.skip_checks {
            return Err(Cause::Daemon(
                "checks can be skipped only if the daemon was started with --allow-skip-checks, which is for tests",
            ));
        }
        let rules =
            sensor_rules::check(sources, Options { skip_checks, ..Options::default() }).map_err(Refusal::Content)?;
        if rules.rules().is_empty() {
            return Err(Cause::Daemon(
                "there is no rule in what was pushed: push a directory with rule files (*.yaml)",
            ));
        }
        Ok(Arc::new(rules))
    }
}

impl<E: Engine> Core<E> {
    /// A daemon that judges nothing yet, on a kernel of this mode.
    pub fn new(engine: E, journal: Journal, mode: Mode, permits: Permits) -> Self {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let (brakes, journal) = (engine.brakes(), Arc::new(journal));
        let monitor = Arc::new(BrakeMonitor::new(Arc::clone(&brakes)));
        let generations = Generations::new(engine, Arc::clone(&journal), mode, Arc::clone(&monitor));
        Self {
            mode,
            started: Timestamp::now(),
            kernel,
            confinement: Confinement::default(),
            permits,
            journal,
            monitor,
            fleet: Board::default(),
            unserved: Mutex::default(),
            meddling: Mutex::default(),
            switch: Mutex::new(Switch::new(brakes, mode)),
            generations: Mutex::new(generations),
        }
    }

    /// The same, with the rules of each generation on disk for the daemon that comes next, and with those
    /// that the one before left there.
    #[must_use]
    pub fn with_archive(self, archive: RuleArchive) -> Self {
        self.generations().set_archive(archive);
        self
    }

    /// The same, with what the daemon has given up.
    #[must_use]
    pub fn confined(self, confinement: Confinement) -> Self {
        Self { confinement, ..self }
    }

    /// The same, with a place where generations are kept.
    #[must_use]
    pub fn keeping(self, keeper: Keeper) -> Self {
        self.generations().set_keeper(keeper);
        self
    }

    /// Checks `sources`, compiles them, and puts them in force as the next generation; or changes nothing.
    /// Where the owner's policy asks for a shadow, they judge there first.
    ///
    /// # Errors
    /// Who refused, and why.
    pub fn push(&self, sources: &[Source], options: PushOptions) -> Result<Pushed, Box<Refused>> {
        let checked = self.permits.check(sources, options.skip_checks);
        let mut generations = self.generations();
        let result = checked.and_then(|rules| generations.push(sources, rules, options));
        generations.answer(result)
    }

    /// Takes a bundle in and puts it in force, on probation, or lets it judge in the shadow, as the owner's
    /// policy says; or changes nothing.
    ///
    /// # Errors
    /// Who refused, and why.
    pub fn push_bundle(&self, bytes: Vec<u8>, options: PushOptions) -> Result<Pushed, Box<Refused>> {
        let mut log = Log::default();
        let examined = self.examine(bytes, options, &mut log);
        let mut generations = self.generations();
        let result = examined.and_then(|examined| generations.take_in(examined, options, &mut log));
        generations.record(&log);
        generations.answer(result)
    }

    /// What needs no kernel, and no lock while it lasts.
    fn examine(&self, bytes: Vec<u8>, options: PushOptions, log: &mut Log) -> Result<Examined, Cause> {
        let Some(settings) = self.generations().settings() else {
            return Err(Cause::Daemon("bundles need a place to be kept: start the daemon with --state DIR"));
        };
        let admit = |step: &_| self.generations().admit(|_| *step).map(drop);
        bundles::examine(bytes, &settings, options, admit, log)
    }

    /// Does something with the engine, apart from requests.
    pub fn with_engine<T>(&self, work: impl FnOnce(&mut E) -> T) -> T {
        work(self.generations().engine_mut())
    }

    /// Carries verdicts out from now on, or only reports them. Waits for no push.
    ///
    /// # Errors
    /// When the kernel does not take it, or lets nothing be blocked, or a file says no.
    pub fn enforce(&self, on: bool) -> anyhow::Result<bool> {
        self.switch().ask(on)
    }

    /// What the daemon was started with.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn start_enforcing(&self, on: bool) -> anyhow::Result<bool> {
        self.switch().start(on)
    }

    /// Notes whether the file that turns blocking off is there; whether that changed anything.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn off_file(&self, path: Option<PathBuf>) -> anyhow::Result<bool> {
        self.switch().file(path)
    }

    /// Recent events, and where they are handed on to.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The brakes, and what they did.
    pub fn monitor(&self) -> &BrakeMonitor {
        &self.monitor
    }

    /// What is said of the host in its fleet.
    pub const fn fleet(&self) -> &Board {
        &self.fleet
    }

    /// Notes why the figures are not served where the owner wants them, or that they are.
    pub fn unserved(&self, trouble: Option<String>) {
        let mut known = self.unserved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = trouble.as_ref().filter(|trouble| known.as_ref() != Some(trouble)) {
            say(format_args!("WARNING: {trouble}"));
        }
        *known = trouble;
    }

    /// What its owner should know of this daemon.
    pub(super) fn warnings(&self) -> Vec<String> {
        let unserved = self.unserved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let meddling = self.meddling.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unwritten = self.journal.troubles();
        self.permits.warnings(self.mode).into_iter().chain(unserved).chain(meddling).chain(unwritten).collect()
    }

    /// Attaches what the kernel had no room for until now.
    pub(super) fn attach_missing(&self) {
        if let Err(error) = self.with_engine(Engine::attach_missing) {
            say(format_args!("WARNING: what was missing cannot be attached: {error:#}"));
        }
    }

    /// Says what somebody else has changed in the kernel since the last look, and what is again as it was left.
    pub(super) fn look_for_meddling(&self) {
        let found = match self.generations().engine().meddling() {
            Ok(found) => found
                .into_iter()
                .map(|what| format!("somebody else has changed what is in the kernel: {what}"))
                .collect(),
            Err(error) => vec![format!("what is in the kernel cannot be read back: {error:#}")],
        };
        let mut known = self.meddling.lock().unwrap_or_else(PoisonError::into_inner);
        for new in found.iter().filter(|what| !known.contains(what)) {
            say(format_args!("WARNING: {new}"));
        }
        if found.is_empty() && !known.is_empty() {
            say("what is in the kernel is as the daemon left it again");
        }
        *known = found;
    }

    /// Whether the engine answers. Waits while it is at work.
    pub fn is_alive(&self) -> bool {
        self.generations().engine().counters().is_ok()
    }

    /// Stops; the caller still drains events. With `everything`, removes all from the kernel, otherwise leaves what is
    /// in force to the next daemon. Requests under way wait for the generations until the process exits.
    pub fn stop(&self, everything: bool) {
        self.fleet.end();
        let mut generations = self.generations();
        generations.stop(everything);
        // For good: whoever waits for them ends with the process.
        std::mem::forget(generations);
    }

    /// Whether verdicts are carried out.
    pub(super) fn switch(&self) -> MutexGuard<'_, Switch> {
        self.switch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in force, and all that can change it. Waits while the engine is at work.
    pub fn generations(&self) -> MutexGuard<'_, Generations<E>> {
        // A panic in the middle of a push leaves the engine with what ran: it switches last.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
