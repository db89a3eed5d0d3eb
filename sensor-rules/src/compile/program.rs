//! A whole program: finds the record, judges it rule by rule, and calls finish.

use core::mem::offset_of;

use sensor_common::{
    event::Hook,
    maps::{FINISH, RECORDS, SLOTS, Stage},
    record::{Claim, Record},
    verdict::{RULES_MAX, Verdict},
};

use super::{
    Target,
    asm::{Alu, Asm, Code, Helper, Label, Limit, Reg, Size, When},
    cond::branch,
    text::{RECORD, at},
};
use crate::{
    compile::RECORD_MAP,
    expr::{Cond, CondKind},
    rule::Rule,
};

/// The register that holds the context, for the tail call.
const CONTEXT: Reg = Reg::R6;
/// The register that holds the current task while the record is searched.
const TASK: Reg = Reg::R7;
/// Where the key of a map look-up lies on the stack.
const KEY: i16 = -4;

/// Where the verdict is in the record, and its action.
const VERDICT: usize = offset_of!(Record, verdict);
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a record has a few thousand bytes")]
const ACTION: i16 = (VERDICT + offset_of!(Verdict, action)) as i16;

/// A rule of one program, with its number in the rule set and its condition, folded.
pub struct Judge<'a> {
    /// Its number.
    pub number: u32,
    /// The rule.
    pub rule: &'a Rule,
    /// Its condition without constants, or a constant.
    pub cond: Cond,
}

/// Where an instruction comes from: index of the rule among the program's, and where the part of its condition starts.
pub type Mark = Option<(usize, usize)>;

/// The program that judges by `judges`.
pub fn program(judges: &[Judge<'_>], stage: Stage, hook: Hook, target: Target) -> Result<Code<Mark>, Limit> {
    let mut asm = Asm::new();
    asm.origin(None);
    let found = asm.label();
    asm.alu(Alu::Mov, CONTEXT, Reg::R1);
    match target {
        Target::Hook(_) => own_record(&mut asm, found),
        Target::SocketFilter => only_record(&mut asm, found),
    }
    // No record: nothing to judge. The end stands here too, so that no jump spans the rules.
    end(&mut asm, hook, target);
    asm.bind(found);
    asm.alu(Alu::Mov, RECORD, Reg::R0);
    for (index, judge) in judges.iter().enumerate() {
        rule(&mut asm, index, judge, &|asm| match stage {
            Stage::Rules => note(asm, judge),
            Stage::Early => {
                asm.store(Size::Word, RECORD, ACTION, Verdict::MORE.cast_signed());
                end(asm, hook, target);
            }
        });
    }
    asm.origin(None);
    end(&mut asm, hook, target);
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

/// Calls finish, which does not return. Should the call fail, the event passes; finish's own counters miss it.
fn end(asm: &mut Asm<Mark>, hook: Hook, target: Target) {
    if matches!(target, Target::Hook(_)) {
        asm.alu(Alu::Mov, Reg::R1, CONTEXT);
        asm.map(Reg::R2, hook.stages());
        asm.alu(Alu::Mov, Reg::R3, FINISH.cast_signed());
        asm.call(Helper::TailCall);
    }
    asm.alu(Alu::Mov, Reg::R0, 0);
    asm.exit();
}

/// One rule, and what is done where it matches. No register but [`CONTEXT`] and [`RECORD`] lives from one rule to the next, so that for the verifier all ways
/// through a rule end in the same state.
fn rule(asm: &mut Asm<Mark>, index: usize, judge: &Judge<'_>, matched: &dyn Fn(&mut Asm<Mark>)) {
    let next = asm.label();
    asm.origin(Some((index, judge.cond.range.start)));
    match judge.cond.kind {
        CondKind::Const(false) => {}
        CondKind::Const(true) => matched(asm),
        _ => {
            branch(asm, &judge.cond, false, next, 0, &|part| Some((index, part.range.start)));
            asm.origin(Some((index, judge.cond.range.start)));
            matched(asm);
        }
    }
    asm.bind(next);
}

/// Notes the match, exactly as [`Verdict::add`] does.
fn note(asm: &mut Asm<Mark>, judge: &Judge<'_>) {
    let matched = at(VERDICT + offset_of!(Verdict, matched));
    let (named, strong) = (asm.label(), asm.label());
    asm.load(Size::Word, Reg::R1, RECORD, matched);
    asm.jump_if(When::Ge, Reg::R1, i32::try_from(RULES_MAX).unwrap_or(0), named);
    asm.alu(Alu::Mov, Reg::R2, Reg::R1);
    asm.alu(Alu::Shl, Reg::R2, 2);
    asm.alu(Alu::Add, Reg::R2, RECORD);
    asm.store(Size::Word, Reg::R2, at(VERDICT + offset_of!(Verdict, rules)), judge.number.cast_signed());
    asm.bind(named);
    asm.alu(Alu::Add, Reg::R1, 1);
    asm.store(Size::Word, RECORD, matched, Reg::R1);
    let asked = (judge.rule.action as u32).cast_signed();
    asm.load(Size::Word, Reg::R1, RECORD, ACTION);
    asm.jump_if(When::Ge, Reg::R1, asked, strong);
    asm.store(Size::Word, RECORD, ACTION, asked);
    asm.bind(strong);
}
