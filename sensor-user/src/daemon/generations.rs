//! The life of bundles in the daemon: taken in step by step, put in force, tried again, taken back.

use std::sync::Arc;

use jiff::Timestamp;
use sensor_content::{
    bundle::{Bundle, Engine as Here, Untrue, Unverified},
    gate::{Step, Wish},
    life::{
        Checked, Compiled, Denied, Downloaded, Entry, Generation, Id, Probation, Rejected, Shadow, Signed,
        State as LifeState, Trial, Verified,
    },
    noise::Heard,
    rollout::Signal,
    store::Rung,
};
use sensor_rules::{RuleSet, Source};

use super::{
    cause::{Cause, refused},
    core::{Core, State},
    engine::Engine,
    fault::{self, Point},
    keeper::Keeper,
    permit::{Permit, name},
    probation::{Mishap, Watch, heard},
    shadow::Release,
    trial::{self, Failure},
};
use crate::{
    control::{
        protocol::{Pushed, Refused, Refuser},
        server::Service,
    },
    kernel::{Activation, Refusal},
    log::say,
};

/// The steps of a bundle that is being taken in, for the journal.
#[derive(Default)]
struct Log(Vec<Entry>);

impl Log {
    fn took<S>(&mut self, (generation, entry): (Generation<S>, Entry)) -> Generation<S> {
        self.0.push(entry);
        generation
    }

    /// The last step: refused.
    fn reject<S: LifeState + sensor_content::life::Next<Rejected>>(&mut self, generation: Generation<S>, reason: &str) {
        self.took(generation.step::<Rejected>(Timestamp::now(), first_line(reason)));
    }
}

/// The step that takes this bundle.
fn wanted(bundle: &Bundle, aside: bool) -> Step {
    let id = Id { number: bundle.number(), digest: bundle.digest() };
    Step::Take { id, category: bundle.manifest().category, aside }
}

pub(super) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

impl<E: Engine> Core<E> {
    /// Takes a bundle in and puts it in force, on probation, or lets it judge in the shadow, as the owner's
    /// policy says; or changes nothing. `aside` sets the policy aside, `at_once` the shadow.
    ///
    /// # Errors
    /// Who refused, and why.
    pub fn push_bundle(&self, bytes: Vec<u8>, aside: bool, at_once: bool) -> Result<Pushed, Box<Refused>> {
        let mut log = Log::default();
        let result = self.take_in(bytes, aside, at_once, &mut log);
        let mut state = self.lock();
        if let Some(keeper) = &mut state.keeper {
            keeper.said(|store| store.record(&log.0));
        }
        state.note(result)
    }

    fn take_in(&self, bytes: Vec<u8>, aside: bool, at_once: bool, log: &mut Log) -> Result<Pushed, Cause> {
        let Some(settings) = self.lock().keeper.as_ref().map(|keeper| keeper.settings().clone()) else {
            return Err(Cause::Daemon("bundles need a place to be kept: start the daemon with --state DIR"));
        };
        let refused = |message: String| Cause::Said(Refuser::Bundle, message);
        let bundle = Unverified::read(bytes).map_err(|error| refused(error.to_string()))?;
        let id = Id { number: bundle.claims().generation, digest: bundle.digest() };
        let arrived: Generation<Downloaded> = log.took(Generation::arrived(id, Timestamp::now(), "pushed"));
        // Before anything else: rules for another field table must not even be read.
        if let Err(misfit) = bundle.fits(&Here::here()) {
            log.reject(arrived, &misfit.to_string());
            return Err(refused(misfit.to_string()));
        }
        let keys = settings.keys().map_err(|error| Cause::Said(Refuser::Host, format!("{error:#}")))?;
        let bundle = match bundle.signed_by(&keys) {
            Ok(bundle) => bundle,
            Err(distrust) => {
                log.reject(arrived, &distrust.to_string());
                return Err(refused(distrust.to_string()));
            }
        };
        let signed = log.took(arrived.step::<Signed>(Timestamp::now(), format!("by the key {}", bundle.key().short())));
        if let Err(objection) = self.admitted(&mut self.lock(), |_| wanted(&bundle, aside)) {
            log.took(signed.step::<Denied>(Timestamp::now(), first_line(&objection.to_string())));
            return Err(objection.into());
        }
        // In a child with limits, and without the lock: whatever the rules do to the checks, the daemon goes on.
        let tests = match trial::run(&settings.program, bundle.bytes()) {
            Ok(tests) => tests,
            Err(Failure::Wrong(words)) => {
                log.reject(signed, &words);
                return Err(Cause::Said(Refuser::Tests, format!("its own tests fail here: {words}")));
            }
            Err(Failure::Host(error)) => {
                log.reject(signed, &format!("{error:#}"));
                return Err(Cause::Said(Refuser::Host, format!("its own tests cannot be run here now: {error:#}")));
            }
        };
        let rules = match bundle.rules() {
            Ok(rules) => rules,
            Err(Untrue::Content(diagnostics)) => {
                log.reject(signed, "its rules are not sound");
                return Err(Cause::Refusal(Refusal::Content(diagnostics)));
            }
            Err(error @ Untrue::Rules(_)) => {
                log.reject(signed, &error.to_string());
                return Err(refused(error.to_string()));
            }
        };
        let checked = log.took(signed.step::<Checked>(Timestamp::now(), format!("{tests} tests right")));
        self.put_in_kernel(&bundle, rules, checked, (aside, at_once), log)
    }

