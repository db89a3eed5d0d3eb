//! A whole program: finds the record, looks up which rules it can match, tries those, and calls finish.

use core::{mem::offset_of, ops::Range};

use sensor_common::{
    event::Hook,
    maps::{FINISH, RECORDS, SLOTS, Stage},
    record::{Claim, Record},
    state::{NOTES_MAX, Note, Step},
    verdict::{Action, RULES_MAX, Verdict, undecided_rule},
};

use super::{
    asm::{Alu, Asm, Code, Helper, Label, Operand, Reg, Size, When},
    cond::{Ground, branch},
    int, lookup,
    record::{RECORD, at},
    stack::{Answers, KEY},
    sweep::sweep,
    target::{PARTS_MAP, RECORD_MAP, Target},
};
use crate::{
    expr::{Cond, CondKind},
    int::Int,
    plan::{Plan, PlannedRule},
    state::{Effect, State},
};

/// The register that holds the context, for the tail call.
const CONTEXT: Reg = Reg::R6;
/// The register that holds the current task while the record is searched.
const TASK: Reg = Reg::R7;
/// Where the verdict is in the record, and its action.
const VERDICT: usize = offset_of!(Record, verdict);
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a record has a few thousand bytes")]
const ACTION: i16 = (VERDICT + offset_of!(Verdict, action)) as i16;

/// Where an instruction comes from: index of the rule among the program's, and where the part of its condition starts.
pub type Mark = Option<(usize, usize)>;

/// The program of `plan`.
pub fn program(plan: &Plan<'_>, target: Target) -> Code<Mark> {
    let hook = plan.event.hook();
    let mut asm = Asm::new();
    asm.origin(None);
    let found = asm.label();
    asm.alu(Alu::Mov, CONTEXT, Reg::R1);
    match target {
        Target::Hook(_) => own_record(&mut asm, found),
        Target::SocketFilter => only_record(&mut asm, found),
    }
    // No record: nothing to judge. The end stands here too, and below, so that no jump spans the rules.
    finish(&mut asm, hook, target);
    asm.bind(found);
    asm.alu(Alu::Mov, RECORD, Reg::R0);
    let matched = |asm: &mut Asm<Mark>, planned_rule: &PlannedRule<'_>| match plan.stage {
        Stage::Rules | Stage::Unseen => match planned_rule.effect {
            Effect::Match => note(asm, planned_rule.number.cast_signed(), asked(planned_rule.rule.action)),
            Effect::Note(state, step) => track(asm, state, step),
        },
        Stage::Early => {
            asm.store(Size::Word, RECORD, ACTION, Verdict::MORE.cast_signed());
            finish(asm, hook, target);
        }
    };
    match &plan.index {
        None => rules(&mut asm, plan, 0..plan.rules.len(), &Answers::default(), &matched),
        Some(index) => {
            let marks = Answers::new(index, booleans(&plan.rules));
            let marked = asm.label();
            lookup::all(&mut asm, index, &marks);
            asm.load(Size::Double, Reg::R1, Reg::R10, marks.word(0));
            asm.jump_if(When::Ne, Reg::R1, 0, marked);
            end(&mut asm, plan, hook, target);
            asm.bind(marked);
            sweep(&mut asm, &index.blocks, &marks, |asm, block| {
                rules(asm, plan, block.rules.clone(), &marks, &matched);
            });
        }
    }
    asm.origin(None);
    end(&mut asm, plan, hook, target);
    asm.finish()
}

/// Jumps to `found` with the record that this task holds in `R0`.
fn own_record(asm: &mut Asm<Mark>, found: Label) {
    asm.call(Helper::CurrentTask);
    asm.alu(Alu::Mov, TASK, Reg::R0);
    for slot in 0..SLOTS {
        let next = asm.label();
        look_up(asm, RECORDS, slot.cast_signed());
        asm.jump_if(When::Eq, Reg::R0, 0, next);
        asm.load(Size::Double, Reg::R1, Reg::R0, at(offset_of!(Record, claim) + offset_of!(Claim, owner)));
        asm.jump_if(When::Eq, Reg::R1, TASK, found);
        asm.bind(next);
    }
}

