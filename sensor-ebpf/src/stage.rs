//! The way of an event: hook → early program, if there is one → rules of the generation in force → finish, each
//! reached by a tail call. If there is a candidate, finish hands the event to its rules, and they come back to
//! finish: see [`shadow`].

use aya_ebpf::{EbpfContext, helpers::generated, maps::ProgramArray};
use sensor_common::{
    event::{Event, Groups},
    maps::{BANKS, FINISH, Loss, Stage, stage_of},
    record::Record,
    verdict::{Action, Outcome, RULES_MAX, Verdict, asked_undecided},
};

use crate::{
    actor, brakes,
    limit::{self, Withheld},
    maps::{self, ACTIVE, EVENTS, GENERATIONS, SETTINGS, count_judged, count_loss, count_matched, index},
    record::{self, Held},
    shadow::{self, SHADOW_EXAMPLES},
    state,
    subject::{Seen, Subject},
};

/// `-EPERM`.
pub const DENY: i32 = -1;
pub const ALLOW: i32 = 0;
pub const SIGKILL: u32 = 9;

/// Starts an event: notes who and what, as far as the active rules ask for it, and hands over to them.
///
/// Comes back where no rule asks for the event, where the process is the sensor itself, or on a counted loss;
/// the hook then allows. Only an event that finds no record may be refused, see [`without_record`].
#[inline(always)]
pub fn judge<C: EbpfContext, S: Subject>(
    ctx: &C,
    stages: &ProgramArray,
    answer: Answer,
    event: Event,
    subject: &S,
) -> i32 {
    let Some(bank) = ACTIVE.get(0).copied() else { return ALLOW };
    let Some(generation) = GENERATIONS.get(bank) else { return ALLOW };
    let needs = Groups(generation.needs[event as usize]);
    if needs.is_empty() || is_sensor() {
        return ALLOW;
    }
    if !needs.contains(Groups::SHADOWED) && subject.matches_none(event, generation) {
        // Judged by that alone.
        count_judged(event);
        return ALLOW;
    }
    let Some(mut held) = record::claim() else { return without_record(answer, needs) };
    held.set_judge(generation.id, bank);
    let head = &mut held.record.head;
    (head.event, head.filled) = (event as u32, 0);
    held.scratch.unseen.set(0);
    shadow::begin(&mut held, needs);
    let groups = if needs.contains(Groups::JUDGED) {
        held.set_first_stage(needs, Groups(generation.early[event as usize]))
    } else {
        // Only the candidate has rules for it.
        let Some(groups) = shadow::hand_over(&mut held, event) else {
            record::release(held);
            return ALLOW;
        };
        groups
    };
    fill(&mut held, groups, subject);
    go_on(ctx, stages, &mut held);
    record::release(held);
    ALLOW
}

/// What becomes of an event that finds all records of its CPU taken. Where a rule that blocks is in force for
/// it, and one of the records is held for the same user, he may have taken them to have just this event pass:
/// it is refused, within what holds all blocking back. Nobody has an event refused by what another user does.
#[inline(always)]
fn without_record(answer: Answer, needs: Groups) -> i32 {
    if answer == Answer::Counts
        && needs.contains(Groups::ENFORCED)
        && record::are_held_for_same_user()
        && brakes::is_refusal_permitted()
    {
        count_loss(Loss::NoRecordDenied);
        return DENY;
    }
    count_loss(Loss::NoRecord);
    ALLOW
}

/// Hands the event over to the program that is next. Comes back, with a counted loss, where there is none.
#[inline(always)]
fn go_on<C: EbpfContext>(ctx: &C, stages: &ProgramArray, held: &mut Held) {
    // Read back, not remembered: the verifier would go through all that was before once for each event of the hook.
    // SAFETY: references are valid to read.
    let (bank, event) = unsafe {
        let head = &held.record.head;
        (core::ptr::read_volatile(&raw const head.bank), core::ptr::read_volatile(&raw const head.event))
    };
    // SAFETY: the array holds programs of this hook's prototype only.
    unsafe { stages.tail_call(ctx, place(held, bank, event)) };
    count_unended(held);
}

/// Where the program that is next lies. What was not seen whole is judged by programs of its own, which take
/// the whole record: an early one is passed over, as if it had asked for more.
#[inline(always)]
fn place(held: &mut Held, bank: u32, event: u32) -> u32 {
    let stage = held.scratch.stage.get();
    if held.scratch.unseen.get() == 0 {
        return stage_of(bank, stage, event);
    }
    if stage != Stage::Early as u32 {
        return stage_of(bank, Stage::Unseen as u32, event);
    }
    held.record.verdict.action = Verdict::MORE;
    FINISH
}

