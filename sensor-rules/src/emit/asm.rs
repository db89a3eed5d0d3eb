//! A small typed assembler for eBPF: labels, map references, and the origin of each instruction.

use std::{collections::HashMap, ops::Range};

/// A register. `R10` is the frame pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// The size of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Byte,
    Half,
    Word,
    Double,
}

impl Size {
    /// In bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
            Self::Double => 8,
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Word => 0x00,
            Self::Half => 0x08,
            Self::Byte => 0x10,
            Self::Double => 0x18,
        }
    }
}

/// The right-hand side of an operation or comparison.
#[derive(Clone, Copy, Debug)]
pub enum Operand {
    /// A register.
    Reg(Reg),
    /// A constant, sign-extended to 64 bits.
    Imm(i32),
}

impl From<Reg> for Operand {
    fn from(reg: Reg) -> Self {
        Self::Reg(reg)
    }
}

impl From<i32> for Operand {
    fn from(value: i32) -> Self {
        Self::Imm(value)
    }
}

/// An operation on integers. `Div` and `Mod` are unsigned; `Sar` shifts right and keeps the sign.
#[derive(Clone, Copy, Debug)]
pub enum Alu {
    Add = 0x00,
    Sub = 0x10,
    Mul = 0x20,
    Div = 0x30,
    Or = 0x40,
    And = 0x50,
    Shl = 0x60,
    Shr = 0x70,
    Mod = 0x90,
    Xor = 0xa0,
    Mov = 0xb0,
    Sar = 0xc0,
}

/// When a jump is taken. `S…` compares signed, the others unsigned.
#[derive(Clone, Copy, Debug)]
pub enum When {
    Eq = 0x10,
    Gt = 0x20,
    Ge = 0x30,
    Ne = 0x50,
    SGt = 0x60,
    SGe = 0x70,
    Lt = 0xa0,
    Le = 0xb0,
    SLt = 0xc0,
    SLe = 0xd0,
}

/// A helper of the kernel, by its number.
#[derive(Clone, Copy, Debug)]
pub enum Helper {
    MapLookup = 1,
    TailCall = 12,
    CurrentTask = 35,
}

/// A place to jump to.
#[derive(Clone, Copy, Debug)]
pub struct Label(usize);

/// What a program calls the bytes that it carries for its look-ups, as if they were a map.
pub const MEMORY: &str = "MEMORY";
/// Likewise the tables that its conditions read.
pub const TABLES: &str = "TABLES";

/// Code under construction.
#[derive(Default)]
pub struct Asm<O> {
    code: Vec<[u8; 8]>,
    labels: Vec<usize>,
    jumps: Vec<(usize, Label)>,
    maps: Vec<(usize, &'static str)>,
    origins: Vec<(usize, O)>,
    tables: Vec<u8>,
    repeated: usize,
    placed: HashMap<Vec<u8>, usize>,
}

/// Finished code.
pub struct Code<O> {
    /// The instructions.
    pub bytes: Vec<u8>,
    /// Instructions that take the address of a map: which, and the map's name.
    pub maps: Vec<(usize, &'static str)>,
    /// From which instruction on which origin holds; ascending.
    pub origins: Vec<(usize, O)>,
    /// The tables that it reads; may be empty.
    pub tables: Vec<u8>,
    /// How many instructions of loops the verifier looks at again, for it walks them round by round.
    pub repeated: usize,
    /// The first jump of more than 32,767 instructions, if there is any: such code is none that a kernel takes.
    pub too_far: Option<usize>,
}

impl<O> Asm<O> {
    /// No code yet.
    pub fn new() -> Self {
        Self {
            code: Vec::new(),
            labels: Vec::new(),
            jumps: Vec::new(),
            maps: Vec::new(),
            origins: Vec::new(),
            tables: Vec::new(),
            repeated: 0,
            placed: HashMap::new(),
        }
    }

