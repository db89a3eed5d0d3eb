//! No text makes the library panic, and what passes the checks compiles and is judged.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use proptest::prelude::*;
use sensor_common::{
    event::{Event, Mode},
    record::Record,
};
use sensor_rules::{Options, Source, Target, check, compile, interpret};

/// Reads `text` as a rule file and goes on with it as far as it gets.
fn try_all(text: &[u8]) {
    for skip_checks in [false, true] {
        match check(
            &[Source { name: "random.yaml".into(), text: text.to_vec() }],
            Options { skip_checks, ..Options::default() },
        ) {
            Err(problems) => assert!(!problems.render(true).is_empty() && !problems.0.is_empty()),
            Ok(rules) => {
                compile(&rules, Target::Hook(Mode::Lsm)).ok();
                compile(&rules, Target::SocketFilter).unwrap();
                for event in Event::ALL {
                    assert!(skip_checks || interpret(&rules, *event, &Record::EMPTY).is_ok());
                }
            }
        }
    }
}

/// Pieces of conditions, good and bad.
const KNOWN: &[&str] = &[
    "path",
    "reads",
    "process.pid",
    "process.exe",
    "size",
    "size(",
    ".has(",
    "S_IWOTH",
    "m",
    "n(",
    "L",
    "payload",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    "!",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "in",
    ".startsWith(",
    ".contains(\"",
    ".endsWith('",
    "\"",
    "'",
    "\"\"\"",
    "\\",
    "\\x",
    "\\u12",
    "0",
    "5",
    "-",
    "1u",
    "1.5",
    "0x",
    "true",
    "null",
    "has(",
    ".exists(x, ",
    "?",
    ":",
    ",",
    ".",
    " ",
    "\n",
    "//",
    "r\"",
    "b'",
    "é",
    "\u{1F600}",
    "+",
    "%",
    "@",
    "`",
    "#",
    "\t",
    "\0",
];

/// One of them, or anything.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![8 => proptest::sample::select(KNOWN).prop_map(str::to_owned), 1 => any::<String>()]
}

/// A well-formed file with an arbitrary condition, in a style of YAML that can hold it.
fn file(on: &str, condition: &str) -> String {
    let quoted: String = condition
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ' {
                c.to_string()
            } else {
                format!("\\U{:08X}", c as u32)
            }
        })
        .collect();
    format!(
        "lists: {{L: [x]}}\nmacros:\n  m: reads\n  n(a): a == path\nrules:\n- id: x\n  title: x\n  severity: low\n  on: {on}\n  condition: \"{quoted}\"\n"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        try_all(&bytes);
    }

    #[test]
    fn text(text in "(?s).{0,400}") {
        try_all(text.as_bytes());
    }

    #[test]
    fn conditions(pieces in proptest::collection::vec(piece(), 0..24)) {
        try_all(file("fifo.open", &pieces.concat()).as_bytes());
        try_all(file("pipe.payload", &pieces.join(" ")).as_bytes());
    }

    #[test]
    fn yaml(lines in proptest::collection::vec(proptest::sample::select([
        "rules:", "macros:", "  m: n", "  n: m", "  m(a): a", "lists:", "  L: [x]", "- id: x", "  id: y", "  title: x", "  severity: low", "  on: fifo.open", "  on: [fifo.open,", "    fifo.create]", "  condition: |",
        "    reads", "   path == 'x'", "  condition: >-", "  tests: {match: [{path: x}]}", "  tests:", "    match:", "      - path: x", "? a", ": b",
        "- &a x", "- *a", "  <<: *a", "---", "...", "%YAML 1.2", "!!str", "\t", "# x", "  condition: \"", "'", "  attack: [T1]", "{", "}", "]",
    ].as_slice()), 0..24)) {
        try_all(lines.join("\n").as_bytes());
    }

    #[test]
    fn shipped_rules_with_a_byte_changed(at in any::<prop::sample::Index>(), byte in any::<u8>(), first in any::<bool>()) {
        let mut text = if first { include_bytes!("../../rules/fifo.yaml").to_vec() } else { include_bytes!("../../rules/pipe.yaml").to_vec() };
        let at = at.index(text.len());
        text[at] = byte;
        try_all(&text);
    }
}
