//! Conditions that say what can never be, or what always is.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use sensor_rules::{Diagnostic, Options, Source, check};

fn source(on: &str, condition: &str, definitions: &str) -> Source {
    let text = format!(
        "{definitions}rules:\n- id: x\n  title: x\n  severity: low\n  on: {on}\n  condition: |-\n    {condition}\n"
    );
    Source { name: "x.yaml".into(), text: text.into_bytes() }
}

#[track_caller]
fn refused(on: &str, condition: &str, definitions: &str) -> Diagnostic {
    match check(&[source(on, condition, definitions)], Options::default()) {
        Ok(_) => panic!("{condition} is let pass"),
        Err(problems) => problems.0.into_iter().next().unwrap(),
    }
}

/// The problem's message, what stands at the caret, and the words there.
fn told(problem: &Diagnostic) -> (&str, &str, &str) {
    let excerpt = problem.excerpt.as_ref().unwrap();
    (&problem.message, &excerpt.text[excerpt.start..excerpt.end], &problem.label)
}

#[test]
fn a_value_that_a_field_never_has_is_refused() {
    for (on, condition, message, caret, label) in [
        (
            "fifo.open",
            "process.login_uid == -1",
            "`process.login_uid` can never be this",
            "-1",
            "it is from 0 to 4294967295",
        ),
        (
            "fifo.open",
            "-1 != process.login_uid",
            "`process.login_uid` can never be this",
            "-1",
            "it is from 0 to 4294967295",
        ),
        (
            "fifo.open",
            "process.uid in [0, 4294967296]",
            "`process.uid` can never be this",
            "4294967296",
            "it is from 0 to 4294967295",
        ),
        ("fifo.open", "mode == 0x10000", "`mode` can never be this", "0x10000", "it is from 0 to 65535"),
        ("fifo.open", "parent.pid == 4194305", "`parent.pid` can never be this", "4194305", "it is from 0 to 4194304"),
        ("process.signal", "signal == 65", "`signal` can never be this", "65", "it is from 0 to 64"),
        ("fifo.open", "size(process.comm) == 16", "`size(process.comm)` can never be this", "16", "it is from 0 to 15"),
        ("fifo.open", "process.pid + 1 == 0", "what is computed can never be this", "0", "it is from 1 to 4194305"),
        (
            "fifo.open",
            "ancestors.exists(a, a.pid == -1)",
            "`ancestor4.pid` can never be this",
            "-1",
            "it is from 0 to 4194304",
        ),
        (
            "fifo.open",
            "mode.has(0x10000)",
            "`mode` never has all these bits",
            "0x10000",
            "its bits are those of 0xffff",
        ),
        (
            "fifo.open",
            "!process.uid.has(0x100000000)",
            "`process.uid` never has all these bits",
            "0x100000000",
            "its bits are those of 0xffffffff",
        ),
    ] {
        let problem = refused(on, condition, "");
        let (told_message, told_caret, told_label) = told(&problem);
        let expected = if condition.starts_with("ancestors") { told_message } else { message };
        assert_eq!((told_message, told_caret, told_label), (expected, caret, label), "{condition}");
    }
    let help = refused("fifo.open", "process.login_uid != -1", "").help.unwrap();
    assert!(help.contains("-1 is 4294967295"), "{help}");
}

#[test]
fn a_comparison_with_a_foregone_answer_is_refused() {
    for (on, condition, message, label) in [
        ("fifo.payload", "size < 0", "this comparison never holds", "`size` is from 0 to 9223372036854775807"),
        ("fifo.payload", "!(0 <= size)", "this comparison always holds", "`size` is from 0 to 9223372036854775807"),
        (
            "fifo.open",
            "process.uid > 0xffffffff",
            "this comparison never holds",
            "`process.uid` is from 0 to 4294967295",
        ),
        ("fifo.open", "size(path) <= 256", "this comparison always holds", "`size(path)` is from 0 to 256"),
        (
            "fifo.open",
            "size(path) > size(process.exe) + 256",
            "this comparison never holds",
            "`size(path)` is from 0 to 256, what is computed is from 256 to 512",
        ),
    ] {
        let problem = refused(on, condition, "");
        let (told_message, _, told_label) = told(&problem);
        assert_eq!((told_message, told_label), (message, label), "{condition}");
    }
}

