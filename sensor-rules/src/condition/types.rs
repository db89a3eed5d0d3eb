//! The type check: from the CEL parser's tree to a typed condition, with every problem on the way.

use std::ops::Range;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators as op};
use sensor_common::field::Field;

use super::{
    fault::Fault,
    names::{Names, ancestor_field, no_list},
    spans::Spans,
    typed::{Text, Typed},
};
use crate::{
    diagnostic::Other,
    expr::{Cond, CondKind, Relation},
    int::{Arithmetic, Int},
    text_test::TextTest,
};

/// The problem was noted; there is nothing to go on with.
pub(super) struct Noted;

pub(super) type Checked<T> = Result<T, Noted>;

/// Checks the whole condition, with macros and lists put in.
pub fn check(expr: &IdedExpr, spans: Spans<'_>, names: Names<'_>) -> Result<Cond, Vec<Fault>> {
    let mut checker = Checker { spans, names, bound: None, choices: 0, inside: None, faults: Vec::new() };
    match checker.cond(expr) {
        Ok(cond) if checker.faults.is_empty() => Ok(cond),
        _ => Err(checker.faults),
    }
}

pub(super) struct Checker<'a> {
    pub(super) spans: Spans<'a>,
    pub(super) names: Names<'a>,
    /// The variable for an ancestor, and the group of fields that it stands for at the moment.
    pub(super) bound: Option<(String, &'static str)>,
    /// How many tests of what is chosen by `?:` there have been.
    pub(super) choices: usize,
    /// The place in a macro or list of what is being looked at, where it was put in.
    inside: Option<Box<Other>>,
    faults: Vec<Fault>,
}

