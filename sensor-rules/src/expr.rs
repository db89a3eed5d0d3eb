//! A condition after the type check: what the compiler works on.

use core::{mem::offset_of, ops::Range};

use sensor_common::{
    event::Groups,
    field::{Field, Kind},
    record::{Record, TEXT_MAX, Text},
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Int {
    /// A literal.
    Const(i64),
    /// A field.
    Field(IntField),
}

/// An integer field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntField {
    /// Where it is in the record, bytes.
    pub offset: usize,
    /// Whether it has 64 bits; else it has 32.
    pub wide: bool,
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
        Some(Self { offset: field.offset, wide, group: field.group })
    }

    /// How many bytes of the string `field` are kept.
    pub const fn length(field: &Field) -> Self {
        Self { offset: field.offset + offset_of!(Text<TEXT_MAX>, len), wide: false, group: field.group }
    }

    /// Field number `index` of those that only a newer definition is said to have: behind the end of the record.
    pub const fn unchecked(index: usize) -> Self {
        Self { offset: size_of::<Record>() + 8 * index, wide: true, group: Groups::NONE }
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

    /// The field groups that the condition reads.
    pub fn groups(&self) -> Groups {
        let of_int = |int: &Int| match int {
            Int::Const(_) => Groups::NONE,
            Int::Field(field) => field.group,
        };
        match &self.kind {
            CondKind::Const(_) => Groups::NONE,
            CondKind::Flag(field) | CondKind::Text(_, field, _) | CondKind::TextIn(field, _) => field.group,
            CondKind::Not(inner) => inner.groups(),
            CondKind::And(left, right) | CondKind::Or(left, right) | CondKind::Same(left, right) => {
                left.groups().with(right.groups())
            }
            CondKind::Choose(by, one, other) => by.groups().with(one.groups()).with(other.groups()),
            CondKind::Bits(field, _) => field.group,
            CondKind::Ints(_, left, right) => of_int(left).with(of_int(right)),
            CondKind::IntIn(int, _) => of_int(int),
            CondKind::TextSame(left, right) => left.group.with(right.group),
        }
    }
}
