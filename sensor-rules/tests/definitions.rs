//! Lists and macros: what they stand for, and how mistakes in them are told.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::{Duration, Instant};

use sensor_common::{event::Event, record::Record};
use sensor_rules::{Diagnostic, Options, Source, check, interpret};

fn source(name: &str, text: &str) -> Source {
    Source { name: name.into(), text: text.into() }
}

/// A file whose one rule, for `fifo.open`, has this condition, in line 6 from column 14 on.
fn rule(condition: &str) -> Source {
    let quoted = condition.replace('\'', "''");
    let text = format!("rules:\n- id: x\n  title: x\n  severity: low\n  on: fifo.open\n  condition: '{quoted}'\n");
    source("rule.yaml", &text)
}

const NAMES: &str = r#"
lists:
  TEMP_FIFOS: [/tmp/f, "/tmp/é", /dev/shm/f]
  ROOTS: [0, 0x3e8]
  NONE: []
macros:
  in_temp: path.startsWith("/tmp/") || path.startsWith("/dev/shm/")
  runs(who, name): who.exe.endsWith(name) || who.comm == "sh"
  same(a, b): a == b
  by_root: process.uid in ROOTS && !(parent.uid in ROOTS)
  shell_in_temp: 'in_temp && runs(process, "/sh")'
"#;

