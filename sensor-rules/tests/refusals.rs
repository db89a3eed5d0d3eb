//! What is wrong is refused: in words, at its place, all at once.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::{Duration, Instant};

use sensor_rules::{Diagnostic, Diagnostics, Options, Source, check};

fn source(text: impl Into<Vec<u8>>) -> Source {
    Source { name: "test.yaml".into(), text: text.into() }
}

fn problems(text: impl Into<Vec<u8>>) -> Vec<Diagnostic> {
    check(&[source(text)], Options::default()).expect_err("there is a problem").0
}

/// The one problem of a file.
fn problem(text: impl Into<Vec<u8>>) -> Diagnostic {
    let mut problems = problems(text);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}

/// A file whose one rule, for `on`, has this condition, in quotes, from line 6, column 17 on.
fn with(on: &str, condition: &str) -> String {
    let quoted = condition.replace('\'', "''");
    format!("rules:\n  - id: x\n    title: x\n    severity: low\n    on: {on}\n    condition: '{quoted}'\n")
}

/// The message, the text at the caret, and the help for a condition on `fifo.open`.
fn refused(condition: &str) -> (String, String, String) {
    let problem = problem(with("fifo.open", condition));
    let excerpt = problem.excerpt.clone().unwrap();
    assert_eq!(problem.place.line, 6, "{problem}");
    (problem.message, excerpt.text[excerpt.start..excerpt.end].to_owned(), problem.help.unwrap_or_default())
}

#[test]
fn names_are_explained() {
    let (message, caret, _) = refused("pth == \"x\"");
    assert_eq!((message.as_str(), caret.as_str()), ("no field `pth` on fifo.open; did you mean `path`?", "pth"));
    let (message, caret, help) = refused("reads && payload == \"x\"");
    assert_eq!((message.as_str(), caret.as_str()), ("fifo.open does not carry the field `payload`", "payload"));
    let carriers = [
        "fifo.payload",
        "fifo.moved_payload",
        "pipe.payload",
        "pipe.moved_payload",
        "unix.send",
        "unix.copied",
        "sysv.msg_send",
        "sysv.msg_receive",
    ];
    let carriers = carriers.map(|event| format!("`{event}`")).join(", ");
    assert_eq!(help, format!("`payload` is carried by {carriers} and `mqueue.send`"));
    let (message, caret, help) = refused("process == \"x\"");
    assert_eq!((message.as_str(), caret.as_str()), ("`process` is a group of fields, not a field", "process"));
    assert!(help.contains("`process.exe`"), "{help}");
    let (message, caret, _) = refused("process.exec == \"x\"");
    assert_eq!(
        (message.as_str(), caret.as_str()),
        ("no field `process.exec` on fifo.open; did you mean `process.exe`?", "process.exec")
    );
    let (message, caret, _) = refused("path.startWith(\"x\")");
    assert_eq!(
        (message.as_str(), caret.as_str()),
        ("no function `startWith`; did you mean `startsWith`?", "path.startWith(\"x\")")
    );
}

