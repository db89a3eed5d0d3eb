//! A candidate is begun, looked at, promoted or given up.

use std::sync::Arc;

use jiff::Timestamp;
use sensor_content::{
    gate::Objection,
    life::{Probation, Rejected, Trial},
    rollout::Signal,
    shadow::{Decision, Limits, Observed},
};
use sensor_rules::RuleSet;

use super::{
    candidate::{Candidate, Release},
    permit::{Permit, asks_the_same},
    reply::{first_line, refused},
    state::Generations,
};
use crate::{
    api::status::LastRefusal,
    event::Clock,
    kernel::{Activation, Refusal, engine::Engine},
    log::say,
};

impl<E: Engine> Generations<E> {
    /// What a generation has to keep to in the shadow; `None` where it comes into force at once: the owner's
    /// policy says nothing of shadows, or there is no generation in force to be compared with.
    pub(super) fn limits(&self) -> Option<Limits> {
        self.active()?;
        self.keeper.as_ref()?.policy().shadow()
    }

    /// Lets rules judge in the shadow from now on, in place of a candidate before.
    pub(super) fn shadow(
        &mut self,
        generation: u64,
        (rules, asked): (&Arc<RuleSet>, &Arc<RuleSet>),
        limits: Limits,
    ) -> Result<Activation, Refusal> {
        let activation = self.kernel.shadow(generation, rules)?;
        self.begin_candidate(Candidate::new(generation, Arc::clone(rules), Arc::clone(asked), limits));
        Ok(activation)
    }

    /// These rules judge in the shadow now, in place of a candidate before.
    pub(super) fn begin_candidate(&mut self, candidate: Candidate) {
        let generation = candidate.generation;
        if let Some(before) = self.candidate.replace(candidate) {
            self.note_rejection(before, &format!("generation {generation} took its place in the shadow"));
        }
    }

    /// Periodic work: looks at what the candidate did, and promotes it or gives it up once that is decided.
    pub fn look_at_shadow(&mut self) {
        let Some(mut candidate) = self.candidate.take() else { return };
        match self.kernel.engine_mut().shadowed() {
            Ok(Some(seen)) => {
                let number = self.active().unwrap_or_default();
                let active = self.kernel.journal().rules(number);
                candidate.observe(&seen, (number, active.as_deref()), Clock::now());
            }
            Ok(None) => return self.reject(candidate, "another generation has come into force meanwhile"),
            Err(error) => {
                say(format_args!("WARNING: what the candidate does cannot be read: {error:#}"));
                self.candidate = Some(candidate);
                return;
            }
        }
        match candidate.report.decision {
            Decision::Hold => self.candidate = Some(candidate),
            Decision::Reject => {
                self.charge = Some((candidate.generation, candidate.report.signal()));
                let reasons = candidate.reasons().join("\n");
                self.reject(candidate, &reasons);
            }
            Decision::Promote => self.ask_for(candidate),
        }
    }

    /// The candidate may come into force as far as the shadow is concerned: its owner is asked, by the policy
    /// as it is now.
    fn ask_for(&mut self, mut candidate: Candidate) {
        match self.admit(|keeper| candidate.step(keeper)) {
            Ok(mut permit) => {
                let rules = permit.restrain(RuleSet::clone(&candidate.asked));
                if asks_the_same(&candidate.rules, &rules) {
                    self.promote(candidate, permit);
                } else {
                    self.judge_anew(candidate, &Arc::new(rules));
                }
            }
            Err(Objection::Waits(words)) => {
                if candidate.waits.as_ref() != Some(&words) {
                    say(format_args!("generation {} stays in the shadow: {words}", candidate.generation));
                }
                candidate.waits = Some(words);
                self.candidate = Some(candidate);
            }
            Err(objection) => self.reject(candidate, &objection.to_string()),
        }
    }

    /// The owner permits the candidate other actions than when it was loaded: what was seen is of other rules.
    fn judge_anew(&mut self, candidate: Candidate, rules: &Arc<RuleSet>) {
        let generation = candidate.generation;
        if let Err(refusal) = self.shadow(generation, (rules, &candidate.asked), candidate.limits) {
            return self.reject(candidate, &refusal.to_string());
        }
        say(format_args!(
            "generation {generation} judges in the shadow anew: the owner's policy permits its rules other actions now"
        ));
        if let Some(anew) = &mut self.candidate {
            anew.bundle = candidate.bundle;
        }
    }

