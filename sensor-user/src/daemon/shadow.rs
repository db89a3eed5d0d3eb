//! A candidate in the shadow of the generation in force: begun, looked at, promoted or given up. What is
//! decided, and why, is [`sensor_content::shadow`]'s.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;
use sensor_common::{brakes::UNNAMED, record::Record, shadow::EXAMPLES, verdict::Action};
use sensor_content::{
    bundle::Category,
    digest::Digest,
    gate::{Objection, Step},
    life::{Entry, Generation, Id, Probation, Rejected, Shadow, Trial},
    noise::{Heard, Noise},
    rollout::Signal,
    shadow::{self, Decision, Limits, Matches, Observed, Report},
};
use sensor_rules::{Rule, RuleSet};

use super::{
    cause::refused,
    core::{Core, State},
    engine::Engine,
    generations::first_line,
    guard::UNNAMED_RULES,
    keeper::Keeper,
    permit::{Permit, asks_the_same},
    probation::heard,
};
use crate::{
    control::server::Service,
    event::{self, Clock},
    kernel::{Activation, Refusal, Seen},
    log::say,
    status::{self, LastRefusal},
};

/// What judges in the shadow.
pub struct Candidate {
    generation: u64,
    /// As the owner permitted them when it was loaded.
    rules: Arc<RuleSet>,
    /// As they were pushed.
    asked: Arc<RuleSet>,
    limits: Limits,
    since: Timestamp,
    began: Instant,
    /// The last few events that each rule matched, by number.
    examples: BTreeMap<u32, VecDeque<String>>,
    seen: Observed,
    report: Report,
    /// Where it is a bundle.
    bundle: Option<Release>,
    /// Why the owner does not want it in force now, although it has kept its limits.
    waits: Option<String>,
}

/// A bundle in the shadow.
pub struct Release {
    /// Its life so far.
    pub life: Generation<Shadow>,
    /// Its shortest probation, seconds.
    pub soak: u64,
    /// What kind of release it is.
    pub category: Category,
    /// The policy that the owner has set aside for it.
    pub aside: Option<Digest>,
}

impl Candidate {
    /// Its bundle, where it is one.
    fn id(&self) -> Option<Id> {
        self.bundle.as_ref().map(|release| release.life.id())
    }

    /// Takes in what was seen until now, beside these rules in force.
    fn takes_in(&mut self, seen: &Seen, (number, active): (u64, Option<&RuleSet>), clock: Clock) {
        for record in &seen.examples {
            self.show(record, clock);
        }
        let (judged, time) = (seen.counts.judged, seen.counts.time);
        let (own, others) = (heard(&seen.noise, self.generation), heard(&seen.noise, number));
        let rules = seen.candidate.iter().map(|(number, matches)| Matches {
            examples: self.examples.get(number).into_iter().flatten().cloned().collect(),
            ..beside(*number, matches.events, (seen, &own, &others), &self.rules, active)
        });
        self.seen = Observed {
            time: self.began.elapsed(),
            events: judged.iter().sum(),
            missed: seen.counts.missed,
            matched: seen.counts.matched,
            noise: own.all.clone(),
            cost: shadow::mean(judged.into_iter().zip(time)),
            rules: rules.collect(),
        };
        self.report = shadow::decide(&self.seen, &self.limits);
    }

    /// Remembers an example for each of its rules.
    fn show(&mut self, record: &Record, clock: Clock) {
        let Ok(report) = event::Report::new(record, Some(&self.rules), 0, clock) else { return };
        let Some(line) = event::summary(&report.to_line()) else { return };
        for number in record.verdict.rules() {
            let examples = self.examples.entry(number).or_default();
            examples.push_back(line.clone());
            while examples.len() as u64 > EXAMPLES {
                examples.pop_front();
            }
        }
    }

    /// For `creance status`.
    pub fn status(&self) -> status::Shadow {
        status::Shadow {
            generation: self.generation,
            since: self.since,
            rules: self.rules.rules().len(),
            events: self.seen.events,
            matched: self.seen.matched,
            missed: self.seen.missed,
            nanoseconds_per_event: self.seen.cost,
            waits: self.waits.clone(),
            reasons: self.reasons(),
        }
    }

    /// Why it stands where it stands.
    fn reasons(&self) -> Vec<String> {
        self.report.reasons.iter().map(ToString::to_string).chain(self.waits.clone()).collect()
    }

    /// The step that puts it in force, under the policy as the keeper has it.
    fn step(&self, keeper: &Keeper) -> Step {
        self.bundle.as_ref().map_or(Step::Unsigned, |Release { life, category, aside, .. }| Step::Take {
            id: life.id(),
            category: *category,
            aside: keeper.is_aside(*aside),
        })
    }

    fn ended(&self, promoted: bool, reasons: Vec<String>) -> status::ShadowEnd {
        status::ShadowEnd { time: Timestamp::now(), promoted, shadow: status::Shadow { reasons, ..self.status() } }
    }
}