#[test]
fn types_are_checked() {
    for (condition, expected, at) in [
        ("path == 5", "a string is compared with an integer", "=="),
        ("reads == \"x\"", "a boolean is compared with a string", "=="),
        ("path", "a condition is expected here", "path"),
        ("process.pid && reads", "a condition is expected here", "process.pid"),
        ("!process.pid", "a condition is expected here", "process.pid"),
        ("path.startsWith(5)", "`startsWith` takes a string", "5"),
        ("process.pid.startsWith(\"x\")", "`startsWith` works on strings", "process.pid"),
        (
            "path.startsWith(\"a\", \"b\")",
            "`startsWith` is called on one string, with one",
            "path.startsWith(\"a\", \"b\")",
        ),
        ("reads ? path : writes", "a condition is expected here", "path"),
        ("path ? reads : writes", "a condition is expected here", "path"),
        ("(reads ? path : 5) == path", "an integer is compared with a string", "=="),
        ("(path ? 1 : 5) == inode", "a condition is expected here", "path"),
        ("(reads ? mode : inode % 5).has(1)", "`has` on anything but a field is not supported", "inode % 5"),
        ("size(mode) == 5", "`size` works on strings", "mode"),
        ("path.size(5) == 5", "`size` is called on one string", "path.size(5)"),
        ("size() == 5", "`size` is called on one string", "size()"),
        ("path.has(5)", "`has` works on integers", "path"),
        ("mode.has(\"x\")", "`has` takes an integer", "\"x\""),
        ("mode.has(0)", "`has(0)` always holds", "0"),
        ("mode.has(1, 2)", "`has` is called on one integer, with one", "mode.has(1, 2)"),
        ("mode.has(S_IWOHT)", "no field `S_IWOHT` on fifo.open; did you mean `S_IWOTH`?", "S_IWOHT"),
        ("mode.has(SIGKILL)", "`SIGKILL` is no value of `mode`", "SIGKILL"),
        ("path.matches(\"(\")", "this pattern cannot be used: unclosed group", "\"(\""),
        ("path.glob(\"[\")", "this pattern cannot be used: unclosed character class; missing ']'", "\"[\""),
        ("path.matches(path)", "`matches` of a field is not supported", "path"),
        ("ancestors.exists(a, a.uid == 0)", "no field `uid` of an ancestor", "a.uid"),
        ("ancestors.all(a, a == 0)", "`a` is a process, not a field", "a"),
        (
            "ancestors.exists(path, path.pid == 0)",
            "the name `path` already means something in conditions",
            "ancestors.exists(path, path.pid == 0)",
        ),
        ("ancestors == 0", "no field `ancestors` on fifo.open; did you mean `ancestor1.pid`?", "ancestors"),
        ("mode in [S_IFIFO, SIGKILL]", "`SIGKILL` is no value of `mode`", "SIGKILL"),
        ("S_ISUID == process.uid", "`S_ISUID` is no value of `process.uid`", "S_ISUID"),
        ("path + 1 == 2", "`+` works on integers", "path"),
        ("inode + 1 == 2", "`+` could overflow here", "+"),
        ("process.uid * process.uid == 2", "`*` could overflow here", "*"),
        ("-inode == 2", "`-` could overflow here", "-"),
        ("9223372036854775807 + 1 == 2", "`+` could overflow here", "+"),
        ("inode / -1 == 2", "`/` could overflow here", "/"),
        ("inode % -1 == 2", "`%` could overflow here", "%"),
        ("process.uid / parent.uid == 2", "`/` could be by 0 here", "/"),
        ("process.uid % 0 == 2", "`%` could be by 0 here", "%"),
        ("path in [\"a\", 5]", "the list must hold string literals only", "5"),
        ("process.pid in [process.tid]", "the list must hold integer literals only", "process.tid"),
        ("process.comm == \"12345678901234567\"", "`process.comm` can never be this", "\"12345678901234567\""),
    ] {
        let (message, caret, _) = refused(condition);
        assert_eq!((message.as_str(), caret.as_str()), (expected, at), "{condition}");
    }
}

#[test]
fn constants_and_arithmetic_are_explained() {
    let refused = |condition: &str| problem(with("process.signal", condition));
    let problem = refused("signal.has(SIGKILL)");
    assert_eq!(problem.message, "`signal` is not made of bits");
    assert_eq!(problem.help.as_deref(), Some("compare it: `signal == SIGHUP`"));
    let problem = refused("process.pid == SIGKILL");
    assert_eq!((problem.label.as_str(), problem.help), ("it is one of `signal`", None));
    let problem = refused("process.pid * parent.pid == 1");
    assert_eq!(problem.label, "from 0 to 18446744065119617025; an integer has 64 bits");
    let tree = |levels| (0..levels).fold("process.pid".to_owned(), |tree, _| format!("({tree} - {tree})"));
    assert!(refused(&format!("{} == 1", tree(5))).message.contains("too many intermediate results"));
    assert!(refused(&format!("{0} == {0}", tree(4))).message.contains("too many intermediate results"));
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (condition, name) in [
        ("has(process.exe)", "`has`"),
        ("5.has(1)", "`has` on anything but a field"),
        ("mode.has(process.pid)", "`has` of a field"),
        ("[1].exists(x, x == 1)", "`exists`"),
        ("ancestors.exists_one(a, a.pid == 1)", "`exists_one`"),
        ("ancestors.exists(a, ancestors.all(b, b.pid == 1))", "inside another"),
        ("process.pid == 1u", "unsigned"),
        ("process.pid == 1.5", "floating-point"),
        ("path == b\"x\"", "bytes literal"),
        ("{1: 2} == {1: 2}", "map literal"),
        ("path < \"x\"", "order of strings"),
        ("reads < writes", "order of booleans"),
        ("(process.pid + 1).has(2)", "`has` on anything but a field"),
        ("path[0] == 2", "indexing"),
        ("path == null", "`null`"),
        ("path in process.exe", "anything but a list"),
        ("reads in [true]", "`in` on booleans"),
        ("path.startsWith(process.exe)", "`startsWith` of a field"),
        ("\"abc\".contains(\"b\")", "`contains` on a literal"),
        ("path == \"\\xff\"", "escape `\\xff`"),
        ("int(path) == 5", "`int`"),
    ] {
        let problems = problems(with("fifo.open", condition));
        let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert!(
            messages.iter().any(|message| message.contains(name) && message.contains("not supported")),
            "{condition}: {messages:?}"
        );
    }
}

