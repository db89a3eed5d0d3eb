//! The tests that rules carry: what is a right answer, and what is no test.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use sensor_rules::{Diagnostic, Options, RuleSet, Source, check, interpret, selftest};

const COUNT: &str = "count: {by: process.pid, within: 7s, more_than: 2}";
const AFTER: &str = "after: {on: process.exec, condition: 'path.endsWith(\"/curl\")', by: process.pid, within: 5s}";

/// A rule for `/tmp/f` with this state and these tests.
fn rule(state: &str, tests: &str) -> Source {
    let text = format!(
        "rules:\n- id: x\n  title: x\n  severity: low\n  on: fifo.open\n  condition: path == '/tmp/f'\n  {state}\n  tests:\n    {tests}\n"
    );
    Source { name: "x.yaml".into(), text: text.into_bytes() }
}

fn rules(state: &str, tests: &str) -> RuleSet {
    check(&[rule(state, tests)], Options::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What is wrong about the rule's tests.
fn wrong(state: &str, tests: &str) -> String {
    selftest::run(&rules(state, tests)).all_right().unwrap_err().join("\n")
}

fn right(state: &str, tests: &str) -> usize {
    selftest::run(&rules(state, tests)).all_right().unwrap_or_else(|wrong| panic!("{}", wrong.join("\n")))
}

fn refused(state: &str, tests: &str) -> Diagnostic {
    check(&[rule(state, tests)], Options::default()).unwrap_err().0.remove(0)
}

#[test]
fn one_event_tries_the_conditions_of_a_rule_with_state() {
    assert_eq!(right(COUNT, "{match: [{path: /tmp/f}], no_match: [{path: /tmp/g}]}"), 2);
    let said = wrong(COUNT, "no_match: [{path: /tmp/f}]");
    assert!(
        said.contains("x.yaml:9:16: rule `x`: it must not match this fifo.open and matches, says the interpreter"),
        "{said}"
    );
    assert!(said.contains("one event alone tries conditions only"), "{said}");
    right(AFTER, "{match: [{event: process.exec, path: /bin/curl}, {event: fifo.open, path: /tmp/f}]}");
    assert!(wrong(AFTER, "match: [{event: process.exec, path: /tmp/f}]").contains("must match this process.exec"));
}

#[test]
fn a_sequence_tries_how_often() {
    right(COUNT, "{match: [[{path: /tmp/f, times: 3}]], no_match: [[{path: /tmp/f, times: 2}]]}");
    assert!(wrong(COUNT, "match: [[{path: /tmp/f, times: 2}]]").contains("must match the last event of this sequence"));
    let said = wrong(COUNT, "no_match: [[{path: /tmp/f, times: 4}]]");
    assert!(said.contains("no event of this sequence and does match number 3 of 4"), "{said}");
    // Each process has a count of its own, and other events do not count.
    right(
        COUNT,
        "no_match: [[{path: /tmp/f, times: 2, process.pid: 5}, {path: /tmp/f, process.pid: 6}, {path: /tmp/g}]]",
    );
    // No test knows of another.
    right(COUNT, "no_match: [[{path: /tmp/f, times: 2}], [{path: /tmp/f, times: 2}]]");
}

#[test]
fn a_sequence_tries_within_which_time() {
    right(COUNT, "match: [[{path: /tmp/f, times: 2}, {path: /tmp/f, at: 7s}]]");
    right(COUNT, "no_match: [[{path: /tmp/f, times: 2}, {path: /tmp/f, at: 9s}]]");
    right(AFTER, "match: [[{event: process.exec, path: /bin/curl}, {event: fifo.open, path: /tmp/f, at: 5s}]]");
    right(AFTER, "no_match: [[{event: process.exec, path: /bin/curl}, {event: fifo.open, path: /tmp/f, at: 5001ms}]]");
}

#[test]
fn a_sequence_tries_in_which_order() {
    let (first, second) =
        ("{event: process.exec, path: /bin/curl, at: 1s}", "{event: fifo.open, path: /tmp/f, at: 1s}");
    right(AFTER, &format!("match: [[{first}, {second}]]"));
    right(AFTER, &format!("no_match: [[{second}, {first}]]"));
    // The last event decides.
    assert!(
        wrong(AFTER, &format!("match: [[{first}, {second}, {{event: fifo.open, path: /tmp/g}}]]")).contains("the last")
    );
}

/// As many rules as a verdict cannot name, each with this state and these tests.
fn many(state: &str, tests: &str) -> RuleSet {
    let text = String::from_utf8(rule(state, tests).text).unwrap();
    let numbered = |number: usize| text.replace("rules:\n", "").replace("id: x", &format!("id: x{number}"));
    let text = format!("rules:\n{}", (0..20).map(numbered).collect::<String>());
    check(&[Source { name: "x.yaml".into(), text: text.into_bytes() }], Options::default()).unwrap()
}

#[test]
fn a_rule_is_tried_alone_however_many_others_match() {
    for (state, tests) in [
        ("action: alert", "{match: [{path: /tmp/f}], no_match: [{path: /tmp/g}]}"),
        (COUNT, "{match: [{path: /tmp/f}], no_match: [{path: /tmp/g}]}"),
        (COUNT, "{match: [[{path: /tmp/f, times: 3}]], no_match: [[{path: /tmp/f, times: 2}]]}"),
    ] {
        let rules = many(state, tests);
        assert_eq!(selftest::run(&rules).all_right(), Ok(40));
        // A judge of all rules at once names the first only, and is not blamed for the others.
        let together = |_, event, record: &_| interpret(&rules, event, record);
        assert_eq!(selftest::run_on(&rules, "all", together).all_right(), Ok(40));
    }
    let wrong = selftest::run(&many("action: alert", "no_match: [{path: /tmp/f}]")).all_right().unwrap_err();
    assert_eq!(wrong.len(), 20);
}

#[test]
fn what_is_no_sequence_is_refused() {
    for (state, tests, message) in [
        ("action: alert", "match: [[{path: /tmp/f}]]", "a list is a sequence of events"),
        (COUNT, "match: [[]]", "this sequence holds no event"),
        (COUNT, "match: [{path: /tmp/f, times: 3}]", "`times` is for events of a sequence"),
        (COUNT, "match: [{path: /tmp/f, at: 3s}]", "`at` is for events of a sequence"),
        (COUNT, "match: [[{path: /tmp/f, at: 3}]]", "`at` is a time since the sequence began"),
        (COUNT, "match: [[{path: /tmp/f, at: 49h}]]", "a sequence lasts two days at most"),
        (COUNT, "match: [[{path: /tmp/f, at: 3s}, {path: /tmp/f, at: 2s}]]", "this event happens before the one above"),
        (COUNT, "match: [[{path: /tmp/f, times: 0}]]", "`times` is a number from 1 to 100000"),
        (COUNT, "match: [[{path: /tmp/f, times: 60000}, {path: /tmp/f, times: 60000}]]", "has 120000 events"),
        (COUNT, "match: [[{pth: /tmp/f}]]", "no field `pth`"),
        (COUNT, "match: [[[{path: /tmp/f}]]]", "a test is a map of fields"),
    ] {
        let problem = refused(state, tests);
        assert!(problem.message.contains(message), "{tests}: {problem}");
        assert_eq!(problem.place.line, 9, "{problem}");
    }
}

/// What is wrong about the tests of a rule on this event, with this condition; empty where all is right.
fn answers(event: &str, condition: &str, tests: &str) -> String {
    let head = "rules:\n- id: x\n  title: x\n  severity: low";
    let text = format!("{head}\n  on: {event}\n  condition: '{condition}'\n  tests:\n    {tests}\n");
    let source = Source { name: "x.yaml".into(), text: text.into_bytes() };
    let rules = check(&[source], Options::default()).unwrap_or_else(|problems| panic!("{problems}"));
    selftest::run(&rules).all_right().err().unwrap_or_default().join("\n")
}

/// A rule whose event was not seen whole neither matches nor does not: its tests say that it is undecided.
#[test]
fn what_was_not_seen_is_a_third_answer() {
    let curl = |tests: &str| answers("pipe.payload", "payload.contains(\"curl\")", tests);
    for list in ["match", "no_match"] {
        let said = curl(&format!("{list}: [{{payload: null}}]"));
        assert!(said.contains("is undecided, since not all is seen of `payload`"), "{list}: {said}");
    }
    assert_eq!(curl("undecided: [{payload: null}]"), "");
    assert!(curl("undecided: [{payload: curl}]").contains("must be undecided on this pipe.payload and matches"));
    assert!(curl("undecided: [{payload: wget}]").contains("must be undecided on this pipe.payload and does not match"));
    // Of a longer path than what is kept, its beginning is known.
    let long = format!("[{{path: /tmp/{}}}]", "x".repeat(300));
    assert_eq!(answers("fifo.open", "path.contains(\"/secret\")", &format!("undecided: {long}")), "");
    assert_eq!(answers("fifo.open", "path.startsWith(\"/tmp/\")", &format!("match: {long}")), "");
    let said = refused(COUNT, "undecided: [[{path: /tmp/f}]]").to_string();
    assert!(said.contains("never undecided"), "{said}");
}
