//! `?:` between integers or strings: what is done with the choice is done with both sides.
//!
//! ```text
//! (reads ? size(path) : 7) + 1 < 9        reads ? size(path) + 1 < 9 : 7 + 1 < 9
//! ```
//!
//! So all that is chosen in the kernel is which condition is tried.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators as op};

use super::{
    fault::Fault,
    typed::Typed,
    types::{Checked, Checker},
};
use crate::expr::{Cond, CondKind};

/// Most choices between integers or strings that one condition is taken apart for: each doubles what it stands in.
const CHOICES_MAX: usize = 256;

/// What is chosen by, and the two sides.
type Choice = [IdedExpr; 3];

impl Checker<'_> {
    /// A test of what is chosen, as a choice between two tests; `None` where `call` is no test, or nothing in
    /// it is chosen.
    pub(super) fn choice_of_tests(&mut self, call: &CallExpr, expr: &IdedExpr) -> Option<Checked<Typed>> {
        let is_test =
            !matches!(call.func_name.as_str(), op::LOGICAL_AND | op::LOGICAL_OR | op::LOGICAL_NOT | op::CONDITIONAL)
                && !makes_value(&call.func_name);
        let [by, one, other] = is_test.then(|| self.lifted(call, expr)).flatten()?;
        self.choices += 1;
        if self.choices > CHOICES_MAX {
            let fault = Fault::new(self.spans.of(expr), "too many integers and strings are chosen by `?:` here");
            return Some(self.note(fault.help("split it into several rules")));
        }
        let (by, one, other) = (self.cond(&by), self.cond(&one), self.cond(&other));
        let choose = |by, one, other| CondKind::Choose(Box::new(by), Box::new(one), Box::new(other));
        Some(by.and_then(|by: Cond| Ok(Typed::Bool(choose(by, one?, other?)))))
    }

    /// `f(by ? one : other)` as `[by, f(one), f(other)]`; `None` where no operand is a choice between values.
    fn lifted(&self, call: &CallExpr, expr: &IdedExpr) -> Option<Choice> {
        let operands = call.target.as_deref().into_iter().chain(&call.args);
        let (place, [by, one, other]) = operands.enumerate().find_map(|(place, operand)| {
            let choice = self.choice(operand)?;
            Some((place, choice))
        })?;
        let with = |side: IdedExpr| {
            let mut call = call.clone();
            let operand = call.target.as_deref_mut().into_iter().chain(&mut call.args).nth(place);
            if let Some(operand) = operand {
                *operand = side;
            }
            IdedExpr { id: expr.id, expr: Expr::Call(call) }
        };
        Some([by, with(one), with(other)])
    }

    /// A value that is chosen, also where something is computed of it.
    fn choice(&self, expr: &IdedExpr) -> Option<Choice> {
        let Expr::Call(call) = &expr.expr else { return None };
        match (call.func_name.as_str(), call.args.as_slice()) {
            (op::CONDITIONAL, [by, one, other]) if !self.is_condition(one) => {
                Some([by.clone(), one.clone(), other.clone()])
            }
            (name, _) if makes_value(name) => self.lifted(call, expr),
            _ => None,
        }
    }

    /// Whether an expression is a boolean, as far as can be told without its check.
    fn is_condition(&self, expr: &IdedExpr) -> bool {
        match &expr.expr {
            Expr::Literal(literal) => matches!(literal, LiteralValue::Boolean(_)),
            Expr::Ident(_) | Expr::Select(_) => self.is_flag(expr),
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
                (op::CONDITIONAL, [_, one, _]) => self.is_condition(one),
                (name, _) => !makes_value(name),
            },
            _ => true,
        }
    }
}

/// Whether a function or operator makes an integer of values.
fn makes_value(name: &str) -> bool {
    matches!(name, op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO | op::NEGATE | "size")
}
