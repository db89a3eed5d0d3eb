//! From text to checked rules.

use std::collections::HashMap;

use sensor_common::state::STATES_MAX;

use crate::{
    definitions::Definitions,
    diagnostic::{Diagnostic, Diagnostics, Other},
    file,
    rule::{Rule, RuleSet},
    source::{Options, Place, Source},
    text::Text,
    yaml,
};

/// Largest rule file, bytes.
const FILE_MAX: usize = 1024 * 1024;
/// How many problems are reported; the rest is counted.
const PROBLEMS_MAX: usize = 100;

/// Reads and checks all rules of all files.
///
/// # Errors
/// Every problem of every file, at once.
pub fn check(sources: &[Source], options: Options) -> Result<RuleSet, Diagnostics> {
    let mut problems = Vec::new();
    let mut rules: Vec<Rule> = Vec::new();
    let mut seen = HashMap::new();
    if sources.is_empty() {
        problems.push(whole_file("rules", "there are no rule files", Some("a rule file ends in .yaml or .yml")));
    }
    let mut files = Vec::new();
    for source in sources {
        match decoded(source).and_then(|text| Ok((yaml::parse(&text)?, text))) {
            Ok((node, text)) => files.push((text, node)),
            Err(problem) => problems.push(*problem),
        }
    }
    let definitions = Definitions::read(&files, &mut problems);
    for (text, node) in &files {
        for read in file::read(text, node, &definitions, options, &mut problems) {
            let here = Other {
                message: "the id is used here first".to_owned(),
                place: text.place(read.id_range.start),
                excerpt: Some(text.excerpt(&read.id_range)),
            };
            if let Some(first) = seen.get(&read.id) {
                let problem = text.problem(&read.id_range, format!("the id `{}` is used twice", read.id));
                problems.push(Diagnostic { other: Some(Box::new(Other::clone(first))), ..problem });
            } else {
                seen.insert(read.id, here);
            }
            rules.extend(read.rule);
        }
    }
    if problems.is_empty() && rules.is_empty() {
        let name = sources.first().map_or("rules", |source| &source.name);
        problems.push(whole_file(name, "there are no rules, only lists and macros", None));
    }
    for (number, (rule, state)) in
        (0..).zip(rules.iter_mut().filter_map(|rule| Some((rule.place.clone(), rule.state.as_mut()?))))
    {
        state.number = number;
        if number == STATES_MAX {
            let message = format!("more than {STATES_MAX} rules have `count` or `after`");
            problems.push(Diagnostic { place: rule, ..whole_file("", &message, Some("push fewer of them")) });
        }
    }
    if problems.is_empty() {
        return Ok(RuleSet::new(rules));
    }
    let order: HashMap<_, _> = sources.iter().map(|source| source.name.as_str()).zip(0..).collect();
    problems.sort_by_key(|problem| {
        let place = &problem.place;
        (order.get(place.file.as_str()).copied().unwrap_or(sources.len()), place.line, place.column)
    });
    Err(Diagnostics(bounded(problems)))
}

/// The text of a file, where it is text and not too much.
fn decoded(source: &Source) -> Result<Text<'_>, Box<Diagnostic>> {
    if source.text.len() > FILE_MAX {
        let message = format!("this file has {} bytes; a rule file has at most {FILE_MAX}", source.text.len());
        let text = Text::new(&source.name, valid_beginning(&source.text[..FILE_MAX]));
        let end = text.as_str().len();
        let help = Some("split it into several files".to_owned());
        return Err(Box::new(Diagnostic { help, ..text.problem(&(end..end), message) }));
    }
    if let Ok(text) = std::str::from_utf8(&source.text) {
        return Ok(Text::new(&source.name, text));
    }
    let text = Text::new(&source.name, valid_beginning(&source.text));
    let end = text.as_str().len();
    let byte = source.text.get(end).copied().unwrap_or_default();
    let message = format!("this file is not UTF-8: the byte {byte:#04x} at offset {end} does not belong here");
    Err(Box::new(text.problem(&(end..end), message)))
}

/// As much from the beginning as is UTF-8.
fn valid_beginning(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// A problem of a whole file.
fn whole_file(name: &str, message: &str, help: Option<&str>) -> Diagnostic {
    Diagnostic {
        place: Place { file: name.to_owned(), line: 0, column: 0 },
        rule: None,
        message: message.to_owned(),
        label: String::new(),
        help: help.map(str::to_owned),
        excerpt: None,
        other: None,
    }
}

/// At most [`PROBLEMS_MAX`] problems, and one that counts the others.
fn bounded(mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    problems.truncate(PROBLEMS_MAX);
    if more > 0 {
        let file = problems.last().map(|problem| problem.place.file.clone()).unwrap_or_default();
        problems.push(whole_file(&file, &format!("{more} more problems are not shown"), None));
    }
    problems
}
