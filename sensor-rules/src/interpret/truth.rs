//! The reference on texts that were not seen whole: Kleene's tables over the CEL expression. What an atom
//! says of such a text stands in a table here, apart from the compiler's; all other atoms are the CEL
//! interpreter's.

use cel::{
    Context, Value,
    common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators as op},
};
use sensor_common::{
    field::{Field, Kind, Sight},
    record::Record,
};

use super::{implied::implied, value::value};
use crate::{ancestors, kleene::END, text_test::TextTest};

/// What a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    pub const fn of(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }

    const fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }

    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Unknown,
        }
    }

    const fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

/// What the interpreter says of a condition, or its words where it fails.
pub fn holds(expr: &IdedExpr, context: &Context<'_, '_>) -> Result<bool, String> {
    match context.resolve(expr) {
        Ok(Value::Bool(holds)) => Ok(holds),
        Ok(other) => Err(format!("it is not a boolean but {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// A record, for the interpreter and as it is.
pub struct Judged<'a, 'c, 'v> {
    pub context: &'a Context<'c, 'v>,
    pub record: &'a Record,
}

impl Judged<'_, '_, '_> {
    /// What `expr`, a condition, says.
    ///
    /// # Errors
    /// The interpreter's.
    pub fn truth(&self, expr: &IdedExpr) -> Result<Truth, String> {
        match &expr.expr {
            Expr::Comprehension(all) => self.of_ancestors(all),
            Expr::Call(call) => self.of_call(call, expr),
            _ => self.plain(expr),
        }
    }

    fn of_call(&self, call: &CallExpr, expr: &IdedExpr) -> Result<Truth, String> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (op::LOGICAL_NOT, [inner]) => Ok(self.truth(inner)?.not()),
            (op::LOGICAL_AND, [left, right]) => Ok(self.truth(left)?.and(self.truth(right)?)),
            (op::LOGICAL_OR, [left, right]) => Ok(self.truth(left)?.or(self.truth(right)?)),
            (op::CONDITIONAL, [by, one, other]) => self.chosen(by, one, other),
            (op::EQUALS | op::NOT_EQUALS, [left, _]) if is_condition(left) => {
                if self.reads_doubtful(expr) {
                    Ok(Truth::Unknown)
                } else {
                    self.plain(expr)
                }
            }
            _ => match lifted(expr) {
                Some([by, one, other]) => self.chosen(&by, &one, &other),
                None => self.of_atom(call, expr),
            },
        }
    }

    /// `by ? one : other`. As soon as some text in `by` was not seen whole, what both sides say; where
    /// choices are nested, nothing.
    fn chosen(&self, by: &IdedExpr, one: &IdedExpr, other: &IdedExpr) -> Result<Truth, String> {
        if !self.reads_doubtful(by) {
            return self.truth(if holds(by, self.context)? { one } else { other });
        }
        if [by, one, other].into_iter().any(has_choice) {
            return Ok(Truth::Unknown);
        }
        let (one, other) = (self.truth(one)?, self.truth(other)?);
        Ok(if one == other { one } else { Truth::Unknown })
    }

    /// What the interpreter says.
    fn plain(&self, expr: &IdedExpr) -> Result<Truth, String> {
        holds(expr, self.context).map(Truth::of)
    }

    /// `ancestors.exists(a, …)` or `ancestors.all(a, …)`: of those that there are.
    fn of_ancestors(&self, all: &ComprehensionExpr) -> Result<Truth, String> {
        let Expr::Call(step) = &all.loop_step.expr else { return Err("no quantifier".to_owned()) };
        let [_, inner] = step.args.as_slice() else { return Err("no quantifier".to_owned()) };
        let exists = step.func_name == op::LOGICAL_OR;
        let mut whole = Truth::of(!exists);
        for group in ancestors::ALL {
            let pid = Field::from_name(&format!("{group}.pid")).map(|field| value(field, self.record));
            if pid.is_none_or(|pid| pid == Value::Int(0)) {
                continue;
            }
            let one = self.truth(&bound(inner, &all.iter_var, group))?;
            whole = if exists { whole.or(one) } else { whole.and(one) };
        }
        Ok(whole)
    }

    fn of_atom(&self, call: &CallExpr, expr: &IdedExpr) -> Result<Truth, String> {
        if !self.reads_doubtful(expr) || never_asks(call) {
            return self.plain(expr);
        }
        let Some((test, field, literal)) = asked(call) else { return Ok(Truth::Unknown) };
        let found = || self.plain(expr);
        match (test, field.sight(self.record)) {
            (TextTest::StartsWith | TextTest::EndsWith | TextTest::Contains, _) if literal == Some(0) => found(),
            (TextTest::StartsWith | TextTest::Contains, _) if field.is_payload() => {
                Ok(if found()? == Truth::True { Truth::True } else { Truth::Unknown })
            }
            (TextTest::StartsWith | TextTest::EndsWith, Sight::Cut) if literal.is_some_and(|length| length <= END) => {
                found()
            }
            // It is longer than any literal.
            (TextTest::Equals, Sight::Cut) => Ok(Truth::of(call.func_name == op::NOT_EQUALS)),
            _ => Ok(Truth::Unknown),
        }
    }

    fn reads_doubtful(&self, expr: &IdedExpr) -> bool {
        let mut found = false;
        visit(expr, &mut |part| {
            found |= field_of(part).is_some_and(|field| field.sight(self.record) != Sight::Whole);
        });
        found
    }
}

