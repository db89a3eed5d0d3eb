//! Where the nodes of the CEL parser's tree stand in a condition.

use std::{collections::HashMap, ops::Range};

use cel::{
    Program,
    common::ast::{Expr, IdedExpr, LiteralValue, SourceInfo},
};
use sensor_common::field::Field;

use crate::{definitions::Definition, diagnostic::Other};

/// Nodes that were put in for a name have ids from this on: their index in the list of [`Inserted`], and this.
pub const INSERTED: u64 = 1 << 32;

/// Where a node comes from that was put in for a name.
pub struct Inserted<'d> {
    /// Where the name stands in the condition, bytes.
    pub at: Range<usize>,
    /// What it stands for.
    pub definition: &'d Definition<'d>,
    /// The node's id there, or its index in a list.
    pub node: u64,
}

/// The places of the nodes of one program.
pub struct Spans<'a> {
    text: &'a str,
    info: &'a SourceInfo,
    /// For each byte of the widened text, the byte of the condition.
    narrowed: Vec<usize>,
    /// Nodes that were put in.
    pub inserted: Vec<Inserted<'a>>,
    /// Which nodes were constants.
    pub constants: Constants,
}

/// The constants that literals were put in for, by the ids of their nodes: name, and the field that it is a value of.
pub type Constants = HashMap<u64, (&'static str, &'static Field)>;

impl<'a> Spans<'a> {
    /// The places in `text`, from which `program` was made byte by byte.
    pub fn new(text: &'a str, program: &'a Program) -> Self {
        let width = |byte: u8| if byte.is_ascii() { 1 } else { 2 };
        let narrowed = text.bytes().enumerate().flat_map(|(at, byte)| std::iter::repeat_n(at, width(byte))).collect();
        Self { text, info: program.source_info(), narrowed, inserted: Vec::new(), constants: Constants::new() }
    }

    /// How the node `expr` was put in, if it was.
    fn inserted(&self, expr: &IdedExpr) -> Option<&Inserted<'a>> {
        let index = expr.id.checked_sub(INSERTED)?;
        usize::try_from(index).ok().and_then(|index| self.inserted.get(index))
    }

    /// The place in a macro or list that `expr` was put in from.
    pub fn inside(&self, expr: &IdedExpr) -> Option<Other> {
        self.inserted(expr).map(|inserted| inserted.definition.inside(inserted.node))
    }

    /// The constant that `expr` was put in for.
    pub fn constant(&self, expr: &IdedExpr) -> Option<(&'static str, &'static Field)> {
        self.constants.get(&expr.id).copied()
    }

    /// The token of the node itself: for an operator only the operator.
    pub fn own(&self, expr: &IdedExpr) -> Range<usize> {
        if let Some(inserted) = self.inserted(expr) {
            return inserted.at.clone();
        }
        let Some((start, last)) = self.info.offset_for(expr.id) else { return 0..self.text.len() };
        let byte = |at: u32| self.narrowed.get(at as usize).copied().unwrap_or(self.text.len());
        byte(start)..byte(last.saturating_add(1)).max(byte(start))
    }

    /// The whole expression, from its first to its last token.
    pub fn of(&self, expr: &IdedExpr) -> Range<usize> {
        let own = self.own(expr);
        if self.inserted(expr).is_some() {
            return own;
        }
        match &expr.expr {
            Expr::Select(select) => {
                let start = self.of(&select.operand).start.min(own.start);
                start..self.behind_word(own.end)
            }
            Expr::Call(call) => {
                let parts = call.target.as_deref().into_iter().chain(&call.args).map(|part| self.of(part));
                let whole = parts.fold(own, |whole, part| whole.start.min(part.start)..whole.end.max(part.end));
                let is_function = call.func_name.starts_with(|first: char| first.is_alphabetic());
                let whole = if is_function { self.closed(whole, ')') } else { whole };
                if is_function && call.target.is_none() { self.with_word(whole) } else { whole }
            }
            Expr::List(list) => {
                let parts = list.elements.iter().map(|part| self.of(part));
                let whole = parts.fold(own, |whole, part| whole.start.min(part.start)..whole.end.max(part.end));
                self.closed(whole, ']')
            }
            Expr::Comprehension(comprehension) => {
                let start = self.of(&comprehension.iter_range).start.min(own.start);
                // What is asked of each element is the last operand of each step.
                let last = match &comprehension.loop_step.expr {
                    Expr::Call(step) => step.args.last().map_or(own.end, |last| self.of(last).end),
                    _ => own.end,
                };
                self.closed(start..last.max(own.end), ')')
            }
            Expr::Literal(LiteralValue::Int(value)) if *value.inner() < 0 => self.with_sign(own),
            _ => own,
        }
    }

    /// `range` with the sign before it, which the parser leaves out of a literal.
    fn with_sign(&self, range: Range<usize>) -> Range<usize> {
        let before = self.text.get(..range.start).unwrap_or_default();
        before.trim_end().strip_suffix('-').map_or(range.start, str::len)..range.end
    }

    /// The end of the identifier that follows white space at `at`.
    fn behind_word(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        let word = rest.trim_start();
        let length = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len());
        at + rest.len() - word.len() + length
    }

    /// `range` with the identifier directly before it.
    fn with_word(&self, range: Range<usize>) -> Range<usize> {
        let before = self.text.get(..range.start).unwrap_or_default();
        let start = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').len();
        start..range.end
    }

    /// `range` with the closing bracket that follows it.
    fn closed(&self, range: Range<usize>, bracket: char) -> Range<usize> {
        let rest = self.text.get(range.end..).unwrap_or_default();
        let behind = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        let end = if behind.starts_with(bracket) { self.text.len() - behind.len() + 1 } else { range.end };
        range.start..end
    }
}