    /// Loads the rules: into the shadow, or in force.
    fn put_in_kernel(
        &self,
        bundle: &Bundle,
        rules: RuleSet,
        checked: Generation<Checked>,
        (aside, at_once): (bool, bool),
        log: &mut Log,
    ) -> Result<Pushed, Cause> {
        let state = &mut *self.lock();
        let id = checked.id();
        // Asked again: what runs and what the owner wants may have changed while its tests ran.
        let mut permit = match self.admitted(state, |_| wanted(bundle, aside)) {
            Ok(permit) => permit,
            Err(objection) => {
                log.reject(checked, first_line(&objection.to_string()));
                return Err(objection.into());
            }
        };
        let Some(keeper) = &mut state.keeper else { return Err(Cause::Daemon("the daemon keeps no generations")) };
        let asked = Arc::new(rules);
        let rules = permit.restrain(RuleSet::clone(&asked));
        let written = keeper.policy().written();
        // On disk before anything is loaded: should the host go down now, the next start knows whom to charge.
        if let Err(error) = keeper.store.keep(bundle).and_then(|_| keeper.attempt(&permit)) {
            let message =
                format!("the attempt cannot be written down, and without that nothing new is loaded: {error}");
            log.reject(checked, &message);
            keeper.still_runs();
            return Err(Cause::Said(Refuser::Daemon, message));
        }
        let rules = Arc::new(rules);
        fault::at(Point::Push, id.number);
        let limits = Self::limits(state).map(|limits| limits.within(bundle.manifest().budget));
        let loaded = match limits.filter(|_| !at_once) {
            Some(limits) => {
                self.keep_names(id.number, bundle.sources());
                self.shadow(state, id.number, (&rules, &asked), limits)
            }
            None => self.load(state, &permit, id.number, bundle.sources(), &rules),
        };
        let activation = match loaded {
            Ok(activation) => activation,
            Err(refusal) => {
                log.reject(checked, &refusal.to_string());
                if let Some(keeper) = &mut state.keeper {
                    keeper.still_runs();
                }
                return Err(refusal.into());
            }
        };
        let now = Timestamp::now();
        let programs = &activation.programs;
        let compiled = log.took(checked.step::<Compiled>(now, format!("{} programs", programs.len())));
        let instructions: usize = programs.iter().map(|program| program.instructions).sum();
        let verified = log.took(compiled.step::<Verified>(now, format!("{instructions} instructions")));
        let soak = bundle.manifest().soak;
        if let Some(limits) = limits.filter(|_| !at_once) {
            let pushed = Pushed::new(&activation, &rules, self.mode).in_shadow(&limits);
            let beside = activation.previous.unwrap_or_default();
            let shadow = log.took(verified.step::<Shadow>(now, format!("beside generation {beside}")));
            let (category, aside) = (bundle.manifest().category, aside.then_some(written));
            Self::shadow_of(state, Release { life: shadow, soak, category, aside }, &std::mem::take(&mut log.0));
            return Ok(pushed);
        }
        let why = match limits {
            Some(_) => "passed over: by order",
            None => "passed over: the owner's policy asks for none, or nothing is in force to compare with",
        };
        let shadow = log.took(verified.step::<Shadow>(now, why));
        let _ = log.took(shadow.step::<Probation>(now, "in force"));
        state.changes.pushed += 1;
        let pushed = Pushed::new(&activation, &rules, self.mode);
        let Some(keeper) = &mut state.keeper else { return Ok(pushed) };
        let boot = keeper.store.boot().clone();
        let trial = Trial { id, since: now, boot, soak, taken_back: 0, aside: aside.then_some(written) };
        keeper.begins(permit, trial, &std::mem::take(&mut log.0));
        Ok(pushed.over(keeper.goal()))
    }

