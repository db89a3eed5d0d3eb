//! Conditions: CEL text to a typed condition and a program for the interpreter.

mod ancestors;
mod checked;
mod choices;
mod expand;
mod fault;
mod functions;
mod integers;
mod names;
mod ranges;
mod scan;
mod spans;
mod suggest;
mod typed;
mod types;

use std::{collections::HashMap, ops::Range, sync::Arc};

use cel::common::ast::IdedExpr;

use self::spans::Spans;
pub use self::{
    checked::Checked,
    fault::Fault,
    names::{Names, is_taken},
    scan::comments,
    suggest::{nearest, quoted_list},
};
use crate::definitions::visit;

/// Parses `text`, with each byte as one character.
pub fn parse(text: &str) -> Result<cel::Program, Vec<Fault>> {
    scan::scan(text)?;
    cel::Program::compile(&widened(text)).map_err(|errors| vec![syntax_fault(text, &errors)])
}

/// Checks the condition `text` of a rule.
pub fn check(text: &str, names: Names<'_>) -> Result<Checked, Vec<Fault>> {
    let program = parse(text)?;
    let mut spans = Spans::new(text, &program);
    let expanded = expand::expand(program.expression(), &spans, names.definitions)?;
    let expr = expanded.expr;
    (spans.inserted, spans.constants) = (expanded.inserted, expanded.constants);
    let cond = types::check(&expr, spans, names)?;
    Ok(Checked { cond, expr: Arc::new(expr) })
}

/// Where the node `expr` of `program`, made from `text`, stands in it.
pub fn place(text: &str, program: &cel::Program, expr: &IdedExpr) -> Range<usize> {
    Spans::new(text, program).of(expr)
}

/// Where the nodes of `program`, made from `text`, stand in it, by their ids.
pub fn places(text: &str, program: &cel::Program) -> HashMap<u64, Range<usize>> {
    let spans = Spans::new(text, program);
    let mut places = HashMap::new();
    visit(program.expression(), &mut |node| {
        places.entry(node.id).or_insert_with(|| spans.of(node));
    });
    places
}

/// The bytes of `text`, each as the character of that number: strings in rules are bytes, and so character `n` of the
/// result is byte `n` of `text`.
pub fn widened(text: &str) -> String {
    text.bytes().map(char::from).collect()
}

/// The first syntax error in words for authors.
fn syntax_fault(text: &str, errors: &cel::ParseErrors) -> Fault {
    let first = errors.errors.iter().min_by_key(|error| error.pos);
    let (line, column) = first.map_or((1, 1), |error| error.pos);
    let [line, column] = [line, column].map(|from_1| usize::try_from(from_1).unwrap_or(1).max(1));
    // Columns count characters of the widened text, which are bytes of ours.
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let at = text.floor_char_boundary((start + column - 1).min(text.len()));
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let length = length.max(rest.chars().next().map_or(0, char::len_utf8));
    let token = rest.get(..length).unwrap_or_default();
    if first.is_some_and(|error| error.msg.contains("invalid int literal")) {
        return Fault::new(at..at + length, format!("`{token}` does not fit into a 64-bit integer"));
    }
    if text.trim().is_empty() {
        return Fault::new(0..0, "the condition is empty").help("a rule for every such event has the condition `true`");
    }
    if rest.trim().is_empty() {
        let end = text.trim_end().len();
        return Fault::new(end.saturating_sub(1)..end, "the condition ends too early")
            .label("something is missing behind this");
    }
    let fault = Fault::new(at..at + length, format!("syntax error: `{token}` is not expected here"));
    match token {
        "=" => fault.help("equality is written `==`"),
        "and" | "AND" => fault.help("write `&&`"),
        "or" | "OR" => fault.help("write `||`"),
        "not" | "NOT" => fault.help("write `!`"),
        "&" => fault.help("write `&&`; there are no operators on bits"),
        "|" => fault.help("write `||`; there are no operators on bits"),
        _ if token.chars().all(|c| c.is_alphanumeric() || c == '_') => {
            fault.help("perhaps an operator or a comma is missing before it, or quotes around it")
        }
        _ => fault,
    }
}