#[test]
fn syntax_errors_are_placed_and_explained() {
    for (condition, message, caret, help) in [
        ("path = \"x\"", "syntax error: `=` is not expected here", "=", "equality is written `==`"),
        ("reads and writes", "syntax error: `and` is not expected here", "and", "write `&&`"),
        ("reads &&", "the condition ends too early", "&", ""),
        ("(reads", "the condition ends too early", "s", ""),
        ("path == \"x", "this string has no end", "\"x", ""),
        (
            "process.pid == 9223372036854775808",
            "`9223372036854775808` does not fit into a 64-bit integer",
            "9223372036854775808",
            "",
        ),
    ] {
        let found = refused(condition);
        assert_eq!((found.0.as_str(), found.1.as_str(), found.2.as_str()), (message, caret, help), "{condition}");
    }
}

#[test]
fn places_are_exact_in_every_style_of_yaml() {
    let head = "rules:\n- id: x\n  title: x\n  severity: low\n  on: fifo.open\n  condition: ";
    for (style, line, column) in [
        ("reads && pth == \"é\"", 6, 23),
        ("'path == ''é'' && pth == \"x\"'", 6, 32),
        ("\"path == \\\"é\\\" && pth == 'x'\"", 6, 32),
        ("|\n    reads &&\n      pth == 'x'", 8, 7),
        (">-\n    reads &&\n    pth == 'x'\n", 8, 5),
        ("reads &&\n    pth == \"x\"", 7, 5),
    ] {
        let problem = problem(format!("{head}{style}\n"));
        assert_eq!((problem.place.line, problem.place.column), (line, column), "{problem}");
        assert_eq!(problem.rule.as_deref(), Some("x"));
    }
}

#[test]
fn all_problems_of_all_files_come_at_once() {
    let first = source(
        "rules:\n- id: a\n  titel: x\n  severity: hgh\n  on: fifo.opn\n  condition: reads\n- id: B\n  title: x\n",
    );
    let second = source(with("fifo.open", "pth == \"x\" || exe == \"y\" || path == 5"));
    let Diagnostics(problems) = check(&[first, second, source("rules: [")], Options::default()).unwrap_err();
    let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    for expected in [
        "no key `titel` here; did you mean `title`?",
        "no severity `hgh`",
        "no event `fifo.opn`; did you mean `fifo.open`?",
        "this is not a rule id",
        "this rule has no key `on`",
        "no field `pth`",
        "no field `exe`",
        "a string is compared",
        "not valid YAML",
    ] {
        assert!(messages.iter().any(|message| message.contains(expected)), "{expected}: {messages:#?}");
    }
}

#[test]
fn duplicate_ids_name_both_places() {
    let rule = with("fifo.open", "reads");
    let other = Source { name: "other.yaml".into(), text: rule.clone().into() };
    let Diagnostics(problems) = check(&[source(rule), other], Options::default()).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].place.to_string(), "other.yaml:2:9");
    assert_eq!(problems[0].other.as_ref().unwrap().place.to_string(), "test.yaml:2:9");
    let text = problems[0].to_string();
    assert!(text.contains("other.yaml:2:9") && text.contains("test.yaml:2:9"), "{text}");
}

#[test]
fn a_problem_is_shown_with_its_line_and_a_caret() {
    let shown = problem(with("fifo.open", "pth == \"x\"")).to_string();
    let expected = "error: rule `x`: no field `pth` on fifo.open; did you mean `path`?\n --> test.yaml:6:17\n  |\n6 |     condition: \
                    'pth == \"x\"'\n  |                 ^^^";
    assert_eq!(shown, expected);
    let long = problem(with("fifo.open", &format!("path == \"{}\" && pth == \"x\"", "y".repeat(250)))).to_string();
    assert!(long.contains("test.yaml:6:281") && long.contains("^^^") && long.len() < 600, "{long}");
}