    fn push(&mut self, opcode: u8, target: Reg, source: u8, offset: i16, imm: i32) {
        let [low, high] = offset.to_le_bytes();
        let [a, b, c, d] = imm.to_le_bytes();
        self.code.push([opcode, target as u8 | source << 4, low, high, a, b, c, d]);
    }

    /// What follows comes from `origin`.
    pub fn origin(&mut self, origin: O) {
        self.origins.push((self.code.len(), origin));
    }

    /// A label that is not placed yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        Label(self.labels.len() - 1)
    }

    /// Places `label` here.
    pub fn bind(&mut self, label: Label) {
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = self.code.len();
        }
    }

    /// `target = target op source` on 64 bits.
    pub fn alu(&mut self, op: Alu, target: Reg, source: impl Into<Operand>) {
        match source.into() {
            Operand::Reg(source) => self.push(0x0f | op as u8, target, source as u8, 0, 0),
            Operand::Imm(imm) => self.push(0x07 | op as u8, target, 0, 0, imm),
        }
    }

    /// `target = target op constant` on the low 32 bits; the upper ones become 0.
    pub fn alu_word(&mut self, op: Alu, target: Reg, constant: i32) {
        self.push(0x04 | op as u8, target, 0, 0, constant);
    }

    /// `target = value`
    pub fn constant(&mut self, target: Reg, value: i64) {
        if let Ok(short) = i32::try_from(value) {
            self.alu(Alu::Mov, target, short);
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "the instruction takes the two halves")]
            let [low, high] = [value as i32, (value >> 32) as i32];
            self.push(0x18, target, 0, 0, low);
            self.push(0x00, Reg::R0, 0, 0, high);
        }
    }

    /// `target =` the address of the map called `name`.
    pub fn map(&mut self, target: Reg, name: &'static str) {
        self.maps.push((self.code.len(), name));
        self.push(0x18, target, 0, 0, 0);
        self.push(0x00, Reg::R0, 0, 0, 0);
    }

    /// Puts `bytes` among the [`TABLES`] of the program, unless they are there; returns their offset, a multiple of 8.
    pub fn table(&mut self, bytes: Vec<u8>) -> usize {
        let tables = &mut self.tables;
        *self.placed.entry(bytes).or_insert_with_key(|bytes| {
            let start = tables.len().next_multiple_of(8);
            tables.resize(start, 0);
            tables.extend(bytes);
            start
        })
    }

    /// `target =` the address of the byte at `offset` of [`MEMORY`] or [`TABLES`].
    pub fn carried(&mut self, name: &'static str, target: Reg, offset: usize) {
        self.maps.push((self.code.len(), name));
        // The loader adds the offset to the address; memory is smaller than 2 GiB.
        self.push(0x18, target, 0, 0, i32::try_from(offset).unwrap_or(i32::MAX));
        self.push(0x00, Reg::R0, 0, 0, 0);
    }

    /// `target = *(base + offset)`, zero-extended.
    pub fn load(&mut self, size: Size, target: Reg, base: Reg, offset: i16) {
        self.push(0x61 | size.code(), target, base as u8, offset, 0);
    }

    /// `*(base + offset) = source`
    pub fn store(&mut self, size: Size, base: Reg, offset: i16, source: impl Into<Operand>) {
        match source.into() {
            Operand::Reg(source) => self.push(0x63 | size.code(), base, source as u8, offset, 0),
            Operand::Imm(imm) => self.push(0x62 | size.code(), base, 0, offset, imm),
        }
    }

    /// Jumps to `label` when `left` stands in that relation to `right`, on 64 bits.
    pub fn jump_if(&mut self, when: When, left: Reg, right: impl Into<Operand>, label: Label) {
        self.jumps.push((self.code.len(), label));
        match right.into() {
            Operand::Reg(right) => self.push(0x0d | when as u8, left, right as u8, 0, 0),
            Operand::Imm(imm) => self.push(0x05 | when as u8, left, 0, 0, imm),
        }
    }

    /// Jumps to `label` when the low 32 bits of `left` are not `right`.
    pub fn jump_if_word_is_not(&mut self, left: Reg, right: u32, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.push(0x06 | When::Ne as u8, left, 0, 0, right.cast_signed());
    }

    /// Jumps to `label`.
    pub fn jump(&mut self, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.push(0x05, Reg::R0, 0, 0, 0);
    }

    /// Calls a helper: arguments in `R1` and on, result in `R0`; `R1` to `R5` are lost.
    pub fn call(&mut self, helper: Helper) {
        self.push(0x85, Reg::R0, 0, 0, helper as i32);
    }

    /// Ends the program.
    pub fn exit(&mut self) {
        self.push(0x95, Reg::R0, 0, 0, 0);
    }

    /// Number of the next instruction.
    pub const fn here(&self) -> usize {
        self.code.len()
    }

    /// What was emitted from instruction `first` on is run up to so many times.
    pub const fn repeat(&mut self, first: usize, times: usize) {
        self.repeated += (self.code.len() - first) * times.saturating_sub(1);
    }

    /// The finished code.
    pub fn finish(mut self) -> Code<O> {
        let mut too_far = None;
        for (at, label) in &self.jumps {
            let place = self.labels.get(label.0).copied().unwrap_or(usize::MAX);
            let distance = i16::try_from(place.cast_signed() - at.cast_signed() - 1);
            match (distance, self.code.get_mut(*at)) {
                (Ok(distance), Some(instruction)) => instruction[2..4].copy_from_slice(&distance.to_le_bytes()),
                _ => too_far = too_far.or(Some(*at)),
            }
        }
        Code {
            bytes: self.code.concat(),
            maps: self.maps,
            origins: self.origins,
            tables: self.tables,
            repeated: self.repeated,
            too_far,
        }
    }
}