/// Whether an atom is a list without elements: nothing is in it.
fn never_asks(call: &CallExpr) -> bool {
    call.func_name == op::IN
        && matches!(call.args.as_slice(), [_, IdedExpr { expr: Expr::List(list), .. }] if list.elements.is_empty())
}

/// What an atom asks of one text, and how long its literal is; `None` for one that asks something else.
fn asked(call: &CallExpr) -> Option<(TextTest, &'static Field, Option<usize>)> {
    let args = call.args.as_slice();
    let read = |expr: &IdedExpr| field_of(expr).filter(|field| matches!(field.kind, Kind::Text(_)));
    let target = || call.target.as_deref().and_then(read);
    let first = || literal(args.first()?);
    let test = match (call.func_name.as_str(), args) {
        ("startsWith", _) => TextTest::StartsWith,
        ("endsWith", _) => TextTest::EndsWith,
        ("contains", _) => TextTest::Contains,
        // A pattern that says no more than one of these is that.
        (name @ ("matches" | "glob"), _) => {
            let (test, length) = implied(name == "glob", &first()?)?;
            return Some((test, target()?, Some(length)));
        }
        (op::EQUALS | op::NOT_EQUALS, [left, right]) => {
            let field = match (read(left), read(right)) {
                (Some(field), None) if literal(right).is_some() => field,
                (None, Some(field)) if literal(left).is_some() => field,
                _ => return None,
            };
            return Some((TextTest::Equals, field, None));
        }
        (op::IN, [item, _]) => return Some((TextTest::Equals, read(item)?, None)),
        _ => return None,
    };
    Some((test, target()?, Some(first()?.chars().count())))
}

/// A string literal; each of its characters is a byte.
fn literal(expr: &IdedExpr) -> Option<String> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        _ => None,
    }
}

