//! The type check of integers: arithmetic that cannot fail, and constants that belong to fields.

use std::ops::Range;

use cel::common::ast::IdedExpr;

use super::{
    fault::Fault,
    suggest::quoted_list,
    typed::Typed,
    types::{Checked, Checker},
};
use crate::{
    expr::{CondKind, Relation},
    int::{Arithmetic, Int, IntField, Made, REGISTERS, Unsafe, together},
};

impl Checker<'_> {
    /// `left op right`; the operator stands at `own`.
    pub(super) fn arithmetic(
        &mut self,
        op: Arithmetic,
        left: &IdedExpr,
        right: &IdedExpr,
        own: &Range<usize>,
    ) -> Checked<Typed> {
        let (left, right) = (self.int(left, op), self.int(right, op));
        let (left, right) = (left?, right?);
        self.made(op, left, right, own)
    }

    /// `-operand`
    pub(super) fn negation(&mut self, operand: &IdedExpr, own: &Range<usize>) -> Checked<Typed> {
        let operand = self.int(operand, Arithmetic::Subtract)?;
        self.made(Arithmetic::Subtract, Int::Const(0), operand, own)
    }

    /// An operand of an operator.
    fn int(&mut self, expr: &IdedExpr, op: Arithmetic) -> Checked<Int> {
        match self.typed(expr)? {
            Typed::Int(int) => Ok(int),
            other => {
                let fault = Fault::new(self.spans.of(expr), format!("`{}` works on integers", op.sign()));
                self.note(fault.label(format!("this is {}", other.name())))
            }
        }
    }

    fn made(&mut self, op: Arithmetic, left: Int, right: Int, own: &Range<usize>) -> Checked<Typed> {
        let made = match Made::new(op, left, right) {
            Ok(made) => made,
            Err(Unsafe::Overflow(least, most)) => {
                let fault = Fault::new(own.clone(), format!("`{}` could overflow here", op.sign()))
                    .label(format!("from {least} to {most}; an integer has 64 bits"));
                return self
                    .note(fault.help("a rule must never fail: compare without it, or divide the operands before"));
            }
            Err(Unsafe::Zero) => {
                let fault = Fault::new(own.clone(), format!("`{}` could be by 0 here", op.sign()));
                return self.note(fault.help("a rule must never fail: divide by a literal, or by `x + 1`"));
            }
        };
        self.computable(made.registers(), own)?;
        Ok(Typed::Int(made))
    }

    /// Whether there are so many registers.
    fn computable(&mut self, registers: usize, own: &Range<usize>) -> Checked<()> {
        if registers <= REGISTERS {
            return Ok(());
        }
        let fault = Fault::new(own.clone(), "this arithmetic has too many intermediate results");
        self.note(fault.help("it is computed in registers: write it with fewer parentheses"))
    }

    /// A comparison, with a literal on the right where there is one.
    pub(super) fn ints(
        &mut self,
        relation: Relation,
        (left, left_expr): (Int, &IdedExpr),
        (right, right_expr): (Int, &IdedExpr),
        own: &Range<usize>,
    ) -> Checked<CondKind> {
        self.computable(together(&left, &right), own)?;
        self.belongs(&left, right_expr)?;
        self.belongs(&right, left_expr)?;
        self.undecided_yet(relation, (&left, left_expr), (&right, right_expr), own)?;
        Ok(match (left, right) {
            (Int::Const(left), Int::Const(right)) => CondKind::Const(relation.holds(left, right)),
            (left @ Int::Const(_), right) => CondKind::Ints(relation.mirrored(), right, left),
            (left, right) => CondKind::Ints(relation, left, right),
        })
    }

    /// Whether `expr`, where it is a constant, is one for the values of the field `int`, where that is one.
    pub(super) fn belongs(&mut self, int: &Int, expr: &IdedExpr) -> Checked<()> {
        let (Int::Field(int), Some((constant, owner))) = (int, self.spans.constant(expr)) else { return Ok(()) };
        let Some(field) = int.field() else { return Ok(()) };
        if field.constants == owner.constants {
            return Ok(());
        }
        let range = self.spans.of(expr);
        let fault = Fault::new(range, format!("`{constant}` is no value of `{}`", field.name))
            .label(format!("it is one of `{}`", owner.name));
        let known = field.constants.map(|known| quoted_list(known.values.iter().map(|(name, _)| *name)));
        self.inside(expr, |checker| {
            checker.note(match known {
                Some(known) => fault.help(format!("the constants of `{}` are {known}", field.name)),
                None => fault,
            })
        })
    }

    /// `integer.has(bits)`
    pub(super) fn bits(
        &mut self,
        target: Option<&IdedExpr>,
        arguments: &[IdedExpr],
        range: Range<usize>,
    ) -> Checked<Typed> {
        let (Some(target), [argument]) = (target, arguments) else {
            let fault = Fault::new(range, "`has` is called on one integer, with one");
            return self.note(fault.help("write `mode.has(S_IWOTH)`"));
        };
        let ranges = (self.spans.of(target), self.spans.of(argument));
        let (target, bits) = (self.typed(target), self.typed(argument));
        let field = match target? {
            Typed::Int(Int::Field(field)) => self.of_bits(field, ranges.0)?,
            Typed::Int(Int::Const(_) | Int::Made(_)) => {
                return self.unsupported(ranges.0, "`has` on anything but a field is", "");
            }
            other => {
                let label = format!("this is {}", other.name());
                return self.note(Fault::new(ranges.0, "`has` works on integers").label(label));
            }
        };
        match bits? {
            Typed::Int(Int::Const(0)) => {
                self.note(Fault::new(ranges.1, "`has(0)` always holds").label("no bit is asked for"))
            }
            Typed::Int(Int::Const(bits)) => {
                self.belongs(&Int::Field(field), argument)?;
                self.can_have(field, bits, argument)?;
                Ok(Typed::Bool(CondKind::Bits(field, bits)))
            }
            Typed::Int(Int::Field(_) | Int::Made(_)) => {
                self.unsupported(ranges.1, "`has` of a field is", "the argument must be a literal or a constant")
            }
            other => {
                let label = format!("this is {}", other.name());
                self.note(Fault::new(ranges.1, "`has` takes an integer").label(label))
            }
        }
    }

    /// `int`, unless its values are one constant each.
    fn of_bits(&mut self, int: IntField, range: Range<usize>) -> Checked<IntField> {
        match int.field().and_then(|field| Some((field, field.constants?))) {
            Some((field, constants)) if !constants.bits => {
                let first = constants.values.first().map_or("", |(name, _)| name);
                let fault = Fault::new(range, format!("`{}` is not made of bits", field.name));
                self.note(fault.help(format!("compare it: `{} == {first}`", field.name)))
            }
            _ => Ok(int),
        }
    }
}
