//! One step through a perfect hash of edges as code: see [`perfect`](crate::plan::perfect).

use super::asm::{Alu, Asm, Label, Reg, Size, When};
use crate::plan::{perfect::MULTIPLIER, set, table};

/// The word that is looked up.
pub const WORD: Reg = Reg::R1;
/// Identity of the node that the walk has reached.
pub const NODE: Reg = Reg::R4;
/// The address of the slot.
pub const ADDRESS: Reg = Reg::R7;
/// For intermediate results, beside `R0`.
const BETWEEN: Reg = Reg::R9;

/// Where the parts of a hash are in what a program carries.
pub struct Hashed {
    /// The memory that holds it.
    pub memory: &'static str,
    /// Where its displacements and slots are in that, bytes.
    pub displacements: usize,
    pub slots: usize,
    pub buckets_log: u32,
    pub slots_log: u32,
    /// Size of a slot, as a power of two.
    pub slot_log: u32,
}

/// Both kinds of slots begin with an edge.
const _: () = assert!(table::slot::WORD == set::slot::WORD && table::slot::FROM == set::slot::FROM);

/// [`ADDRESS`] = the slot of the edge with [`WORD`] from [`NODE`]; jumps to `none` where there is no such edge.
pub fn follow<O>(asm: &mut Asm<O>, hashed: &Hashed, none: Label) {
    let multiplier = MULTIPLIER.cast_signed();
    let [buckets, slots] = [hashed.buckets_log, hashed.slots_log].map(|log| 64 - log.cast_signed());
    asm.alu(Alu::Mov, BETWEEN, WORD);
    asm.alu(Alu::Xor, BETWEEN, NODE);
    asm.constant(Reg::R0, multiplier);
    asm.alu(Alu::Mul, BETWEEN, Reg::R0);
    asm.alu(Alu::Mov, Reg::R0, BETWEEN);
    asm.alu(Alu::Shr, Reg::R0, buckets);
    asm.alu(Alu::Shl, Reg::R0, 1);
    asm.carried(hashed.memory, ADDRESS, hashed.displacements);
    asm.alu(Alu::Add, ADDRESS, Reg::R0);
    asm.load(Size::Half, ADDRESS, ADDRESS, 0);
    asm.alu(Alu::Xor, BETWEEN, ADDRESS);
    asm.constant(Reg::R0, multiplier);
    asm.alu(Alu::Mul, BETWEEN, Reg::R0);
    asm.alu(Alu::Shr, BETWEEN, slots);
    asm.alu(Alu::Shl, BETWEEN, hashed.slot_log.cast_signed());
    asm.carried(hashed.memory, ADDRESS, hashed.slots);
    asm.alu(Alu::Add, ADDRESS, BETWEEN);
    asm.load(Size::Double, BETWEEN, ADDRESS, set::slot::WORD);
    asm.jump_if(When::Ne, BETWEEN, WORD, none);
    asm.load(Size::Word, BETWEEN, ADDRESS, set::slot::FROM);
    asm.jump_if(When::Ne, BETWEEN, NODE, none);
}