#[test]
fn exceptions_are_checked_as_conditions_are() {
    let text =
        with("fifo.open", "reads") + "    exceptions:\n      tool: pth == 'x'\n      other: 5\n      last: writes &&\n";
    let found: Vec<_> = problems(text).iter().map(|one| (one.place.to_string(), one.message.clone())).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0].0, "test.yaml:8:13");
    assert!(found[0].1.contains("did you mean `path`?"), "{found:?}");
    assert!(found[1].1.contains("the exception must be text"), "{found:?}");
    assert!(found[2].1.contains("ends too early"), "{found:?}");
    assert!(problem(with("fifo.open", "reads") + "    exceptions: [x]\n").message.contains("is a map from names"));
}

#[test]
fn an_exception_silences_its_rule() {
    let text = with("fifo.open", "reads") + "    exceptions:\n      a: path == \"/a\"\n      b: mode.has(S_IWOTH)\n";
    let rules = check(&[source(text)], Options::default()).unwrap();
    let mut record = sensor_common::record::Record::EMPTY;
    record.object.reads = 1;
    let matched = |record: &_| {
        sensor_rules::interpret(&rules, sensor_common::event::Event::FifoOpen, record).unwrap().matched > 0
    };
    assert!(matched(&record));
    record.object.mode = 0o602;
    assert!(!matched(&record));
    record.object.mode = 0o600;
    record.object.path.set(b"/a");
    assert!(!matched(&record));
}

#[test]
fn blocking_needs_a_hook_that_can_deny() {
    let text = with("[fifo.payload, fifo.open]", "true") + "    action: block\n";
    assert_eq!(problem(text).message, "fifo.payload cannot be blocked");
}

#[test]
fn files_that_are_no_rule_files() {
    assert!(check(&[], Options::default()).unwrap_err().to_string().contains("no rule files"));
    for (text, expected) in [
        ("", "holds no rules"),
        ("# nothing\n", "holds no rules"),
        ("rules: []\n", "no rules in this list"),
        ("rules:\n", "no rules in this list"),
        ("- a\n", "is a list"),
        ("rule: []\n", "did you mean `rules`?"),
        ("rules: [\n", "not valid YAML"),
        ("rules: {}\n", "`rules` is a map"),
        ("rules: [5]\n", "a rule is a map"),
        ("a: 1\na: 2\n", "duplicate"),
    ] {
        let problems = problems(text);
        assert!(problems[0].message.contains(expected), "{text:?}: {}", problems[0].message);
    }
    let problem = problem(b"rules:\n- id: \xff\n".as_slice());
    assert_eq!((problem.place.line, problem.place.column), (2, 7));
    assert!(problem.message.contains("not UTF-8"), "{problem}");
}

#[test]
fn a_tag_is_not_mistaken_for_a_condition() {
    let text = "rules:\n- id: x\n  title: x\n  severity: low\n  on: fifo.open\n  condition: !reads && writes\n";
    let problem = problem(text);
    assert!(problem.message.contains("a tag"), "{problem}");
    assert_eq!((problem.place.line, problem.place.column), (6, 14));
}

