//! Counts and sequences: what is noted of events, and which rules match by it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use sensor_common::{event::Event, record::Record};
use sensor_rules::{Options, RuleSet, Source, Windows, check, interpret};

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
    windows: Windows,
}

impl Run {
    fn new(text: &str) -> Self {
        Self { rules: rules(text), windows: Windows::default() }
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
        self.windows.follow_notes(&self.rules, 1, now, &mut verdict);
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

/// What a rule with this condition and these lines says of a path: `true`, `false`, or `None` where it is undecided.
fn says(condition: &str, more: &str, path: impl FnOnce(&mut Record)) -> Option<bool> {
    let rules = rules(&rule("fifo.open", more).replace("path == '/tmp/f'", &format!("|-\n    {condition}")));
    let mut record = Record::EMPTY;
    path(&mut record);
    let verdict = interpret(&rules, Event::FifoOpen, &record).unwrap();
    if verdict.undecided().any(|number| number == 0) {
        assert_eq!(rules.undecided(Event::FifoOpen, &record, &verdict).len(), 1);
        return None;
    }
    Some(verdict.matches(0))
}

#[test]
fn what_was_not_seen_is_unknown() {
    let cut = |record: &mut Record| record.object.path.set_ends(&[b"/tmp/".as_slice(), &[b'a'; 300], b"/f"].concat());
    for (condition, expected) in [
        ("path.startsWith('/tmp/')", Some(true)),
        ("path.startsWith('/run/')", Some(false)),
        ("path.endsWith('/f')", Some(true)),
        ("path == '/tmp/f' || path in ['/tmp/f', 'x']", Some(false)),
        ("path.contains('x')", None),
        ("path.contains('a')", None),
        ("!path.matches('[0-9]$')", None),
        ("size(path) > 255", None),
        ("path.contains('x') && reads", Some(false)),
        ("path.contains('x') || !reads", Some(true)),
        ("path.contains('x') == reads", None),
        ("path.contains('x') ? reads : reads", Some(false)),
        ("path.contains('x') ? reads : !reads", None),
    ] {
        assert_eq!(says(condition, "", cut), expected, "{condition}");
    }
    let unknown = |record: &mut Record| record.object.path.set_unknown();
    for condition in ["path.startsWith('/tmp/')", "path.endsWith('/f')", "path == '/tmp/f'", "!(path in ['/tmp/f'])"] {
        assert_eq!(says(condition, "", unknown), None, "{condition}");
    }
}

#[test]
fn an_exception_is_never_granted_on_what_was_not_seen() {
    let unknown = |record: &mut Record| {
        record.object.path.set(b"/tmp/f");
        record.process.exe.set_unknown();
    };
    let excepted = "  exceptions:\n    worker: process.exe == '/opt/worker/run'\n";
    assert_eq!(says("path == '/tmp/f'", excepted, unknown), None);
    assert_eq!(says("path == '/tmp/g'", excepted, unknown), Some(false));
}

#[test]
fn what_is_undecided_asks_for_no_more_than_what_is_certain() {
    use sensor_common::verdict::Action;
    let asked = |action: &str, more: &str| {
        let text = rule("fifo.open", &format!("  action: {action}\n{more}"));
        check(&[Source { name: "x.yaml".into(), text: text.into_bytes() }], Options::default())
            .map(|rules| rules.rules()[0].undecided)
            .map_err(|problems| problems.to_string())
    };
    assert_eq!(asked("alert", "").unwrap(), Action::Alert);
    assert_eq!(asked("block", "").unwrap(), Action::Block);
    assert_eq!(asked("kill", "").unwrap(), Action::Block);
    assert_eq!(asked("block", "  undecided: alert\n").unwrap(), Action::Alert);
    let refusal = asked("block", "  undecided: kill\n").unwrap_err();
    assert!(refusal.contains("asks for more than the rule"), "{refusal}");
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