impl Checker<'_> {
    pub(super) fn note<T>(&mut self, fault: Fault) -> Checked<T> {
        // Of what a list holds, or a macro says twice, one problem of a kind is enough.
        let noted = |last: &Fault| last.range == fault.range && last.message == fault.message;
        if !self.faults.last().is_some_and(noted) {
            self.faults.push(Fault { inside: self.inside.clone(), ..fault });
        }
        Err(Noted)
    }

    /// `name` is CEL, and not of our subset.
    pub(super) fn unsupported<T>(&mut self, range: Range<usize>, name: &str, help: &str) -> Checked<T> {
        let fault = Fault::new(range, format!("{name} not supported"));
        self.note(if help.is_empty() { fault } else { fault.help(help) })
    }

    /// An expression that must be a boolean.
    pub(super) fn cond(&mut self, expr: &IdedExpr) -> Checked<Cond> {
        let range = self.spans.of(expr);
        match self.typed(expr)? {
            Typed::Bool(kind) => Ok(Cond { kind, range }),
            other => {
                let label = format!("this is {}", other.name());
                let fault = Fault::new(range, "a condition is expected here").label(label);
                self.note(fault.help("compare it: with ==, <, in, startsWith, …"))
            }
        }
    }

    pub(super) fn typed(&mut self, expr: &IdedExpr) -> Checked<Typed> {
        self.inside(expr, |checker| checker.typed_alone(expr))
    }

    /// Notes the problems that `look` finds with the place in a macro or list that `expr` comes from.
    pub(super) fn inside<T>(&mut self, expr: &IdedExpr, look: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.inside, self.spans.inside(expr).map(Box::new));
        let found = look(self);
        self.inside = outer;
        found
    }

    fn typed_alone(&mut self, expr: &IdedExpr) -> Checked<Typed> {
        let range = self.spans.of(expr);
        match &expr.expr {
            Expr::Literal(literal) => self.literal(literal, range),
            Expr::Ident(_) | Expr::Select(_) => self.name(expr, range),
            Expr::Call(call) => self.call(call, expr, range),
            Expr::List(_) => self.unsupported(range, "a list outside of `in` is", "write `field in [a, b]`"),
            Expr::Map(_) => self.unsupported(range, "a map literal is", ""),
            Expr::Struct(_) => self.unsupported(range, "a struct literal is", ""),
            Expr::Comprehension(all) => self.quantifier(all, range),
            Expr::Unspecified => self.unsupported(range, "an empty expression is", ""),
        }
    }

    fn literal(&mut self, literal: &LiteralValue, range: Range<usize>) -> Checked<Typed> {
        match literal {
            LiteralValue::Boolean(value) => Ok(Typed::Bool(CondKind::Const(*value.inner()))),
            LiteralValue::Int(value) => Ok(Typed::Int(Int::Const(*value.inner()))),
            // The parser saw each byte as one character; the scan refused escapes above `\x7f`.
            LiteralValue::String(value) => match value.inner().chars().map(|c| u8::try_from(c).ok()).collect() {
                Some(bytes) => Ok(Typed::Text(Text::Literal(bytes))),
                None => self.unsupported(range, "an escape above `\\x7f` is", ""),
            },
            LiteralValue::UInt(_) => self.unsupported(
                range,
                "an unsigned literal is",
                "write it without the `u`: all integers are signed, 64 bits",
            ),
            LiteralValue::Double(_) => self.unsupported(range, "a floating-point literal is", "no field is one"),
            LiteralValue::Bytes(_) => {
                self.unsupported(range, "a bytes literal is", "write it without the `b`: strings are bytes here")
            }
            LiteralValue::Null => {
                self.unsupported(range, "`null` is", "a field always has a value; a string can be empty")
            }
        }
    }

    /// Whether a name is that of a boolean field.
    pub(super) fn is_flag(&self, expr: &IdedExpr) -> bool {
        let Ok(segments) = segments(expr) else { return false };
        matches!(self.names.resolve(&segments.join("."), 0..0), Ok(Typed::Bool(_)))
    }

    fn name(&mut self, expr: &IdedExpr, range: Range<usize>) -> Checked<Typed> {
        let segments = match segments(expr) {
            Ok(segments) => segments,
            Err((what, help)) => return self.unsupported(range, what, help),
        };
        let root = segments[0];
        if let Some((variable, group)) = &self.bound
            && *variable == root
        {
            let name = [&[*group], &segments[1..]].concat().join(".");
            return match ancestor_field(&name, variable, range) {
                Ok(typed) => Ok(typed),
                Err(fault) => self.note(fault),
            };
        }
        match self.names.resolve(&segments.join("."), range) {
            Ok(typed) => Ok(typed),
            Err(fault) => self.note(fault),
        }
    }

    fn call(&mut self, call: &CallExpr, expr: &IdedExpr, range: Range<usize>) -> Checked<Typed> {
        if let Some(choice) = self.choice_of_tests(call, expr) {
            return choice;
        }
        let own = self.spans.own(expr);
        match (call.func_name.as_str(), call.args.as_slice()) {
            (op::LOGICAL_NOT, [inner]) => Ok(Typed::Bool(CondKind::Not(Box::new(self.cond(inner)?)))),
            (op::LOGICAL_AND, [left, right]) => {
                let (left, right) = self.conds(left, right)?;
                Ok(Typed::Bool(CondKind::And(left, right)))
            }
            (op::LOGICAL_OR, [left, right]) => {
                let (left, right) = self.conds(left, right)?;
                Ok(Typed::Bool(CondKind::Or(left, right)))
            }
            (op::EQUALS, [left, right]) => self.equality(left, right, &own),
            (op::NOT_EQUALS, [left, right]) => {
                let kind = self.equality(left, right, &own)?;
                let Typed::Bool(kind) = kind else { return Ok(kind) };
                Ok(Typed::Bool(CondKind::Not(Box::new(Cond { kind, range }))))
            }
            (op::LESS, [left, right]) => self.order(Relation::Less, left, right, &own),
            (op::LESS_EQUALS, [left, right]) => self.order(Relation::LessEqual, left, right, &own),
            (op::GREATER, [left, right]) => self.order(Relation::Greater, left, right, &own),
            (op::GREATER_EQUALS, [left, right]) => self.order(Relation::GreaterEqual, left, right, &own),
            (op::IN, [item, list]) => self.membership(item, list),
            (op::ADD, [left, right]) => self.arithmetic(Arithmetic::Add, left, right, &own),
            (op::SUBSTRACT, [left, right]) => self.arithmetic(Arithmetic::Subtract, left, right, &own),
            (op::MULTIPLY, [left, right]) => self.arithmetic(Arithmetic::Multiply, left, right, &own),
            (op::DIVIDE, [left, right]) => self.arithmetic(Arithmetic::Divide, left, right, &own),
            (op::MODULO, [left, right]) => self.arithmetic(Arithmetic::Remainder, left, right, &own),
            (op::NEGATE, [operand]) => self.negation(operand, &own),
            (op::INDEX | op::OPT_INDEX | op::OPT_SELECT, _) => self.unsupported(own, "indexing is", ""),
            (op::CONDITIONAL, [by, one, other]) => {
                let (by, sides) = (self.cond(by), self.conds(one, other));
                let (by, (one, other)) = (by?, sides?);
                Ok(Typed::Bool(CondKind::Choose(Box::new(by), one, other)))
            }
            (name, arguments) => self.function(name, call.target.as_deref(), arguments, range),
        }
    }

    /// Both sides, so that the problems of both are noted.
    fn conds(&mut self, left: &IdedExpr, right: &IdedExpr) -> Checked<(Box<Cond>, Box<Cond>)> {
        let (left, right) = (self.cond(left), self.cond(right));
        Ok((Box::new(left?), Box::new(right?)))
    }

    fn equality(&mut self, left: &IdedExpr, right: &IdedExpr, own: &Range<usize>) -> Checked<Typed> {
        let ranges = (self.spans.of(left), self.spans.of(right));
        let exprs = (left, right);
        let (left, right) = (self.typed(left), self.typed(right));
        let kind = match (left?, right?) {
            (Typed::Bool(left), Typed::Bool(right)) => {
                let [left, right] =
                    [(left, ranges.0), (right, ranges.1)].map(|(kind, range)| Box::new(Cond { kind, range }));
                CondKind::Same(left, right)
            }
            (Typed::Int(left), Typed::Int(right)) => {
                self.ints(Relation::Equal, (left, exprs.0), (right, exprs.1), own)?
            }
            (Typed::Text(left), Typed::Text(right)) => match (left, right) {
                (Text::Field(left), Text::Field(right)) => CondKind::TextSame(left, right),
                (Text::Literal(left), Text::Literal(right)) => CondKind::Const(left == right),
                (Text::Field(field), Text::Literal(bytes)) => self.text(TextTest::Equals, field, bytes, ranges.1)?,
                (Text::Literal(bytes), Text::Field(field)) => self.text(TextTest::Equals, field, bytes, ranges.0)?,
            },
            (left, right) => return self.mismatch(own, &left, &right),
        };
        Ok(Typed::Bool(kind))
    }

    fn mismatch<T>(&mut self, own: &Range<usize>, left: &Typed, right: &Typed) -> Checked<T> {
        let message = format!("{} is compared with {}", left.name(), right.name());
        self.note(Fault::new(own.clone(), message).label("both sides must have the same type"))
    }

    fn order(&mut self, relation: Relation, left: &IdedExpr, right: &IdedExpr, own: &Range<usize>) -> Checked<Typed> {
        let exprs = (left, right);
        let (left, right) = (self.typed(left), self.typed(right));
        match (left?, right?) {
            (Typed::Int(left), Typed::Int(right)) => {
                Ok(Typed::Bool(self.ints(relation, (left, exprs.0), (right, exprs.1), own)?))
            }
            (Typed::Text(_), Typed::Text(_)) => {
                self.unsupported(own.clone(), "the order of strings is", "use ==, in, startsWith, endsWith or contains")
            }
            (Typed::Bool(_), Typed::Bool(_)) => {
                self.unsupported(own.clone(), "the order of booleans is", "use ==, && or ||")
            }
            (left, right) => self.mismatch(own, &left, &right),
        }
    }

    fn membership(&mut self, item: &IdedExpr, list: &IdedExpr) -> Checked<Typed> {
        let Expr::List(elements) = &list.expr else {
            let range = self.spans.of(list);
            if let Expr::Ident(name) = &list.expr
                && Field::from_name(name).is_none()
            {
                return self.note(no_list(self.names, name, range));
            }
            return self.unsupported(range, "`in` with anything but a list of literals is", "write `field in [a, b]`");
        };
        let item_range = self.spans.of(item);
        let item = self.typed(item);
        // Each element is checked, so that the problems of all are noted.
        let elements: Vec<_> = elements.elements.iter().map(|element| (element, self.typed(element))).collect();
        let kind = match item? {
            Typed::Int(int) => {
                let list = self.int_elements(&int, elements)?;
                CondKind::IntIn(int, list)
            }
            Typed::Text(Text::Field(field)) => CondKind::TextIn(field, self.text_elements(field, elements)?),
            Typed::Text(Text::Literal(_)) => return self.unsupported(item_range, "`in` on a literal is", ""),
            Typed::Bool(_) => {
                return self.unsupported(item_range, "`in` on booleans is", "use the boolean itself, or `!`");
            }
        };
        Ok(Typed::Bool(kind))
    }

    fn int_elements(&mut self, int: &Int, elements: Vec<(&IdedExpr, Checked<Typed>)>) -> Checked<Vec<i64>> {
        let checked: Vec<_> = elements
            .into_iter()
            .map(|(expr, element)| match element? {
                Typed::Int(Int::Const(value)) => {
                    self.belongs(int, expr)?;
                    self.can_be(int, value, expr)?;
                    Ok(value)
                }
                other => self.element(expr, &other, "integer"),
            })
            .collect();
        checked.into_iter().collect()
    }

    fn text_elements(
        &mut self,
        field: &'static Field,
        elements: Vec<(&IdedExpr, Checked<Typed>)>,
    ) -> Checked<Vec<Vec<u8>>> {
        let checked: Vec<_> = elements
            .into_iter()
            .map(|(expr, element)| match element? {
                Typed::Text(Text::Literal(bytes)) => {
                    let range = self.spans.of(expr);
                    self.inside(expr, |checker| checker.fits(field, &bytes, range))?;
                    Ok(bytes)
                }
                other => self.element(expr, &other, "string"),
            })
            .collect();
        checked.into_iter().collect()
    }

    fn element<T>(&mut self, expr: &IdedExpr, found: &Typed, wanted: &str) -> Checked<T> {
        let message = format!("the list must hold {wanted} literals only");
        let fault = Fault::new(self.spans.of(expr), message).label(format!("this is {}, or no literal", found.name()));
        self.inside(expr, |checker| checker.note(fault))
    }
}

/// The words of a name with dots, or what is not supported about it, and what to do.
fn segments(expr: &IdedExpr) -> Result<Vec<&str>, (&'static str, &'static str)> {
    let mut segments = Vec::new();
    let mut at = expr;
    while let Expr::Select(select) = &at.expr {
        if select.test {
            return Err(("the macro `has` is", "every field of an event always has a value"));
        }
        segments.push(select.field.as_str());
        at = &select.operand;
    }
    let Expr::Ident(root) = &at.expr else {
        return Err(("selecting a member of anything but a name is", ""));
    };
    segments.push(root);
    segments.reverse();
    Ok(segments)
}