/// A rule of the candidate beside the one with its id in force, as far as that asks for as much.
fn beside(
    number: u32,
    events: u64,
    (seen, own, others): (&Seen, &Heard, &Heard),
    candidate: &RuleSet,
    active: Option<&RuleSet>,
) -> Matches {
    let counted = |number: &u32| seen.active.get(number).map_or(0, |matches| matches.events);
    let asks = |rule: &Rule| rule.action > Action::Alert;
    let Some(rule) = candidate.rules().get(number as usize) else {
        // Which of them matched is not known: one that blocks may be among them.
        let blocks = candidate.braked().next().is_some();
        let (rule, active) = (UNNAMED_RULES.to_owned(), counted(&UNNAMED));
        // Who made these match is not known apart from the rest.
        let beyond = own.all.clone();
        return Matches { rule, blocks, candidate: events, active, beyond, examples: Vec::new() };
    };
    let blocks = asks(rule);
    let same = (0..).zip(active.map_or(&[][..], RuleSet::rules)).find(|(_, other)| other.id == rule.id);
    let same = same.filter(|(_, other)| !blocks || asks(other)).map(|(number, _)| number);
    let active = same.as_ref().map_or(0, counted);
    let nobody = Noise::default();
    let before = same.and_then(|number| others.rules.get(&number)).unwrap_or(&nobody);
    let beyond = own.rules.get(&number).map_or_else(Noise::default, |noise| noise.beyond(before));
    Matches { rule: rule.id.clone(), blocks, candidate: events, active, beyond, examples: Vec::new() }
}

impl<E: Engine> Core<E> {
    /// What a generation has to keep to in the shadow; `None` where it comes into force at once: the owner's
    /// policy says nothing of shadows, or there is no generation in force to be compared with.
    pub(super) fn limits(state: &State<E>) -> Option<Limits> {
        state.engine.active()?;
        state.keeper.as_ref()?.policy().shadow()
    }

    /// Lets rules judge in the shadow from now on, in place of a candidate before.
    pub(super) fn shadow(
        &self,
        state: &mut State<E>,
        generation: u64,
        (rules, asked): (&Arc<RuleSet>, &Arc<RuleSet>),
        limits: Limits,
    ) -> Result<Activation, Refusal> {
        self.journal().remember(generation, Arc::clone(rules));
        let activation = state.engine.shadow(generation, rules)?;
        if let Some(before) = state.candidate.take() {
            note_rejection(state, before, &format!("generation {generation} took its place in the shadow"));
        }
        let seen = Observed::default();
        state.candidate = Some(Candidate {
            generation,
            rules: Arc::clone(rules),
            asked: Arc::clone(asked),
            limits,
            since: Timestamp::now(),
            began: Instant::now(),
            examples: BTreeMap::new(),
            report: shadow::decide(&seen, &limits),
            seen,
            bundle: None,
            waits: None,
        });
        Ok(activation)
    }

    /// The candidate is a bundle, with this life until now.
    pub(super) fn shadow_of(state: &mut State<E>, release: Release, entries: &[Entry]) {
        if let Some(keeper) = &mut state.keeper {
            keeper.shadows(Some(release.life.id()));
            keeper.said(|store| store.record(entries));
        }
        if let Some(candidate) = &mut state.candidate {
            candidate.bundle = Some(release);
        }
    }

    /// To be called now and then: looks at what the candidate did, and promotes it or gives it up once that is decided.
    pub fn look_at_shadow(&self) {
        let state = &mut *self.lock();
        let Some(mut candidate) = state.candidate.take() else { return };
        match state.engine.shadowed() {
            Ok(Some(seen)) => {
                let number = state.engine.active().unwrap_or_default();
                let active = self.journal().rules(number);
                candidate.takes_in(&seen, (number, active.as_deref()), Clock::now());
            }
            Ok(None) => return reject(state, candidate, "another generation has come into force meanwhile"),
            Err(error) => {
                say(format_args!("WARNING: what the candidate does cannot be read: {error:#}"));
                state.candidate = Some(candidate);
                return;
            }
        }
        match candidate.report.decision {
            Decision::Hold => state.candidate = Some(candidate),
            Decision::Reject => {
                state.charge = Some((candidate.generation, candidate.report.signal()));
                let reasons = candidate.reasons().join("\n");
                reject(state, candidate, &reasons);
            }
            Decision::Promote => self.ask_for(state, candidate),
        }
    }

    /// The candidate may come into force as far as the shadow is concerned: its owner is asked, by the policy
    /// as it is now.
    fn ask_for(&self, state: &mut State<E>, mut candidate: Candidate) {
        match self.admitted(state, |keeper| candidate.step(keeper)) {
            Ok(mut permit) => {
                let rules = permit.restrain(RuleSet::clone(&candidate.asked));
                if asks_the_same(&candidate.rules, &rules) {
                    self.promote(state, candidate, permit);
                } else {
                    self.judge_anew(state, candidate, &Arc::new(rules));
                }
            }
            Err(Objection::Waits(words)) => {
                if candidate.waits.as_ref() != Some(&words) {
                    say(format_args!("generation {} stays in the shadow: {words}", candidate.generation));
                }
                candidate.waits = Some(words);
                state.candidate = Some(candidate);
            }
            Err(objection) => reject(state, candidate, &objection.to_string()),
        }
    }

