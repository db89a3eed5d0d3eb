//! The terms of a condition as its author wrote it: what is tried whether it matters.

use std::ops::Range;

use cel::common::ast::{Expr, IdedExpr, operators as op};

use crate::condition::{parse, place};

/// A part of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Where it stands, bytes.
    pub range: Range<usize>,
    /// The value of it that makes the whole hold more often; `None` where neither does, in the question of a choice.
    pub widens: Option<bool>,
}

/// The terms of the condition `text`: what `&&`, `||`, `!` and `? :` join. A macro is one term. None where it is no
/// condition.
pub fn terms(text: &str) -> Vec<Term> {
    let Ok(program) = parse(text) else { return Vec::new() };
    let mut terms = Vec::new();
    collect(program.expression(), Some(true), &|expr| place(text, &program, expr), &mut terms);
    terms
}

fn collect(expr: &IdedExpr, widens: Option<bool>, place: &impl Fn(&IdedExpr) -> Range<usize>, terms: &mut Vec<Term>) {
    let Expr::Call(call) = &expr.expr else { return terms.push(Term { range: place(expr), widens }) };
    let widens_of = |index: usize| match call.func_name.as_str() {
        op::LOGICAL_AND | op::LOGICAL_OR => Some(widens),
        op::LOGICAL_NOT => Some(widens.map(|value| !value)),
        op::CONDITIONAL => Some(widens.filter(|_| index > 0)),
        _ => None,
    };
    if widens_of(0).is_none() {
        return terms.push(Term { range: place(expr), widens });
    }
    for (index, part) in call.args.iter().enumerate() {
        collect(part, widens_of(index).flatten(), place, terms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_what_operators_join() {
        let text = "in_temp && !(process.uid == 0 || path.contains('a && b')) && (reads ? size > 3 : is_shell('x'))";
        let found: Vec<_> = terms(text).into_iter().map(|term| &text[term.range]).collect();
        assert_eq!(
            found,
            ["in_temp", "process.uid == 0", "path.contains('a && b')", "reads", "size > 3", "is_shell('x')"]
        );
        let widens: Vec<_> = terms(text).into_iter().map(|term| term.widens).collect();
        assert_eq!(widens, [Some(true), Some(false), Some(false), None, Some(true), Some(true)]);
        let text = "ancestors.exists(a, a.exe == '/é' && a.uid == 0) || true";
        let found: Vec<_> = terms(text).into_iter().map(|term| &text[term.range]).collect();
        assert_eq!(found, ["ancestors.exists(a, a.exe == '/é' && a.uid == 0)", "true"]);
        assert!(terms("&&").is_empty());
    }
}
