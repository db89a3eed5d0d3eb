//! What sound rules permit that their authors hardly mean: how a rule that asks for more than an alert can be
//! got around.

use sensor_common::{event::Event, field::Field, verdict::Action};

use crate::{
    diagnostic::{Diagnostic, Excerpt},
    expr::{Cond, CondKind},
    rule::{Rule, RuleSet},
    source::{Place, Source},
    text::Text,
};

/// The field that says that an executable is the host's own.
const TRUSTED: &str = "process.trusted";
/// The field of which it says that.
const OWN: &str = "process.exe";
/// How the names of fields end that hold the path of an executable.
const EXECUTABLE: &str = ".exe";

/// What to think about again, in the order of the rules, which were made of these files. Nothing in it keeps a rule
/// from being used.
pub fn advice(rules: &RuleSet, sources: &[Source]) -> Vec<Diagnostic> {
    let notes = |(_, rule)| [forgeable(rule), spelled(rule), refused(rule)].into_iter().flatten();
    let notes = rules.braked().flat_map(notes);
    notes.map(|note| Diagnostic { excerpt: excerpt(&note.place, sources), ..note }).collect()
}

/// The line at `place`, from there to its end.
fn excerpt(place: &Place, sources: &[Source]) -> Option<Excerpt> {
    let source = sources.iter().find(|source| source.name == place.file)?;
    let text = Text::new(&source.name, std::str::from_utf8(&source.text).ok()?);
    Some(text.excerpt(&(text.offset(place.line, place.column)..usize::MAX)))
}

/// Exceptions that rely on a path that anybody can give his own program.
fn forgeable(rule: &Rule) -> Vec<Diagnostic> {
    let said = exceptions(&rule.checked.cond).into_iter().filter_map(|exception| forged(exception, false)).map(|leaf| {
        let is_own = text_of(leaf).is_some_and(|field| field.name == OWN);
        let help = if is_own {
            "any user can make a user namespace and give a program of his own this path: add `process.trusted`, and an \
             identity that an attacker lacks, such as `process.uid == 0`"
        } else {
            "any user can make a user namespace and give a program of his own this path, and `process.trusted` says \
             nothing of another process: ask for the process itself, or for an identity that an attacker lacks"
        };
        let message = "an exception relies on the path of an executable, which any user can forge";
        note(rule, leaf, message.to_owned(), help)
    });
    said.collect()
}

/// The first part of an exception that can be forged; where `is_trusted`, what stands around it asks for trust.
fn forged(cond: &Cond, is_trusted: bool) -> Option<&Cond> {
    let is_trusted = is_trusted || asks_for_trust(cond);
    match text_of(cond) {
        Some(field) if field.name == OWN => (!is_trusted).then_some(cond),
        Some(field) if field.name.ends_with(EXECUTABLE) => Some(cond),
        _ => cond.parts().into_iter().find_map(|part| forged(part, is_trusted)),
    }
}

/// Whether the condition holds of trusted processes only.
fn asks_for_trust(cond: &Cond) -> bool {
    match &cond.kind {
        CondKind::Flag(field) => field.name == TRUSTED,
        CondKind::And(left, right) => asks_for_trust(left) || asks_for_trust(right),
        CondKind::Or(left, right) => asks_for_trust(left) && asks_for_trust(right),
        _ => false,
    }
}

/// Paths that are what the caller wrote.
fn spelled(rule: &Rule) -> Vec<Diagnostic> {
    let is_path = |leaf: &&Cond| text_of(leaf).is_some_and(|field| field.name == "path");
    let Some(leaf) = leaves(&rule.checked.cond).into_iter().find(is_path) else { return Vec::new() };
    let said = rule.events.iter().filter_map(|event| {
        let instead = match event {
            Event::UnixSend => "unix.datagram",
            Event::UnixBind => "unix.create",
            _ => return None,
        };
        let message = format!("`path` of {} is what the caller wrote, who can spell it in many ways", event.name());
        Some(note(rule, leaf, message, &format!("use {instead}, whose `path` is that of the socket's own file")))
    });
    said.collect()
}

/// Quarantine of sockets, where other users receive.
fn refused(rule: &Rule) -> Vec<Diagnostic> {
    if rule.action != Action::Quarantine || !rule.events.contains(&Event::UnixSend) {
        return Vec::new();
    }
    let message = "a message to another user's socket is refused, and that socket is not put in quarantine";
    let help = "nobody shuts up another user's reader by what he sends to it; use `block` where every such message is to be refused";
    vec![note(rule, &rule.checked.cond, message.to_owned(), help)]
}

