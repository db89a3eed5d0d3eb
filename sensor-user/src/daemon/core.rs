//! The daemon without its loop: generations are pushed and rolled back, questions answered.

use std::{
    ops::{Deref, DerefMut},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use sensor_content::{gate::Step, rollout::Signal};
use sensor_rules::{Options, RuleSet, Source};

use super::{
    cause::{Cause, refused},
    confine::Confinement,
    engine::Engine,
    fleet::board::Board,
    generations::first_line,
    guard::Guard,
    journal::Journal,
    keeper::Keeper,
    memory::Memory,
    permit::{Permit, number},
    probation::Watch,
    shadow::Candidate,
    switch::Switch,
};
use crate::{
    control::protocol::{Pushed, Refused},
    kernel::{self, Activation, Hierarchies, Refusal, probe::Mode},
    log::say,
    status::{Changes, LastRefusal, ShadowEnd},
};

/// The daemon's state, and what it answers.
pub struct Core<E> {
    pub(super) journal: Journal,
    pub(super) memory: Option<Memory>,
    pub(super) mode: Mode,
    pub(super) permits: Permits,
    pub(super) started: Timestamp,
    pub(super) kernel: String,
    pub(super) confinement: Confinement,
    pub(super) guard: Guard,
    pub(super) fleet: Board,
    /// Why the figures are not served where the owner wants them.
    unserved: Mutex<Option<String>>,
    /// What somebody else has changed in the kernel, as it was found last.
    meddling: Mutex<Vec<String>>,
    switch: Mutex<Switch>,
    state: Mutex<State<E>>,
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
}

pub(super) struct State<E> {
    pub(super) engine: Held<E>,
    /// The number that the next generation gets that is pushed without one.
    next: u64,
    pub(super) changes: Changes,
    /// Where the daemon keeps generations, if it does.
    pub(super) keeper: Option<Keeper>,
    /// What the generation on probation is held to.
    pub(super) watch: Option<Watch>,
    /// A generation that this host gave up by itself, and what the judge of a roll-out is told of it.
    pub(super) charge: Option<(u64, Signal)>,
    /// The rules that nobody has signed that came into force last, as they were pushed.
    pub(super) unsigned: Option<(u64, Arc<RuleSet>)>,
    /// What judges in the shadow.
    pub(super) candidate: Option<Candidate>,
    /// What became of the last one.
    pub(super) last_shadow: Option<ShadowEnd>,
    pub(super) last_refusal: Option<LastRefusal>,
}

/// The engine, until the daemon [stops](Core::stop): from then on nobody gets the state, and nobody finds it gone.
pub(super) struct Held<E>(Option<E>);

impl<E> Deref for Held<E> {
    type Target = E;

    fn deref(&self) -> &E {
        self.0.as_ref().unwrap_or_else(|| unreachable!("the daemon has stopped"))
    }
}

impl<E> DerefMut for Held<E> {
    fn deref_mut(&mut self) -> &mut E {
        self.0.as_mut().unwrap_or_else(|| unreachable!("the daemon has stopped"))
    }
}

impl<E: Engine> Core<E> {
    /// A daemon that judges nothing yet, on a kernel of this mode.
    pub fn new(engine: E, journal: Journal, mode: Mode, permits: Permits) -> Self {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let next = engine.active().max(engine.previous()).map_or(1, |last| last + 1);
        let brakes = engine.brakes();
        let switch = Mutex::new(Switch::new(Arc::clone(&brakes), mode));
        let state = Mutex::new(State {
            engine: Held(Some(engine)),
            next,
            changes: Changes::default(),
            keeper: None,
            watch: None,
            charge: None,
            unsigned: None,
            candidate: None,
            last_shadow: None,
            last_refusal: None,
        });
        Self {
            journal,
            memory: None,
            mode,
            permits,
            started: Timestamp::now(),
            kernel,
            confinement: Confinement::default(),
            guard: Guard::new(brakes),
            fleet: Board::default(),
            unserved: Mutex::default(),
            meddling: Mutex::default(),
            switch,
            state,
        }
    }

    /// The same, with the rules of each generation on disk for the daemon that comes next, and with those
    /// that the one before left there.
    #[must_use]
    pub fn with_memory(mut self, memory: Memory) -> Self {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.next = state.next.max(memory.highest().map_or(1, |last| last + 1));
        // The last may be in force in another version of the sensor.
        for generation in [memory.last(), state.engine.previous(), state.engine.active()].into_iter().flatten() {
            match memory.rules(generation) {
                Ok(Some(rules)) => self.journal.remember(generation, Arc::new(rules)),
                Ok(None) => {
                    say(format_args!(
                        "the rules of generation {generation} were not kept: its events name them by number"
                    ));
                }
                // It judges all the same: only names are lost.
                Err(error) => say(format_args!("the rules of generation {generation} cannot be named: {error:#}")),
            }
        }
        self.memory = Some(memory);
        self
    }

    /// The same, with what the daemon has given up.
    #[must_use]
    pub fn confined(self, confinement: Confinement) -> Self {
        Self { confinement, ..self }
    }

    /// The same, with a place where generations are kept. Those that are pushed without a number get one that
    /// no release has.
    #[must_use]
    pub fn keeping(self, keeper: Keeper) -> Self {
        let mut state = self.lock();
        state.changes.rolled_back += keeper.charged();
        self.guard.owner_wants(keeper.policy().lifeline());
        state.keeper = Some(keeper);
        state.next = state.next.max(UNNUMBERED);
        drop(state);
        self
    }

    /// Checks `sources`, compiles them, and puts them in force as the next generation; or changes nothing.
    /// Where the owner's policy asks for a shadow, they judge there first, unless it is to be `at_once`.
    ///
    /// # Errors
    /// Who refused, and why.
    pub fn push(&self, sources: &[Source], skip_checks: bool, at_once: bool) -> Result<Pushed, Box<Refused>> {
        let checked = self.check(sources, skip_checks);
        let mut state = self.lock();
        let result = checked.and_then(|rules| self.push_checked(&mut state, sources, rules, (skip_checks, at_once)));
        state.note(result)
    }

    fn push_checked(
        &self,
        state: &mut State<E>,
        sources: &[Source],
        asked: Arc<RuleSet>,
        (skip_checks, at_once): (bool, bool),
    ) -> Result<Pushed, Cause> {
        let mut permit = self.admitted(state, |_| Step::Unsigned)?;
        let rules = Arc::new(permit.restrain(RuleSet::clone(&asked)));
        let generation = state.next;
        if let Some(memory) = &self.memory {
            memory.remember(generation, sources, skip_checks).map_err(Refusal::from)?;
        }
        if let Some(limits) = Self::limits(state).filter(|_| !at_once) {
            let activation = self.shadow(state, generation, (&rules, &asked), limits)?;
            state.next += 1;
            return Ok(Pushed::new(&activation, &rules, self.mode).in_shadow(&limits));
        }
        let activation = self.activate(state, &permit, generation, &rules)?;
        state.next += 1;
        state.changes.pushed += 1;
        state.unsigned = Some((generation, asked));
        let pushed = Pushed::new(&activation, &rules, self.mode);
        let Some(keeper) = &mut state.keeper else { return Ok(pushed) };
        // It is left to a daemon that is started by order, and to no other: so nobody is charged with it.
        keeper.runs(permit);
        Ok(Pushed { transient: true, ..pushed.over(keeper.goal()) })
    }

    /// Our own checks. They take no lock: the daemon answers others meanwhile.
    fn check(&self, sources: &[Source], skip_checks: bool) -> Result<Arc<RuleSet>, Cause> {
        if skip_checks && !self.permits.skip_checks {
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

    /// Puts rules in force whose names are kept already.
    pub(super) fn activate(
        &self,
        state: &mut State<E>,
        _permit: &Permit,
        generation: u64,
        rules: &Arc<RuleSet>,
    ) -> Result<Activation, Refusal> {
        // First the names, then the switch: the first event of a generation may come at once.
        self.journal.remember(generation, Arc::clone(rules));
        let activation = state.engine.activate(generation, rules)?;
        self.note_in_force(activation.generation);
        if let Some(warning) = Hierarchies::of_this_host().warning(rules) {
            say(format_args!("WARNING: {warning}"));
        }
        Ok(activation)
    }

    /// Notes which generation is in force, for the next daemon: only another version of the sensor needs it.
    pub(super) fn note_in_force(&self, generation: u64) {
        if let Some(Err(error)) = self.memory.as_ref().map(|memory| memory.in_force(generation)) {
            say(format_args!("{error:#}"));
        }
    }

    /// Does something with the engine, apart from requests.
    pub fn with_engine<T>(&self, work: impl FnOnce(&mut E) -> T) -> T {
        work(&mut self.lock().engine)
    }

    /// Puts the generation before in force again; its number.
    ///
    /// # Errors
    /// When there is none.
    pub fn rollback(&self) -> Result<u64, Box<Refused>> {
        let mut state = self.lock();
        if let Some(left) = self.leave(&mut state, "by order") {
            state.changes.rolled_back += u64::from(left.is_ok());
            return state.note(left.map(number));
        }
        let result = state.engine.rollback().map_err(Cause::from);
        if let Ok(generation) = result {
            state.changes.rolled_back += 1;
            self.note_in_force(generation);
            if let Some(rules) = self.journal.rules(generation) {
                // It is in use again: it must not be the next to be forgotten.
                self.journal.remember(generation, rules);
            }
        }
        state.note(result)
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

    /// What is said of the host in its fleet.
    pub fn fleet(&self) -> &Board {
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
        if let Err(error) = self.lock().engine.attach_missing() {
            say(format_args!("WARNING: what was missing cannot be attached: {error:#}"));
        }
    }

    /// Says what somebody else has changed in the kernel since the last look, and what is again as it was left.
    pub(super) fn look_for_meddling(&self) {
        let found = match self.lock().engine.meddling() {
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

    /// The brakes, and what they did.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Whether the engine answers. Waits while it is at work.
    pub fn is_alive(&self) -> bool {
        self.lock().engine.counters().is_ok()
    }

    /// Ends; what is left are the events. With `everything`, no trace is left in the kernel; else all that is
    /// in force stays, for the next daemon. Requests that are still under way get no further than to the
    /// state, which nobody gets any more.
    pub fn stop(&self, everything: bool) {
        self.fleet.ends();
        let mut state = self.lock();
        Self::end_shadow(&mut state);
        if let Some(keeper) = &mut state.keeper {
            keeper.ends(everything);
        }
        if everything {
            state.engine.stop();
            if let Some(memory) = &self.memory {
                memory.clear();
            }
        }
        drop(state.engine.0.take());
        // For good: whoever waits for it ends with the process.
        std::mem::forget(state);
    }

    pub(super) fn switch(&self) -> MutexGuard<'_, Switch> {
        self.switch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<E>> {
        // A panic in the middle of a push leaves the engine with what ran: it switches last.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be said of a mode in which nothing can be blocked.
pub(super) fn observing(mode: Mode) -> Option<String> {
    match mode {
        Mode::Lsm | Mode::ModifyReturn => None,
        Mode::Observe => Some(OBSERVING.to_owned()),
        Mode::Tracepoints => Some(kernel::tracepoints_see()),
    }
}

/// What to say of a mode that was asked for, or taken because the kernel's functions let nothing be decided.
const OBSERVING: &str = "Creance observes every event and reports matches, and cannot block or kill in this mode. \
     Start it without `--mode observe`, or boot with `bpf` added to the list in the kernel parameter lsm= (`creance doctor` shows the list).";

/// Generations that are pushed without a number count from here: no release comes so far.
pub(super) const UNNUMBERED: u64 = 1 << 40;

impl<E: Engine> State<E> {
    /// Writes a refusal down, and says it in the words of the protocol.
    pub(super) fn note<T>(&mut self, result: Result<T, Cause>) -> Result<T, Box<Refused>> {
        result.map_err(|cause| {
            let refused = refused(cause, self.engine.active());
            let reason = first_line(&refused.message).to_owned();
            self.changes.refused += 1;
            self.last_refusal = Some(LastRefusal { time: Timestamp::now(), reason });
            Box::new(refused)
        })
    }
}