/// Jumps to `found` with the record of a test run in `R0`.
fn only_record(asm: &mut Asm<Mark>, found: Label) {
    look_up(asm, RECORD_MAP, 0);
    asm.jump_if(When::Ne, Reg::R0, 0, found);
}

/// `R0` = the address of element `index` of an array.
fn look_up(asm: &mut Asm<Mark>, map: &'static str, index: i32) {
    asm.store(Size::Word, Reg::R10, KEY, index);
    asm.alu(Alu::Mov, Reg::R2, Reg::R10);
    asm.alu(Alu::Add, Reg::R2, i32::from(KEY));
    asm.map(Reg::R1, map);
    asm.call(Helper::MapLookup);
}

/// Calls the next part of a chain, or finish.
fn end(asm: &mut Asm<Mark>, plan: &Plan<'_>, hook: Hook, target: Target) {
    match plan.link.next {
        Some(next) => tail_call(asm, PARTS_MAP, next),
        None => finish(asm, hook, target),
    }
}

/// Calls finish.
fn finish(asm: &mut Asm<Mark>, hook: Hook, target: Target) {
    match target {
        Target::Hook(_) => tail_call(asm, hook.stages(), FINISH),
        Target::SocketFilter => leave(asm),
    }
}

/// Calls a program, which does not return. Should the call fail, the event passes; finish's own counters miss it.
fn tail_call(asm: &mut Asm<Mark>, map: &'static str, index: u32) {
    asm.alu(Alu::Mov, Reg::R1, CONTEXT);
    asm.map(Reg::R2, map);
    asm.alu(Alu::Mov, Reg::R3, index.cast_signed());
    asm.call(Helper::TailCall);
    leave(asm);
}

fn leave(asm: &mut Asm<Mark>) {
    asm.alu(Alu::Mov, Reg::R0, 0);
    asm.exit();
}

/// How many intermediate booleans the conditions need.
pub fn booleans(planned: &[PlannedRule<'_>]) -> usize {
    planned.iter().flat_map(PlannedRule::conds).map(Cond::nested_same).max().unwrap_or(0)
}

/// What is done where a rule matches.
type Matched<'a> = dyn Fn(&mut Asm<Mark>, &PlannedRule<'_>) + 'a;

/// Rules of the plan, in their order.
fn rules(asm: &mut Asm<Mark>, plan: &Plan<'_>, which: Range<usize>, answers: &Answers<'_>, matched: &Matched<'_>) {
    for (index, planned_rule) in plan.rules.iter().enumerate().skip(which.start).take(which.len()) {
        rule(asm, index, planned_rule, answers, matched);
    }
    asm.origin(None);
}

/// One rule, and what is done where it matches. No register but [`CONTEXT`] and [`RECORD`] lives from one
/// rule to the next, so that for the verifier all ways through a rule end in the same state.
fn rule(
    asm: &mut Asm<Mark>,
    index: usize,
    planned_rule: &PlannedRule<'_>,
    answers: &Answers<'_>,
    matched: &Matched<'_>,
) {
    let next = asm.label();
    let origin = Some((index, planned_rule.cond.range.start));
    let mark = |part: &Cond| Some((index, part.range.start));
    let ground = Ground { mark: &mark, answers };
    let holds = |asm: &mut Asm<Mark>| match &planned_rule.sure {
        None => matched(asm, planned_rule),
        Some(sure) => decided(asm, planned_rule, sure, origin, &ground),
    };
    asm.origin(origin);
    match planned_rule.cond.kind {
        CondKind::Const(false) => {}
        CondKind::Const(true) => holds(asm),
        _ => {
            branch(asm, &planned_rule.cond, false, next, 0, &ground);
            asm.origin(origin);
            holds(asm);
        }
    }
    asm.bind(next);
}

