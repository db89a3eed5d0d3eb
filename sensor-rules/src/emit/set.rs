//! Long lists as code: a few steps through a table, however long they are.

use sensor_common::field::Field;

use super::{
    asm::{Alu, Asm, Label, Reg, Size, TABLES, When},
    hashed::{ADDRESS, Hashed, NODE, WORD as LOADED, follow},
    record::{RECORD, at, bytes, imm, length},
};
use crate::plan::set::{Set, WORD, slot};

/// The length of the string.
const LENGTH: Reg = Reg::R2;
/// How much of the string is left.
const REST: Reg = Reg::R3;

/// Lists of up to so many members are compared one by one.
pub const SHORT: usize = 16;

/// Jumps to `hit` when `R1` is one of `values`; falls through when it is none. `None` where no table holds them.
pub fn ints<O>(asm: &mut Asm<O>, values: &[i64], hit: Label) -> Option<()> {
    let members: Vec<_> = values.iter().map(|value| value.to_le_bytes()).collect();
    let set = Set::new(members.iter().map(<[u8; WORD]>::as_slice))?;
    let (hashed, miss) = (placed(asm, &set), asm.label());
    asm.constant(NODE, i64::from(set.root(WORD)));
    follow(asm, &hashed, miss);
    asm.jump(hit);
    asm.bind(miss);
    Some(())
}

/// Jumps to `hit` when `field` is one of `literals`; falls through when it is none. `None` where no table holds them.
///
/// Words are loaded in whole, what lies behind the string is shifted out. The record goes on behind each field.
pub fn texts<O>(asm: &mut Asm<O>, field: &Field, literals: &[Vec<u8>], hit: Label) -> Option<()> {
    let set = Set::new(literals.iter().map(Vec::as_slice))?;
    let (hashed, miss) = (placed(asm, &set), asm.label());
    asm.load(Size::Word, LENGTH, RECORD, length(field));
    asm.jump_if(When::Eq, LENGTH, 0, if literals.iter().any(Vec::is_empty) { hit } else { miss });
    asm.alu(Alu::Mov, NODE, LENGTH);
    asm.alu_word(Alu::Mul, NODE, set.multiplier.cast_signed());
    for word in 0..set.words {
        let whole = asm.label();
        asm.load(Size::Double, LOADED, RECORD, bytes(field) + at(WORD * word));
        asm.alu(Alu::Mov, REST, LENGTH);
        asm.alu(Alu::Sub, REST, imm(WORD * word));
        asm.jump_if(When::Ge, REST, imm(WORD), whole);
        asm.alu(Alu::Shl, REST, 3);
        shift_out(asm);
        asm.bind(whole);
        follow(asm, &hashed, miss);
        asm.jump_if(When::Le, LENGTH, imm(WORD * (word + 1)), hit);
        if word + 1 < set.words {
            asm.load(Size::Word, NODE, ADDRESS, slot::TO);
        }
    }
    asm.bind(miss);
    Some(())
}

/// Of the word in [`LOADED`] only the first bits, as many as [`REST`] says, stay.
fn shift_out<O>(asm: &mut Asm<O>) {
    asm.alu(Alu::Mov, Reg::R5, 64);
    asm.alu(Alu::Sub, Reg::R5, REST);
    asm.alu(Alu::Shl, LOADED, Reg::R5);
    asm.alu(Alu::Shr, LOADED, Reg::R5);
}

/// Puts a set among the tables of the program.
fn placed<O>(asm: &mut Asm<O>, set: &Set) -> Hashed {
    Hashed {
        memory: TABLES,
        displacements: asm.table(set.displacements.iter().flat_map(|value| value.to_le_bytes()).collect()),
        slots: asm.table(set.slots.clone()),
        buckets_log: set.buckets_log,
        slots_log: set.slots_log,
        slot_log: slot::SIZE_LOG,
    }
}
