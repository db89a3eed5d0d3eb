//! A bundle's way into force: examined without the kernel, then loaded, on probation or into the shadow.

use std::sync::Arc;

use jiff::Timestamp;
use sensor_content::{
    bundle::{Bundle, Engine as Here, Untrue, Unverified},
    gate::{Objection, Step},
    life::{
        Checked, Compiled, Denied, Downloaded, Entry, Generation, Id, Next, Probation, Rejected, Shadow, Signed,
        State as LifeState, Trial, Verified,
    },
};
use sensor_rules::RuleSet;

use super::{
    bundle_tests::{self, Failure},
    candidate::{Candidate, Release},
    options::PushOptions,
    reply::{Cause, first_line, pushed},
    state::Generations,
};
use crate::{
    api::protocol::{Pushed, Refuser},
    daemon::fault::{self, Point},
    host::settings::Settings,
    kernel::{Activation, Refusal, engine::Engine},
};

/// The steps of a bundle that is being taken in, for the journal.
#[derive(Default)]
pub struct Log(Vec<Entry>);

impl Log {
    fn took<S>(&mut self, (generation, entry): (Generation<S>, Entry)) -> Generation<S> {
        self.0.push(entry);
        generation
    }

    /// The kernel's verifier accepted its programs.
    fn verified(&mut self, checked: Generation<Checked>, activation: &Activation) -> Generation<Verified> {
        let (now, programs) = (Timestamp::now(), &activation.programs);
        let compiled = self.took(checked.step::<Compiled>(now, format!("{} programs", programs.len())));
        let instructions: usize = programs.iter().map(|program| program.instructions).sum();
        self.took(compiled.step::<Verified>(now, format!("{instructions} instructions")))
    }

    /// The last step: refused.
    fn reject<S: LifeState + Next<Rejected>>(&mut self, generation: Generation<S>, reason: &str) {
        self.took(generation.step::<Rejected>(Timestamp::now(), first_line(reason)));
    }
}

/// A bundle that passed all checks that need no kernel.
pub struct Examined {
    bundle: Bundle,
    rules: RuleSet,
    life: Generation<Checked>,
}

/// The step that takes this bundle.
fn wanted(bundle: &Bundle, options: PushOptions) -> Step {
    let id = Id { number: bundle.number(), digest: bundle.digest() };
    Step::Take { id, category: bundle.manifest().category, aside: options.policy_aside }
}

fn refused(message: &impl ToString) -> Cause {
    Cause::Said(Refuser::Bundle, message.to_string())
}

/// Examines a bundle. `admit` asks the owner's policy. Nothing is locked while its tests run in a child.
///
/// # Errors
/// Who refused, and why.
pub fn examine(
    bytes: Vec<u8>,
    settings: &Settings,
    options: PushOptions,
    admit: impl FnOnce(&Step) -> Result<(), Objection>,
    log: &mut Log,
) -> Result<Examined, Cause> {
    let bundle = Unverified::read(bytes).map_err(|error| refused(&error))?;
    let id = Id { number: bundle.claims().generation, digest: bundle.digest() };
    let arrived: Generation<Downloaded> = log.took(Generation::arrived(id, Timestamp::now(), "pushed"));
    // Before anything else: rules for another field table must not even be read.
    if let Err(misfit) = bundle.fits(&Here::here()) {
        log.reject(arrived, &misfit.to_string());
        return Err(refused(&misfit));
    }
    let keys = settings.keys().map_err(|error| Cause::Said(Refuser::Host, format!("{error:#}")))?;
    let bundle = match bundle.signed_by(&keys) {
        Ok(bundle) => bundle,
        Err(distrust) => {
            log.reject(arrived, &distrust.to_string());
            return Err(refused(&distrust));
        }
    };
    let signed = log.took(arrived.step::<Signed>(Timestamp::now(), format!("by the key {}", bundle.key().short())));
    if let Err(objection) = admit(&wanted(&bundle, options)) {
        log.took(signed.step::<Denied>(Timestamp::now(), first_line(&objection.to_string())));
        return Err(objection.into());
    }
    let (tests, rules) = match tested(settings, &bundle) {
        Ok(tested) => tested,
        Err((cause, reason)) => {
            log.reject(signed, &reason);
            return Err(cause);
        }
    };
    let life = log.took(signed.step::<Checked>(Timestamp::now(), format!("{tests} tests right")));
    Ok(Examined { bundle, rules, life })
}