    fn promote(&mut self, mut candidate: Candidate, permit: Permit) {
        candidate.waits = None;
        let words = match self.switch_to(&mut candidate, permit) {
            Ok(words) => words,
            Err(why) => return self.reject(candidate, &why),
        };
        say(format_args!("generation {} is in force: {words}", candidate.generation));
        self.last_shadow = Some(candidate.ended(true, candidate.reasons()));
        self.changes.pushed += 1;
        self.changes.promoted += 1;
    }

    /// Puts the candidate in force; what it did, or why it could not, in words.
    fn switch_to(&mut self, candidate: &mut Candidate, permit: Permit) -> Result<String, String> {
        let Observed { events, cost, .. } = candidate.seen;
        let words = format!("{events} events in the shadow, {cost} ns each: {}", candidate.reasons().join(", "));
        let Some(keeper) = &mut self.keeper else {
            return self.kernel.promote(&candidate.rules).map(|_| words).map_err(|refusal| refusal.to_string());
        };
        if candidate.bundle.is_none() {
            self.kernel.promote(&candidate.rules).map_err(|refusal| refusal.to_string())?;
            keeper.record_running(permit);
            self.unsigned = Some((candidate.generation, Arc::clone(&candidate.asked)));
            return Ok(words);
        }
        let boot = keeper.store.boot().clone();
        // On disk before the switch: should the host go down now, the next start knows whom to charge.
        let attempt = keeper.begin(permit).map_err(|error| format!("the attempt cannot be written down: {error}"))?;
        if let Err(refusal) = self.kernel.promote(&candidate.rules) {
            let refused = refused(refusal.into(), None);
            // What else goes wrong in a switch says nothing of the rules.
            if refused.by.is_of_rules() {
                self.charge = Some((candidate.generation, Signal::Refusal));
            }
            return Err(refused.message);
        }
        if let Some(Release { life, soak, aside, .. }) = candidate.bundle.take() {
            let now = Timestamp::now();
            let (life, entry) = life.step::<Probation>(now, format!("in force: {words}"));
            let trial = Trial { id: life.id(), since: now, boot, soak, taken_back: 0, aside };
            attempt.commit_on_probation(trial, &[entry]);
        }
        Ok(words)
    }

    /// Gives the candidate up, if there is one: the daemon ends.
    pub(super) fn end_shadow(&mut self) {
        if let Some(candidate) = self.candidate.take() {
            self.reject(candidate, "the daemon ended while it judged in the shadow");
        }
    }

    /// Gives this candidate up; false where it is not in the shadow.
    pub(super) fn give_up(&mut self, generation: u64, why: &str) -> bool {
        let candidate = self.candidate.take_if(|candidate| candidate.generation == generation);
        candidate.is_some_and(|candidate| {
            self.reject(candidate, why);
            true
        })
    }

    /// Gives a candidate up; what is in force stays so.
    fn reject(&mut self, candidate: Candidate, why: &str) {
        if let Err(error) = self.kernel.engine_mut().give_up() {
            say(format_args!("WARNING: the candidate cannot be taken out of the kernel: {error:#}"));
        }
        self.note_rejection(candidate, why);
    }

    /// Writes down that a candidate was given up.
    fn note_rejection(&mut self, mut candidate: Candidate, why: &str) {
        let generation = candidate.generation;
        say(format_args!("generation {generation} is rejected in the shadow: {why}"));
        let reason = format!("in the shadow: {why}");
        self.last_shadow = Some(candidate.ended(false, why.lines().map(str::to_owned).collect()));
        self.changes.refused += 1;
        let first = first_line(&reason);
        self.last_refusal =
            Some(LastRefusal { time: Timestamp::now(), reason: format!("generation {generation} {first}") });
        if let Some(keeper) = &mut self.keeper {
            keeper.set_shadow(self.candidate.as_ref().and_then(Candidate::id));
            if let Some(release) = candidate.bundle.take() {
                let (_, entry) = release.life.step::<Rejected>(Timestamp::now(), reason);
                keeper.write(|store| store.record(&[entry]));
            }
            keeper.record_still_running();
        }
    }
}