/// The conditions on the right are those on the left, written out.
#[test]
fn names_stand_for_what_is_written_out() {
    for (named, plain) in [
        ("path in TEMP_FIFOS", r#"path in ["/tmp/f", "/tmp/é", "/dev/shm/f"]"#),
        ("path in NONE", "false"),
        ("process.uid in ROOTS", "process.uid in [0, 1000]"),
        ("in_temp && reads", r#"(path.startsWith("/tmp/") || path.startsWith("/dev/shm/")) && reads"#),
        ("!in_temp", r#"!path.startsWith("/tmp/") && !path.startsWith("/dev/shm/")"#),
        ("runs(process, '/sh')", r#"process.exe.endsWith("/sh") || process.comm == "sh""#),
        ("same(path, '/tmp/f') && same(reads, in_temp)", r#"path == "/tmp/f" && reads == (path.startsWith("/tmp/"))"#),
        ("by_root", "process.uid in [0, 1000] && parent.uid != 0 && parent.uid != 1000"),
        ("shell_in_temp == reads", r#"(path.startsWith("/tmp/") && process.exe.endsWith("/sh")) == reads"#),
    ] {
        let [named, plain] = [named, plain].map(|condition| {
            check(&[source("names.yaml", NAMES), rule(condition)], Options::default())
                .unwrap_or_else(|problems| panic!("{problems}"))
        });
        for number in 0..64u8 {
            let bit = |bit: u8| number >> bit & 1 == 1;
            let mut record = Record::EMPTY;
            record.object.path.set(if bit(0) { "/tmp/é".as_bytes() } else { b"/tmp/g" });
            if bit(1) {
                record.object.path.set(b"/tmp/f");
            }
            record.object.reads = u32::from(bit(2));
            record.process.uid = if bit(3) { 1000 } else { 7 };
            record.parent.uid = if bit(4) { 0 } else { 9 };
            record.process.exe.set(if bit(5) { b"/bin/sh" } else { b"/bin/cat" });
            let verdict = |rules| interpret(rules, Event::FifoOpen, &record).unwrap().matched;
            assert_eq!(verdict(&named), verdict(&plain), "{}", named.rules()[0].condition);
        }
    }
}

/// All problems of `names`, used by a rule with this condition.
fn problems(names: &str, condition: &str) -> Vec<Diagnostic> {
    let sources = [source("names.yaml", names), rule(condition)];
    check(&sources, Options::default()).expect_err("there is a problem").0
}

/// The one problem: its message, its place, and the second place.
fn problem(names: &str, condition: &str) -> (String, String, String) {
    let mut found = problems(names, condition);
    assert_eq!(found.len(), 1, "{found:#?}");
    let found = found.remove(0);
    let other = found.other.map(|other| format!("{} {}", other.place, other.message)).unwrap_or_default();
    (format!("{} {}", found.message, found.help.unwrap_or_default()), found.place.to_string(), other)
}

#[test]
fn a_macro_is_checked_where_it_is_used_and_the_place_in_it_is_named() {
    let found = problem("macros:\n  loud: reads && pth == 'x'\n", "writes && loud");
    assert_eq!(found.0, "no field `pth` on fifo.open; did you mean `path`? ");
    assert_eq!((found.1.as_str(), found.2.as_str()), ("rule.yaml:6:25", "names.yaml:2:18 in the macro `loud`"));
    let found = problem("macros:\n  big: payload.contains('x')\n", "big");
    assert_eq!(found.2, "names.yaml:2:8 in the macro `big`");
    assert!(found.0.starts_with("fifo.open does not carry the field `payload`"), "{}", found.0);
    let found = problem("macros:\n  same(a): a == 'x'\n", "same(process.uid)");
    assert_eq!((found.0.as_str(), found.1.as_str()), ("an integer is compared with a string ", "rule.yaml:6:15"));
    // What is wrong in an argument is the rule's own.
    let found = problem("macros:\n  same(a): a == 'x'\n", "same(pth)");
    assert_eq!((found.1.as_str(), found.2.as_str()), ("rule.yaml:6:20", ""));
    let long = "y".repeat(17);
    let found = problem(&format!("lists:\n  LONG: [a, {long}]\n"), "process.comm in LONG");
    assert_eq!((found.1.as_str(), found.2.as_str()), ("rule.yaml:6:31", "names.yaml:2:13 in the list `LONG`"));
}

#[test]
fn unknown_names_are_told_with_the_nearest() {
    assert!(problem(NAMES, "path in TEMP_FIFO").0.contains("no list `TEMP_FIFO`; did you mean `TEMP_FIFOS`?"));
    assert!(problem(NAMES, "path in").0.contains("ends too early"));
    assert!(problem(NAMES, "path in FRUITS").0.contains("key `lists:`"));
    assert!(problem(NAMES, "in_tmp").0.contains("no field `in_tmp` on fifo.open; did you mean `in_temp`?"));
    assert!(problem(NAMES, "run(process, 'x')").0.contains("no function `run`; did you mean `runs`?"));
}

#[test]
fn names_are_used_as_what_they_are() {
    assert!(problem(NAMES, "path == TEMP_FIFOS").0.contains("a list outside of `in`"));
    assert!(problem(NAMES, "path in ROOTS").0.contains("string literals only"));
    assert!(problem(NAMES, "TEMP_FIFOS(path)").0.contains("is a list, not a macro"));
    assert!(problem(NAMES, "path in in_temp").0.contains("anything but a list"));
    for (condition, expected) in [
        ("runs", "takes 2 arguments, and here are 0"),
        ("runs(process)", "takes 2 arguments, and here are 1"),
        ("in_temp(path)", "takes 0 arguments, and here are 1"),
    ] {
        let found = problem(NAMES, condition);
        assert!(found.0.contains(expected) && found.2.contains("it is defined here"), "{found:?}");
    }
}

#[test]
fn mistakes_in_definitions_are_placed() {
    for (names, message, place) in [
        ("macros:\n  a: reads\n  b: a &&\n", "the condition ends too early", "names.yaml:3:9"),
        (
            "macros:\n  a: b\n  b: c && reads\n  c: writes || a\n",
            "the macro `a` uses itself, through b and c",
            "names.yaml:4:16",
        ),
        ("macros:\n  a: a\n", "the macro `a` uses itself", "names.yaml:2:6"),
        ("macros:\n  a(x, y): x == 1\n", "does not use its parameter `y`", "names.yaml:2:3"),
        ("macros:\n  a(x, x): x == 1\n", "the parameter `x` is named twice", "names.yaml:2:3"),
        ("macros:\n  path: reads\n", "already means something", "names.yaml:2:3"),
        ("macros:\n  a(size): size == 1\n", "already means something", "names.yaml:2:3"),
        ("lists:\n  in: [x]\n", "already means something", "names.yaml:2:3"),
        ("lists:\n  1x: [x]\n", "is not a name", "names.yaml:2:3"),
        ("lists:\n  a(b): [x]\n", "is not a name", "names.yaml:2:3"),
        ("lists:\n  a: [x, 5]\n", "either strings or integers", "names.yaml:2:10"),
        ("lists:\n  a: [x, [y]]\n", "this is a list", "names.yaml:2:10"),
        ("lists:\n  a: x\n", "this is text", "names.yaml:2:3"),
        ("lists: [a]\n", "is a map from names to lists", "names.yaml:1:1"),
        ("macros:\n  a: 5\n", "must be text", "names.yaml:2:6"),
        ("macros:\n  a: !reads\n", "a tag", "names.yaml:2:6"),
        ("macro:\n  a: reads\n", "did you mean `macros`?", "names.yaml:1:1"),
    ] {
        let found = problem(names, "reads");
        assert!(found.0.contains(message), "{names}: {found:?}");
        assert_eq!(found.1, place, "{names}");
    }
    let found = problem("lists:\n  a: [x]\nmacros:\n  a: reads\n", "reads");
    assert_eq!((found.1.as_str(), found.2.as_str()), ("names.yaml:4:3", "names.yaml:2:3 it is defined here first"));
    // A name that was refused does not lead to further problems where it is used.
    assert_eq!(problem("macros:\n  a: a\n", "a && reads").1, "names.yaml:2:6");
    assert!(check(&[source("names.yaml", NAMES)], Options::default()).unwrap_err().to_string().contains("no rules"));
}

#[test]
fn what_grows_without_end_is_refused_quickly() {
    let started = Instant::now();
    let doubling: Vec<_> = (1..60).map(|n| format!("  m{n}: m{} || m{}\n", n - 1, n - 1)).collect();
    let found = problem(&format!("macros:\n  m0: reads\n{}", doubling.concat()), "m59");
    assert!(found.0.contains("more than 65536 parts"), "{found:?}");
    let nested = format!("{}reads{}", "twice(".repeat(30), ")".repeat(30));
    assert!(problem("macros:\n  twice(x): x && x\n", &nested).0.contains("more than 65536 parts"));
    let chain: Vec<_> = (1..20_000).map(|n| format!("  m{n}: '!m{}'\n", n - 1)).collect();
    let found = problem(&format!("macros:\n  m0: reads\n{}", chain.concat()), "m19999");
    assert!(found.0.contains("nested deeper"), "{found:?}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
