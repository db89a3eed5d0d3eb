//! Patterns as code: a walk through the table of an automaton, one step per byte.

use sensor_common::field::Field;

use super::{
    asm::{Alu, Asm, Label, Reg, Size, TABLES, When},
    record::{RECORD, bytes, capacity, imm, length},
    stack::ROW,
};
use crate::{pattern::Automaton, plan::union::Union};

/// The record, moved by as much as was read.
const BASE: Reg = Reg::R9;
/// How much was read.
const PLACE: Reg = Reg::R2;
/// The length of the string.
const LENGTH: Reg = Reg::R3;
/// The state.
const STATE: Reg = Reg::R4;
/// A byte, and its class.
const BYTE: Reg = Reg::R5;
/// For addresses.
const ADDRESS: Reg = Reg::R7;

/// Falls through where `field` has the pattern, and jumps to `miss` where it has not.
///
/// As in other loops, it goes on by jumps and ends by falling through. The states that are never left have
/// the smallest numbers, and lead to themselves, so that the last step is the same wherever the walk ends.
pub fn test<O>(asm: &mut Asm<O>, field: &Field, automaton: &Automaton, miss: Label) {
    let mask = (automaton.cells.len().next_power_of_two() - 1).max(1);
    // The verifier does not know that no cell leads further than the last.
    let cells = automaton.cells.iter().copied().chain(std::iter::repeat(0)).take(mask + 1);
    let cells = asm.table(cells.flat_map(u16::to_le_bytes).collect());
    let classes = asm.table(automaton.classes.to_vec());
    let found = i32::from(automaton.found());
    let (again, next, end) = (asm.label(), asm.label(), asm.label());
    asm.load(Size::Word, LENGTH, RECORD, length(field));
    asm.jump_if(When::Gt, LENGTH, imm(capacity(field)), miss);
    asm.constant(STATE, automaton.start.into());
    asm.alu(Alu::Mov, BASE, RECORD);
    asm.alu(Alu::Mov, PLACE, 0);
    asm.jump_if(When::Eq, LENGTH, 0, end);
    let first = asm.here();
    asm.bind(again);
    asm.load(Size::Byte, BYTE, BASE, bytes(field));
    asm.carried(TABLES, ADDRESS, classes);
    asm.alu(Alu::Add, ADDRESS, BYTE);
    asm.load(Size::Byte, BYTE, ADDRESS, 0);
    asm.alu(Alu::Add, STATE, BYTE);
    step(asm, cells, mask);
    asm.jump_if(When::Gt, STATE, found, next);
    asm.jump(end);
    asm.bind(next);
    asm.alu(Alu::Add, BASE, 1);
    asm.alu(Alu::Add, PLACE, 1);
    asm.jump_if(When::Gt, LENGTH, PLACE, again);
    asm.repeat(first, capacity(field));
    asm.bind(end);
    asm.alu(Alu::Add, STATE, i32::from(automaton.end));
    step(asm, cells, mask);
    asm.jump_if(When::Ne, STATE, found, miss);
}

/// [`STATE`] = the content of the cell with that number.
fn step<O>(asm: &mut Asm<O>, cells: usize, mask: usize) {
    asm.alu(Alu::And, STATE, imm(mask));
    asm.alu(Alu::Shl, STATE, 1);
    asm.carried(TABLES, ADDRESS, cells);
    asm.alu(Alu::Add, ADDRESS, STATE);
    asm.load(Size::Half, STATE, ADDRESS, 0);
}

/// Walks all of `field` for the patterns of `union`. `add` adds the row in [`ROW`] to the marks, wherever
/// something is found.
///
/// As in other loops, it goes on by jumps and ends by falling through, and what is done for what is found stands aside.
pub fn all<O>(asm: &mut Asm<O>, field: &Field, union: &Union, add: impl Fn(&mut Asm<O>)) {
    let cells = Cells::new(asm, &union.cells);
    let classes = asm.table(union.classes.to_vec());
    let before_found = i32::try_from(union.first_found).unwrap_or(i32::MAX) - 1;
    let found = |asm: &mut Asm<O>| {
        asm.alu(Alu::Mov, BYTE, STATE);
        asm.alu(Alu::Add, BYTE, i32::from(union.end) + 1);
        cells.load(asm, BYTE, BYTE);
        asm.store(Size::Double, Reg::R10, ROW, BYTE);
        add(asm);
    };
    let (again, aside, next, end, done) = (asm.label(), asm.label(), asm.label(), asm.label(), asm.label());
    asm.load(Size::Word, LENGTH, RECORD, length(field));
    asm.jump_if(When::Gt, LENGTH, imm(capacity(field)), done);
    asm.constant(STATE, union.start.into());
    asm.alu(Alu::Mov, BASE, RECORD);
    asm.alu(Alu::Mov, PLACE, 0);
    asm.jump_if(When::Eq, LENGTH, 0, end);
    let first = asm.here();
    asm.bind(again);
    asm.load(Size::Byte, BYTE, BASE, bytes(field));
    asm.carried(TABLES, ADDRESS, classes);
    asm.alu(Alu::Add, ADDRESS, BYTE);
    asm.load(Size::Byte, BYTE, ADDRESS, 0);
    asm.alu(Alu::Add, STATE, BYTE);
    cells.load(asm, STATE, STATE);
    asm.jump_if(When::Gt, STATE, before_found, aside);
    asm.bind(next);
    asm.alu(Alu::Add, BASE, 1);
    asm.alu(Alu::Add, PLACE, 1);
    asm.jump_if(When::Gt, LENGTH, PLACE, again);
    asm.bind(end);
    asm.alu(Alu::Add, STATE, i32::from(union.end));
    cells.load(asm, STATE, STATE);
    asm.jump_if(When::Le, STATE, before_found, done);
    found(asm);
    asm.jump(done);
    asm.bind(aside);
    found(asm);
    asm.jump(next);
    asm.repeat(first, capacity(field));
    asm.bind(done);
}

/// Where cells are among the tables of the program.
struct Cells {
    start: usize,
    mask: usize,
}

impl Cells {
    fn new<O>(asm: &mut Asm<O>, cells: &[u32]) -> Self {
        let mask = (cells.len().next_power_of_two() - 1).max(1);
        // The verifier does not know that no cell leads further than the last.
        let cells = cells.iter().copied().chain(std::iter::repeat(0)).take(mask + 1);
        Self { start: asm.table(cells.flat_map(u32::to_le_bytes).collect()), mask }
    }

    /// `target` = the content of the cell with the number in `number`, which is lost.
    fn load<O>(&self, asm: &mut Asm<O>, target: Reg, number: Reg) {
        asm.alu(Alu::And, number, imm(self.mask));
        asm.alu(Alu::Shl, number, 2);
        asm.carried(TABLES, ADDRESS, self.start);
        asm.alu(Alu::Add, ADDRESS, number);
        asm.load(Size::Word, target, ADDRESS, 0);
    }
}
