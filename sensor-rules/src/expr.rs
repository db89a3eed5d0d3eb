//! A condition after the type check: what the compiler works on.

use core::{mem::offset_of, ops::Range};

use sensor_common::{
    event::Groups,
    field::{FIELDS, Field, Kind},
    record::{Record, TEXT_MAX, Text},
};

use crate::{int::Made, pattern::Shared};

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

/// How a string field is compared with a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextTest {
    /// `==`
    Equals,
    /// `startsWith`
    StartsWith,
    /// `endsWith`
    EndsWith,
    /// `contains`
    Contains,
}

/// An integer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Int {
    /// A literal.
    Const(i64),
    /// A field.
    Field(IntField),
    /// What is computed.
    Made(Box<Made>),
}

impl Int {
    /// Adds the string fields whose lengths it reads.
    pub fn collect_lengths(&self, fields: &mut Vec<&'static Field>) {
        match self {
            Self::Const(_) => {}
            Self::Field(field) => fields.extend(field.text()),
            Self::Made(made) => [&made.left, &made.right].into_iter().for_each(|int| int.collect_lengths(fields)),
        }
    }

    /// The field groups that it reads.
    pub fn groups(&self) -> Groups {
        match self {
            Self::Const(_) => Groups::NONE,
            Self::Field(field) => field.group,
            Self::Made(made) => made.left.groups().with(made.right.groups()),
        }
    }
}

/// An integer field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntField {
    /// Where it is in the record, bytes.
    pub offset: usize,
    /// Whether it has 64 bits; else it has 32.
    pub wide: bool,
    /// The largest value, where it has 32.
    pub largest: u32,
    /// The group it is filled with.
    pub group: Groups,
}

impl IntField {
    /// `field` as an integer, or `None` where it is none.
    pub fn new(field: &Field) -> Option<Self> {
        let wide = match field.kind {
            Kind::U32 => false,
            Kind::U64 => true,
            Kind::Bool | Kind::Text(_) => return None,
        };
        Some(Self { offset: field.offset, wide, largest: u32::MAX, group: field.group })
    }

    /// The field of the table that it is, where it is not only a part of one.
    pub fn field(self) -> Option<&'static Field> {
        FIELDS.iter().find(|field| Self::new(field) == Some(self))
    }

    /// The string field of which it is the length.
    pub fn text(self) -> Option<&'static Field> {
        FIELDS.iter().find(|field| matches!(field.kind, Kind::Text(_)) && Self::length(field) == self)
    }

    /// How many bytes of the string `field` are kept.
    pub fn length(field: &Field) -> Self {
        let largest = match field.kind {
            Kind::Text(capacity) => u32::try_from(capacity).unwrap_or(u32::MAX),
            Kind::U32 | Kind::U64 | Kind::Bool => u32::MAX,
        };
        let offset = field.offset + offset_of!(Text<TEXT_MAX>, len);
        Self { offset, wide: false, largest, group: field.group }
    }

    /// Field number `index` of those that only a newer definition is said to have: behind the end of the record.
    pub const fn unchecked(index: usize) -> Self {
        Self { offset: size_of::<Record>() + 8 * index, wide: true, largest: u32::MAX, group: Groups::NONE }
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
