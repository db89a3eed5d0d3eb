//! What a kernel says on its console when something is wrong with it.

/// What a panic is called here.
pub const PANIC: &str = "kernel panic";
/// What an oops is called here, and the line before it.
pub const OOPS: &[&str] = &["oops", "kernel bug", PANIC];

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

/// Warnings of a kernel's own start on a busy machine, which say nothing of a test: each by a word of its line.
const OF_THE_START: &[&str] = &["static_key_disable"];

/// The lines of the kernel in a console log: what has no time stamp is a program's, which may say what it likes.
fn lines(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter(|line| line.trim_start().starts_with('['))
}

fn is_of_the_start(line: &str) -> bool {
    OF_THE_START.iter().any(|word| line.contains(word))
}

/// The warnings in a console log that are passed over, to be shown.
pub fn passed_over(log: &str) -> Vec<&str> {
    let is_sign = |line: &&str| SIGNS.iter().any(|(sign, _)| line.contains(sign));
    lines(log).filter(|line| is_of_the_start(line)).filter(is_sign).map(str::trim).collect()
}

/// The first line of a console log in which the kernel reports trouble, after what kind of trouble it is.
/// Trouble of a kind that is `expected` is passed over, and so is what [`passed_over`] shows.
pub fn trouble(log: &str, expected: &[&str]) -> Option<String> {
    lines(log).filter(|line| !is_of_the_start(line)).find_map(|line| {
        let (_, kind) = SIGNS.iter().find(|(sign, _)| line.contains(sign))?;
        (!expected.contains(kind)).then(|| format!("{kind}: {}", line.trim()))
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
        super::trouble(log, &[])
    }

    #[test]
    fn what_is_expected_hides_nothing_else() {
        let log = "[    1.0] Kernel panic - not syncing: sysrq\n[    2.0] Oops: 0000 [#1]\n";
        assert!(trouble(log).unwrap().starts_with(PANIC));
        assert!(super::trouble(log, &[PANIC]).unwrap().starts_with("oops: "));
        assert_eq!(super::trouble("[    1.0] Kernel panic - not syncing: sysrq\n", &[PANIC]), None);
    }

    #[test]
    fn a_warning_of_the_start_is_shown_and_blames_nobody() {
        let warning =
            "[    0.3] WARNING: CPU: 0 PID: 0 at kernel/jump_label.c:259 static_key_disable_cpuslocked+0x5a/0x80";
        assert_eq!((trouble(warning), passed_over(warning)), (None, vec![warning]));
        let both = format!("{warning}\n[    3.0] WARNING: CPU: 0 PID: 1 at kernel/fork.c:1 f+0x1\n");
        assert!(trouble(&both).unwrap().contains("fork.c"));
        // A line of its call trace is no warning.
        assert!(passed_over("[    0.3]  static_key_disable+0x1a/0x30").is_empty());
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
