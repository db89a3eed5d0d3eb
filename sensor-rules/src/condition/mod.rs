//! Conditions: CEL text to a typed condition and a program for the interpreter.

mod ancestors;
mod choices;
mod expand;
mod functions;
mod integers;
mod names;
mod ranges;
mod scan;
mod spans;
mod suggest;
mod types;

use std::{ops::Range, sync::Arc};

use cel::common::ast::{Expr, IdedExpr, LiteralValue};
use sensor_common::event::Event;

use self::spans::Spans;
pub use self::{
    names::is_taken,
    scan::comments,
    suggest::{nearest, quoted_list},
};
use crate::{
    align::Alignment,
    definitions::Definitions,
    diagnostic::{Diagnostic, Other},
    expr::{Cond, CondKind},
    text::Text,
};

/// Something wrong in a condition.
#[derive(Debug)]
pub struct Fault {
    /// Where, in the condition's text, bytes.
    pub range: Range<usize>,
    /// What.
    pub message: String,
    /// What stands at the caret.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The place in the macro or list that was put in at `range`.
    pub inside: Option<Box<Other>>,
}

impl Fault {
    fn new(range: Range<usize>, message: impl Into<String>) -> Self {
        Self { range, message: message.into(), label: String::new(), help: None, inside: None }
    }

    /// The fault as a problem of the file `text`, in which the condition lies as `alignment` says.
    pub fn at(self, text: &Text<'_>, alignment: &Alignment) -> Diagnostic {
        let Self { range, message, label, help, inside } = self;
        Diagnostic { label, help, other: inside, ..text.problem(&alignment.range(&range), message) }
    }

    fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A condition that was checked, in both forms.
#[derive(Clone, Debug)]
pub struct Checked {
    /// For the compiler.
    pub cond: Cond,
    /// For the interpreter; in its strings each byte is one character.
    pub expr: Arc<IdedExpr>,
}

impl Checked {
    /// A condition that never holds.
    pub fn never() -> Self {
        let no = Expr::Literal(LiteralValue::Boolean(false.into()));
        Self { cond: Cond { kind: CondKind::Const(false), range: 0..0 }, expr: Arc::new(IdedExpr { id: 0, expr: no }) }
    }

    /// The same condition `by` bytes further on.
    pub fn moved(self, by: usize) -> Self {
        Self { cond: self.cond.moved(by), ..self }
    }
}

/// The names that a condition can use.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The events the rule judges: their common fields.
    pub events: &'a [Event],
    /// Integer fields that are taken on trust, in the order in which they lie behind the record.
    pub unchecked: &'a [String],
    /// For tests only: comparisons that hold of no event are let pass.
    pub any_range: bool,
    /// Lists and macros.
    pub definitions: &'a Definitions<'a>,
}

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