    /// Rules into the kernel, as they are permitted.
    pub(super) fn load(
        &self,
        state: &mut State<E>,
        permit: &Permit,
        number: u64,
        sources: &[Source],
        rules: &Arc<RuleSet>,
    ) -> Result<Activation, Refusal> {
        self.keep_names(number, sources);
        self.activate(state, permit, number, rules)
    }

    /// Keeps the names of rules for the next daemon.
    fn keep_names(&self, number: u64, sources: &[Source]) {
        if let Some(memory) = &self.memory
            && let Err(error) = memory.remember(number, sources, false)
        {
            say(format_args!("WARNING: the next daemon will not know the names of these rules: {error:#}"));
        }
    }

    /// To be called now and then: what has settled has settled, what is on probation is tried again once the
    /// host is up, what had to be held by a brake meanwhile is taken back, and what the owner wants to leave
    /// is left.
    pub fn tick(&self) {
        let state = &mut *self.lock();
        if self.read_policy(state).is_none() {
            return;
        }
        self.permits_otherwise(state);
        let Some(keeper) = &mut state.keeper else { return };
        keeper.matures();
        let (wish, running) = (keeper.wish(), keeper.running());
        if self.fulfils(state, wish) {
            return;
        }
        if let (Some(mishap), Rung::Generation(id)) = (self.mishap(state), running) {
            return self.answers_for(state, id, &mishap);
        }
        if let Some((trial, step)) = state.keeper.as_mut().and_then(Keeper::retries) {
            match self.start_with(state, &step) {
                Ok(words) => say(format_args!("{words}, on probation")),
                Err(reason) => {
                    say(format_args!("WARNING: generation {} is taken back: {reason}", trial.id));
                    state.changes.rolled_back += 1;
                    state.charge = Some((trial.id.number, Signal::Refusal));
                    if let Some(keeper) = &mut state.keeper {
                        keeper.takes_back(trial.id, first_line(&reason));
                    }
                }
            }
        }
    }

    /// Goes back where the owner wants it, or says why that cannot be; whether something else is in force now.
    fn fulfils(&self, state: &mut State<E>, wish: Wish) -> bool {
        let unmet = match wish {
            Wish::Nothing => None,
            Wish::Unmet(words) => Some(words),
            Wish::Back(rungs) => {
                const REASON: &str = "the owner's policy wants it (rollback)";
                match self.leave_for(state, rungs, |keeper, from| keeper.takes_back(from, REASON)) {
                    Some(Ok(rung)) => {
                        say(format_args!("{} is in force, as the owner's policy wants (rollback)", name(rung)));
                        state.changes.rolled_back += 1;
                        return true;
                    }
                    Some(Err(cause)) => {
                        let message = refused(cause, None).message;
                        Some(format!("the owner's wish to go back (rollback) cannot be met: {message}"))
                    }
                    None => None,
                }
            }
        };
        if let Some(keeper) = &mut state.keeper {
            keeper.says_of_wish(unmet);
        }
        false
    }