    /// The owner permits the candidate other actions than when it was loaded: what was seen is of other rules.
    fn judge_anew(&self, state: &mut State<E>, mut candidate: Candidate, rules: &Arc<RuleSet>) {
        let (generation, limits) = (candidate.generation, candidate.limits);
        match self.shadow(state, generation, (rules, &candidate.asked), limits) {
            Ok(_) => {
                say(format_args!(
                    "generation {generation} judges in the shadow anew: the owner's policy permits its rules other actions now"
                ));
                if let Some(anew) = &mut state.candidate {
                    anew.bundle = candidate.bundle.take();
                }
            }
            Err(refusal) => reject(state, candidate, &refusal.to_string()),
        }
    }

    fn promote(&self, state: &mut State<E>, mut candidate: Candidate, permit: Permit) {
        candidate.waits = None;
        // On disk before the switch: should the host go down now, the next start knows whom to charge.
        if let (Some(_), Some(keeper)) = (candidate.id(), &mut state.keeper)
            && let Err(error) = keeper.attempt(&permit)
        {
            return reject(state, candidate, &format!("the attempt cannot be written down: {error}"));
        }
        let activation = match state.engine.promote(&candidate.rules) {
            Ok(activation) => activation,
            Err(refusal) => {
                let refused = refused(refusal.into(), state.engine.active());
                // What else goes wrong in a switch says nothing of the rules.
                if refused.by.is_of_rules() {
                    state.charge = Some((candidate.generation, Signal::Refusal));
                }
                return reject(state, candidate, &refused.message);
            }
        };
        let reasons = candidate.reasons();
        let Observed { events, cost, .. } = candidate.seen;
        let words = format!("{events} events in the shadow, {cost} ns each: {}", reasons.join(", "));
        say(format_args!("generation {} is in force: {words}", candidate.generation));
        state.last_shadow = Some(candidate.ended(true, reasons));
        state.changes.pushed += 1;
        state.changes.promoted += 1;
        self.note_in_force(activation.generation);
        let Some(keeper) = &mut state.keeper else { return };
        keeper.shadows(None);
        if let Some(Release { life, soak, aside, .. }) = candidate.bundle.take() {
            let now = Timestamp::now();
            let (life, entry) = life.step::<Probation>(now, format!("in force: {words}"));
            let boot = keeper.store.boot().clone();
            keeper.begins(permit, Trial { id: life.id(), since: now, boot, soak, taken_back: 0, aside }, &[entry]);
        } else {
            keeper.runs(permit);
            state.unsigned = Some((candidate.generation, candidate.asked));
        }
    }

    /// Gives the candidate up, if there is one: the daemon ends.
    pub(super) fn end_shadow(state: &mut State<E>) {
        if let Some(candidate) = state.candidate.take() {
            reject(state, candidate, "the daemon ended while it judged in the shadow");
        }
    }

    /// Gives this candidate up, if it is in the shadow.
    pub(super) fn give_up(state: &mut State<E>, generation: u64, why: &str) -> bool {
        let candidate = state.candidate.take_if(|candidate| candidate.generation == generation);
        candidate.is_some_and(|candidate| {
            reject(state, candidate, why);
            true
        })
    }

    /// The generation that judges in the shadow.
    pub fn in_shadow(&self) -> Option<u64> {
        self.lock().candidate.as_ref().map(|candidate| candidate.generation)
    }
}

/// Gives a candidate up; what is in force stays so.
fn reject<E: Engine>(state: &mut State<E>, candidate: Candidate, why: &str) {
    if let Err(error) = state.engine.give_up() {
        say(format_args!("WARNING: the candidate cannot be taken out of the kernel: {error:#}"));
    }
    note_rejection(state, candidate, why);
}

/// Writes down that a candidate was given up.
fn note_rejection<E: Engine>(state: &mut State<E>, mut candidate: Candidate, why: &str) {
    let generation = candidate.generation;
    say(format_args!("generation {generation} is rejected in the shadow: {why}"));
    let reason = format!("in the shadow: {why}");
    state.last_shadow = Some(candidate.ended(false, why.lines().map(str::to_owned).collect()));
    state.changes.refused += 1;
    let first = first_line(&reason);
    state.last_refusal =
        Some(LastRefusal { time: Timestamp::now(), reason: format!("generation {generation} {first}") });
    if let Some(keeper) = &mut state.keeper {
        keeper.shadows(None);
        if let Some(release) = candidate.bundle.take() {
            let (_, entry) = release.life.step::<Rejected>(Timestamp::now(), reason);
            keeper.said(|store| store.record(&[entry]));
        }
        keeper.still_runs();
    }
}
