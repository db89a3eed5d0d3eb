//! Chains: rules that do not fit one program go into several, each of which ends by calling the next.
//!
//! ```text
//! hook ─► rules_fifo_open ─► rules_fifo_open_2 ─► … ─► finish
//! ```
//!
//! What a program may be is the kernel's to say (`kernel/bpf/verifier.c`): a million instructions looked at
//! (`BPF_COMPLEXITY_LIMIT_INSNS`), 8,192 jumps kept in mind (`BPF_COMPLEXITY_LIMIT_JMP_SEQ`), a jump of 16
//! bits; and for an event 33 calls of this kind (`MAX_TAIL_CALL_CNT`), 32 on some kernels.

use super::{
    asm::Code,
    decode::{CALL, EXIT, GOTO, WIDE},
    program::{Mark, program},
    sizes::sizes,
    target::Target,
};
use crate::plan::{Link, Plan, PlannedRule};

/// Most programs of a chain: an event passes through two of them, early and in full, and twice through others.
pub const PARTS_MAX: usize = 14;

/// Most jumps that the verifier is given to keep in mind; the rest is for what it does not see as one state.
const PENDING_MAX: usize = 7_500;

/// Most bytes of one map's value, which is what a program's tables are, and what its look-ups read
/// (`KMALLOC_MAX_SIZE`, on x86).
pub const CARRIED_MAX: usize = 4 << 20;

/// Most instructions of one program that kernels take from root.
const LENGTH_MAX: usize = 1_000_000;

/// Why a program cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// A jump spans more than 32,767 instructions.
    Jump,
    /// The program has more instructions than a kernel takes, or than the budget says.
    Length,
    /// The verifier would look at more instructions than it does.
    Work,
    /// It has more jumps after each other than the verifier keeps in mind.
    Pending,
    /// Its tables, or what its look-ups read, have more bytes than a map takes as one value.
    Carried,
}

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

    /// Two thirds of it, for a kernel whose verifier gave up; `None` where that was not the reason.
    pub fn smaller(self) -> Option<Self> {
        (self.instructions > 10_000).then_some(Self { instructions: self.instructions * 2 / 3 })
    }

    /// Most instructions that the verifier is thought to look at; the rest of its million is for what it does
    /// not see as one state.
    const fn work(self) -> usize {
        self.instructions / 5 * 9
    }
}

/// How many instructions the verifier is thought to look at: straight code more than once, as measured, and
/// loops round by round.
const fn work(code: &Code<Mark>) -> usize {
    let length = code.bytes.len() / 8;
    length + length / 5 * 3 + code.repeated
}

/// One program of a chain.
pub struct Part<'a> {
    /// What it judges.
    pub plan: Plan<'a>,
    /// Its code.
    pub code: Code<Mark>,
}

/// Why there is no chain.
pub enum Broken<'a> {
    /// A plan of one rule is over a limit.
    Rule(Box<Plan<'a>>, Limit),
    /// It would need this many programs, or more.
    Long(usize),
}