    /// The generation in force is too loud: it loses the one rule that is, or is taken back.
    fn answers_for(&self, state: &mut State<E>, id: Id, mishap: &Mishap) {
        let Mishap { signal, reason, rule } = mishap;
        state.charge = Some((id.number, *signal));
        state.watch = None;
        if let Some(rule) = rule.map(|rule| self.journal().rule_name(id.number, rule))
            && let Some(keeper) = &mut state.keeper
        {
            keeper.silences(id, rule.clone());
            match self.start_with(state, &Step::Stay(Rung::Generation(id))) {
                Ok(words) => {
                    return say(format_args!("WARNING: {words} without rule {rule}, which is too loud: {reason}"));
                }
                Err(error) => say(format_args!("WARNING: rule {rule} cannot be switched off: {error}")),
            }
        }
        say(format_args!("WARNING: generation {id} is taken back: {reason}"));
        match self.leave_with(state, |keeper, id| keeper.suspends(id, reason)) {
            Some(Ok(rung)) => {
                state.changes.rolled_back += 1;
                say(format_args!("{} is in force again", name(rung)));
            }
            _ => say("WARNING: there is nothing to go back to"),
        }
    }

    /// Why the generation in force, on probation, is not to stay, if so, and what it is charged with.
    fn mishap(&self, state: &mut State<E>) -> Option<Mishap> {
        let keeper = state.keeper.as_ref()?;
        let Rung::Generation(id) = keeper.running() else { return None };
        keeper.store.memory().trial.as_ref().filter(|trial| trial.id == id)?;
        let heard = heard(&state.engine.noise().ok()?, id.number);
        if state.watch.as_ref().is_none_or(|watch| watch.id != id) {
            let (budget, category) = keeper.budget(id)?;
            let before = if keeper.is_inherited() { heard.clone() } else { Heard::default() };
            state.watch = Some(Watch { id, budget, category, before });
        }
        let held = self.guard().held(self.journal(), id.number).ok()?;
        state.watch.as_ref()?.mishap(&held, &heard, keeper.in_force())
    }

    /// Leaves what is in force for what is [behind](Keeper::behind) it. `None` where no generations are kept.
    /// For the journal, the reason.
    pub(super) fn leave(&self, state: &mut State<E>, reason: &str) -> Option<Result<Rung, Cause>> {
        self.leave_with(state, |keeper, from| keeper.takes_back(from, reason))
    }

    /// The same; once something else is in force, the keeper is told what to make of the generation that was.
    fn leave_with(&self, state: &mut State<E>, left: impl FnOnce(&mut Keeper, Id)) -> Option<Result<Rung, Cause>> {
        let keeper = state.keeper.as_mut()?;
        if keeper.running() == Rung::Baseline {
            return Some(Err(Cause::Daemon("the baseline is in force, and there is nothing behind it: push a bundle")));
        }
        let rungs = keeper.behind();
        self.leave_for(state, rungs, left)
    }

    /// Leaves what is in force for the first of these that comes into force.
    fn leave_for(
        &self,
        state: &mut State<E>,
        rungs: Vec<Rung>,
        left: impl FnOnce(&mut Keeper, Id),
    ) -> Option<Result<Rung, Cause>> {
        let running = state.keeper.as_ref()?.running();
        let mut reasons = Vec::new();
        for rung in rungs {
            match self.start_with(state, &Step::Return(rung)) {
                Ok(_) => {
                    if let Rung::Generation(from) = running {
                        left(state.keeper.as_mut()?, from);
                    }
                    return Some(Ok(rung));
                }
                Err(reason) => reasons.push(format!("{}: {reason}", name(rung))),
            }
        }
        if reasons.is_empty() {
            reasons.push("no other generation is good here, and the baseline is given up or switched off".into());
        }
        Some(Err(Cause::Said(Refuser::Daemon, format!("there is nothing to go back to: {}", reasons.join("; ")))))
    }

    /// The journal of generations, oldest first.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn history(&self) -> anyhow::Result<Vec<Entry>> {
        let state = self.lock();
        let keeper = state.keeper.as_ref();
        let keeper =
            keeper.ok_or_else(|| anyhow::anyhow!("the daemon keeps no generations: start it with --state DIR"))?;
        Ok(keeper.store.history()?)
    }
}
