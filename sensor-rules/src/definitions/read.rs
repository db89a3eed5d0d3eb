//! Reads definitions from rule files.

use cel::common::ast::{Expr, LiteralValue};

use super::{Body, Definition, Definitions, Macro, cycles, visit};
use crate::{
    condition::{self, is_taken, quoted_list, widened},
    diagnostic::Diagnostic,
    scalar,
    text::Text,
    yaml::{Entry, Node, Value},
};

/// Longest name of a list, macro or parameter, bytes.
const NAME_MAX: usize = 64;
/// Most parameters of a macro.
const PARAMETERS_MAX: usize = 8;

impl<'t> Definitions<'t> {
    /// Reads `lists:` and `macros:` of all files; what is wrong goes to `problems`.
    pub fn read(files: &'t [(Text<'t>, Node)], problems: &mut Vec<Diagnostic>) -> Self {
        let mut all = Self::default();
        for (text, node) in files {
            let Value::Map(entries) = &node.value else { continue };
            for entry in entries {
                match entry.key.as_str() {
                    "lists" => all.section(text, entry, "lists", list, problems),
                    "macros" => all.section(text, entry, "macros", macro_, problems),
                    _ => {}
                }
            }
        }
        cycles::refuse(&mut all, problems);
        all
    }

    /// One `lists:` or `macros:`.
    fn section(
        &mut self,
        text: &'t Text<'t>,
        section: &Entry,
        what: &str,
        body: fn(&Text<'_>, &Entry, Vec<String>, &mut Vec<Diagnostic>) -> Option<Body>,
        problems: &mut Vec<Diagnostic>,
    ) {
        let Value::Map(entries) = &section.node.value else {
            let message = format!("`{what}` is a map from names to {what}, and this is {}", section.node.value.kind());
            problems.push(text.problem(&section.key_range, message));
            return;
        };
        for entry in entries {
            let Some((name, parameters)) = heading(text, entry, what == "macros", problems) else { continue };
            if let Some(first) = self.0.get(&name) {
                let other = first.other("it is defined here first".to_owned(), &first.name_range);
                let problem = text.problem(&entry.key_range, format!("`{name}` is defined twice"));
                problems.push(Diagnostic { other: Some(Box::new(other)), ..problem });
                continue;
            }
            let body = body(text, entry, parameters, problems).unwrap_or(Body::Broken);
            self.0.insert(name, Definition { text, name_range: entry.key_range.clone(), body });
        }
    }
}

/// The name of a definition, and its parameters: `name` or `name(a, b)`.
fn heading(
    text: &Text<'_>,
    entry: &Entry,
    is_macro: bool,
    problems: &mut Vec<Diagnostic>,
) -> Option<(String, Vec<String>)> {
    let mut refuse = |message: String, help: &str| {
        let problem = text.problem(&entry.key_range, message);
        problems.push(Diagnostic { help: (!help.is_empty()).then(|| help.to_owned()), ..problem });
        None
    };
    let (name, parameters) = match entry.key.split_once('(') {
        Some((name, rest)) => match rest.trim_end().strip_suffix(')') {
            Some(inner) if is_macro => (name.trim(), inner.split(',').map(|one| one.trim().to_owned()).collect()),
            _ => return refuse(format!("`{}` is not a name", entry.key), "write `name`, or for a macro `name(a, b)`"),
        },
        None => (entry.key.as_str(), Vec::new()),
    };
    for (index, one) in std::iter::once(name).chain(parameters.iter().map(String::as_str)).enumerate() {
        if !is_name(one) {
            let help = format!("a name has at most {NAME_MAX} letters, digits and `_`, and begins with no digit");
            return refuse(format!("`{one}` is not a name"), &help);
        }
        if is_taken(one) {
            return refuse(format!("the name `{one}` already means something in conditions"), "choose another name");
        }
        if index > 0 && parameters.iter().take(index - 1).any(|earlier| earlier == one) {
            return refuse(format!("the parameter `{one}` is named twice"), "");
        }
    }
    if parameters.len() > PARAMETERS_MAX {
        return refuse(
            format!("this macro has {} parameters; at most {PARAMETERS_MAX} are allowed", parameters.len()),
            "",
        );
    }
    Some((name.to_owned(), parameters))
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= NAME_MAX && text.bytes().all(fits) && text.starts_with(|first: char| !first.is_ascii_digit())
}

/// A list: literals of one type.
fn list(text: &Text<'_>, entry: &Entry, _: Vec<String>, problems: &mut Vec<Diagnostic>) -> Option<Body> {
    let Value::List(nodes) = &entry.node.value else {
        let message = format!("`{}` is a list of literals, and this is {}", entry.key, entry.node.value.kind());
        problems.push(text.problem(&entry.key_range, message));
        return None;
    };
    let mut items = Vec::new();
    for node in nodes {
        let literal = match &node.value {
            Value::Text(text) => Some(LiteralValue::String(widened(text).into())),
            Value::Int(value) => Some(LiteralValue::Int((*value).into())),
            _ => None,
        };
        let same = |first: &LiteralValue, second| std::mem::discriminant(first) == std::mem::discriminant(second);
        match (literal, items.first()) {
            (None, _) => {
                let message = format!("a list holds strings or integers, and this is {}", node.value.kind());
                let help = Some(node.octal(text).unwrap_or_else(|| "put a string in quotes".to_owned()));
                problems.push(Diagnostic { help, ..text.problem(&node.range, message) });
                return None;
            }
            (Some(literal), Some((first, _))) if !same(first, &literal) => {
                let message = "a list holds either strings or integers".to_owned();
                let help = Some("put a number that is meant as a string in quotes".to_owned());
                problems.push(Diagnostic { help, ..text.problem(&node.range, message) });
                return None;
            }
            (Some(literal), _) => items.push((literal, node.range.clone())),
        }
    }
    Some(Body::List(items))
}

/// A macro: a condition that parses and uses all its parameters.
fn macro_(text: &Text<'_>, entry: &Entry, parameters: Vec<String>, problems: &mut Vec<Diagnostic>) -> Option<Body> {
    let (condition, alignment) = match scalar::condition(text, entry, "the condition") {
        Ok(found) => found,
        Err(problem) => {
            problems.push(*problem);
            return None;
        }
    };
    let program = match condition::parse(&condition) {
        Ok(program) => program,
        Err(faults) => {
            problems.extend(faults.into_iter().map(|fault| fault.at(text, &alignment)));
            return None;
        }
    };
    let mut used = Vec::new();
    visit(program.expression(), &mut |part| {
        if let Expr::Ident(name) = &part.expr {
            used.push(name.as_str());
        }
    });
    let unused: Vec<_> = parameters.iter().map(String::as_str).filter(|one| !used.contains(one)).collect();
    if !unused.is_empty() {
        let message = format!("this macro does not use its parameter {}", quoted_list(unused));
        problems.push(text.problem(&entry.key_range, message));
        return None;
    }
    let places = condition::places(&condition, &program);
    let places = places.into_iter().map(|(node, range)| (node, alignment.range(&range))).collect();
    Some(Body::Macro(Macro { parameters, program, places }))
}
