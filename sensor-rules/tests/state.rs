//! Counts and sequences: what is noted of events, and which rules match by it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use sensor_common::{event::Event, record::Record};
use sensor_rules::{Memory, Options, RuleSet, Source, check, interpret};

const SECOND: u64 = 1_000_000_000;

fn rule(on: &str, state: &str) -> String {
    format!("rules:\n- id: x\n  title: x\n  severity: low\n  on: {on}\n  condition: path == '/tmp/f'\n{state}")
}

fn rules(text: &str) -> RuleSet {
    let source = Source { name: "state.yaml".into(), text: text.as_bytes().to_vec() };
    check(&[source], Options::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The first problem: message, and the text at the caret.
fn refused(text: &str) -> (String, String) {
    let source = Source { name: "state.yaml".into(), text: text.as_bytes().to_vec() };
    let problem = check(&[source], Options::default()).unwrap_err().0.remove(0);
    let excerpt = problem.excerpt.unwrap();
    (problem.message, excerpt.text[excerpt.start..excerpt.end].to_owned())
}

/// What is remembered of one rule set.
struct Run {
    rules: RuleSet,
    memory: Memory,
}

impl Run {
    fn new(text: &str) -> Self {
        Self { rules: rules(text), memory: Memory::default() }
    }

    /// Whether the rule matches an event at that time, by a process with these ids: its own, its parent's, and so on.
    fn matches(&mut self, event: Event, path: &str, pids: &[u32], now: u64) -> bool {
        let mut record = Record::EMPTY;
        record.object.path.set(path.as_bytes());
        record.process.pid = pids[0];
        record.parent.pid = pids.get(1).copied().unwrap_or(0);
        record.ancestors.first.pid = pids.get(2).copied().unwrap_or(0);
        record.ancestors.second.pid = pids.get(3).copied().unwrap_or(0);
        let mut verdict = interpret(&self.rules, event, &record).unwrap();
        assert_eq!(verdict.matched, 0, "content alone decides nothing here");
        self.memory.conclude(&self.rules, 1, now, &mut verdict);
        assert!(verdict.matched <= 1, "matched twice");
        verdict.matched == 1
    }
}

const COUNT: &str = "  count: {by: process.pid, within: 10s, more_than: 2}\n";

#[test]
fn more_than_so_many_within_so_long_match() {
    let mut run = Run::new(&rule("fifo.open", COUNT));
    let mut open = |pid, path, now| run.matches(Event::FifoOpen, path, &[pid], now * SECOND);
    assert_eq!([open(7, "/tmp/f", 100), open(7, "/tmp/f", 101), open(7, "/tmp/f", 110)], [false, false, true]);
    // Another process has a count of its own, and another path does not count.
    assert_eq!([open(8, "/tmp/f", 110), open(7, "/tmp/g", 110), open(7, "/tmp/f", 110)], [false, false, true]);
    // The window slides: it is not one that begins with the first open.
    let late = [131, 142, 150, 153, 154, 175].map(|now| open(7, "/tmp/f", now));
    assert_eq!(late, [false, false, false, false, true, false]);
}

fn after(by: &str) -> String {
    let state = format!(
        "  after:\n    on: process.exec\n    condition: path.endsWith('/curl')\n    by: {by}\n    within: 5s\n"
    );
    rule("fifo.open", &state)
}

#[test]
fn the_second_of_two_matches_behind_the_first() {
    let mut run = Run::new(&after("process.pid"));
    assert!(!run.matches(Event::FifoOpen, "/tmp/f", &[7], 0));
    assert!(!run.matches(Event::ProcessExec, "/bin/curl", &[7], SECOND));
    assert!(!run.matches(Event::FifoOpen, "/tmp/f", &[8], SECOND));
    assert!(!run.matches(Event::FifoOpen, "/tmp/g", &[7], SECOND));
    assert!(run.matches(Event::FifoOpen, "/tmp/f", &[7], 6 * SECOND));
    assert!(!run.matches(Event::FifoOpen, "/tmp/f", &[7], 6 * SECOND + 1));
}

#[test]
fn a_tree_is_what_is_below_the_parent_of_the_first() {
    // The shell 5, a child of 3, starts curl as 7.
    let opens = |pids: &[u32]| {
        let mut run = Run::new(&after("tree"));
        assert!(!run.matches(Event::ProcessExec, "/bin/curl", &[7, 5, 3, 1], SECOND));
        run.matches(Event::FifoOpen, "/tmp/f", pids, 2 * SECOND)
    };
    assert!(opens(&[7, 5, 3, 1]), "itself");
    assert!(opens(&[9, 7, 5, 3]), "its child");
    assert!(opens(&[5, 3, 1]), "its parent");
    assert!(opens(&[10, 9, 8, 5]), "a cousin");
    assert!(!opens(&[6, 3, 1]), "a sibling of its parent");
    // Everything is below the first process.
    let mut run = Run::new(&after("tree"));
    assert!(!run.matches(Event::ProcessExec, "/bin/curl", &[7, 1], SECOND));
    assert!(!run.matches(Event::FifoOpen, "/tmp/f", &[8, 1], SECOND));
}

#[test]
fn what_is_cut_is_said() {
    let undecided = |condition: &str| {
        let rules = rules(&rule("fifo.open", "").replace("path == '/tmp/f'", condition));
        let mut record = Record::EMPTY;
        record.object.path.set(&[b'a'; 300]);
        let verdict = interpret(&rules, Event::FifoOpen, &record).unwrap();
        rules.undecided(Event::FifoOpen, &record, &verdict).iter().map(|field| field.name).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(undecided("path.startsWith('aaa') && path != 'b'"), none);
    assert_eq!(undecided("path.endsWith('b')"), none, "nothing held");
    for condition in ["path.endsWith('aaa')", "(!path.contains('b'))", "size(path) + 1 > 250", "path.matches('^a+$')"] {
        assert_eq!(undecided(condition), ["path"], "{condition}");
    }
    assert_eq!(undecided(&format!("path in ['b', '{}']", "a".repeat(256))), ["path"]);
}

#[test]
fn mistakes_are_told() {
    for (state, message, caret) in [
        ("  count: 5\n", "`count` is a map, and this is an integer", "count"),
        ("  count: {by: process.pid, within: 10s}\n", "`count` has no key `more_than`", "count"),
        ("  count: {by: path, within: 10s, more_than: 2}\n", "`path` tells nothing apart here", "path"),
        ("  count: {by: tree, within: 10s, more_than: 2}\n", "`tree` tells nothing apart here", "tree"),
        ("  count: {by: process.pid, within: 10, more_than: 2}\n", "`within` is a time of at most a day", "10"),
        ("  count: {by: process.pid, within: 25h, more_than: 2}\n", "`within` is a time of at most a day", "25h"),
        ("  count: {by: process.pid, within: 0s, more_than: 2}\n", "`within` is a time of at most a day", "0s"),
        (
            "  count: {by: process.pid, within: 1s, more_than: -2}\n",
            "`more_than` is a number from 0 to 4294967295",
            "-2",
        ),
        ("  count: {by: process.pid, within: 1s, over: 2}\n", "no key `over` here", "over"),
        (
            "  after: {on: process.exit, by: inode, within: 1s, condition: true}\n",
            "`inode` tells nothing apart here",
            "inode",
        ),
        (
            "  after: {on: process.exit, by: tree, within: 1s, condition: reads}\n",
            "process.exit does not carry the field `reads`",
            "reads",
        ),
    ] {
        let (told, at) = refused(&rule("fifo.open", state));
        assert!(told.starts_with(message), "{state}: {told}");
        assert_eq!(at, caret, "{state}");
    }
    let both = format!("{COUNT}  after: {{on: process.exit, by: tree, within: 1s, condition: true}}\n");
    assert_eq!(refused(&rule("fifo.open", &both)).0, "a rule has either `count` or `after`");
}