/// What is done where a rule may match: it does, where `sure` holds, and is undecided elsewhere.
fn decided(asm: &mut Asm<Mark>, planned_rule: &PlannedRule<'_>, sure: &Cond, origin: Mark, ground: &Ground<'_, Mark>) {
    let (rule, undecided) = (planned_rule.rule, undecided_rule(planned_rule.number, planned_rule.rule.undecided));
    match sure.kind {
        CondKind::Const(true) => note(asm, planned_rule.number.cast_signed(), asked(rule.action)),
        CondKind::Const(false) => note(asm, undecided.cast_signed(), asked(rule.undecided)),
        _ => {
            let (doubt, noting) = (asm.label(), asm.label());
            branch(asm, sure, false, doubt, 0, ground);
            asm.origin(origin);
            let hold = |asm: &mut Asm<Mark>, number: u32, action: Action| {
                asm.alu(Alu::Mov, Reg::R3, number.cast_signed());
                asm.alu(Alu::Mov, Reg::R4, asked(action));
            };
            hold(asm, planned_rule.number, rule.action);
            asm.jump(noting);
            asm.bind(doubt);
            hold(asm, undecided, rule.undecided);
            asm.bind(noting);
            note(asm, Reg::R3, Reg::R4);
        }
    }
}

/// Notes the event as a step for a state, exactly as [`Verdict::note`] does.
fn track(asm: &mut Asm<Mark>, state: &State, step: Step) {
    const SIZE_LOG: i32 = size_of::<Note>().trailing_zeros().cast_signed();
    let count = at(VERDICT + offset_of!(Verdict, noted));
    let first = VERDICT + offset_of!(Verdict, notes);
    for (key, least) in state.by.keys(step) {
        let (full, end) = (asm.label(), asm.label());
        int::load(asm, &Int::Field(key));
        if let Some(least) = least.and_then(|least| i32::try_from(least).ok()) {
            asm.jump_if(When::SLt, Reg::R1, least, end);
        }
        asm.load(Size::Double, Reg::R2, RECORD, count);
        asm.jump_if(When::Ge, Reg::R2, i32::try_from(NOTES_MAX).unwrap_or(0), full);
        asm.alu(Alu::Shl, Reg::R2, SIZE_LOG);
        asm.alu(Alu::Add, Reg::R2, RECORD);
        asm.store(Size::Word, Reg::R2, at(first + offset_of!(Note, state)), state.number.cast_signed());
        asm.store(Size::Word, Reg::R2, at(first + offset_of!(Note, step)), (step as u32).cast_signed());
        asm.store(Size::Double, Reg::R2, at(first + offset_of!(Note, key)), Reg::R1);
        asm.bind(full);
        // Loaded anew: for the verifier, both ways are one again here.
        asm.load(Size::Double, Reg::R2, RECORD, count);
        asm.alu(Alu::Add, Reg::R2, 1);
        asm.store(Size::Double, RECORD, count, Reg::R2);
        asm.bind(end);
    }
}

/// An action as a verdict holds it.
const fn asked(action: Action) -> i32 {
    (action as u32).cast_signed()
}

/// Notes the match, exactly as [`Verdict::add`] does, or that the rule is undecided. Uses `R1` and `R2`.
fn note(asm: &mut Asm<Mark>, rule: impl Into<Operand>, asked: impl Into<Operand> + Copy) {
    let matched = at(VERDICT + offset_of!(Verdict, matched));
    let (named, strong) = (asm.label(), asm.label());
    asm.load(Size::Word, Reg::R1, RECORD, matched);
    asm.jump_if(When::Ge, Reg::R1, i32::try_from(RULES_MAX).unwrap_or(0), named);
    asm.alu(Alu::Mov, Reg::R2, Reg::R1);
    asm.alu(Alu::Shl, Reg::R2, 2);
    asm.alu(Alu::Add, Reg::R2, RECORD);
    asm.store(Size::Word, Reg::R2, at(VERDICT + offset_of!(Verdict, rules)), rule);
    asm.bind(named);
    // Loaded anew: for the verifier, both ways are one again here.
    asm.load(Size::Word, Reg::R1, RECORD, matched);
    asm.alu(Alu::Add, Reg::R1, 1);
    asm.store(Size::Word, RECORD, matched, Reg::R1);
    asm.load(Size::Word, Reg::R1, RECORD, ACTION);
    asm.jump_if(When::Ge, Reg::R1, asked, strong);
    asm.store(Size::Word, RECORD, ACTION, asked);
    asm.bind(strong);
}