/// Counts an event that does not come to its end.
#[inline(always)]
fn count_unended(held: &Held) {
    if shadow::is_under_way(held) { shadow::count_missed() } else { count_loss(Loss::NoStage) }
}

/// Whether a rule in force is for `event`, or was a moment ago: an event that has begun is ended as what it was.
#[inline(always)]
pub fn is_wanted(event: Event) -> bool {
    let wants = |bank| GENERATIONS.get(bank).is_some_and(|generation| generation.needs[event as usize] != 0);
    (0..BANKS).any(wants)
}

/// Whether a program's answer counts: that of an LSM program does, that of an fentry program does not. Where a
/// function returns it comes too late to refuse anything, and what is forbidden is kept from being read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Counts,
    Observes,
    Keeps,
}

/// Ends an event: what finish returns to the kernel. Where an early program asks for the rest of the record,
/// the rules are next; where there is a candidate, it is. The subject is looked at again only where there is
/// more to fill: of most events no rule wants to know more.
#[inline(always)]
pub fn finish<C: EbpfContext, S: Subject>(
    ctx: &C,
    stages: &ProgramArray,
    answer: Answer,
    seen: impl FnOnce() -> Seen<S>,
) -> i32 {
    let Some(mut held) = record::find() else { return ALLOW };
    let more = held.record.verdict.action == Verdict::MORE;
    let event = Event::from_index(held.record.head.event);
    if !more && let Some(event) = event {
        count(&mut held, event);
    }
    let follows = more || held.scratch.shadowed.get() != 0;
    if follows || held.record.verdict.matched != 0 {
        if let (Some(event), Some((_, subject))) = (event, seen()) {
            if !more && held.record.verdict.matched != 0 {
                conclude(answer, &mut held, event, &subject);
            }
            if follows && let Some(groups) = next(&mut held, event) {
                let missing = groups.without(Groups(held.record.head.filled));
                fill(&mut held, missing, &subject);
                go_on(ctx, stages, &mut held);
            }
        } else {
            // The subject has gone meanwhile, such as a descriptor that another thread has closed.
            count_unended(&held);
        }
    }
    let refused = answer == Answer::Counts && held.scratch.refused.get() != 0;
    record::release(held);
    if refused { DENY } else { ALLOW }
}

/// Counts an event that one of the generations has judged, and follows up what that noted.
#[inline(always)]
fn count(held: &mut Held, event: Event) {
    state::conclude(held);
    if shadow::is_under_way(held) {
        return shadow::count(held);
    }
    count_judged(event);
    if held.scratch.shadowed.get() != 0 {
        shadow::compare(held);
    }
}

/// The groups that the next program reads: the rules behind an early program, or the candidate's first.
#[inline(always)]
fn next(held: &mut Held, event: Event) -> Option<Groups> {
    if held.record.verdict.action == Verdict::MORE {
        held.record.verdict.action = 0;
        held.scratch.stage.set(Stage::Rules as u32);
        return Some(needs(held));
    }
    shadow::hand_over(held, event)
}

/// The groups that the generation which judges the event reads.
#[inline(always)]
fn needs(held: &Held) -> Groups {
    let generation = GENERATIONS.get(held.record.head.bank);
    let event = Event::from_index(held.record.head.event);
    match (generation, event) {
        (Some(generation), Some(event)) => Groups(generation.needs[index(event)]),
        _ => Groups::NONE,
    }
}

/// Carries out what the rules that matched ask for, and reports it. What the candidate asks for is reported
/// as an example at most.
#[inline(always)]
fn conclude<S: Subject>(answer: Answer, held: &mut Held, event: Event, subject: &S) {
    // SAFETY: the helper takes nothing and always succeeds.
    held.record.head.time = unsafe { generated::bpf_ktime_get_boot_ns() };
    if !shadow::is_under_way(held) {
        let outcome = match (decide(held, answer, subject), answer) {
            (Outcome::Killed, Answer::Counts) if !subject.is_by_current() => Outcome::Denied,
            (Outcome::Killed, _) if !subject.is_by_current() => Outcome::NotEnforcing,
            (outcome, _) => outcome,
        };
        count_matched(event, outcome);
        count_undecided(held);
        held.record.head.outcome = outcome as u32;
        limit::apply(held);
    }
    report(held, event, subject);
    // Read back, not remembered: the verifier would go through the report once for each outcome.
    // SAFETY: a reference is valid to read.
    let outcome = unsafe { core::ptr::read_volatile(&raw const held.record.head.outcome) };
    // Whose sender would have been refused beside.
    let is_too_late = event == Event::UnixCopied && outcome == Outcome::Killed as u32;
    if outcome == Outcome::Quarantined as u32 || is_too_late {
        subject.quarantine(held);
    }
    if outcome == Outcome::Killed as u32 {
        // SAFETY: the helper signals the current task only.
        unsafe { generated::bpf_send_signal(SIGKILL) };
    }
    if outcome == Outcome::Killed as u32 || outcome == Outcome::Denied as u32 {
        held.scratch.refused.set(1);
    }
}

