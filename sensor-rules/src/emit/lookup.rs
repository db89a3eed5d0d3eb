//! The look-ups of a plan: each walks a trie through its table and adds the row that it ends with to the marks.

use core::mem::offset_of;

use sensor_common::{
    field::FIELDS,
    record::{TEXT_MAX, Text},
};

use super::{
    asm::{Alu, Asm, Label, MEMORY, Reg, Size, When},
    automaton,
    hashed::{ADDRESS, Hashed, NODE, WORD, follow},
    record::{RECORD, at, imm},
    stack::{Answers, ROW},
};
use crate::plan::{
    Index,
    filter::{CANDIDATE, Filter, MULTIPLIER},
    key::How,
    rows::{Area, Lookup},
    table::slot,
};

/// The length of the string.
const LENGTH: Reg = Reg::R2;
/// Where the walk begins (from the start), or how much of the end is behind it.
const START: Reg = Reg::R3;
/// How far the next word is shifted.
const SHIFT: Reg = Reg::R5;
/// Where the next word ends; also for intermediate results.
const END: Reg = Reg::R9;

/// Sets the marks: those of every event, and what all look-ups find.
pub fn all<O>(asm: &mut Asm<O>, index: &Index, marks: &Answers<'_>) {
    asm.carried(MEMORY, ADDRESS, 0);
    // From memory also where nothing is marked: were it known to be 0, the verifier would go through every search once
    // with that and once without.
    let always = 1 + index.blocks.len().div_ceil(64);
    for word in 0..index.words {
        if word <= always {
            asm.load(Size::Double, Reg::R0, ADDRESS, at(8 * word));
        }
        asm.store(Size::Double, Reg::R10, marks.word(word), Reg::R0);
    }
    for lookup in &index.lookups {
        let done = asm.label();
        match (lookup.look.how, &lookup.filter) {
            (How::Anywhere(capacity), Some(filter)) => search(asm, lookup, filter, capacity, marks, done),
            (How::Start(capacity) | How::End(capacity) | How::Anywhere(capacity), _) => {
                once(asm, lookup, Some(capacity), marks);
            }
            (How::Int | How::WideInt, _) => once(asm, lookup, None, marks),
        }
        asm.bind(done);
    }
    for walk in &index.walks {
        let Some(field) = FIELDS.iter().find(|field| field.offset == walk.offset) else { continue };
        automaton::all(asm, field, &walk.union, |asm| add_row(asm, &walk.area, marks));
    }
}

/// Where the length of the string is in the record.
fn length(lookup: &Lookup) -> i16 {
    at(lookup.look.offset + offset_of!(Text<TEXT_MAX>, len))
}

/// One walk.
fn once<O>(asm: &mut Asm<O>, lookup: &Lookup, capacity: Option<usize>, marks: &Answers<'_>) {
    let end = asm.label();
    walk(asm, lookup, capacity, end);
    asm.bind(end);
    add_row(asm, &lookup.area, marks);
}

/// A walk from every place where the filter says that a literal may start.
///
/// As in other loops, it goes on by jumps and ends by falling through. The length is loaded anew for each
/// comparison: what the verifier learns of it on one way must not tell that way from the others. How far the
/// filter lets it go the verifier does not know; that each round goes on by one it must be told by a constant.
fn search<O>(
    asm: &mut Asm<O>,
    lookup: &Lookup,
    (filter, content): &(Filter, usize),
    capacity: usize,
    marks: &Answers<'_>,
    done: Label,
) {
    // Longer than the string can be, which only rules past the checks are: it is found nowhere.
    let Some(last) = capacity.checked_sub(filter.span) else { return };
    let (again, next, candidate, found) = (asm.label(), asm.label(), asm.label(), asm.label());
    let size = match filter.hashed {
        1 => Size::Byte,
        2 => Size::Half,
        _ => Size::Word,
    };
    asm.load(Size::Word, Reg::R0, RECORD, length(lookup));
    asm.jump_if(When::Lt, Reg::R0, imm(filter.span), done);
    asm.alu(Alu::Mov, START, 0);
    let first = asm.here();
    asm.bind(again);
    asm.alu(Alu::Mov, ADDRESS, RECORD);
    asm.alu(Alu::Add, ADDRESS, START);
    asm.load(size, Reg::R0, ADDRESS, bytes(lookup) + at(filter.span - filter.hashed));
    asm.alu_word(Alu::Mul, Reg::R0, MULTIPLIER.cast_signed());
    asm.alu_word(Alu::Shr, Reg::R0, 32 - filter.size_log.cast_signed());
    asm.carried(MEMORY, ADDRESS, *content);
    asm.alu(Alu::Add, ADDRESS, Reg::R0);
    asm.load(Size::Byte, Reg::R0, ADDRESS, 0);
    asm.jump_if(When::Ge, Reg::R0, i32::from(CANDIDATE), candidate);
    asm.alu(Alu::Add, START, Reg::R0);
    asm.bind(next);
    asm.alu(Alu::Add, START, 1);
    asm.jump_if(When::Gt, START, imm(last), done);
    asm.load(Size::Word, Reg::R0, RECORD, length(lookup));
    asm.alu(Alu::Sub, Reg::R0, imm(filter.span));
    asm.jump_if(When::SGe, Reg::R0, START, again);
    asm.jump(done);
    asm.bind(candidate);
    walk(asm, lookup, Some(capacity), found);
    asm.bind(found);
    add_row(asm, &lookup.area, marks);
    asm.jump(next);
    asm.repeat(first, last + 1);
}