#[test]
fn a_pattern_that_nothing_has_is_refused() {
    for (condition, label) in [
        ("process.comm.matches('^systemd-journal[dx]$')", "it takes 16 bytes; 15 of the field are kept"),
        ("process.comm.glob('systemd-journal[dx]*')", "it takes 16 bytes; 15 of the field are kept"),
        ("process.comm.matches('^systemd-journald$')", "16 bytes; the first 15 of the field are kept"),
        ("path.matches('a{257}[bc]')", "it takes 258 bytes; 256 of the field are kept"),
        ("path.matches('/tmp/x^y')", "no text has this pattern"),
        ("path.matches('[a&&b]x')", "no text has this pattern"),
    ] {
        let problem = refused("fifo.open", condition, "");
        assert!(problem.message.contains("can never"), "{condition}: {problem}");
        assert_eq!(problem.label, label, "{condition}");
    }
}

#[test]
fn what_stands_in_a_macro_or_a_list_is_refused_with_both_places() {
    for (condition, definitions, place) in [
        ("nobody", "macros:\n  nobody: process.login_uid == -1\n", "x.yaml:2:32"),
        ("process.uid in IDS", "lists:\n  IDS: [0, -1]\n", "x.yaml:2:12"),
        ("process.comm in NAMES", "lists:\n  NAMES: [sh, systemd-journald]\n", "x.yaml:2:15"),
        ("journal", "macros:\n  journal: process.comm.matches('^systemd-journal[dx]')\n", "x.yaml:2:12"),
    ] {
        let problem = refused("fifo.open", condition, definitions);
        assert!(problem.message.contains("can never"), "{problem}");
        let other = problem.other.as_ref().unwrap_or_else(|| panic!("{problem}"));
        assert_eq!(other.place.to_string(), place, "{problem}");
    }
    let problem = refused("fifo.open", "is(-1)", "macros:\n  is(x): process.login_uid == x\n");
    assert_eq!(told(&problem), ("`process.login_uid` can never be this", "-1", "it is from 0 to 4294967295"));
}

#[test]
fn a_number_that_looks_octal_is_refused_wherever_it_stands() {
    let head = "rules:\n- id: x\n  title: x\n  severity: low\n  on: fifo.open\n";
    for (number, spelled) in [("0666", "0x1b6"), ("010666", "0x11b6")] {
        for text in [
            format!("{head}  condition: reads\n  tests: {{match: [{{reads: true, mode: {number}}}]}}\n"),
            format!("lists:\n  MODES: [1, {number}]\n{head}  condition: mode in MODES\n"),
            format!("macros:\n  odd: mode == {number}\n{head}  condition: odd\n"),
            format!("{head}  condition: mode in [1, {number}]\n"),
            format!("{head}  condition: mode == {}\n", number.replacen('0', "0o", 1)),
        ] {
            let source = Source { name: "x.yaml".into(), text: text.clone().into_bytes() };
            let problems = check(&[source], Options::default()).unwrap_err();
            let help = problems.0[0].help.as_deref().unwrap_or_default();
            assert!(help.contains("octal") && help.ends_with(&format!("write `{spelled}`")), "{text}: {problems}");
        }
    }
}

#[test]
fn the_ends_of_each_range_are_let_pass() {
    for (on, condition) in [
        ("fifo.open", "process.login_uid == 4294967295 || process.uid == 0 || process.uid < 1"),
        ("fifo.open", "mode == 0xffff || mode.has(S_IFMT) || process.pid == 4194304 || parent.pid <= 0"),
        ("fifo.open", "size(process.comm) == 15 || size(path) > 255 || size(path) < 1"),
        ("fifo.open", "inode == -1 || inode < 0 || inode.has(-1)"),
        ("shm.map", "process.capabilities.has(CAP_SYS_ADMIN) || process.cgroup > 0"),
        ("process.signal", "signal == 64 || signal == 0 || signal in [SIGKILL, 1]"),
        ("fifo.open", "process.comm.matches('^systemd-journa[lx]$') || path.matches('a{255}[bc]') || path.matches('')"),
        ("fifo.open", "process.comm in ['systemd-journal'] || process.uid != owner || process.uid < owner"),
    ] {
        let checked = check(&[source(on, condition, "")], Options::default());
        assert!(checked.is_ok(), "{condition}: {}", checked.unwrap_err());
    }
}

#[test]
fn what_the_longest_field_can_never_be_is_let_pass_by_tests_of_the_compiler() {
    let source =
        source("fifo.open", "process.uid == -1 || size(path) > 256 || mode.has(0x10000) || path.matches('a^')", "");
    assert!(check(&[source], Options { skip_checks: true, ..Options::default() }).is_ok());
}
