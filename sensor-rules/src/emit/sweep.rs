//! The sweep over the marks: in rule order, every block that is marked is tried.
//!
//! ```text
//! word 0 marked?  no ──────────────────────────────────► word 1 marked? …
//!   byte 0 marked?  no ──────────► byte 1 marked? …
//!     block 0 marked?  yes ─► its rules, aside ─┐
//!     block 1 marked?  ◄────────────────────────┘
//! ```
//!
//! The rules stand aside, and what is fallen through to is that a block is not marked: so the verifier has
//! seen the rest of the program when it comes to a block, and need not keep all jumps of all rules in mind
//! (it refuses more than 8,192). It is to know nothing of the marks either, so that it can follow no more
//! than one way after a block: marks are tested in copies.

use super::{
    asm::{Alu, Asm, Label, Reg, Size, When},
    stack::Answers,
};
use crate::plan::blocks::Block;

/// Emits the sweep. `rules` emits the rules of a block, in their order, and leaves by falling through.
pub fn sweep<O>(asm: &mut Asm<O>, blocks: &[Block], marks: &Answers<'_>, mut rules: impl FnMut(&mut Asm<O>, &Block)) {
    for (word, blocks) in blocks.chunks(32).enumerate() {
        let next = asm.label();
        asm.load(Size::Word, Reg::R1, Reg::R10, marks.word(0));
        asm.alu(Alu::And, Reg::R1, (1_u32 << word).cast_signed());
        asm.jump_if(When::Eq, Reg::R1, 0, next);
        let aside: Vec<_> = blocks
            .chunks(8)
            .enumerate()
            .flat_map(|(byte, blocks)| tests(asm, blocks.len(), 64 + 32 * word + 8 * byte, marks))
            .collect();
        asm.jump(next);
        for ((woken, back), block) in aside.into_iter().zip(blocks) {
            asm.bind(woken);
            rules(asm, block);
            asm.jump(back);
        }
        asm.bind(next);
    }
}

/// Tests the marks of up to 8 blocks, in one byte. Returns for each where to go when it is marked, and where
/// to come back.
fn tests<O>(asm: &mut Asm<O>, count: usize, first: usize, marks: &Answers<'_>) -> Vec<(Label, Label)> {
    let next = asm.label();
    let (offset, _) = marks.bit(first);
    asm.load(Size::Byte, Reg::R1, Reg::R10, offset);
    asm.jump_if(When::Eq, Reg::R1, 0, next);
    let labels = (first..first + count).map(|mark| {
        let (woken, back) = (asm.label(), asm.label());
        let (_, bit) = marks.bit(mark);
        asm.load(Size::Byte, Reg::R1, Reg::R10, offset);
        asm.alu(Alu::And, Reg::R1, bit);
        asm.jump_if(When::Ne, Reg::R1, 0, woken);
        asm.bind(back);
        (woken, back)
    });
    let labels = labels.collect();
    asm.bind(next);
    labels
}
