//! Programs that no compiler of ours made, given to the kernel as they are: what its verifier says of them.

use anyhow::{Result, ensure};

use crate::raw_bpf::{Load, PROG_LOAD, bpf};

/// One instruction: operation, destination and source register, offset, constant.
#[derive(Clone, Copy)]
struct Op(u8, u8, u8, i16, i32);

impl Op {
    const fn encoded(self) -> u64 {
        let Self(code, to, from, offset, constant) = self;
        code as u64
            | ((to | from << 4) as u64) << 8
            | (offset.cast_unsigned() as u64) << 16
            | (constant.cast_unsigned() as u64) << 32
    }
}

const fn mov(to: u8, constant: i32) -> Op {
    Op(0xb7, to, 0, 0, constant)
}
const EXIT: Op = Op(0x95, 0, 0, 0, 0);
/// The first word of the context, a packet's length: any number.
const ANY_NUMBER: Op = Op(0x61, 2, 1, 0, 0);

/// What each program does wrong, its instructions, and what a verifier says of it, in one of these words.
struct Wrong(&'static str, &'static [Op], &'static [&'static str]);

const PROGRAMS: &[Wrong] = &[
    Wrong("a wild pointer", &[mov(1, 0x9c), Op(0x79, 0, 1, 0, 0), EXIT], &["invalid mem access"]),
    Wrong("an endless loop", &[mov(0, 0), Op(0x15, 0, 0, -1, 0), EXIT], &["infinite loop", "back-edge"]),
    Wrong(
        "a forbidden helper (bpf_override_return)",
        &[mov(2, 0), Op(0x85, 0, 0, 0, 58), mov(0, 0), EXIT],
        &["unknown func", "cannot use helper", "program of this type"],
    ),
    Wrong(
        "a pointer divided by two",
        &[Op(0xbf, 2, 10, 0, 0), Op(0x37, 2, 0, 0, 2), mov(0, 0), EXIT],
        &["pointer arithmetic"],
    ),
    Wrong("a stack overflow", &[Op(0x7a, 10, 0, -520, 0), mov(0, 0), EXIT], &["invalid write to stack"]),
    // Taken only where the number is 21, which no host has seen yet.
    Wrong(
        "a branch that no event has taken so far",
        &[mov(0, 0), ANY_NUMBER, Op(0x55, 2, 0, 1, 21), Op(0x79, 0, 10, 8, 0), EXIT],
        &["invalid read from stack", "invalid stack"],
    ),
];

const SOCKET_FILTER: u32 = 1;

/// Offers a program to the kernel: `None` where it takes it, else what its verifier says.
fn offer(program: &[Op]) -> Result<Option<String>> {
    let instructions: Vec<_> = program.iter().map(|op| op.encoded()).collect();
    let mut log = vec![0_u8; 1 << 16];
    let load = Load {
        kind: SOCKET_FILTER,
        count: u32::try_from(program.len())?,
        instructions: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log_level: 1,
        log_size: u32::try_from(log.len())?,
        log: log.as_mut_ptr() as u64,
        ..Load::default()
    };
    let Err(error) = bpf(PROG_LOAD, &load) else { return Ok(None) };
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let words = String::from_utf8_lossy(&log[..end]).into_owned();
    ensure!(!words.is_empty(), "the kernel refuses without a word: {error}");
    Ok(Some(words))
}

/// Offers each; what the verifier said of them, a line each.
///
/// # Errors
/// Where one is taken, or refused for another reason, or a sound one is not taken.
pub fn refused() -> Result<Vec<String>> {
    let sound = offer(&[mov(0, 0), EXIT])?;
    ensure!(sound.is_none(), "a program that only returns is refused: {sound:?}");
    let mut said = Vec::new();
    for Wrong(what, program, expected) in PROGRAMS {
        let Some(words) = offer(program)? else { anyhow::bail!("{what} is taken") };
        let line = words.lines().find(|line| expected.iter().any(|part| line.contains(part)));
        let Some(line) = line else { anyhow::bail!("{what} is refused for another reason: {words}") };
        said.push(format!("{what}: {}", line.trim()));
    }
    Ok(said)
}
