//! One step of a roll-out, as a pure function: run it from a timer, keep what it was made of, replay it at will.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    document::{Document, Order},
    health::{Census, Health},
    judge::{Question, Verdict, judge},
    plan::Plan,
};

/// Where a roll-out stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The generation that goes out.
    pub release: u64,
    /// The generation that everybody may have already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
    /// Those that everybody might have before that, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<u64>,
    /// Counts the documents.
    pub serial: u64,
    /// What hosts were told last.
    pub order: Order,
    /// How far it came.
    pub progress: Progress,
    /// When the last step was made.
    pub stepped: Timestamp,
    /// How often the judge looked.
    pub looks: u64,
    /// Whether the judge said continue at the last step: only time from one such step to the next counts.
    #[serde(default)]
    pub continued: bool,
}

/// How far a roll-out came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The last stage that is open, from 0.
    pub stage: usize,
    /// Time that its ramp was watched.
    pub ramped: SignedDuration,
    /// Time that it was watched since.
    pub soaked: SignedDuration,
    /// All stages are over: everybody may have it, and there is no control group any more to judge by.
    pub finished: bool,
}

/// A step, with all that it was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The plan.
    pub plan: Plan,
    /// Where it stood.
    pub before: State,
    /// What was known.
    pub health: Health,
    /// When it was made.
    pub now: Timestamp,
    /// Where it stands now.
    pub after: State,
    /// What to publish.
    pub document: Document,
    /// Why.
    pub reasons: Vec<String>,
}

impl Decision {
    /// Decides again from what was recorded; the same, or this code decides otherwise than the one that recorded it.
    #[must_use]
    pub fn replay(&self) -> Self {
        step(&self.plan, &self.before, &self.health, self.now)
    }
}

/// So many releases before `base` are offered still: a host whose owner stays further behind waits.
const EARLIER_KEPT: usize = 7;

impl State {
    /// A roll-out that begins at `now`: nothing is open yet.
    pub const fn start(release: u64, now: Timestamp) -> Self {
        let progress =
            Progress { stage: 0, ramped: SignedDuration::ZERO, soaked: SignedDuration::ZERO, finished: false };
        Self {
            release,
            base: None,
            earlier: Vec::new(),
            serial: 0,
            order: Order::Offer,
            progress,
            stepped: now,
            looks: 0,
            continued: false,
        }
    }

    /// A roll-out that begins at `now`, after this one. Hosts that come late, or stay behind, take meanwhile
    /// what went out to everybody and was not taken back: not what was stopped.
    #[must_use]
    pub fn next(&self, release: u64, now: Timestamp) -> Self {
        let went_out = self.progress.finished && self.order != Order::Revoke;
        let stood = self.base.iter().chain(&self.earlier).copied();
        let mut all = went_out.then_some(self.release).into_iter().chain(stood);
        Self { base: all.next(), earlier: all.take(EARLIER_KEPT).collect(), ..Self::start(release, now) }
    }
}

/// Decides what comes next.
///
/// Time counts only from step to step, at most the plan's `step`, and only where the judge said continue at
/// both: what nobody watched, and what was paused, is neither ramp nor soak.
#[must_use]
pub fn step(plan: &Plan, before: &State, health: &Health, now: Timestamp) -> Decision {
    let mut after = before.clone();
    after.serial += 1;
    after.stepped = now.max(before.stepped);
    after.continued = false;
    let reasons = match before.order {
        Order::Halt | Order::Revoke => vec![format!("{}: a person decides what comes next", word(before.order))],
        Order::Offer | Order::Pause if before.progress.finished => vec!["over; everybody may have it".to_owned()],
        Order::Offer | Order::Pause => {
            after.looks += 1;
            let passed = if before.continued { now.duration_since(before.stepped) } else { SignedDuration::ZERO };
            decide(plan, &mut after, health, now, passed)
        }
    };
    let document = document(plan, &after, &health.census);
    Decision { plan: plan.clone(), before: before.clone(), health: health.clone(), now, after, document, reasons }
}

