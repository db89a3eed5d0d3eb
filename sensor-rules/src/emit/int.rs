//! Integers as code: fields, literals and arithmetic on them, and their comparison.

use super::{
    asm::{Alu, Asm, Label, Reg, Size, When},
    record::{RECORD, at},
    set,
};
use crate::{
    expr::Relation,
    int::{Arithmetic, Int, IntField, Made, REGISTERS},
};

/// The registers for results. `R0`, `R7` and `R9` are for what is between.
const RESULTS: [Reg; REGISTERS] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];

/// `R1` = `int`; `R2` to `R5`, `R0`, `R7` and `R9` may be lost.
pub fn load<O>(asm: &mut Asm<O>, int: &Int) {
    compute(asm, int, &RESULTS);
}

/// Jumps to `target` when "`left` stands in `relation` to `right`" is `sense`.
pub fn compare<O>(asm: &mut Asm<O>, relation: Relation, left: &Int, right: &Int, sense: bool, target: Label) {
    let when = match (relation, sense) {
        (Relation::Equal, true) => When::Eq,
        (Relation::Equal, false) => When::Ne,
        (Relation::Less, true) | (Relation::GreaterEqual, false) => When::SLt,
        (Relation::LessEqual, true) | (Relation::Greater, false) => When::SLe,
        (Relation::Greater, true) | (Relation::LessEqual, false) => When::SGt,
        (Relation::GreaterEqual, true) | (Relation::Less, false) => When::SGe,
    };
    if let Int::Const(value) = right {
        load(asm, left);
        return jump_if(asm, when, *value, target);
    }
    let (left, right) = both(asm, left, right, &RESULTS);
    asm.jump_if(when, left, right, target);
}

/// Jumps when `R1` stands in that relation to `value`.
pub fn jump_if<O>(asm: &mut Asm<O>, when: When, value: i64, target: Label) {
    if let Ok(short) = i32::try_from(value) {
        asm.jump_if(when, Reg::R1, short, target);
    } else {
        asm.constant(Reg::R2, value);
        asm.jump_if(when, Reg::R1, Reg::R2, target);
    }
}

/// Jumps to `hit` when `R1` is one of `values`; falls through when it is none.
pub fn one_of<O>(asm: &mut Asm<O>, values: &[i64], hit: Label) {
    if values.len() > set::SHORT && set::ints(asm, values, hit).is_some() {
        return;
    }
    for value in values {
        jump_if(asm, When::Eq, *value, hit);
    }
}

/// Computes two integers, first the one that takes more registers; returns where they are: in the first two of `free`.
fn both<O>(asm: &mut Asm<O>, left: &Int, right: &Int, free: &[Reg]) -> (Reg, Reg) {
    // The type check counted the registers: there are enough.
    let [first, rest @ ..] = free else { return (Reg::R0, Reg::R0) };
    let second = rest.first().copied().unwrap_or(Reg::R0);
    if left.registers() >= right.registers() {
        compute(asm, left, free);
        compute(asm, right, rest);
        (*first, second)
    } else {
        compute(asm, right, free);
        compute(asm, left, rest);
        (second, *first)
    }
}

/// The first of `free` = `int`; the others may be lost.
fn compute<O>(asm: &mut Asm<O>, int: &Int, free: &[Reg]) {
    let Some(result) = free.first().copied() else { return };
    match int {
        Int::Const(value) => asm.constant(result, *value),
        Int::Field(IntField { offset, wide, .. }) => {
            asm.load(if *wide { Size::Double } else { Size::Word }, result, RECORD, at(*offset));
        }
        Int::Made(made) => {
            let (left, right) = both(asm, &made.left, &made.right, free);
            operate(asm, made, left, right);
            if left != result {
                asm.alu(Alu::Mov, result, left);
            }
        }
    }
}

/// `left = left op right`; `right` may be lost.
fn operate<O>(asm: &mut Asm<O>, made: &Made, left: Reg, right: Reg) {
    match made.op {
        Arithmetic::Add => asm.alu(Alu::Add, left, right),
        Arithmetic::Subtract => asm.alu(Alu::Sub, left, right),
        Arithmetic::Multiply => asm.alu(Alu::Mul, left, right),
        Arithmetic::Divide => divide(asm, Alu::Div, made, left, right),
        Arithmetic::Remainder => divide(asm, Alu::Mod, made, left, right),
    }
}

/// Division towards 0. The instructions divide natural numbers only (others came with Linux 6.6), so signs
/// are taken off and put back: `x ^ s - s` with `s` = -1 for a negative `x`, else 0.
fn divide<O>(asm: &mut Asm<O>, op: Alu, made: &Made, left: Reg, right: Reg) {
    let (sign, right_sign) = (Reg::R0, Reg::R7);
    let signed = [&made.left, &made.right].map(|int| !int.extent().is_natural());
    let negate = |asm: &mut Asm<O>, value, sign| {
        asm.alu(Alu::Xor, value, sign);
        asm.alu(Alu::Sub, value, sign);
    };
    for ((signed, value), sign) in signed.into_iter().zip([left, right]).zip([sign, right_sign]) {
        if signed {
            asm.alu(Alu::Mov, sign, value);
            asm.alu(Alu::Sar, sign, 63);
            negate(asm, value, sign);
        }
    }
    asm.alu(op, left, right);
    // A quotient has the signs of both, a remainder that of the left.
    match (signed, op) {
        ([true, true], Alu::Div) => {
            asm.alu(Alu::Xor, sign, right_sign);
            negate(asm, left, sign);
        }
        ([false, true], Alu::Div) => negate(asm, left, right_sign),
        ([true, _], _) => negate(asm, left, sign),
        ([false, _], _) => {}
    }
}
