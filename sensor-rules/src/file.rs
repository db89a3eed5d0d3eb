//! The shape of a rule file: which keys, which values.

mod budget;
mod copied;
mod judged;
mod stateful;
mod undecided;

use std::ops::Range;

use sensor_common::{event::Event, verdict::Action};

use crate::{
    condition::{Names, nearest, quoted_list},
    definitions::Definitions,
    diagnostic::Diagnostic,
    example,
    keys::{ON, on, unknown_key},
    rule::{Example, Lines, Rule, Severity},
    source::Options,
    state::State,
    text::Text,
    yaml::{Entry, Node, Value},
};

/// The keys of a file.
const FILE_KEYS: &[&str] = &["rules", "lists", "macros"];
/// The keys of a rule.
const KEYS: &[&str] = &[
    "id",
    "title",
    "description",
    "severity",
    "attack",
    "references",
    "on",
    "condition",
    "exceptions",
    "count",
    "after",
    "action",
    "undecided",
    "budget",
    "tests",
];
/// A key that only tests may use.
const UNCHECKED: &str = "unchecked_fields";
/// Longest rule id, bytes.
const ID_MAX: usize = 64;

/// A rule with an id.
pub struct Read {
    /// Its id.
    pub id: String,
    /// Where its id stands in the file, bytes.
    pub id_range: Range<usize>,
    /// The rule, unless something else is wrong with it.
    pub rule: Option<Rule>,
}

