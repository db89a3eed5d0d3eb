//! Tests of string fields. Each falls through where it holds and jumps to `miss` where it does not; all
//! registers but `R6` and `R8` are lost.
//!
//! Of a text only its `len` bytes count; what lies behind is left over from earlier events. `len` never exceeds the
//! field's capacity, and where the verifier has to know that, the code compares.

use sensor_common::{
    field::Field,
    record::{TEXT_MAX, Text},
};

use super::{
    asm::{Alu, Asm, Label, Reg, Size, When, words},
    record::{RECORD, at, bytes, capacity, imm, length},
    set,
};
use crate::text_test::TextTest;

/// Not all of `field` is kept.
pub fn cut<O>(asm: &mut Asm<O>, field: &Field, miss: Label) {
    asm.load(Size::Word, Reg::R1, RECORD, length(field));
    asm.load(Size::Word, Reg::R2, RECORD, at(field.offset + core::mem::offset_of!(Text<TEXT_MAX>, full)));
    asm.jump_if(When::Ge, Reg::R1, Reg::R2, miss);
}

/// Not all of `field` is kept though there was room for more.
pub fn unknown<O>(asm: &mut Asm<O>, field: &Field, miss: Label) {
    cut(asm, field, miss);
    asm.jump_if(When::Ge, Reg::R1, imm(capacity(field)), miss);
}

/// `field` against a literal of at most its capacity; empty only for `Equals`.
pub fn test<O>(asm: &mut Asm<O>, test: TextTest, field: &Field, literal: &[u8], miss: Label) {
    let count = imm(literal.len());
    match test {
        TextTest::Equals => {
            asm.load(Size::Word, Reg::R1, RECORD, length(field));
            asm.jump_if(When::Ne, Reg::R1, count, miss);
            compare(asm, RECORD, bytes(field), literal, miss);
        }
        TextTest::StartsWith => {
            asm.load(Size::Word, Reg::R1, RECORD, length(field));
            asm.jump_if(When::Lt, Reg::R1, count, miss);
            compare(asm, RECORD, bytes(field), literal, miss);
        }
        TextTest::EndsWith => {
            asm.load(Size::Word, Reg::R2, RECORD, length(field));
            asm.jump_if(When::Lt, Reg::R2, count, miss);
            asm.jump_if(When::Gt, Reg::R2, imm(capacity(field)), miss);
            asm.alu(Alu::Mov, Reg::R1, RECORD);
            asm.alu(Alu::Add, Reg::R1, Reg::R2);
            compare(asm, Reg::R1, bytes(field) - at(literal.len()), literal, miss);
        }
        TextTest::Contains => contains(asm, field, literal, miss),
    }
}

/// The literal at `base + offset`.
fn compare<O>(asm: &mut Asm<O>, base: Reg, offset: i16, literal: &[u8], miss: Label) {
    compare_kept(asm, base, offset, literal, &[], miss);
}

/// As [`compare`], with constants for the first long words already in the registers `kept`.
fn compare_kept<O>(asm: &mut Asm<O>, base: Reg, offset: i16, literal: &[u8], kept: &[Reg], miss: Label) {
    let mut kept = kept.iter();
    for word in chunks(literal) {
        asm.load(word.size, Reg::R3, base, offset + at(word.start));
        match word.operand() {
            Constant::Short(short) => asm.jump_if(When::Ne, Reg::R3, short, miss),
            Constant::Word(bits) => asm.jump_if_word_is_not(Reg::R3, bits, miss),
            Constant::Long(value) => {
                let constant = kept.next().copied().unwrap_or_else(|| {
                    asm.constant(Reg::R4, value);
                    Reg::R4
                });
                asm.jump_if(When::Ne, Reg::R3, constant, miss);
            }
        }
    }
}

/// A part of a literal that one instruction loads.
struct Chunk {
    start: usize,
    size: Size,
    value: i64,
}

/// A constant as a comparison takes it.
enum Constant {
    /// Fits the instruction, sign-extended.
    Short(i32),
    /// Fits the instruction of a comparison of 32 bits.
    Word(u32),
    /// Needs a register.
    Long(i64),
}

impl Chunk {
    fn operand(&self) -> Constant {
        match (self.size, i32::try_from(self.value)) {
            (_, Ok(short)) => Constant::Short(short),
            (Size::Double, Err(_)) => Constant::Long(self.value),
            (_, Err(_)) => u32::try_from(self.value).map_or(Constant::Long(self.value), Constant::Word),
        }
    }
}

/// The chunks of a literal.
fn chunks(literal: &[u8]) -> impl Iterator<Item = Chunk> {
    words(literal).filter(|_| !literal.is_empty()).map(|(start, size)| {
        let bytes = literal.iter().skip(start).take(size.bytes());
        let value = bytes.rev().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
        Chunk { start, size, value: value.cast_signed() }
    })
}

