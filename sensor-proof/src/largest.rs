//! The largest rule sets that the checks let pass, each large in its own way.

use std::fmt::Write as _;

use sensor_common::event::Event;
use sensor_rules::Source;

use crate::realistic;

/// How many rules one file holds.
const PER_FILE: usize = 500;

/// A rule set.
pub struct Large {
    /// What is large about it.
    pub name: &'static str,
    /// The rule files.
    pub sources: Vec<Source>,
}

/// `count` rules that cannot be looked up: each is tried on every event.
pub fn unindexable(count: usize) -> Large {
    let condition = |number| format!("process.uid != owner && process.pid > {number} && !reads");
    Large { name: "rules that cannot be looked up", sources: many(count, "fifo.open", condition) }
}

/// The two that stand for the rest in every test run: what cannot be looked up, and what can.
pub fn usual() -> [Large; 2] {
    [unindexable(10_000), Large { name: "realistic rules", sources: realistic::rules(Event::FifoOpen, 10_000) }]
}

/// All of them.
pub fn all() -> Vec<Large> {
    let mut all = Vec::from(usual());
    all.extend([
        Large {
            name: "rules that do not fit one program",
            sources: many(5_000, "fifo.open", |number| format!("process.exe != parent.exe && inode > {number}")),
        },
        Large {
            name: "searches",
            sources: many(4_000, "pipe.payload", |number| format!("payload.contains(\"needle {number} in hay\")")),
        },
        Large {
            name: "patterns",
            sources: many(2_000, "fifo.open", |number| format!("path.matches(\"[a-f]+{number}[.](sh|py)$\")")),
        },
        Large {
            name: "patterns without a literal",
            sources: many(300, "fifo.open", |number| {
                let last = (b'g'..=b'z').map(char::from).nth(number / 20).unwrap_or('z');
                format!("path.matches(\"[a-f]{{{}}}[^a-{last}][0-9]\")", 1 + number % 20)
            }),
        },
        Large {
            name: "a list of integers",
            sources: vec![list("process.pid", 60_000, |number| (7 * number).to_string())],
        },
        Large {
            name: "a list of strings",
            sources: vec![list("path", 30_000, |number| format!("/tmp/fifo-{number}"))],
        },
        Large { name: "a long condition", sources: many(1, "fifo.open", |_| long_condition()) },
        Large { name: "nested comparisons", sources: many(300, "fifo.open", |number| nested(28, number)) },
    ]);
    all
}

/// Rules for one event, in files as they are checked.
fn many(count: usize, event: &str, condition: impl Fn(usize) -> String) -> Vec<Source> {
    let file = |first: usize| {
        let mut text = "rules:\n".to_owned();
        for number in first..(first + PER_FILE).min(count) {
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "- id: r{number}\n  title: x\n  severity: low\n  on: {event}\n  condition: |-\n    {}",
                condition(number)
            );
        }
        Source { name: format!("rules-{first}.yaml"), text: text.into_bytes() }
    };
    (0..count).step_by(PER_FILE).map(file).collect()
}

/// One rule with a list of `count` values.
fn list(field: &str, count: usize, value: impl Fn(usize) -> String) -> Source {
    let values: Vec<_> = (0..count).map(value).collect();
    let text = format!(
        "lists:\n  LONG: [{}]\nrules:\n- {{id: x, title: x, severity: low, on: fifo.open, condition: \"{field} in LONG && reads\"}}\n",
        values.join(", ")
    );
    Source { name: "list.yaml".into(), text: text.into_bytes() }
}

/// As many comparisons after each other as a condition has room for.
fn long_condition() -> String {
    let parts: Vec<_> = (0..2_400).map(|number| format!("process.pid == {number}")).collect();
    parts.join(" || ")
}

/// Comparisons of booleans in one another.
fn nested(levels: usize, number: usize) -> String {
    (0..levels).fold(format!("process.pid > {number}"), |inner, level| {
        format!("{} == ({inner})", if level % 2 == 0 { "reads" } else { "writes" })
    })
}