/// Judges and moves on by `passed` at most.
fn decide(plan: &Plan, state: &mut State, health: &Health, now: Timestamp, passed: SignedDuration) -> Vec<String> {
    let Some(here) = plan.stages().get(state.progress.stage) else {
        state.order = Order::Pause;
        return vec![format!("the plan has no stage {}; it was changed under way", state.progress.stage + 1)];
    };
    let over = state.progress.soaked >= here.soak;
    let question = if over { Question::Advance } else { Question::Stay };
    let judgement = judge(plan, state.progress.stage, health, now, state.looks, question);
    let mut reasons: Vec<_> = judgement.findings.iter().map(ToString::to_string).collect();
    match judgement.verdict {
        // Those that the stage covers may still come: a closed door would keep out the very hosts that are waited for.
        Verdict::Pause if judgement.only_too_few() => state.order = Order::Offer,
        Verdict::Abort => state.order = Order::Revoke,
        Verdict::Pause => state.order = Order::Pause,
        Verdict::Continue => {
            (state.order, state.continued) = (Order::Offer, true);
            reasons.push(advance(
                plan,
                &mut state.progress,
                over,
                passed.clamp(SignedDuration::ZERO, plan.limits().step),
            ));
        }
    }
    reasons
}

/// Opens the next stage where this one is `over`, or lets time count; says which.
fn advance(plan: &Plan, progress: &mut Progress, over: bool, passed: SignedDuration) -> String {
    let Some(stage) = plan.stages().get(progress.stage) else { return String::new() };
    if over && plan.is_last(progress.stage) {
        progress.finished = true;
        return format!("{}: over, healthy; everybody may have it", stage.name);
    }
    if over {
        *progress = Progress { stage: progress.stage + 1, ..State::start(0, Timestamp::UNIX_EPOCH).progress };
        return format!("{}: over, healthy; the next stage opens", stage.name);
    }
    let ramp = passed.min(stage.ramp.saturating_sub(progress.ramped));
    progress.ramped = progress.ramped.saturating_add(ramp);
    progress.soaked = progress.soaked.saturating_add(passed.saturating_sub(ramp)).min(stage.soak);
    format!(
        "{}: ramp {:#} of {:#}, soak {:#} of {:#}",
        stage.name, progress.ramped, stage.ramp, progress.soaked, stage.soak
    )
}

fn document(plan: &Plan, state: &State, census: &Census) -> Document {
    let Progress { stage, ramped, finished, .. } = state.progress;
    Document {
        release: state.release,
        serial: state.serial,
        order: state.order,
        hanging: plan.is_last(stage),
        offers: if finished { Plan::everything() } else { plan.offers(stage, ramped, census) },
        base: state.base,
        earlier: state.earlier.clone(),
        stage,
        control: if finished { BTreeMap::new() } else { plan.compared(stage, ramped) },
        finished,
    }
}

const fn word(order: Order) -> &'static str {
    match order {
        Order::Offer => "offered",
        Order::Pause => "paused",
        Order::Halt => "halted",
        Order::Revoke => "revoked",
    }
}

/// A person stops it: nobody new takes it.
#[must_use]
pub fn halt(state: &State) -> State {
    let order = if state.order == Order::Revoke { Order::Revoke } else { Order::Halt };
    State { order, continued: false, ..state.clone() }
}

/// A person takes it back: those that have it return.
#[must_use]
pub fn revoke(state: &State) -> State {
    State { order: Order::Revoke, ..state.clone() }
}

/// A person lets a halted roll-out go on; the judge looks before anything is offered. A revoked one stays
/// revoked: hosts have judged it, so it comes back as a new release or not at all.
#[must_use]
pub fn resume(state: &State) -> State {
    let order = if state.order == Order::Halt { Order::Pause } else { state.order };
    State { order, ..state.clone() }
}