#[test]
fn hostile_files_are_refused_quickly() {
    let started = Instant::now();
    assert!(problem(vec![b'a'; 10 << 20]).message.contains("10485760 bytes"));
    assert!(problem(with("fifo.open", &"(".repeat(10_000))).message.contains("nested deeper"));
    assert!(
        problem(with("fifo.open", &format!("{}reads{}", "(".repeat(10_000), ")".repeat(10_000))))
            .message
            .contains("nested")
    );
    assert!(problem(with("fifo.open", &format!("path{}", ".a".repeat(10_000)))).message.contains("in a row"));
    let bomb: Vec<_> = (1..30).map(|n| format!("a{n}: &a{n} [*a{}, *a{}]\n", n - 1, n - 1)).collect();
    assert!(problems(format!("a0: &a0 [x, x]\n{}rules: *a29\n", bomb.concat()))[0].message.contains("not valid YAML"));
    assert!(problems(format!("rules: {}", "[".repeat(100_000)))[0].message.contains("not valid YAML"));
    assert!(problems("rules:\n".to_owned() + &"- {}\n".repeat(50_000)).len() <= 101);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn tests_of_rules_are_checked_too() {
    let with_tests =
        |tests: &str| with("[fifo.open, fifo.create]", "path == \"x\"") + "    tests:\n      match: [" + tests + "]\n";
    for (tests, expected) in [
        ("{path: x}", "does not say which event"),
        ("{event: pipe.read}", "not for this event"),
        ("{event: fifo.open, pth: x}", "did you mean `path`?"),
        ("{event: fifo.create, reads: true}", "no field `reads` on fifo.create"),
        ("{event: fifo.open, path: 5}", "`path` is text"),
        ("{event: fifo.open, process.pid: -1}", "`process.pid` is an integer from 0"),
        ("{event: fifo.open, reads: yes}", "`reads` is a boolean"),
        ("5", "a test is a map"),
    ] {
        let message = problem(with_tests(tests)).message;
        assert!(message.contains(expected), "{tests}: {message}");
    }
}

#[test]
fn a_budget_has_bounds_and_belongs_to_a_rule_that_does_more_than_alert() {
    let with = |action: &str, budget: &str| {
        let rule = with("fifo.open", "true");
        format!("{rule}    action: {action}\n    budget: {budget}\n")
    };
    let rules = check(&[source(with("block", "{count: 7, seconds: 60}"))], Options::default()).unwrap();
    assert_eq!(rules.rules()[0].budget, sensor_rules::BlockBudget { count: 7, seconds: 60 });
    for budget in
        ["7", "{count: 0, seconds: 1}", "{count: 7}", "{count: 7, seconds: x}", "[7, 60]", "{count: 7, seconds: 90000}"]
    {
        let problem = problem(with("block", budget));
        assert!(problem.message.contains("budget"), "{budget}: {}", problem.message);
        assert_eq!(problem.help.as_deref(), Some("write it like `budget: {count: 100, seconds: 10}`"), "{budget}");
    }
    assert!(problem(with("alert", "{count: 7, seconds: 60}")).message.contains("has no budget"));
    assert!(problems(with("block", "{count: 7, secnds: 60}")).iter().any(|problem| problem.message.contains("secnds")));
}

#[test]
fn unchecked_fields_are_for_tests_only() {
    let text = with("fifo.open", "field21 == 1") + "    unchecked_fields: [field21]\n";
    assert!(problems(text.clone()).iter().any(|problem| problem.message.contains("for tests only")));
    let rules = check(&[source(text)], Options { skip_checks: true, ..Options::default() }).unwrap();
    let objects = sensor_rules::compile(&rules, sensor_rules::Target::Hook(sensor_common::event::Mode::Lsm)).unwrap();
    let program = &objects[0].programs[0];
    let origin = (0..program.instructions).rev().find_map(|instruction| program.origin(instruction)).unwrap();
    assert_eq!((origin.rule.as_str(), origin.place.line, origin.place.column), ("x", 6, 17));
}

/// A rule whose condition is written in this YAML.
fn written(condition: &str) -> String {
    format!("rules:\n  - id: x\n    title: x\n    severity: low\n    on: fifo.open\n    condition: {condition}\n")
}

#[test]
fn a_comment_swallows_no_line() {
    let styles = [
        ">\n      reads // why\n      && path == 'x'",
        "reads // why\n      && path == 'x'",
        "\"reads // why\n      && path == 'x'\"",
    ];
    for style in styles {
        let problem = problem(written(style));
        assert_eq!(problem.message, "YAML joins these lines, so this comment swallows the lines below it", "{style}");
        let excerpt = problem.excerpt.unwrap();
        assert_eq!(&excerpt.text[excerpt.start..excerpt.end], "// why", "{style}");
        assert!(problem.help.unwrap().contains('|'), "{style}");
    }
    let kept = ["|\n      reads // why\n      && path == 'x'", "reads // why", "path == '//'\n      && reads"];
    for style in kept {
        assert!(check(&[source(written(style))], Options::default()).is_ok(), "{style}");
    }
}

#[test]
fn a_comment_swallows_no_line_of_an_exception_a_macro_or_an_earlier_event() {
    let folded = ">\n        reads // why\n        && writes\n";
    let texts = [
        written(&format!("writes\n    exceptions:\n      quiet: {folded}")),
        format!("macros:\n      quiet: {folded}{}", written("quiet")),
        written(&format!(
            "writes\n    after:\n      on: fifo.open\n      by: process.pid\n      within: 1s\n      condition: {folded}"
        )),
    ];
    for text in texts {
        assert!(problems(text.as_str()).iter().any(|problem| problem.message.contains("swallows")), "{text}");
    }
}

#[test]
fn a_name_of_a_thread_has_15_bytes_at_most() {
    let (message, caret, _) = refused("process.comm == \"systemd-journald\"");
    assert_eq!((message.as_str(), caret.as_str()), ("`process.comm` can never be this", "\"systemd-journald\""));
    assert!(refused("parent.comm in [\"systemd-journald\"]").0.contains("never"));
    assert!(check(&[source(with("fifo.open", "process.comm == \"systemd-journal\""))], Options::default()).is_ok());
}
