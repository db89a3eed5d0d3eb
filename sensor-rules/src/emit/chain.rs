//! Chains: rules that do not fit one program go into several, each of which ends by calling the next.
//!
//! ```text
//! hook ─► rules_fifo_open ─► rules_fifo_open_2 ─► … ─► finish
//! ```
//!
//! What a program may be is the kernel's to say (`kernel/bpf/verifier.c`): a million instructions looked at
//! (`BPF_COMPLEXITY_LIMIT_INSNS`), 8,192 jumps kept in mind (`BPF_COMPLEXITY_LIMIT_JMP_SEQ`), a jump of 16 bits; and for an event
//! 33 calls of this kind (`MAX_TAIL_CALL_CNT`), 32 on some kernels.

use super::{
    Target,
    asm::{Code, Limit},
    decode::{CALL, EXIT, GOTO, WIDE},
    program::{Mark, program},
};
use crate::plan::{Judge, Link, Plan};

/// Name of the array (of programs) through which the programs of one object call each other. The loader puts each program whose
/// [`chained`](super::Program::chained) says so into it.
pub const PARTS_MAP: &str = "PARTS";

/// Most programs of a chain: an event passes through two of them, early and in full, and twice through others.
pub const PARTS_MAX: usize = 14;

/// Most jumps that the verifier is given to keep in mind; the rest is for what it does not see as one state.
const PENDING_MAX: usize = 7_500;

/// Most bytes of one map's value, which is what a program's tables are, and what its look-ups read (`KMALLOC_MAX_SIZE`, on x86).
pub const CARRIED_MAX: usize = 4 << 20;

/// How much goes into one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Instructions.
    instructions: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { instructions: 500_000 }
    }
}

impl Budget {
    /// So many instructions.
    pub const fn of(instructions: usize) -> Self {
        Self { instructions }
    }

    /// Half of it, for a kernel whose verifier gave up; `None` where that was not the reason.
    pub fn halved(self) -> Option<Self> {
        (self.instructions > 10_000).then_some(Self { instructions: self.instructions / 2 })
    }
}

/// One program of a chain.
pub struct Part<'a> {
    /// What it judges.
    pub plan: Plan<'a>,
    /// Its code.
    pub code: Code<Mark>,
}

/// As many programs as the plan needs; the first is reached as ever, the others at `reached` and on.
///
/// # Errors
/// A plan of one rule that is over a limit, with the limit.
pub fn chain<'a>(
    plan: Plan<'a>,
    target: Target,
    budget: Budget,
    words: &impl Fn(&[Judge<'_>]) -> usize,
    reached: u32,
) -> Result<Vec<Part<'a>>, (Box<Plan<'a>>, Limit)> {
    let mut parts = split(plan, target, budget, words)?;
    let count = parts.len();
    if count == 1 {
        return Ok(parts);
    }
    let mut failed = None;
    for (number, part) in (0..).zip(&mut parts) {
        let at = |part: u32| reached + part - 1;
        part.plan.link = Link {
            part: number,
            reached: (number > 0).then(|| at(number)),
            next: ((number as usize) + 1 < count).then(|| at(number + 1)),
        };
        // No longer than before: a call of finish has become one of the next program.
        match program(&part.plan, part.plan.event.hook(), target) {
            Ok(code) => part.code = code,
            Err(limit) => failed = Some((number, limit)),
        }
    }
    match failed {
        Some((number, limit)) => Err((Box::new(parts.swap_remove(number as usize).plan), limit)),
        None => Ok(parts),
    }
}

/// The plan, or halves of it, and halves of these, until all fit.
fn split<'a>(
    plan: Plan<'a>,
    target: Target,
    budget: Budget,
    words: &impl Fn(&[Judge<'_>]) -> usize,
) -> Result<Vec<Part<'a>>, (Box<Plan<'a>>, Limit)> {
    let limit = match fitting(&plan, target, budget) {
        Ok(code) => return Ok(vec![Part { plan, code }]),
        Err(limit) => limit,
    };
    if matches!(limit, Limit::Jump(_))
        && let Some(finer) = plan.finer(words)
        && let Ok(code) = fitting(&finer, target, budget)
    {
        return Ok(vec![Part { plan: finer, code }]);
    }
    let [first, second] = plan.halves(words).map_err(|plan| (plan, limit))?;
    let mut parts = split(first, target, budget, words)?;
    parts.extend(split(second, target, budget, words)?);
    Ok(parts)
}

/// The code of a plan, where it is within all limits.
fn fitting(plan: &Plan<'_>, target: Target, budget: Budget) -> Result<Code<Mark>, Limit> {
    let code = program(plan, plan.event.hook(), target)?;
    let instructions = code.bytes.as_chunks().0;
    // A rule cannot be split; the verifier may well take it.
    if plan.judges.len() > 1 && instructions.len() > budget.instructions {
        return Err(Limit::Length);
    }
    if pending(instructions) > PENDING_MAX {
        return Err(Limit::Pending);
    }
    let memory = plan.index.as_ref().map_or(0, |index| index.memory.len());
    if code.tables.len().max(memory) > CARRIED_MAX {
        return Err(Limit::Carried);
    }
    Ok(code)
}

/// How many jumps the verifier has to keep in mind at once. It follows what is fallen through to and puts the other side of a jump
/// aside; where it comes to what it has seen, it takes up what was put aside last (`push_stack`, `pop_stack`).
fn pending(code: &[[u8; 8]]) -> usize {
    let mut seen = vec![false; code.len()];
    let (mut aside, mut most) = (vec![0], 0);
    while let Some(mut at) = aside.pop() {
        while let Some((instruction, seen)) = code.get(at).zip(seen.get_mut(at)) {
            if std::mem::replace(seen, true) {
                break;
            }
            let [opcode, _, low, high, ..] = *instruction;
            let jump = (at + 1).checked_add_signed(i16::from_le_bytes([low, high]).into()).unwrap_or(usize::MAX);
            at = match opcode {
                EXIT => break,
                GOTO => jump,
                CALL => at + 1,
                WIDE => at + 2,
                _ if matches!(opcode & 7, 5 | 6) => {
                    aside.push(jump);
                    most = most.max(aside.len());
                    at + 1
                }
                _ => at + 1,
            };
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::{
        super::asm::{Asm, Reg, When},
        *,
    };

    fn pending_of(asm: Asm<()>) -> usize {
        let code = asm.finish().ok().unwrap().bytes;
        pending(code.as_chunks().0)
    }

    #[test]
    fn jumps_are_kept_in_mind_until_what_they_skip_is_done() {
        // Every test jumps out: all of them are waiting when the end is reached.
        let mut asm = Asm::new();
        let out = asm.label();
        for value in 0..100 {
            asm.jump_if(When::Eq, Reg::R1, value, out);
        }
        asm.bind(out);
        asm.exit();
        assert_eq!(pending_of(asm), 100);
        // Every test jumps to the next: what is fallen through to ends, and the jump is done before the next is met.
        let mut asm = Asm::new();
        for value in 0..100 {
            let next = asm.label();
            asm.jump_if(When::Ne, Reg::R1, value, next);
            asm.exit();
            asm.bind(next);
        }
        asm.exit();
        assert_eq!(pending_of(asm), 1);
    }
}