/// How many tests the bundle has, all right, and its rules; or who refused, and why, for the journal.
fn tested(settings: &Settings, bundle: &Bundle) -> Result<(usize, RuleSet), (Cause, String)> {
    // In a child with limits: whatever the rules do to the checks, the daemon goes on.
    let tests = bundle_tests::run(&settings.program, bundle.bytes()).map_err(|failure| match failure {
        Failure::Wrong(words) => (Cause::Said(Refuser::Tests, format!("its own tests fail here: {words}")), words),
        Failure::Host(error) => (
            Cause::Said(Refuser::Host, format!("its own tests cannot be run here now: {error:#}")),
            format!("{error:#}"),
        ),
    })?;
    let rules = bundle.rules().map_err(|error| match error {
        Untrue::Content(diagnostics) => {
            (Cause::Refusal(Refusal::Content(diagnostics)), "its rules are not sound".to_owned())
        }
        error @ Untrue::Rules(_) => (refused(&error), error.to_string()),
    })?;
    Ok((tests, rules))
}

impl<E: Engine> Generations<E> {
    /// Writes the steps of a bundle into the journal of generations.
    pub fn record(&mut self, log: &Log) {
        if let Some(keeper) = &mut self.keeper {
            keeper.write(|store| store.record(&log.0));
        }
    }

    /// Puts a bundle in force, on probation, or lets it judge in the shadow, as the owner's policy says; or changes
    /// nothing.
    ///
    /// # Errors
    /// Who refused, and why.
    pub fn take_in(&mut self, examined: Examined, options: PushOptions, log: &mut Log) -> Result<Pushed, Cause> {
        let Examined { bundle, rules, life: checked } = examined;
        let id = checked.id();
        // Asked again: what runs and what the owner wants may have changed while its tests ran.
        let mut permit = match self.admit(|_| wanted(&bundle, options)) {
            Ok(permit) => permit,
            Err(objection) => {
                log.reject(checked, first_line(&objection.to_string()));
                return Err(objection.into());
            }
        };
        let limits = self.limits().map(|limits| limits.within(bundle.manifest().budget));
        let in_shadow = limits.filter(|_| !options.at_once);
        let asked = Arc::new(rules);
        let rules = Arc::new(permit.restrain(RuleSet::clone(&asked)));
        let Some(keeper) = &mut self.keeper else { return Err(Cause::Daemon("the daemon keeps no generations")) };
        let aside = options.policy_aside.then(|| keeper.policy().written());
        let boot = keeper.store.boot().clone();
        let kept = keeper.store.keep(&bundle);
        if kept.is_err() {
            keeper.record_still_running();
        }
        // On disk before anything is loaded: should the host go down now, the next start knows whom to charge.
        let attempt = match kept.and_then(|_| keeper.begin(permit.clone())) {
            Ok(attempt) => attempt,
            Err(error) => {
                let message =
                    format!("the attempt cannot be written down, and without that nothing new is loaded: {error}");
                log.reject(checked, &message);
                return Err(Cause::Said(Refuser::Daemon, message));
            }
        };
        fault::at(Point::Push, id.number);
        let loaded = match in_shadow {
            Some(_) => {
                self.kernel.keep_names(id.number, bundle.sources());
                self.kernel.shadow(id.number, &rules)
            }
            None => self.kernel.load(&permit, id.number, bundle.sources(), &rules),
        };
        let activation = match loaded {
            Ok(activation) => activation,
            Err(refusal) => {
                log.reject(checked, &refusal.to_string());
                return Err(refusal.into());
            }
        };
        let verified = log.verified(checked, &activation);
        let answer = pushed(&activation, &rules, self.kernel.mode);
        let (now, soak, category) = (Timestamp::now(), bundle.manifest().soak, bundle.manifest().category);
        if let Some(limits) = in_shadow {
            let beside = activation.previous.unwrap_or_default();
            let life = log.took(verified.step::<Shadow>(now, format!("beside generation {beside}")));
            attempt.commit_in_shadow(id);
            let release = Release { life, soak, category, aside };
            // The end of a candidate before stands in the journal before this one's steps: they may be the same.
            self.begin_candidate(Candidate::new(id.number, rules, asked, limits).of(release));
            return Ok(answer.in_shadow(&limits));
        }
        let why = match limits {
            Some(_) => "passed over: by order",
            None => "passed over: the owner's policy asks for none, or nothing is in force to compare with",
        };
        let shadow = log.took(verified.step::<Shadow>(now, why));
        let _ = log.took(shadow.step::<Probation>(now, "in force"));
        let trial = Trial { id, since: now, boot, soak, taken_back: 0, aside };
        attempt.commit_on_probation(trial, &std::mem::take(&mut log.0));
        self.changes.pushed += 1;
        Ok(answer.over(self.goal()))
    }
}
