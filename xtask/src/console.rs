//! What a kernel says on its console when something is wrong with it.

/// What a panic is called here.
pub const PANIC: &str = "kernel panic";

/// Words of the kernel that mean trouble, with ours.
const SIGNS: &[(&str, &str)] = &[
    ("Kernel panic", PANIC),
    ("kernel BUG at", "kernel bug"),
    ("Oops:", "oops"),
    ("general protection fault", "general protection fault"),
    ("soft lockup", "soft lockup"),
    ("hard LOCKUP", "hard lockup"),
    ("detected stall", "RCU stall"),
    ("self-detected stall", "RCU stall"),
    ("blocked for more than", "hung task"),
    ("BUG:", "kernel bug"),
    ("WARNING: CPU", "kernel warning"),
    // Since 6.18 or so: `WARNING: file:line at function, CPU#0: …`
    (", CPU#", "kernel warning"),
    ("Out of memory: Killed", "out of memory"),
];

/// The first line of a console log in which the kernel reports trouble, after what kind of trouble it is.
/// Trouble of the kind that is `expected` is passed over. Lines without a kernel time stamp are a program's,
/// and may say what they like.
pub fn trouble(log: &str, expected: Option<&str>) -> Option<String> {
    log.lines().filter(|line| line.trim_start().starts_with('[')).find_map(|line| {
        let (_, kind) = SIGNS.iter().find(|(sign, _)| line.contains(sign))?;
        (Some(*kind) != expected).then(|| format!("{kind}: {}", line.trim()))
    })
}

/// The last lines of a log.
pub fn tail(log: &str, lines: usize) -> String {
    let all: Vec<_> = log.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(log: &str) -> Option<String> {
        super::trouble(log, None)
    }

    #[test]
    fn what_is_expected_hides_nothing_else() {
        let log = "[    1.0] Kernel panic - not syncing: sysrq\n[    2.0] Oops: 0000 [#1]\n";
        assert!(trouble(log).unwrap().starts_with(PANIC));
        assert!(super::trouble(log, Some(PANIC)).unwrap().starts_with("oops: "));
        assert_eq!(super::trouble("[    1.0] Kernel panic - not syncing: sysrq\n", Some(PANIC)), None);
    }

    #[test]
    fn trouble_is_told_from_talk() {
        assert_eq!(trouble("[    1.0] Run /init as init process\nKernel panic, says a program\n"), None);
        let log = "[    1.0] fine\n[   30.1] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [cat:99]\n";
        assert!(trouble(log).unwrap().starts_with("soft lockup: "));
        let log = "[   60.1] rcu: INFO: rcu_preempt self-detected stall on CPU\n";
        assert!(trouble(log).unwrap().starts_with("RCU stall: "));
        for warning in
            ["WARNING: CPU: 0 PID: 1 at kernel/fork.c:1 f+0x1", "WARNING: kernel/fork.c:1 at f+0x1, CPU#0: cat/93"]
        {
            assert!(trouble(&format!("[    3.0] {warning}")).unwrap().starts_with("kernel warning: "));
        }
        assert!(trouble("[  242.1] INFO: task cat:93 blocked for more than 120 seconds.").is_some());
    }

    #[test]
    fn the_tail_is_the_end() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
    }
}
