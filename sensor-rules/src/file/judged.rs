//! What a rule judges by: its condition, and the exceptions that silence it.

use std::sync::Arc;

use cel::common::ast::{CallExpr, Expr, IdedExpr, operators as op};

use super::Reader;
use crate::{
    align::Alignment,
    condition::{self, Checked, Names},
    expr::{Cond, CondKind},
    rule::Lines,
    scalar,
    yaml::{Entry, Value},
};

/// A condition and its exceptions.
pub struct Judged {
    /// The condition's text.
    pub condition: String,
    /// The exceptions: name and text.
    pub exceptions: Vec<(String, String)>,
    /// The condition, and that no exception holds.
    pub checked: Checked,
    /// Where the parts of all stand.
    pub lines: Lines,
    /// Where their texts end, put one behind the other.
    pub end: usize,
}

/// One condition.
pub struct Part {
    pub text: String,
    pub alignment: Alignment,
    pub checked: Checked,
}

impl Reader<'_, '_> {
    /// Reads the condition at `entry`, and the exceptions, which are all checked, so that all problems are noted.
    pub(super) fn judged(&mut self, entry: &Entry, exceptions: Option<&Entry>, names: Names<'_>) -> Option<Judged> {
        let condition = self.part(entry, "the condition", names);
        let exceptions: Vec<_> = exceptions
            .map_or(Some([].as_slice()), |entry| self.exceptions(entry))?
            .iter()
            .map(|entry| Some((entry, self.part(entry, "the exception", names)?)))
            .collect();
        let exceptions: Vec<_> = exceptions.into_iter().collect::<Option<_>>()?;
        let Part { text: condition, alignment, checked } = condition?;
        let mut lines = Lines::default();
        lines.add(self.text, &alignment, &checked.cond, 0);
        let mut judged = Judged { exceptions: Vec::new(), checked, lines, condition, end: 0 };
        let mut behind = judged.condition.len() + 1;
        for (entry, Part { text, alignment, checked }) in exceptions {
            judged.lines.add(self.text, &alignment, &checked.cond, behind);
            judged.checked = without(judged.checked, checked.moved(behind));
            behind += text.len() + 1;
            judged.exceptions.push((entry.key.clone(), text));
        }
        judged.end = behind;
        Some(judged)
    }

    /// The entries of `exceptions:`.
    fn exceptions<'e>(&mut self, entry: &'e Entry) -> Option<&'e [Entry]> {
        match &entry.node.value {
            Value::Map(entries) => Some(entries),
            other => {
                let message = format!("`exceptions` is a map from names to conditions, and this is {}", other.kind());
                self.refuse(&entry.key_range, message, "write it like `backup: process.exe == \"/usr/bin/backup\"`")
            }
        }
    }

    /// Reads and checks one condition.
    pub(super) fn part(&mut self, entry: &Entry, what: &str, names: Names<'_>) -> Option<Part> {
        let (condition, alignment) = match scalar::condition(self.text, entry, what) {
            Ok(found) => found,
            Err(problem) => return self.note(*problem),
        };
        match condition::check(&condition, names) {
            Ok(checked) => Some(Part { text: condition, alignment, checked }),
            Err(faults) => {
                for fault in faults {
                    self.note::<()>(fault.at(self.text, &alignment));
                }
                None
            }
        }
    }
}

/// `rule && !exception`: in the compiler's form and in the interpreter's.
fn without(rule: Checked, exception: Checked) -> Checked {
    let range = exception.cond.range.clone();
    let not = Cond { kind: CondKind::Not(Box::new(exception.cond)), range };
    let range = rule.cond.range.clone();
    let cond = Cond { kind: CondKind::And(Box::new(rule.cond), Box::new(not)), range };
    let call = |name: &str, args| {
        let call = CallExpr { func_name: name.to_owned(), target: None, args };
        IdedExpr { id: 0, expr: Expr::Call(call) }
    };
    let not = call(op::LOGICAL_NOT, vec![exception.expr.as_ref().clone()]);
    Checked { cond, expr: Arc::new(call(op::LOGICAL_AND, vec![rule.expr.as_ref().clone(), not])) }
}
