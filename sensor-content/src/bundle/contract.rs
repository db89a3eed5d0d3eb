//! The contract between content and sensor: what rules can ask for. A bundle names the one it was made for.

use std::fmt::Write;

use sensor_common::{
    event::Event,
    field::{FIELDS, Field, Kind},
    verdict::Action,
};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Number of the interface between content and engine that this build has; raised when the meaning of rules changes.
pub const INTERFACE: u32 = 1;

/// The interfaces that a bundle works with, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interfaces {
    /// The first.
    pub from: u32,
    /// The last.
    pub to: u32,
}

impl Interfaces {
    /// Whether `interface` is one of them.
    pub const fn contain(self, interface: u32) -> bool {
        self.from <= interface && interface <= self.to
    }
}

/// The engine that content meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Digest of its field table.
    pub contract: Digest,
    /// Its interface.
    pub interface: u32,
    /// Its processor architecture, as Rust names it.
    pub architecture: String,
}

impl Engine {
    /// The one in this program.
    pub fn here() -> Self {
        Self { contract: contract(), interface: INTERFACE, architecture: std::env::consts::ARCH.to_owned() }
    }
}

/// Digest of this build's field table: the names, types and capacities of fields, the events that carry them, and what
/// each event allows. Offsets are left out: rules are compiled where they run.
pub fn contract() -> Digest {
    Digest::of(describe(FIELDS).as_bytes())
}

/// One line for each fact. No name holds a blank (tested), so that two tables never have one text.
fn describe(fields: &[Field]) -> String {
    let mut text = String::from("creance contract 1\n");
    // Writing to a string does not fail.
    for field in fields {
        let capacity = if let Kind::Text(capacity) = field.kind { capacity } else { 0 };
        let _ = writeln!(text, "field {} {} {} {capacity}", field.name, kind(field.kind), field.kind.size());
    }
    for event in Event::ALL {
        let _ = write!(text, "event {}", event.name());
        for action in Action::ALL.iter().filter(|action| event.allows(**action)) {
            let _ = write!(text, " {}", action.name());
        }
        let _ = write!(text, " :");
        for field in fields.iter().filter(|field| field.carried_by(*event)) {
            let _ = write!(text, " {}", field.name);
        }
        text.push('\n');
    }
    text
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::U32 => "u32",
        Kind::U64 => "u64",
        Kind::Bool => "bool",
        Kind::Text(_) => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_be_mistaken_for_two() {
        let names = FIELDS.iter().map(|field| field.name).chain(Event::ALL.iter().map(|event| event.name()));
        for name in names {
            assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'), "{name}");
        }
    }

    #[test]
    fn a_field_more_or_less_is_another_contract() {
        let all = describe(FIELDS);
        assert!(FIELDS.iter().all(|field| all.contains(&format!("\nfield {} ", field.name))));
        assert_ne!(describe(&FIELDS[1..]), all);
        assert_ne!(describe(&FIELDS[..FIELDS.len() - 1]), all);
    }
}