/// What a condition takes out: the outermost parts of it that must not hold.
fn exceptions(cond: &Cond) -> Vec<&Cond> {
    match &cond.kind {
        CondKind::Not(inner) => vec![inner],
        _ => cond.parts().into_iter().flat_map(exceptions).collect(),
    }
}

/// The parts of a condition that have no parts.
fn leaves(cond: &Cond) -> Vec<&Cond> {
    let parts = cond.parts();
    if parts.is_empty() { vec![cond] } else { parts.into_iter().flat_map(leaves).collect() }
}

/// The string field that a part of a condition asks about.
const fn text_of(leaf: &Cond) -> Option<&'static Field> {
    match &leaf.kind {
        CondKind::Text(_, field, _) | CondKind::TextIn(field, _) | CondKind::Pattern(field, _) => Some(*field),
        _ => None,
    }
}

/// A note about a part of a rule's condition.
fn note(rule: &Rule, part: &Cond, message: String, help: &str) -> Diagnostic {
    let known = rule.origins.get(part.range.start).map(|(place, _)| place.clone());
    Diagnostic {
        place: known.unwrap_or_else(|| rule.condition_place.clone()),
        rule: Some(rule.id.clone()),
        message,
        label: String::new(),
        help: Some(help.to_owned()),
        excerpt: None,
        other: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, check};

    /// The notes on a rule with these keys: line and first words.
    fn notes(keys: &str) -> Vec<(usize, String)> {
        let text = format!("rules:\n- id: r\n  title: t\n  severity: high\n{keys}");
        let sources = [Source { name: "r.yaml".to_owned(), text: text.into_bytes() }];
        let rules = check(&sources, Options::default()).unwrap();
        let words = |note: Diagnostic| note.message.split(' ').take(3).collect::<Vec<_>>().join(" ");
        let notes = advice(&rules, &sources);
        assert!(notes.iter().all(|note| note.excerpt.is_some()), "{notes:?}");
        notes.into_iter().map(|note| (note.place.line, words(note))).collect()
    }

    #[test]
    fn an_exception_by_path_alone_is_noted() {
        let rule = |exception: &str| {
            notes(&format!(
                "  on: [fifo.open]\n  action: block\n  condition: path == \"/tmp/f\"\n  exceptions:\n    one: {exception}\n"
            ))
        };
        let noted = vec![(9, "an exception relies".to_owned())];
        assert_eq!(rule("process.exe == \"/usr/bin/one\""), noted);
        assert_eq!(rule("process.exe == \"/usr/bin/one\" && process.uid == 0"), noted);
        assert_eq!(rule("parent.exe in [\"/usr/bin/one\", \"/usr/bin/two\"]"), noted);
        assert_eq!(rule("process.exe == \"/usr/bin/one\" || process.trusted"), noted);
        assert_eq!(rule("parent.exe == \"/usr/bin/one\" && process.trusted"), noted);
        assert_eq!(rule("process.exe == \"/usr/bin/one\" && process.trusted"), []);
        assert_eq!(rule("(process.exe == \"/usr/bin/one\" || process.exe == \"/usr/bin/two\") && process.trusted"), []);
        assert_eq!(rule("process.uid == 0"), []);
        let inline =
            |condition: &str| notes(&format!("  on: [fifo.open]\n  action: block\n  condition: {condition}\n"));
        assert_eq!(inline("path == \"/f\" && process.exe != \"/usr/bin/one\"").len(), 1);
        assert_eq!(inline("path == \"/f\" && process.exe == \"/usr/bin/one\"").len(), 0);
    }

    #[test]
    fn a_path_as_the_caller_wrote_it_is_noted() {
        let rule = |event: &str, action: &str| {
            notes(&format!("  on: [{event}]\n  action: {action}\n  condition: path == \"/run/s\"\n"))
        };
        assert_eq!(rule("unix.send", "block"), [(7, "`path` of unix.send".to_owned())]);
        assert_eq!(rule("unix.bind", "block"), [(7, "`path` of unix.bind".to_owned())]);
        assert_eq!(rule("unix.create", "block"), []);
        assert_eq!(rule("unix.send", "alert"), []);
    }

    #[test]
    fn quarantine_of_sockets_is_noted() {
        let condition = "condition: payload.contains(\"text\")\n";
        let socket = notes(&format!("  on: [unix.send]\n  action: quarantine\n  {condition}"));
        assert_eq!(socket, [(7, "a message to".to_owned())]);
        assert_eq!(notes(&format!("  on: [pipe.payload]\n  action: quarantine\n  {condition}")), []);
    }
}
