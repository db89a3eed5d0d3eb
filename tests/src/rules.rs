//! Rules that tests write.

use std::fs;

use anyhow::Result;
use sensor_rules::Source;

/// The rules that the project ships, where the initramfs has them.
pub const SHIPPED: &str = "/rules";

/// Their files, as a push sends them.
///
/// # Errors
/// Where they cannot be read.
pub fn shipped() -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(SHIPPED)? {
        let path = entry?.path();
        if path.extension() == Some("yaml".as_ref()) {
            sources.push(Source { name: path.to_string_lossy().into_owned(), text: fs::read(&path)? });
        }
    }
    Ok(sources)
}

/// A rule file with one rule for each draft.
pub fn file(name: &str, drafts: &[Draft<'_>]) -> Source {
    let text: Vec<_> = drafts.iter().map(Draft::yaml).collect();
    Source { name: name.to_owned(), text: format!("rules:\n{}", text.join("")).into_bytes() }
}

/// A rule that matches nothing.
pub const NONE: Draft<'_> = Draft::alert("none", &["fifo.create"], "false");

/// As much of a rule as matters to a test.
#[derive(Clone, Copy)]
pub struct Draft<'a> {
    /// Its id.
    pub id: &'a str,
    /// The events it judges.
    pub events: &'a [&'a str],
    /// `alert`, `block` or `kill`.
    pub action: &'a str,
    /// The condition, in CEL.
    pub condition: &'a str,
    /// Fields promised by a newer definition than this sensor's: past our own checks only.
    pub unchecked: &'a [&'a str],
    /// How often it is carried out in so many seconds.
    pub budget: Option<(u32, u32)>,
}

impl<'a> Draft<'a> {
    /// A rule that alerts.
    pub const fn alert(id: &'a str, events: &'a [&'a str], condition: &'a str) -> Self {
        Self { id, events, action: "alert", condition, unchecked: &[], budget: None }
    }

    /// A rule that blocks.
    pub const fn block(id: &'a str, events: &'a [&'a str], condition: &'a str) -> Self {
        Self { action: "block", ..Self::alert(id, events, condition) }
    }

    /// The rule as an entry of a rule file's list.
    fn yaml(&self) -> String {
        let Self { id, events, action, condition, unchecked, budget } = self;
        let budget = budget
            .map_or_else(String::new, |(count, seconds)| format!("  budget: {{count: {count}, seconds: {seconds}}}\n"));
        let unchecked = if unchecked.is_empty() {
            String::new()
        } else {
            format!("  unchecked_fields: [{}]\n", unchecked.join(", "))
        };
        format!(
            "- id: {id}\n  title: A rule of the tests\n  severity: low\n  on: [{}]\n  action: {action}\n{unchecked}{budget}  \
             condition: |\n    {condition}\n",
            events.join(", ")
        )
    }
}

/// A condition that costs more than fifty times what looking for one string does: 40 patterns, each of which
/// walks the payload by itself. To know of two of them what came six bytes before, one automaton would need
/// too many states.
pub fn costly() -> String {
    let letters = ('b'..='z').chain('B'..='P');
    let patterns: Vec<_> = letters.map(|letter| format!("payload.matches('[a{letter}].{{6}}[0-9][0-9]')")).collect();
    patterns.join(" || ")
}