/// As many programs as the plan needs; the first is reached as ever, the others at `reached` and on.
///
/// # Errors
/// There are no such programs.
pub fn chain<'a>(
    plan: Plan<'a>,
    target: Target,
    budget: Budget,
    words: &impl Fn(&[PlannedRule<'_>]) -> usize,
    reached: u32,
) -> Result<Vec<Part<'a>>, Broken<'a>> {
    let mut parts = divide(plan, target, budget, words)?;
    let count = parts.len();
    if count > 1 {
        for (number, part) in (0..).zip(&mut parts) {
            let at = |part: u32| reached + part - 1;
            part.plan.link = Link {
                part: number,
                reached: (number > 0).then(|| at(number)),
                next: ((number as usize) + 1 < count).then(|| at(number + 1)),
            };
            // A call of finish becomes one of the next program: no jump over rules is longer than before.
            part.code = program(&part.plan, target);
        }
    }
    Ok(parts)
}

/// The plan, or as many parts of it as it takes until all fit.
fn divide<'a>(
    plan: Plan<'a>,
    target: Target,
    budget: Budget,
    words: &impl Fn(&[PlannedRule<'_>]) -> usize,
) -> Result<Vec<Part<'a>>, Broken<'a>> {
    let over = match fitting(plan, target, budget, words) {
        Ok(part) => return Ok(vec![part]),
        Err(over) => over,
    };
    let Part { plan, code } = over.part;
    let rules = plan.rules.len();
    if rules < 2 {
        return Err(Broken::Rule(Box::new(plan), over.limit));
    }
    let sizes: Vec<_> = sizes(&plan, &code).into_iter().map(|sizes| sizes.all).collect();
    let mut count = over.parts.clamp(2, rules);
    while count <= PARTS_MAX {
        let parts = plan.parts(count, &sizes, words).into_iter().map(|part| fitting(part, target, budget, words));
        match parts.collect::<Result<Vec<_>, _>>() {
            Ok(parts) => return Ok(parts),
            Err(over) if over.part.plan.rules.len() < 2 => {
                return Err(Broken::Rule(Box::new(over.part.plan), over.limit));
            }
            // The longest chain there may be is tried before it is given up.
            Err(_) if count < PARTS_MAX => count = (count + count.div_ceil(4)).min(PARTS_MAX),
            Err(_) => count += 1,
        }
    }
    // It may be one rule that fits none.
    for alone in plan.parts(rules, &vec![1; rules], words) {
        if let Err(over) = fitting(alone, target, budget, words) {
            return Err(Broken::Rule(Box::new(over.part.plan), over.limit));
        }
    }
    Err(Broken::Long(count))
}

/// A program over a limit.
struct Over<'a> {
    part: Part<'a>,
    limit: Limit,
    /// How many parts of its plan may fit.
    parts: usize,
}

/// The program of a plan, where it is within all limits.
fn fitting<'a>(
    plan: Plan<'a>,
    target: Target,
    budget: Budget,
    words: &impl Fn(&[PlannedRule<'_>]) -> usize,
) -> Result<Part<'a>, Box<Over<'a>>> {
    let code = program(&plan, target);
    match limit(&plan, &code, budget) {
        None => Ok(Part { plan, code }),
        Some((limit, parts)) => {
            if limit == Limit::Jump
                && let Some(finer) = plan.finer(words)
                && let code = program(&finer, target)
                && self::limit(&finer, &code, budget).is_none()
            {
                return Ok(Part { plan: finer, code });
            }
            Err(Box::new(Over { part: Part { plan, code }, limit, parts }))
        }
    }
}

/// The first limit that code is over, and how many parts of its plan may not be.
fn limit(plan: &Plan<'_>, code: &Code<Mark>, budget: Budget) -> Option<(Limit, usize)> {
    let instructions = code.bytes.as_chunks().0;
    let (length, work) = (instructions.len(), work(code));
    // A rule cannot be divided; the verifier may well take it.
    let (most, most_work) =
        if plan.rules.len() > 1 { (budget.instructions, budget.work()) } else { (LENGTH_MAX, usize::MAX) };
    if length > most {
        return Some((Limit::Length, length.div_ceil(most).max(work.div_ceil(most_work))));
    }
    if code.too_far.is_some() {
        return Some((Limit::Jump, 2));
    }
    if work > most_work {
        // A search whose answer has no mark is made by each rule again, in a loop of its own.
        let answered_in = plan.index.as_ref().map_or(1, |index| index.answered_in);
        return Some((Limit::Work, if answered_in > 1 { answered_in } else { work.div_ceil(most_work) }));
    }
    let pending = pending(instructions);
    if pending > PENDING_MAX {
        return Some((Limit::Pending, pending.div_ceil(PENDING_MAX)));
    }
    let memory = plan.index.as_ref().map_or(0, |index| index.memory.len());
    let carried = code.tables.len().max(memory);
    (carried > CARRIED_MAX).then(|| (Limit::Carried, carried.div_ceil(CARRIED_MAX)))
}

/// How many jumps the verifier has to keep in mind at once. It follows what is fallen through to and puts the
/// other side of a jump aside; where it comes to what it has seen, it takes up what was put aside last
/// (`push_stack`, `pop_stack`).
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
        let code = asm.finish().bytes;
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
