//! A condition that was checked.

use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr, LiteralValue};

use crate::expr::{Cond, CondKind};

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