/// The field that an expression is.
fn field_of(expr: &IdedExpr) -> Option<&'static Field> {
    match &expr.expr {
        Expr::Ident(name) => Field::from_name(name),
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(group) => Field::from_name(&format!("{group}.{}", select.field)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an expression says something of what other conditions say.
fn joins_conditions(expr: &IdedExpr) -> bool {
    let Expr::Call(call) = &expr.expr else { return false };
    match call.func_name.as_str() {
        op::LOGICAL_NOT | op::LOGICAL_AND | op::LOGICAL_OR => true,
        op::CONDITIONAL => is_condition(expr),
        op::EQUALS | op::NOT_EQUALS => call.args.first().is_some_and(is_condition),
        _ => false,
    }
}

/// Whether an expression is a boolean.
fn is_condition(expr: &IdedExpr) -> bool {
    match &expr.expr {
        Expr::Literal(literal) => matches!(literal, LiteralValue::Boolean(_)),
        Expr::Ident(_) | Expr::Select(_) => field_of(expr).is_some_and(|field| field.kind == Kind::Bool),
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (op::CONDITIONAL, [_, one, _]) => is_condition(one),
            (op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO | op::NEGATE | "size", _) => false,
            _ => true,
        },
        _ => true,
    }
}

/// `f(by ? one : other)` as `[by, f(one), f(other)]`; `None` where no value in it is chosen.
fn lifted(expr: &IdedExpr) -> Option<[IdedExpr; 3]> {
    let Expr::Call(call) = &expr.expr else { return None };
    if let (op::CONDITIONAL, [by, one, other]) = (call.func_name.as_str(), call.args.as_slice())
        && !is_condition(one)
    {
        return Some([by.clone(), one.clone(), other.clone()]);
    }
    let operands = call.target.as_deref().into_iter().chain(&call.args);
    let (place, [by, one, other]) =
        operands.enumerate().find_map(|(place, operand)| Some((place, lifted(operand)?)))?;
    let with = |side: IdedExpr| {
        let mut call = call.clone();
        if let Some(operand) = call.target.as_deref_mut().into_iter().chain(&mut call.args).nth(place) {
            *operand = side;
        }
        IdedExpr { id: expr.id, expr: Expr::Call(call) }
    };
    Some([by, with(one), with(other)])
}

/// Whether there is a `?:` in an expression.
fn has_choice(expr: &IdedExpr) -> bool {
    matches!(&expr.expr, Expr::Call(call) if call.func_name == op::CONDITIONAL)
        || parts(expr).into_iter().any(has_choice)
}

/// What an expression is made of.
fn parts(expr: &IdedExpr) -> Vec<&IdedExpr> {
    match &expr.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(all) => vec![&all.loop_step],
        _ => Vec::new(),
    }
}

/// Calls `each` for all of an expression that says anything; for what is asked of ancestors, once for each of them.
fn visit(expr: &IdedExpr, each: &mut impl FnMut(&IdedExpr)) {
    if let Expr::Call(call) = &expr.expr
        && let Some((TextTest::StartsWith | TextTest::EndsWith | TextTest::Contains, _, Some(0))) = asked(call)
    {
        // Every text begins with nothing.
        return;
    }
    if !joins_conditions(expr)
        && let Some(sides) = lifted(expr)
    {
        return sides.iter().for_each(|side| visit(side, each));
    }
    each(expr);
    if let Expr::Comprehension(all) = &expr.expr {
        let asked = ancestors::ALL.map(|group| bound(&all.loop_step, &all.iter_var, group));
        return asked.iter().flat_map(parts).for_each(|part| visit(part, each));
    }
    for part in parts(expr) {
        visit(part, each);
    }
}

/// `expr` with the variable put in its place: `a.exe` as `parent.exe`.
fn bound(expr: &IdedExpr, variable: &str, group: &str) -> IdedExpr {
    let inner = |expr: &IdedExpr| bound(expr, variable, group);
    let made = match &expr.expr {
        Expr::Ident(name) if name == variable => Expr::Ident(group.to_owned()),
        Expr::Select(select) => {
            Expr::Select(SelectExpr { operand: Box::new(inner(&select.operand)), ..select.clone() })
        }
        Expr::Call(call) => Expr::Call(CallExpr {
            func_name: call.func_name.clone(),
            target: call.target.as_deref().map(|target| Box::new(inner(target))),
            args: call.args.iter().map(inner).collect(),
        }),
        other => other.clone(),
    };
    IdedExpr { id: expr.id, expr: made }
}
