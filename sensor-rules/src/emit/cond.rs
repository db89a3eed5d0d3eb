//! Conditions as code: one jump out, one fall through.

use super::{
    asm::{Alu, Asm, Label, Reg, Size, TABLES, When},
    automaton, int,
    record::{RECORD, at},
    stack::{self, Answers},
    text::{self},
};
use crate::{
    expr::{Cond, CondKind},
    int::Int,
    text_test::TextTest,
};

/// How many intermediate booleans there may be.
pub const SLOTS_MAX: usize = 60;

/// What the code of a condition stands on.
pub struct Ground<'a, O> {
    /// Is told each part of the condition before its code.
    pub mark: &'a dyn Fn(&Cond) -> O,
    /// What look-ups have found out already.
    pub answers: &'a Answers<'a>,
}

/// Emits code that jumps to `target` when `cond` is `sense` and falls through when it is not. `cond` holds no
/// constants (see [`fold`](super::fold::fold)) and at most [`SLOTS_MAX`] nested comparisons of booleans; the
/// `slots` outermost are in use.
pub fn branch<O>(asm: &mut Asm<O>, cond: &Cond, sense: bool, target: Label, slots: usize, ground: &Ground<'_, O>) {
    match (&cond.kind, sense) {
        (CondKind::Not(inner), _) => branch(asm, inner, !sense, target, slots, ground),
        (CondKind::And(left, right), false) | (CondKind::Or(left, right), true) => {
            branch(asm, left, sense, target, slots, ground);
            branch(asm, right, sense, target, slots, ground);
        }
        (CondKind::And(left, right), true) | (CondKind::Or(left, right), false) => {
            let around = asm.label();
            branch(asm, left, !sense, around, slots, ground);
            branch(asm, right, sense, target, slots, ground);
            asm.bind(around);
        }
        (CondKind::Choose(by, one, other), _) => {
            let (otherwise, end) = (asm.label(), asm.label());
            branch(asm, by, false, otherwise, slots, ground);
            branch(asm, one, sense, target, slots, ground);
            asm.jump(end);
            asm.bind(otherwise);
            branch(asm, other, sense, target, slots, ground);
            asm.bind(end);
        }
        (CondKind::Same(left, right), _) => same(asm, left, right, sense, target, slots, ground),
        _ => {
            asm.origin((ground.mark)(cond));
            leaf(asm, &cond.kind, sense, target, ground.answers);
        }
    }
}

/// Whether two conditions are equal: the first is kept on the stack while the second is evaluated.
fn same<O>(
    asm: &mut Asm<O>,
    left: &Cond,
    right: &Cond,
    sense: bool,
    target: Label,
    slots: usize,
    ground: &Ground<'_, O>,
) {
    let slot = stack::boolean(slots);
    let (kept, right_false, end) = (asm.label(), asm.label(), asm.label());
    keep(asm, slot, false);
    branch(asm, left, false, kept, slots + 1, ground);
    keep(asm, slot, true);
    asm.bind(kept);
    branch(asm, right, false, right_false, slots + 1, ground);
    let (equal, unequal) = (When::Eq, When::Ne);
    asm.load(Size::Double, Reg::R1, Reg::R10, slot);
    asm.jump_if(if sense { equal } else { unequal }, Reg::R1, 1, target);
    asm.jump(end);
    asm.bind(right_false);
    asm.load(Size::Double, Reg::R1, Reg::R10, slot);
    asm.jump_if(if sense { equal } else { unequal }, Reg::R1, 0, target);
    asm.bind(end);
}

/// Keeps a boolean on the stack. It comes from memory, of which the verifier knows nothing: a constant it
/// would remember, and go through all that follows once with each.
fn keep<O>(asm: &mut Asm<O>, slot: i16, value: bool) {
    let both = asm.table(vec![0, 1]);
    asm.carried(TABLES, Reg::R1, both + usize::from(value));
    asm.load(Size::Byte, Reg::R1, Reg::R1, 0);
    asm.store(Size::Double, Reg::R10, slot, Reg::R1);
}

/// A part without parts.
fn leaf<O>(asm: &mut Asm<O>, kind: &CondKind, sense: bool, target: Label, answers: &Answers<'_>) {
    match kind {
        CondKind::Flag(field) => {
            asm.load(Size::Word, Reg::R1, RECORD, at(field.offset));
            asm.jump_if(if sense { When::Ne } else { When::Eq }, Reg::R1, 0, target);
        }
        CondKind::Bits(field, bits) => {
            int::load(asm, &Int::Field(*field));
            asm.constant(Reg::R2, *bits);
            asm.alu(Alu::And, Reg::R1, Reg::R2);
            asm.jump_if(if sense { When::Eq } else { When::Ne }, Reg::R1, Reg::R2, target);
        }
        CondKind::Ints(relation, left, right) => int::compare(asm, *relation, left, right, sense, target),
        CondKind::IntIn(value, list) => one_of(asm, sense, target, |asm, hit| {
            int::load(asm, value);
            int::one_of(asm, list, hit);
        }),
        CondKind::TextIn(field, literals) => {
            one_of(asm, sense, target, |asm, hit| text::one_of(asm, field, literals, hit));
        }
        _ if let Some((offset, bit)) = answer(kind, answers) => {
            asm.load(Size::Byte, Reg::R1, Reg::R10, offset);
            asm.alu(Alu::And, Reg::R1, bit);
            asm.jump_if(if sense { When::Ne } else { When::Eq }, Reg::R1, 0, target);
        }
        CondKind::Text(test, field, literal) => {
            all_of(asm, sense, target, |asm, miss| text::test(asm, *test, field, literal, miss));
        }
        CondKind::Pattern(field, pattern) => {
            all_of(asm, sense, target, |asm, miss| automaton::test(asm, field, &pattern.automaton, miss));
        }
        CondKind::Cut(field) => all_of(asm, sense, target, |asm, miss| text::cut(asm, field, miss)),
        CondKind::Unknown(field) => all_of(asm, sense, target, |asm, miss| text::unknown(asm, field, miss)),
        CondKind::TextSame(left, right) => all_of(asm, sense, target, |asm, miss| text::same(asm, left, right, miss)),
        // Folded, or handled by `branch`.
        CondKind::Const(_)
        | CondKind::Not(_)
        | CondKind::And(..)
        | CondKind::Or(..)
        | CondKind::Choose(..)
        | CondKind::Same(..) => {}
    }
}

/// Where the answer lies, if a look-up or a walk has found it.
fn answer(kind: &CondKind, answers: &Answers<'_>) -> Option<(i16, i32)> {
    match kind {
        CondKind::Text(TextTest::Contains, field, literal) => answers.of(field, literal),
        CondKind::Pattern(field, pattern) => answers.of_pattern(field, pattern),
        _ => None,
    }
}

/// Makes of a test that jumps when it holds one that jumps when it is `sense`.
fn one_of<O>(asm: &mut Asm<O>, sense: bool, target: Label, test: impl FnOnce(&mut Asm<O>, Label)) {
    if sense {
        test(asm, target);
    } else {
        let hit = asm.label();
        test(asm, hit);
        asm.jump(target);
        asm.bind(hit);
    }
}

/// Makes of a test that jumps when it does not hold one that jumps when it is `sense`.
fn all_of<O>(asm: &mut Asm<O>, sense: bool, target: Label, test: impl FnOnce(&mut Asm<O>, Label)) {
    if sense {
        let miss = asm.label();
        test(asm, miss);
        asm.jump(target);
        asm.bind(miss);
    } else {
        test(asm, target);
    }
}