/// The words in which `bytes` are compared: where each starts, and its size. They cover all bytes; the last
/// may overlap.
pub fn words(bytes: &[u8]) -> impl Iterator<Item = (usize, Size)> {
    let length = bytes.len();
    let size = match length {
        0 | 1 => Size::Byte,
        2 | 3 => Size::Half,
        4..=7 => Size::Word,
        _ => Size::Double,
    };
    let whole = length / size.bytes();
    let rest: Range<usize> = whole * size.bytes()..length;
    let tail = (!rest.is_empty()).then(|| (length - size.bytes(), size));
    (0..whole).map(move |index| (index * size.bytes(), size)).chain(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_cover_all_bytes_and_no_more() {
        for length in 0..100 {
            let mut covered = vec![false; length];
            for (start, size) in words(&vec![0; length]) {
                covered[start..start + size.bytes()].fill(true);
            }
            assert!(covered.iter().all(|covered| *covered), "{length}");
        }
    }

    #[test]
    fn a_jump_that_is_too_far_is_told() {
        let mut asm = Asm::<()>::new();
        let end = asm.label();
        asm.jump(end);
        for _ in 0..40_000 {
            asm.exit();
        }
        asm.bind(end);
        assert_eq!(asm.finish().too_far, Some(0));
    }

    #[test]
    fn instructions_are_encoded_as_the_kernel_reads_them() {
        let mut asm = Asm::<()>::new();
        let end = asm.label();
        asm.load(Size::Word, Reg::R1, Reg::R8, 8);
        asm.jump_if(When::Ne, Reg::R1, 5, end);
        asm.constant(Reg::R2, 1 << 40);
        asm.alu(Alu::Add, Reg::R1, Reg::R2);
        asm.bind(end);
        asm.exit();
        let code = asm.finish().bytes;
        let words: Vec<u64> = code.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
        assert_eq!(words, [0x0008_8161, 0x5_0003_0155, 0x0218, 0x100_0000_0000, 0x210f, 0x95]);
    }
}
