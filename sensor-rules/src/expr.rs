//! A condition after the type check: what the compiler works on.

use core::ops::Range;

use sensor_common::{event::Groups, field::Field};

use crate::{
    int::{Int, IntField},
    pattern::Shared,
    text_test::TextTest,
};

/// A condition or a part of one.
#[derive(Clone, Debug)]
pub struct Cond {
    /// What it says.
    pub kind: CondKind,
    /// Where it stands in the condition's text, bytes.
    pub range: Range<usize>,
}

/// What a condition says.
#[derive(Clone, Debug)]
pub enum CondKind {
    /// Always the same.
    Const(bool),
    /// A boolean field.
    Flag(&'static Field),
    /// `!a`
    Not(Box<Cond>),
    /// `a && b`
    And(Box<Cond>, Box<Cond>),
    /// `a || b`
    Or(Box<Cond>, Box<Cond>),
    /// `a ? b : c`
    Choose(Box<Cond>, Box<Cond>, Box<Cond>),
    /// `a == b` on booleans
    Same(Box<Cond>, Box<Cond>),
    /// A comparison of integers.
    Ints(Relation, Int, Int),
    /// All these bits of an integer field are set.
    Bits(IntField, i64),
    /// An integer is one of a list.
    IntIn(Int, Vec<i64>),
    /// A string field against a literal.
    Text(TextTest, &'static Field, Vec<u8>),
    /// A string field is one of a list.
    TextIn(&'static Field, Vec<Vec<u8>>),
    /// Two string fields are equal.
    TextSame(&'static Field, &'static Field),
    /// A string field has a pattern.
    Pattern(&'static Field, Shared),
    /// A string field is not kept whole.
    Cut(&'static Field),
    /// Of a string field nothing can be relied upon: or, of a payload, not all that should have been read was.
    Unknown(&'static Field),
}

/// How integers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `==`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

impl Relation {
    /// Whether `left` and `right` stand in this relation.
    pub const fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterEqual => left >= right,
        }
    }

    /// The relation of the same operands the other way round.
    pub const fn mirrored(self) -> Self {
        match self {
            Self::Equal => self,
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
        }
    }
}

impl Cond {
    /// The conditions that this one is made of.
    pub fn parts(&self) -> Vec<&Self> {
        match &self.kind {
            CondKind::Not(inner) => vec![inner],
            CondKind::And(left, right) | CondKind::Or(left, right) | CondKind::Same(left, right) => vec![left, right],
            CondKind::Choose(by, one, other) => vec![by, one, other],
            _ => Vec::new(),
        }
    }

    /// As [`parts`](Self::parts), to be changed.
    fn parts_mut(&mut self) -> Vec<&mut Self> {
        match &mut self.kind {
            CondKind::Not(inner) => vec![inner],
            CondKind::And(left, right) | CondKind::Or(left, right) | CondKind::Same(left, right) => vec![left, right],
            CondKind::Choose(by, one, other) => vec![by, one, other],
            _ => Vec::new(),
        }
    }

    /// The same condition `by` bytes further on.
    pub fn moved(mut self, by: usize) -> Self {
        self.range = self.range.start + by..self.range.end + by;
        for part in self.parts_mut() {
            let taken = std::mem::replace(part, Self { kind: CondKind::Const(false), range: 0..0 });
            *part = taken.moved(by);
        }
        self
    }

    /// How deep comparisons of booleans are nested.
    pub fn nested_same(&self) -> usize {
        let inner = self.parts().into_iter().map(Self::nested_same).max().unwrap_or(0);
        inner + usize::from(matches!(self.kind, CondKind::Same(..)))
    }

    /// The field groups that the condition reads.
    pub fn groups(&self) -> Groups {
        match &self.kind {
            CondKind::Const(_) => Groups::NONE,
            CondKind::Flag(field)
            | CondKind::Text(_, field, _)
            | CondKind::TextIn(field, _)
            | CondKind::Pattern(field, _)
            | CondKind::Cut(field)
            | CondKind::Unknown(field) => field.group,
            CondKind::Not(inner) => inner.groups(),
            CondKind::And(left, right) | CondKind::Or(left, right) | CondKind::Same(left, right) => {
                left.groups().with(right.groups())
            }
            CondKind::Choose(by, one, other) => by.groups().with(one.groups()).with(other.groups()),
            CondKind::Bits(field, _) => field.group,
            CondKind::Ints(_, left, right) => left.groups().with(right.groups()),
            CondKind::IntIn(int, _) => int.groups(),
            CondKind::TextSame(left, right) => left.group.with(right.group),
        }
    }
}
