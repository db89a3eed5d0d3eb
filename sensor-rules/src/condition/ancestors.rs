//! The type check of `ancestors.exists(a, …)` and `ancestors.all(a, …)`: the condition once for each process above.

use std::ops::Range;

use cel::common::ast::{ComprehensionExpr, Expr, operators as op};
use sensor_common::field::Field;

use super::{
    typed::Typed,
    types::{Checked, Checker},
};
use crate::{
    ancestors::{ALL, LIST},
    expr::{Cond, CondKind, Relation},
    int::{Int, IntField},
};

impl Checker<'_> {
    /// A macro of CEL over a list; all of it stands at `range`.
    pub(super) fn quantifier(&mut self, all: &ComprehensionExpr, range: Range<usize>) -> Checked<Typed> {
        let is_ancestors = matches!(&all.iter_range.expr, Expr::Ident(name) if name == LIST);
        let (exists, inner) = match &all.loop_step.expr {
            Expr::Call(step) if is_ancestors && all.iter_var2.is_none() => {
                match (step.func_name.as_str(), step.args.as_slice()) {
                    (op::LOGICAL_OR, [_, inner]) => (true, inner),
                    (op::LOGICAL_AND, [_, inner]) => (false, inner),
                    _ => return self.no_quantifier(range),
                }
            }
            _ => return self.no_quantifier(range),
        };
        if self.bound.is_some() {
            return self.unsupported(range, "a macro over ancestors inside another is", "");
        }
        let made = |kind| Box::new(Cond { kind, range: range.clone() });
        let mut whole = None;
        for group in ALL {
            self.bound = Some((all.iter_var.clone(), group));
            let checked = self.cond(inner);
            self.bound = None;
            let checked = Box::new(checked?);
            let Some(pid) = Field::from_name(&format!("{group}.pid")).and_then(IntField::new) else { continue };
            let is_none = made(CondKind::Ints(Relation::Equal, Int::Field(pid), Int::Const(0)));
            let one = if exists {
                CondKind::And(made(CondKind::Not(is_none)), checked)
            } else {
                CondKind::Or(is_none, checked)
            };
            whole = Some(match whole {
                None => one,
                Some(before) if exists => CondKind::Or(made(before), made(one)),
                Some(before) => CondKind::And(made(before), made(one)),
            });
        }
        Ok(Typed::Bool(whole.unwrap_or(CondKind::Const(!exists))))
    }

    fn no_quantifier(&mut self, range: Range<usize>) -> Checked<Typed> {
        self.unsupported(
            range,
            "the macros `all` and `exists` on anything but `ancestors`, and `exists_one`, `map` and `filter`, are",
            "use `in`, or `||` between conditions",
        )
    }
}
