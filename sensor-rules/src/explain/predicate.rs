//! Parts of conditions as text, after the checks: macros and lists are put in.

use super::names::{int as int_name, literal};
use crate::{
    expr::{Cond, CondKind, Relation},
    int::Int,
    text_test::TextTest,
};

/// How many values of a list are shown.
const SHOWN: usize = 4;

/// The part without parts that starts at byte `start` of the condition's text.
pub fn leaf_at(cond: &Cond, start: usize) -> Option<&Cond> {
    let parts = cond.parts();
    if parts.is_empty() {
        return (cond.range.start == start && !matches!(cond.kind, CondKind::Const(_))).then_some(cond);
    }
    parts.into_iter().find_map(|part| leaf_at(part, start))
}

/// A part of a condition as one would write it.
pub fn text(cond: &Cond) -> String {
    // Comparisons bind closer than `&&`, and nothing that has an operator stands bare elsewhere.
    let is_close = |part: &Cond| part.parts().is_empty() || matches!(part.kind, CondKind::Not(_));
    let joined = |part: &Cond| if is_close(part) { text(part) } else { format!("({})", text(part)) };
    let inner = |part: &Cond| {
        let text = text(part);
        if text.contains(' ') { format!("({text})") } else { text }
    };
    match &cond.kind {
        CondKind::Const(value) => value.to_string(),
        CondKind::Flag(field) => field.name.to_owned(),
        CondKind::Not(part) => format!("!{}", inner(part)),
        CondKind::And(left, right) => format!("{} && {}", joined(left), joined(right)),
        CondKind::Or(left, right) => format!("{} || {}", joined(left), joined(right)),
        CondKind::Choose(by, one, other) => format!("{} ? {} : {}", inner(by), inner(one), inner(other)),
        CondKind::Same(left, right) => format!("{} == {}", inner(left), inner(right)),
        CondKind::Ints(relation, left, right) => format!("{} {} {}", int(left), sign(*relation), int(right)),
        CondKind::Bits(field, bits) => format!("{}.has({bits:#x})", int_name(*field)),
        CondKind::IntIn(value, list) => format!("{} in [{}]", int(value), some(list, ToString::to_string)),
        CondKind::Text(TextTest::Equals, field, bytes) => format!("{} == {}", field.name, literal(bytes)),
        CondKind::Text(test, field, bytes) => format!("{}.{}({})", field.name, function(*test), literal(bytes)),
        CondKind::TextIn(field, list) => format!("{} in [{}]", field.name, some(list, |bytes| literal(bytes))),
        CondKind::Cut(field) => format!("{} is not whole", field.name),
        CondKind::Unknown(field) => format!("{} is unknown", field.name),
        CondKind::TextSame(left, right) => format!("{} == {}", left.name, right.name),
        CondKind::Pattern(field, pattern) => {
            format!("{}.{}({})", field.name, pattern.syntax.function(), literal(pattern.text.as_bytes()))
        }
    }
}

/// The first values of a list, and how many more there are.
pub fn some<T>(list: &[T], text: impl Fn(&T) -> String) -> String {
    let shown: Vec<_> = list.iter().take(SHOWN).map(text).collect();
    match list.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn int(value: &Int) -> String {
    // Whatever binds closer, an operand that is computed stands in parentheses.
    let operand = |operand: &Int| match operand {
        Int::Made(_) => format!("({})", int(operand)),
        Int::Const(_) | Int::Field(_) => int(operand),
    };
    match value {
        Int::Const(value) => value.to_string(),
        Int::Field(field) => int_name(*field),
        Int::Made(made) => format!("{} {} {}", operand(&made.left), made.op.sign(), operand(&made.right)),
    }
}

const fn sign(relation: Relation) -> &'static str {
    match relation {
        Relation::Equal => "==",
        Relation::Less => "<",
        Relation::LessEqual => "<=",
        Relation::Greater => ">",
        Relation::GreaterEqual => ">=",
    }
}

const fn function(test: TextTest) -> &'static str {
    match test {
        TextTest::Equals => "==",
        TextTest::StartsWith => "startsWith",
        TextTest::EndsWith => "endsWith",
        TextTest::Contains => "contains",
    }
}
