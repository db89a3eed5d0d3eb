//! Instructions as text, spelled as the kernel's verifier spells them in its log.

use std::fmt::Write as _;

/// What a program's bytes say, one line for each instruction: its index (a constant of 64 bits takes two),
/// and its text.
pub fn decode(code: &[[u8; 8]]) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut index = 0;
    while let Some(bytes) = code.get(index) {
        let raw = Raw::new(*bytes);
        let wide = raw.opcode == WIDE;
        let upper = if wide { code.get(index + 1).map_or(0, |next| Raw::new(*next).imm) } else { 0 };
        lines.push((index, text(&raw, upper)));
        index += if wide { 2 } else { 1 };
    }
    lines
}

/// The opcode of a constant of 64 bits.
pub const WIDE: u8 = 0x18;
/// The opcodes of a jump without condition, of a helper's call, and of the end.
pub const GOTO: u8 = 0x05;
pub const CALL: u8 = 0x85;
pub const EXIT: u8 = 0x95;

/// The parts of an instruction, as `struct bpf_insn` of the kernel names them.
pub struct Raw {
    pub opcode: u8,
    pub target: u8,
    pub source: u8,
    pub offset: i16,
    pub imm: i32,
}

impl Raw {
    /// The instruction in these bytes.
    pub fn new([opcode, registers, low, high, a, b, c, d]: [u8; 8]) -> Self {
        Self {
            opcode,
            target: registers & 0xf,
            source: registers >> 4,
            offset: i16::from_le_bytes([low, high]),
            imm: i32::from_le_bytes([a, b, c, d]),
        }
    }

    /// The address in memory that it reads or writes: base register and offset.
    pub fn memory(&self) -> Option<(u8, i16, usize)> {
        match self.opcode & 7 {
            1 => Some((self.source, self.offset, self.bytes())),
            2 | 3 => Some((self.target, self.offset, self.bytes())),
            _ => None,
        }
    }

    /// How many bytes that are.
    const fn bytes(&self) -> usize {
        match self.opcode & 0x18 {
            0x00 => 4,
            0x08 => 2,
            0x10 => 1,
            _ => 8,
        }
    }
}

fn text(raw: &Raw, upper: i32) -> String {
    let Raw { opcode, target, source, offset, imm } = raw;
    let bits = 8 * raw.bytes();
    match opcode & 7 {
        0 => {
            let value = u64::from(upper.cast_unsigned()) << 32 | u64::from(imm.cast_unsigned());
            format!("r{target} = {value:#x}")
        }
        1 => format!("r{target} = *(u{bits} *)(r{source} {offset:+})"),
        2 => format!("*(u{bits} *)(r{target} {offset:+}) = {imm}"),
        3 => format!("*(u{bits} *)(r{target} {offset:+}) = r{source}"),
        5 if *opcode == CALL => format!("call {}", helper(*imm)),
        5 if *opcode == EXIT => "exit".to_owned(),
        5 if *opcode == GOTO => format!("goto pc{offset:+}"),
        5 | 6 => format!(
            "if {} {} {} goto pc{offset:+}",
            register(*target, opcode & 7 == 6),
            comparison(opcode & 0xf0),
            operand(raw, opcode & 7 == 6)
        ),
        _ => arithmetic(raw),
    }
}

/// An operation on 64 bits, or (class 4) on 32.
fn arithmetic(raw: &Raw) -> String {
    let word = raw.opcode & 7 == 4;
    let target = register(raw.target, word);
    let operator = match raw.opcode & 0xf0 {
        0x00 => "+=",
        0x10 => "-=",
        0x20 => "*=",
        0x30 if raw.offset == 1 => "s/=",
        0x30 => "/=",
        0x40 => "|=",
        0x50 => "&=",
        0x60 => "<<=",
        0x70 => ">>=",
        0x80 => return format!("{target} = -{target}"),
        0x90 if raw.offset == 1 => "s%=",
        0x90 => "%=",
        0xa0 => "^=",
        0xb0 => "=",
        0xc0 => "s>>=",
        _ => return unknown(raw),
    };
    format!("{target} {operator} {}", operand(raw, word))
}

fn unknown(raw: &Raw) -> String {
    let mut text = format!("opcode {:#04x}", raw.opcode);
    // Writing to a string does not fail.
    let _ = write!(text, " r{} r{} {:+} {:#x}", raw.target, raw.source, raw.offset, raw.imm);
    text
}

fn register(number: u8, word: bool) -> String {
    format!("{}{number}", if word { 'w' } else { 'r' })
}

/// The right-hand side: a register where the opcode says so, else the constant.
fn operand(raw: &Raw, word: bool) -> String {
    if raw.opcode & 8 == 8 { register(raw.source, word) } else { format!("{:#x}", raw.imm) }
}

const fn comparison(code: u8) -> &'static str {
    match code {
        0x10 => "==",
        0x20 => ">",
        0x30 => ">=",
        0x40 => "&",
        0x50 => "!=",
        0x60 => "s>",
        0x70 => "s>=",
        0xa0 => "<",
        0xb0 => "<=",
        0xc0 => "s<",
        _ => "s<=",
    }
}

fn helper(number: i32) -> String {
    match number {
        1 => "bpf_map_lookup_elem".to_owned(),
        12 => "bpf_tail_call".to_owned(),
        35 => "bpf_get_current_task".to_owned(),
        other => format!("helper#{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::asm::{Alu, Asm, Helper, Reg, Size, When},
        *,
    };

    #[test]
    fn instructions_are_spelled_as_the_verifier_spells_them() {
        let mut asm = Asm::<()>::new();
        let end = asm.label();
        asm.load(Size::Word, Reg::R1, Reg::R8, 8);
        asm.jump_if(When::Ne, Reg::R1, 5, end);
        asm.jump_if(When::SLt, Reg::R1, Reg::R2, end);
        asm.jump_if_word_is_not(Reg::R3, 0x8000_0000, end);
        asm.constant(Reg::R2, 1 << 40);
        asm.alu(Alu::Add, Reg::R1, Reg::R2);
        asm.alu_word(Alu::Shr, Reg::R0, 3);
        asm.store(Size::Byte, Reg::R10, -4, 7);
        asm.store(Size::Double, Reg::R10, -16, Reg::R9);
        asm.jump(end);
        asm.call(Helper::TailCall);
        asm.bind(end);
        asm.exit();
        let code = asm.finish().bytes;
        let code: Vec<[u8; 8]> = code.chunks(8).map(|bytes| bytes.try_into().unwrap()).collect();
        let lines = decode(&code);
        let texts: Vec<_> = lines.iter().map(|(_, text)| text.as_str()).collect();
        let expected = [
            "r1 = *(u32 *)(r8 +8)",
            "if r1 != 0x5 goto pc+10",
            "if r1 s< r2 goto pc+9",
            "if w3 != 0x80000000 goto pc+8",
            "r2 = 0x10000000000",
            "r1 += r2",
            "w0 >>= 0x3",
            "*(u8 *)(r10 -4) = 7",
            "*(u64 *)(r10 -16) = r9",
            "goto pc+1",
            "call bpf_tail_call",
            "exit",
        ];
        assert_eq!(texts, expected);
        assert_eq!(lines.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12]);
    }
}