/// A bounded loop over the places where the literal may start.
///
/// The verifier walks it once per place, so it is short: its constants are kept in registers. It puts jumps aside and
/// follows what is fallen through to, so the loop goes on by jumps and ends by falling through: then there is
/// never more than one state aside. And it knows a jump's outcome only where the *right* operand is constant.
fn contains<O>(asm: &mut Asm<O>, field: &Field, literal: &[u8], miss: Label) {
    let (again, next, found) = (asm.label(), asm.label(), asm.label());
    asm.load(Size::Word, Reg::R2, RECORD, length(field));
    asm.jump_if(When::Lt, Reg::R2, imm(literal.len()), miss);
    asm.jump_if(When::Gt, Reg::R2, imm(capacity(field)), miss);
    let long = chunks(literal).filter_map(|chunk| match chunk.operand() {
        Constant::Long(value) => Some(value),
        Constant::Short(_) | Constant::Word(_) => None,
    });
    let mut kept = Vec::new();
    for (register, value) in [Reg::R0, Reg::R7, Reg::R9].into_iter().zip(long) {
        asm.constant(register, value);
        kept.push(register);
    }
    // R2: the last place where it may start; R5: the place; R1: the record, moved by as much.
    asm.alu(Alu::Sub, Reg::R2, imm(literal.len()));
    asm.alu(Alu::Mov, Reg::R1, RECORD);
    asm.alu(Alu::Mov, Reg::R5, 0);
    let first = asm.here();
    asm.bind(again);
    compare_kept(asm, Reg::R1, bytes(field), literal, &kept, next);
    asm.jump(found);
    asm.bind(next);
    asm.alu(Alu::Add, Reg::R1, 1);
    asm.alu(Alu::Add, Reg::R5, 1);
    asm.jump_if(When::Ge, Reg::R2, Reg::R5, again);
    asm.repeat(first, capacity(field) - literal.len() + 1);
    asm.jump(miss);
    asm.bind(found);
}

/// `field` is one of the literals. Jumps to `hit`, or falls through where it is none; the list is not empty.
pub fn one_of<O>(asm: &mut Asm<O>, field: &Field, literals: &[Vec<u8>], hit: Label) {
    if literals.len() > set::SHORT && set::texts(asm, field, literals, hit).is_some() {
        return;
    }
    let mut sorted: Vec<_> = literals.iter().collect();
    sorted.sort_by_key(|literal| literal.len());
    asm.load(Size::Word, Reg::R1, RECORD, length(field));
    for group in sorted.chunk_by(|left, right| left.len() == right.len()) {
        let other_length = asm.label();
        let count = group.first().map_or(0, |literal| literal.len());
        asm.jump_if(When::Ne, Reg::R1, imm(count), other_length);
        for literal in group {
            let next = asm.label();
            compare(asm, RECORD, bytes(field), literal, next);
            asm.jump(hit);
            asm.bind(next);
            if literal.is_empty() {
                break;
            }
        }
        asm.bind(other_length);
    }
}

/// Two fields hold the same bytes.
pub fn same<O>(asm: &mut Asm<O>, left: &Field, right: &Field, miss: Label) {
    let (tail, equal) = (asm.label(), asm.label());
    let capacity = capacity(left).min(capacity(right));
    asm.load(Size::Word, Reg::R1, RECORD, length(left));
    asm.load(Size::Word, Reg::R2, RECORD, length(right));
    asm.jump_if(When::Ne, Reg::R1, Reg::R2, miss);
    asm.jump_if(When::Gt, Reg::R1, imm(capacity), miss);
    for start in (0..capacity).step_by(8) {
        asm.jump_if(When::Lt, Reg::R1, imm(start + 8), tail);
        asm.load(Size::Double, Reg::R2, RECORD, bytes(left) + at(start));
        asm.load(Size::Double, Reg::R3, RECORD, bytes(right) + at(start));
        asm.jump_if(When::Ne, Reg::R2, Reg::R3, miss);
    }
    asm.jump(equal);
    // Fewer than 8 bytes are left: the rest of the word is shifted out. The length is loaded anew: what the
    // verifier learnt of it on one way here must not tell that way from the others.
    asm.bind(tail);
    asm.load(Size::Word, Reg::R1, RECORD, length(left));
    asm.jump_if(When::Gt, Reg::R1, imm(capacity), miss);
    asm.alu(Alu::Mov, Reg::R4, Reg::R1);
    asm.alu(Alu::And, Reg::R1, 7);
    asm.jump_if(When::Eq, Reg::R1, 0, equal);
    asm.alu(Alu::And, Reg::R4, 0xf8);
    asm.alu(Alu::Add, Reg::R4, RECORD);
    asm.load(Size::Double, Reg::R2, Reg::R4, bytes(left));
    asm.load(Size::Double, Reg::R3, Reg::R4, bytes(right));
    asm.alu(Alu::Xor, Reg::R2, Reg::R3);
    asm.alu(Alu::Mov, Reg::R5, 8);
    asm.alu(Alu::Sub, Reg::R5, Reg::R1);
    asm.alu(Alu::Shl, Reg::R5, 3);
    asm.alu(Alu::Shl, Reg::R2, Reg::R5);
    asm.jump_if(When::Ne, Reg::R2, 0, miss);
    asm.bind(equal);
}
