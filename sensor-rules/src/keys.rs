//! Keys of maps in rule files: which one is meant.

use crate::{
    condition::{nearest, quoted_list},
    diagnostic::Diagnostic,
    text::Text,
    yaml::Entry,
};

/// The key that says on which events a rule looks.
pub const ON: &str = "on";

/// The entry of `on`, also where a tool has written that key back as the boolean for which YAML 1.1 takes it, which
/// is a problem of its own.
pub fn on(entries: &[Entry]) -> Option<&Entry> {
    let find = |is: fn(&str) -> bool| entries.iter().find(|entry| is(&entry.key));
    find(|key| key == ON).or_else(|| find(is_on_as_boolean))
}

fn is_on_as_boolean(key: &str) -> bool {
    key.eq_ignore_ascii_case("true")
}

/// The problem of a key that is none.
pub fn unknown_key(text: &Text<'_>, entry: &Entry, keys: &[&str]) -> Diagnostic {
    if keys.contains(&ON) && is_on_as_boolean(&entry.key) {
        let help = "write `on:`; a tool that reads YAML 1.1 takes that for a boolean: it leaves `\"on\":` alone";
        let problem = text.problem(&entry.key_range, format!("`{}` stands where `on` should", entry.key));
        return Diagnostic { help: Some(help.to_owned()), ..problem };
    }
    let problem = text.problem(&entry.key_range, format!("no key `{}` here", entry.key));
    let near = nearest(&entry.key, keys.iter().copied());
    problem.meant(near, || format!("the keys are {}", quoted_list(keys.iter().copied())))
}