/// Counts an event on which a rule that is named was undecided.
#[inline(always)]
fn count_undecided(held: &Held) {
    if held.scratch.unseen.get() == 0 {
        return;
    }
    let verdict = &held.record.verdict;
    let mut asked = 0;
    for index in 0..RULES_MAX {
        // Without a branch. What is not named says nothing.
        let is_named = (u64::from(index as u32).wrapping_sub(u64::from(verdict.matched)) >> 63) as u32;
        asked |= asked_undecided(verdict.rules[index]) * is_named;
    }
    if asked != 0 {
        maps::count_undecided();
    }
}

/// What becomes of an event for which the rules asked for `action`: the sensor's decision, not the content's.
#[inline(always)]
fn decide<S: Subject>(held: &mut Held, answer: Answer, subject: &S) -> Outcome {
    let action = held.record.verdict.action;
    if action < Action::Block as u32 {
        return Outcome::Allowed;
    }
    let Some(settings) = SETTINGS.get(0) else { return Outcome::NotEnforcing };
    if settings.enforce == 0 || (action == Action::Block as u32 && answer == Answer::Observes) {
        return Outcome::NotEnforcing;
    }
    if brakes::is_unattended(settings) {
        return Outcome::Unattended;
    }
    let spared = brakes::on_lifeline(settings.sensor);
    // What is put in quarantine is the data, not the process.
    let only_spared = spared && action != Action::Quarantine as u32;
    match brakes::within_budget(held, only_spared) {
        _ if only_spared => Outcome::Lifeline,
        left if left < Action::Block as u32 => Outcome::OverBudget,
        left if left == Action::Quarantine as u32 => match (subject.is_for_another(), spared) {
            (false, _) => Outcome::Quarantined,
            (true, true) => Outcome::Lifeline,
            (true, false) => Outcome::Denied,
        },
        // Left where the quarantine is over its budget.
        _ if spared => Outcome::Lifeline,
        left if left == Action::Block as u32 && answer == Answer::Observes => Outcome::OverBudget,
        left if left == Action::Block as u32 && answer == Answer::Keeps => Outcome::Quarantined,
        left if left == Action::Block as u32 => Outcome::Denied,
        _ => Outcome::Killed,
    }
}

/// Sends the record to the daemon, with everything in it that the event carries; or counts why not.
#[inline(always)]
fn report<S: Subject>(held: &mut Held, event: Event, subject: &S) {
    let missing = event.groups().without(Groups(held.record.head.filled));
    // What is put in quarantine is known by what is filled, whatever else was asked for.
    let unread =
        held.scratch.withheld.get() != Withheld::No as u32 && held.record.head.outcome != Outcome::Quarantined as u32;
    fill(held, if unread { Groups::NONE } else { missing }, subject);
    let withheld = held.scratch.withheld.get();
    if shadow::is_under_way(held) {
        // One that finds no room is an example less.
        if withheld == Withheld::No as u32 {
            let _ = SHADOW_EXAMPLES.output::<Record>(&*held.record, 0);
        }
        return;
    }
    if withheld == Withheld::Limited as u32 {
        count_loss(Loss::RateLimited);
        return;
    }
    if held.record.verdict.matched as usize > RULES_MAX {
        count_loss(Loss::RulesCut);
    }
    if withheld == Withheld::Full as u32 || EVENTS.output::<Record>(&*held.record, 0).is_err() {
        count_loss(Loss::RingFull);
    }
}

#[inline(always)]
fn fill<S: Subject>(held: &mut Held, groups: Groups, subject: &S) {
    let wanted = held.scratch.want(groups);
    actor::fill(held, wanted);
    subject.fill(held, wanted);
    held.record.head.filled |= groups.0;
}

/// The daemon's own work is not judged: it would watch itself reporting.
#[inline(always)]
fn is_sensor() -> bool {
    SETTINGS.get(0).is_some_and(|settings| settings.sensor == actor::tgid())
}
