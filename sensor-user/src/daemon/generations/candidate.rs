//! A candidate in the shadow of the generation in force. What is decided of it, and why, is
//! [`sensor_content::shadow`]'s.

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
    gate::Step,
    life::{Generation, Id, Shadow},
    noise::{Heard, Noise},
    shadow::{self, Limits, Matches, Observed, Report},
};
use sensor_rules::{Rule, RuleSet};

use super::{keeper::Keeper, probation::heard};
use crate::{
    api::status,
    daemon::brakes::monitor::UNNAMED_RULES,
    event::{self, Clock},
    kernel::Seen,
};

/// What judges in the shadow.
pub struct Candidate {
    pub(super) generation: u64,
    /// As the owner permitted them when it was loaded.
    pub(super) rules: Arc<RuleSet>,
    /// As they were pushed.
    pub(super) asked: Arc<RuleSet>,
    pub(super) limits: Limits,
    since: Timestamp,
    began: Instant,
    /// The last few events that each rule matched, by number.
    examples: BTreeMap<u32, VecDeque<String>>,
    pub(super) seen: Observed,
    pub(super) report: Report,
    /// Where it is a bundle.
    pub(super) bundle: Option<Release>,
    /// Why the owner does not want it in force now, although it has kept its limits.
    pub(super) waits: Option<String>,
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
    /// Judges from now on; nothing was seen yet.
    pub fn new(generation: u64, rules: Arc<RuleSet>, asked: Arc<RuleSet>, limits: Limits) -> Self {
        let seen = Observed::default();
        Self {
            generation,
            rules,
            asked,
            limits,
            since: Timestamp::now(),
            began: Instant::now(),
            examples: BTreeMap::new(),
            report: shadow::decide(&seen, &limits),
            seen,
            bundle: None,
            waits: None,
        }
    }

    /// The candidate is this bundle.
    #[must_use]
    pub fn of(self, release: Release) -> Self {
        Self { bundle: Some(release), ..self }
    }

    /// Its bundle, where it is one.
    pub fn id(&self) -> Option<Id> {
        self.bundle.as_ref().map(|release| release.life.id())
    }

    /// Judges it by what was seen until now, beside these rules in force.
    pub fn observe(&mut self, seen: &Seen, (number, active): (u64, Option<&RuleSet>), clock: Clock) {
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
    pub fn reasons(&self) -> Vec<String> {
        self.report.reasons.iter().map(ToString::to_string).chain(self.waits.clone()).collect()
    }

    /// The step that puts it in force, under the policy as the keeper has it.
    pub fn step(&self, keeper: &Keeper) -> Step {
        self.bundle.as_ref().map_or(Step::Unsigned, |Release { life, category, aside, .. }| Step::Take {
            id: life.id(),
            category: *category,
            aside: keeper.is_aside(*aside),
        })
    }

    /// What became of it, and why.
    pub fn ended(&self, promoted: bool, reasons: Vec<String>) -> status::ShadowEnd {
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
