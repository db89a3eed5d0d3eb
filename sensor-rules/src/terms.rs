//! The terms of a condition as its author wrote it: what is tried whether it matters.

use std::ops::Range;

use cel::common::ast::{Expr, IdedExpr, operators as op};

use crate::condition::{parse, place};

/// Where the terms of the condition `text` stand in it, bytes: what `&&`, `||`, `!` and `? :` join. A macro is one
/// term. None where it is no condition.
pub fn terms(text: &str) -> Vec<Range<usize>> {
    let Ok(program) = parse(text) else { return Vec::new() };
    let mut terms = Vec::new();
    collect(program.expression(), &|expr| place(text, &program, expr), &mut terms);
    terms
}

fn collect(expr: &IdedExpr, place: &impl Fn(&IdedExpr) -> Range<usize>, terms: &mut Vec<Range<usize>>) {
    match &expr.expr {
        Expr::Call(call)
            if [op::LOGICAL_AND, op::LOGICAL_OR, op::LOGICAL_NOT, op::CONDITIONAL]
                .contains(&call.func_name.as_str()) =>
        {
            for part in &call.args {
                collect(part, place, terms);
            }
        }
        _ => terms.push(place(expr)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_what_operators_join() {
        let text = "in_temp && !(process.uid == 0 || path.contains('a && b')) && (reads ? size > 3 : is_shell('x'))";
        let found: Vec<_> = terms(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(
            found,
            ["in_temp", "process.uid == 0", "path.contains('a && b')", "reads", "size > 3", "is_shell('x')"]
        );
        let text = "ancestors.exists(a, a.exe == '/é' && a.uid == 0) || true";
        let found: Vec<_> = terms(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, ["ancestors.exists(a, a.exe == '/é' && a.uid == 0)", "true"]);
        assert!(terms("&&").is_empty());
    }
}