/// Where the bytes of the string start in the record.
fn bytes(lookup: &Lookup) -> i16 {
    at(lookup.look.offset + offset_of!(Text<TEXT_MAX>, bytes))
}

/// Goes down the trie as far as it leads, then falls through or jumps to `end`, with the row of the last node
/// in [`ROW`]. Of its registers only [`START`], in a search, lives on.
fn walk<O>(asm: &mut Asm<O>, lookup: &Lookup, capacity: Option<usize>, end: Label) {
    let hashed = Hashed {
        memory: MEMORY,
        displacements: lookup.displacements,
        slots: lookup.slots,
        buckets_log: lookup.table.buckets_log,
        slots_log: lookup.table.slots_log,
        slot_log: slot::SIZE_LOG,
    };
    asm.store(Size::Double, Reg::R10, ROW, 0);
    if let Some(capacity) = capacity {
        asm.load(Size::Word, LENGTH, RECORD, length(lookup));
        asm.jump_if(When::Gt, LENGTH, imm(capacity), end);
    }
    asm.constant(NODE, i64::from(lookup.table.root));
    asm.alu(Alu::Mov, SHIFT, lookup.shift.cast_signed());
    asm.alu(Alu::Mov, END, imm(lookup.end));
    if matches!(lookup.look.how, How::End(_)) {
        asm.alu(Alu::Mov, START, 0);
    }
    for step in 1..=lookup.depth {
        load_word(asm, lookup, end);
        follow(asm, &hashed, end);
        asm.load(Size::Word, END, ADDRESS, slot::ROW);
        asm.store(Size::Double, Reg::R10, ROW, END);
        if step < lookup.depth {
            asm.load(Size::Word, NODE, ADDRESS, slot::TO);
            asm.load(Size::Word, SHIFT, ADDRESS, slot::SHIFT);
            asm.load(Size::Word, END, ADDRESS, slot::END);
        }
    }
}

/// `WORD` = the bytes before [`END`], shifted so that those of this step are left. Words are loaded by their
/// end: what lies 8 bytes before it is in the record, always.
fn load_word<O>(asm: &mut Asm<O>, lookup: &Lookup, end: Label) {
    match lookup.look.how {
        How::Int => asm.load(Size::Word, WORD, RECORD, at(lookup.look.offset)),
        How::WideInt => asm.load(Size::Double, WORD, RECORD, at(lookup.look.offset)),
        How::Start(capacity) | How::Anywhere(capacity) => {
            if matches!(lookup.look.how, How::Anywhere(_)) {
                asm.alu(Alu::Add, END, START);
            }
            asm.jump_if(When::Gt, END, LENGTH, end);
            asm.jump_if(When::Gt, END, imm(capacity), end);
            load_before(asm, lookup, END);
        }
        How::End(capacity) => {
            asm.jump_if(When::Gt, END, LENGTH, end);
            asm.alu(Alu::Mov, Reg::R0, LENGTH);
            asm.alu(Alu::Sub, Reg::R0, START);
            asm.jump_if(When::Gt, Reg::R0, imm(capacity), end);
            asm.alu(Alu::Mov, START, END);
            load_before(asm, lookup, Reg::R0);
        }
    }
}

/// `WORD` = the bytes of this step before the place `place` of the string.
fn load_before<O>(asm: &mut Asm<O>, lookup: &Lookup, place: Reg) {
    asm.alu(Alu::Mov, WORD, RECORD);
    asm.alu(Alu::Add, WORD, place);
    asm.load(Size::Double, WORD, WORD, bytes(lookup) - 8);
    asm.alu(Alu::Shr, WORD, SHIFT);
}

/// Adds the row in [`ROW`] to the marks; the first is in them already. Of the registers `R0`, `R1` and
/// [`ADDRESS`] are lost.
fn add_row<O>(asm: &mut Asm<O>, area: &Area, marks: &Answers<'_>) {
    let none = asm.label();
    asm.load(Size::Double, Reg::R0, Reg::R10, ROW);
    asm.jump_if(When::Eq, Reg::R0, 0, none);
    asm.jump_if(When::Gt, Reg::R0, area.last.cast_signed(), none);
    asm.carried(MEMORY, ADDRESS, area.start);
    asm.alu(Alu::Add, ADDRESS, Reg::R0);
    for (place, word) in area.words.iter().enumerate() {
        asm.load(Size::Double, Reg::R0, ADDRESS, at(8 * place));
        asm.load(Size::Double, Reg::R1, Reg::R10, marks.word(*word));
        asm.alu(Alu::Or, Reg::R1, Reg::R0);
        asm.store(Size::Double, Reg::R10, marks.word(*word), Reg::R1);
    }
    asm.bind(none);
}