/// Reads all rules of the file with the root `node`; what is wrong goes to `problems`.
pub fn read(
    text: &Text<'_>,
    node: &Node,
    definitions: &Definitions<'_>,
    options: Options,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Read> {
    let whole = "a rule file is a map with the key `rules`, which is a list of rules, and perhaps `lists` and `macros`";
    let Value::Map(entries) = &node.value else {
        let what = if matches!(node.value, Value::Null) {
            "this file holds no rules".to_owned()
        } else {
            format!("this file is {}", node.value.kind())
        };
        problems.push(Diagnostic { help: Some(whole.to_owned()), ..text.problem(&node.range, what) });
        return Vec::new();
    };
    for entry in entries.iter().filter(|entry| !FILE_KEYS.contains(&entry.key.as_str())) {
        problems.push(unknown_key(text, entry, FILE_KEYS));
    }
    let Some(rules) = entries.iter().find(|entry| entry.key == "rules") else {
        if !entries.is_empty() {
            return Vec::new();
        }
        problems.push(Diagnostic {
            help: Some(whole.to_owned()),
            ..text.problem(&node.range, "this file has no key `rules`")
        });
        return Vec::new();
    };
    match &rules.node.value {
        Value::List(nodes) if !nodes.is_empty() => nodes
            .iter()
            .filter_map(|node| Reader { text, definitions, options, problems: &mut *problems, rule: None }.rule(node))
            .collect(),
        other => {
            let empty = matches!(other, Value::Null | Value::List(_));
            let message = if empty {
                "there are no rules in this list".to_owned()
            } else {
                format!("`rules` is {}", other.kind())
            };
            problems.push(Diagnostic { help: Some(whole.to_owned()), ..text.problem(&rules.key_range, message) });
            Vec::new()
        }
    }
}

/// Reads one rule and notes every problem in it.
struct Reader<'a, 'b> {
    text: &'a Text<'b>,
    definitions: &'a Definitions<'a>,
    options: Options,
    problems: &'a mut Vec<Diagnostic>,
    /// The rule's id, once it is known.
    rule: Option<String>,
}

impl Reader<'_, '_> {
    fn note<T>(&mut self, problem: Diagnostic) -> Option<T> {
        self.problems.push(Diagnostic { rule: self.rule.clone(), ..problem });
        None
    }

    fn refuse<T>(&mut self, range: &Range<usize>, message: impl Into<String>, help: &str) -> Option<T> {
        let problem = self.text.problem(range, message);
        self.note(Diagnostic { help: (!help.is_empty()).then(|| help.to_owned()), ..problem })
    }

    /// Everything is read before anything is given up, so that all problems are noted.
    fn rule(mut self, node: &Node) -> Option<Read> {
        let Value::Map(entries) = &node.value else {
            return self.refuse(&node.range, format!("a rule is a map, and this is {}", node.value.kind()), "");
        };
        let entry = entries.iter().find(|entry| entry.key == "id");
        let id = self.required(node, entry, "id").and_then(|entry| self.id(&entry.node));
        self.rule.clone_from(&id);
        self.keys(entries);
        let rule = self.parts(node, entries, id.clone());
        Some(Read { id: id?, id_range: entry?.node.range.clone(), rule })
    }

    /// The values of all keys of a rule.
    fn parts(&mut self, node: &Node, entries: &[Entry], id: Option<String>) -> Option<Rule> {
        let find = |key: &str| entries.iter().find(|entry| entry.key == key);
        let title = self.required(node, find("title"), "title").and_then(|entry| self.line(&entry.node, "the title"));
        let severity = self.required(node, find("severity"), "severity").and_then(|entry| self.severity(&entry.node));
        let events = self.required(node, on(entries), ON).and_then(|entry| self.events(&entry.node));
        let action = find("action").map_or(Some(Action::Alert), |entry| self.action(&entry.node, events.as_deref()));
        let undecided = self.undecided(find("undecided"), action, events.as_deref());
        let budget = self.budget(find("budget"), action);
        let description =
            find("description").map_or(Some(None), |entry| self.string(&entry.node, "the description").map(Some));
        let attack = find("attack").map_or(Some(Vec::new()), |entry| self.attack(&entry.node));
        let references = find("references").map_or(Some(Vec::new()), |entry| self.references(&entry.node));
        let unchecked = find(UNCHECKED).map_or(Some(Vec::new()), |entry| self.unchecked(entry));
        let condition = self.required(node, find("condition"), "condition");
        let (events, unchecked) = (events?, unchecked?);
        let any_range = self.options.skip_checks;
        let names = Names { events: &events, unchecked: &unchecked, any_range, definitions: self.definitions };
        let judged = condition.and_then(|entry| self.judged(entry, find("exceptions"), names));
        let mut lines = Lines::default();
        let behind = judged.as_ref().map_or(0, |judged| judged.end);
        let state = self.state(entries, names, &mut lines, behind);
        let judging = state.as_ref().ok().and_then(Option::as_ref).map_or(&[][..], State::first_events);
        let judging: Vec<_> =
            Event::ALL.iter().filter(|event| events.contains(event) || judging.contains(event)).copied().collect();
        let kinds = example::Kinds { events: &judging, sequences: state.as_ref().is_ok_and(Option::is_some) };
        let examples = find("tests").map_or(Some(Vec::new()), |entry| self.examples(&entry.node, kinds));
        let (mut judged, condition_node) = (judged?, &condition?.node);
        let events = copied::with_copied(events, &judged.checked.cond);
        judged.lines.append(lines);
        Some(Rule {
            id: id?,
            title: title?,
            description: description?,
            severity: severity?,
            attack: attack?,
            references: references?,
            events,
            action: action?,
            undecided: undecided?,
            budget: budget?,
            condition: judged.condition,
            exceptions: judged.exceptions,
            state: state.ok()?,
            place: self.text.place(node.range.start),
            condition_place: self.text.place(condition_node.range.start),
            examples: examples?,
            origins: judged.lines,
            checked: judged.checked,
            mutants: judged.mutants,
        })
    }

    fn required<'e>(&mut self, node: &Node, entry: Option<&'e Entry>, key: &str) -> Option<&'e Entry> {
        if entry.is_none() {
            return self.refuse(&node.range, format!("this rule has no key `{key}`"), "");
        }
        entry
    }

    fn keys(&mut self, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str()) && entry.key != UNCHECKED) {
            let problem = unknown_key(self.text, entry, KEYS);
            self.note::<()>(problem);
        }
    }

    /// Text, not empty.
    fn string(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::Text(_) | Value::Null => self.refuse(&node.range, format!("{what} is empty"), ""),
            other => self.refuse(
                &node.range,
                format!("{what} must be text, and this is {}", other.kind()),
                "put it in quotes",
            ),
        }
    }

    fn line(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.string(node, what)?;
        if text.contains('\n') {
            return self.refuse(&node.range, format!("{what} must be one line"), "the description has room for more");
        }
        Some(text)
    }

    fn id(&mut self, node: &Node) -> Option<String> {
        let id = self.string(node, "the id")?;
        let fits = id.len() <= ID_MAX
            && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !fits {
            let help = format!("use at most {ID_MAX} of a-z, 0-9 and `-`, such as `fifo-reverse-shell`");
            return self.refuse(&node.range, "this is not a rule id", &help);
        }
        Some(id)
    }

    fn severity(&mut self, node: &Node) -> Option<Severity> {
        let names = || Severity::ALL.iter().map(|severity| severity.name());
        let name = self.string(node, "the severity")?;
        match Severity::ALL.iter().find(|severity| severity.name() == name) {
            Some(severity) => Some(*severity),
            None => self.refuse(
                &node.range,
                format!("no severity `{name}`"),
                &format!("the severities are {}", quoted_list(names())),
            ),
        }
    }

    fn events(&mut self, node: &Node) -> Option<Vec<Event>> {
        let nodes = match &node.value {
            Value::List(nodes) if nodes.is_empty() => {
                return self.refuse(&node.range, "the list of events is empty", "");
            }
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut events = Vec::new();
        let mut sound = true;
        for node in nodes {
            match self.event(node) {
                Some(event) if events.contains(&event) => {
                    self.refuse::<()>(&node.range, format!("{} is listed twice", event.name()), "");
                    sound = false;
                }
                Some(event) => events.push(event),
                None => sound = false,
            }
        }
        let unnamed: Vec<_> = events.iter().filter_map(|event| event.companion()).collect();
        events.extend(unnamed);
        events.sort_unstable();
        events.dedup();
        sound.then_some(events)
    }

    fn event(&mut self, node: &Node) -> Option<Event> {
        let name = self.string(node, "the event")?;
        let names = || Event::ALL.iter().map(|event| event.name());
        match (Event::from_name(&name), nearest(&name, names())) {
            (Some(event), _) => Some(event),
            (None, Some(near)) => self.refuse(&node.range, format!("no event `{name}`; did you mean `{near}`?"), ""),
            (None, None) => self.refuse(
                &node.range,
                format!("no event `{name}`"),
                &format!("the events are {}", quoted_list(names())),
            ),
        }
    }

    fn action(&mut self, node: &Node, events: Option<&[Event]>) -> Option<Action> {
        let name = self.string(node, "the action")?;
        let names = || Action::ALL.iter().map(|action| action.name());
        let Some(action) = Action::ALL.iter().copied().find(|action| action.name() == name) else {
            return self.refuse(
                &node.range,
                format!("no action `{name}`"),
                &format!("the actions are {}", quoted_list(names())),
            );
        };
        let Some(event) = events.unwrap_or_default().iter().find(|event| !event.allows(action)) else {
            return Some(action);
        };
        let able = Event::ALL.iter().filter(|event| event.allows(action)).map(|event| event.name());
        match action {
            Action::Quarantine => self.refuse(
                &node.range,
                format!("{} cannot lead to quarantine", event.name()),
                &format!("only what data was written into can: the events are {}", quoted_list(able)),
            ),
            _ => self.refuse(
                &node.range,
                format!("{} cannot be blocked", event.name()),
                "its hook only observes; use `alert` or `kill`, or another event",
            ),
        }
    }

    /// A list of texts; a single one may stand alone.
    fn strings(&mut self, node: &Node, what: &str) -> Option<Vec<(String, Range<usize>)>> {
        let nodes = match &node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let texts: Vec<_> = nodes.iter().map(|node| Some((self.line(node, what)?, node.range.clone()))).collect();
        texts.into_iter().collect()
    }

    fn attack(&mut self, node: &Node) -> Option<Vec<String>> {
        let techniques = self.strings(node, "a technique")?;
        for (technique, range) in &techniques {
            if !is_technique(technique) {
                self.refuse::<()>(
                    range,
                    format!("`{technique}` is not an ATT&CK technique"),
                    "write it like `T1059` or `T1059.004`",
                )?;
            }
        }
        Some(techniques.into_iter().map(|(technique, _)| technique).collect())
    }

    fn references(&mut self, node: &Node) -> Option<Vec<String>> {
        let references = self.strings(node, "a reference")?;
        for (reference, range) in &references {
            if !reference.starts_with("https://") && !reference.starts_with("http://") {
                self.refuse::<()>(
                    range,
                    format!("`{reference}` is not a web address"),
                    "it begins with https:// or http://",
                )?;
            }
        }
        Some(references.into_iter().map(|(reference, _)| reference).collect())
    }

    fn unchecked(&mut self, entry: &Entry) -> Option<Vec<String>> {
        if !self.options.skip_checks {
            let help = "it makes a program that the kernel must refuse, and exists for tests with `--skip-checks`";
            return self.refuse(&entry.key_range, format!("the key `{UNCHECKED}` is for tests only"), help);
        }
        let names = self.strings(&entry.node, "a field")?;
        Some(names.into_iter().map(|(name, _)| name).collect())
    }

    fn examples(&mut self, node: &Node, kinds: example::Kinds<'_>) -> Option<Vec<Example>> {
        let mut problems = Vec::new();
        let examples = example::read(self.text, node, kinds, &mut problems);
        let sound = problems.is_empty();
        for problem in problems {
            self.note::<()>(problem);
        }
        sound.then_some(examples)
    }
}

/// Whether `text` looks like `T1059` or `T1059.004`.
fn is_technique(text: &str) -> bool {
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    let Some(numbers) = text.strip_prefix('T') else { return false };
    match numbers.split_once('.') {
        Some((technique, part)) => digits(technique, 4) && digits(part, 3),
        None => digits(numbers, 4),
    }
}
