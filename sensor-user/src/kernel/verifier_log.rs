//! What the kernel's verifier says when it refuses a program: which instruction, and why.
//!
//! Until 7.2 the reason is the end of the log. From 7.3 on a report follows it: `Verification failed: …` with
//! the sections `Reason:`, `At:`, `Causal path:` and `Suggestion:` (`kernel/bpf/diagnostics.c`).

use std::io;

/// The line that the report begins with.
const REPORT: &str = "Verification failed:";
/// The section of the report behind the reason.
const BEHIND_REASON: &str = "At:";

/// The last instruction that the log names: lines such as `123: (79) r1 = *(u64 *)(r0 +1208)`.
pub fn stopped_at(log: &str) -> Option<usize> {
    log.lines().rev().find_map(|line| {
        let (index, rest) = line.trim_start().split_once(": (")?;
        rest.get(2..3).filter(|paren| *paren == ")")?;
        index.parse().ok()
    })
}

/// Whether the verifier found nothing wrong, but gave up, since there was too much to look at: too many
/// instructions, a log of so many that there is no room for it, or too many jumps to keep in mind.
pub fn gave_up(error: &io::Error, log: &str) -> bool {
    matches!(error.raw_os_error(), Some(libc::E2BIG | libc::ENOSPC)) || log.contains("jumps is too complex")
}

/// The last `lines` lines before the reason's end, and what the report says of the reason where there is one.
pub fn reason(log: &str, lines: usize) -> String {
    // The statistics behind the reason say nothing about it.
    let words: Vec<_> = log
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take_while(|line| !line.starts_with("verification time") && !line.starts_with("processed "))
        .collect();
    let report = words.iter().position(|line| line.starts_with(REPORT)).unwrap_or(words.len());
    let (before, report) = words.split_at(report);
    let said = report.iter().take_while(|line| line.trim() != BEHIND_REASON);
    before[before.len().saturating_sub(lines)..].iter().chain(said).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The end of what Linux 5.10 says of a rule that reads a field 21.
    const V5_10: &str = "38: (1d) if r1 == r7 goto pc+7
from 38 to 46: R0=map_value(id=0,off=0,ks=4,vs=3648,imm=0) R1=inv(id=0) R6=ctx(id=0,off=0,imm=0) R7=inv(id=1) R10=fp0
46: (bf) r8 = r0
47: (79) r1 = *(u64 *)(r8 +3648)
 R0=map_value(id=0,off=0,ks=4,vs=3648,imm=0) R8_w=map_value(id=0,off=0,ks=4,vs=3648,imm=0) R10=fp0 fp-8=mmmm????
invalid access to map value, value_size=3648 off=3648 size=8
R8 min value is outside of the allowed memory range
processed 48 insns (limit 1000000) max_states_per_insn 0 total_states 4 peak_states 4 mark_read 1
";

    /// The same of 6.12.
    const V6_12: &str = "37: (79) r1 = *(u64 *)(r0 +0)         ; R0=map_value(map=RECORDS,ks=4,vs=3648) R1_w=scalar()
38: (1d) if r1 == r7 goto pc+7 46: R0=map_value(map=RECORDS,ks=4,vs=3648) R1=scalar() R6=ctx() R7=scalar(id=1) R10=fp0
46: (bf) r8 = r0                      ; R0=map_value(map=RECORDS,ks=4,vs=3648) R8_w=map_value(map=RECORDS,ks=4,vs=3648)
47: (79) r1 = *(u64 *)(r8 +3648)
invalid access to map value, value_size=3648 off=3648 size=8
R8 min value is outside of the allowed memory range
processed 45 insns (limit 1000000) max_states_per_insn 0 total_states 4 peak_states 4 mark_read 1
";

    /// The same of 7.3.
    const V7_3: &str = "38: (1d) if r1 == r7 goto pc+7 46: R0=map_value(id=4,map=RECORDS,ks=4,vs=3648) R6=ctx() R10=fp0
46: (bf) r8 = r0                      ; R0=map_value(id=4,map=RECORDS,ks=4,vs=3648) R8=map_value(id=4,map=RECORDS,ks=4)
47: (79) r1 = *(u64 *)(r8 +3648)
invalid access to map value, value_size=3648 off=3648 size=8
R8 min value is outside of the allowed memory range
Verification failed: Memory Safety: Access outside bounds

Reason:
  The verifier cannot prove offset + access_size <= object_size. Here, the minimal bound for a
  memory access is 3648 and is outside of the object of size 3648. R8 is map_value; offset is
  constant 3648; access_size is 8; object_size is 3648.

At:
  insn 47
       | ^-- error: access may be outside object bounds

  Instruction context:
      46 | (bf) r8 = r0
  >>> 47 | (79) r1 = *(u64 *)(r8 +3648)
      48 | (55) if r1 != 0x15 goto pc+12

Causal path:
  insn 35
       | ^-- update: R0 changed from uninitialized value to nullable map value from RECORDS at
       |     offset 0

  Instruction context:
      33 | (18) r1 = 0xff17bb53819eaa00
  >>> 35 | (85) call bpf_map_lookup_elem#1
      36 | (15) if r0 == 0x0 goto pc+2

Suggestion:
  Add or adjust a bounds check that proves offset + access_size stays within the object.
processed 45 insns (limit 1000000) max_states_per_insn 0 total_states 4 peak_states 4 mark_read 0
";

    #[test]
    fn finds_the_instruction_on_every_kernel() {
        for log in [V5_10, V6_12, V7_3] {
            assert_eq!(stopped_at(log), Some(47));
        }
        assert_eq!(stopped_at(""), None);
        assert_eq!(stopped_at("no such line: (x)"), None);
    }

    #[test]
    fn keeps_the_reason_on_every_kernel() {
        for log in [V5_10, V6_12, V7_3] {
            let kept = reason(log, 4);
            assert!(kept.contains("invalid access to map value, value_size=3648 off=3648 size=8"), "{kept}");
            assert!(!kept.contains("processed"), "{kept}");
        }
        assert!(reason(V6_12, 4).ends_with("outside of the allowed memory range"));
        let kept = reason(V7_3, 4);
        assert!(kept.ends_with("constant 3648; access_size is 8; object_size is 3648."), "{kept}");
        assert_eq!(kept.lines().count(), 9);
    }

    proptest! {
        #[test]
        fn whatever_is_said_the_end_is_kept(words in proptest::collection::vec("[ -~]{0,30}", 0..20), lines in 0..8_usize) {
            let log = words.join("\n");
            stopped_at(&log);
            let kept = reason(&log, lines);
            prop_assert!(kept.lines().all(|line| log.contains(line)));
            prop_assert!(log.contains(REPORT) || kept.lines().count() <= lines);
        }
    }
}
