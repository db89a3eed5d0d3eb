//! Keys: tests of which one holds whenever a rule matches, and that one look-up makes for all rules at once.

use std::collections::BTreeSet;

use sensor_common::field::{Field, Kind};

use crate::{
    expr::{Cond, CondKind, Relation},
    int::{Int, IntField},
    pattern::Implied,
    text_test::TextTest,
};

/// Most keys by which one rule is entered.
const KEYS_MAX: usize = 4096;
/// That many of 1,000 events are all.
const ALWAYS: u32 = 1000;

/// A part of the record that is looked up, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Look {
    /// Where the field is in the record, bytes.
    pub offset: usize,
    /// How it is looked up.
    pub how: How,
}

/// How a field is looked up. A string field has a capacity, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// By how the string begins: `==`, `in`, `startsWith`.
    Start(usize),
    /// By how it ends: `endsWith`.
    End(usize),
    /// By what is anywhere in it: `contains`.
    Anywhere(usize),
    /// By the value of an integer of 32 bits.
    Int,
    /// By the value of an integer of 64 bits.
    WideInt,
}

/// A test: what the look-up must find.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Where.
    pub look: Look,
    /// What: never empty; 8 bytes, the lowest first, of an integer.
    pub bytes: Vec<u8>,
}

/// Keys of which at least one holds whenever a condition does.
#[derive(Clone, Debug)]
pub struct Cover {
    /// The keys.
    pub keys: BTreeSet<Key>,
    /// A guess of how many of 1,000 events one of them holds for.
    pub wakes: u32,
}

impl Cover {
    fn one(key: Key, wakes: u32) -> Self {
        Self { keys: BTreeSet::from([key]), wakes }
    }

    /// One of both holds.
    fn either(mut self, other: Self) -> Option<Self> {
        self.keys.extend(other.keys);
        self.wakes = self.wakes.saturating_add(other.wakes);
        (self.keys.len() <= KEYS_MAX).then_some(self)
    }

    /// Both hold: the one that wakes its rule less often is enough.
    fn better(self, other: Self) -> Self {
        if (other.wakes, other.keys.len()) < (self.wakes, self.keys.len()) { other } else { self }
    }

    fn any(covers: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let mut covers = covers.into_iter();
        let first = covers.next()??;
        covers.try_fold(first, |all, cover| all.either(cover?))
    }
}

/// The best cover of "`cond` is `sense`", or `None` where only trying the condition tells.
pub fn cover(cond: &Cond, sense: bool) -> Option<Cover> {
    match (&cond.kind, sense) {
        (CondKind::Not(inner), _) => cover(inner, !sense),
        (CondKind::And(left, right), true) | (CondKind::Or(left, right), false) => {
            match (cover(left, sense), cover(right, sense)) {
                (Some(left), Some(right)) => Some(left.better(right)),
                (left, right) => left.or(right),
            }
        }
        (CondKind::And(left, right), false) | (CondKind::Or(left, right), true) => {
            cover(left, sense)?.either(cover(right, sense)?)
        }
        (CondKind::Choose(_, one, other), _) => cover(one, sense)?.either(cover(other, sense)?),
        (CondKind::Text(test, field, literal), true) => text(*test, field, literal),
        (CondKind::Pattern(field, pattern), true) => {
            let any =
                |(test, literals): &Implied| Cover::any(literals.iter().map(|literal| text(*test, field, literal)));
            let covers = pattern.implied.iter().filter_map(any).filter(|cover| cover.wakes < ALWAYS);
            covers.reduce(Cover::better)
        }
        (CondKind::TextIn(field, literals), true) => {
            Cover::any(literals.iter().map(|literal| text(TextTest::Equals, field, literal)))
        }
        (
            CondKind::Ints(Relation::Equal, Int::Field(field), Int::Const(value))
            | CondKind::Ints(Relation::Equal, Int::Const(value), Int::Field(field)),
            true,
        ) => Some(int(*field, *value)),
        (CondKind::IntIn(Int::Field(field), values), true) => {
            Cover::any(values.iter().map(|value| Some(int(*field, *value))))
        }
        _ => None,
    }
}

/// The search for a literal in `field`.
pub fn search(field: &Field, literal: &[u8]) -> Option<Key> {
    let Kind::Text(capacity) = field.kind else { return None };
    let look = Look { offset: field.offset, how: How::Anywhere(capacity) };
    (!literal.is_empty()).then(|| Key { look, bytes: literal.to_vec() })
}

/// The guesses are of everyday work: most paths share how they begin, few how they end, and what is short is
/// found often. Only the cost of a rule depends on them, never its verdict.
fn text(test: TextTest, field: &'static Field, literal: &[u8]) -> Option<Cover> {
    let Kind::Text(capacity) = field.kind else { return None };
    let (how, wakes) = match (test, literal.len()) {
        (_, 0) => return None,
        (TextTest::Equals, _) => (How::Start(capacity), 1),
        (TextTest::EndsWith, 1 | 2) => (How::End(capacity), 100),
        (TextTest::EndsWith, 3) => (How::End(capacity), 20),
        (TextTest::EndsWith, _) => (How::End(capacity), 4),
        (TextTest::StartsWith, 1..=5) => (How::Start(capacity), 300),
        (TextTest::StartsWith, 6..=10) => (How::Start(capacity), 100),
        (TextTest::StartsWith, 11..=16) => (How::Start(capacity), 10),
        (TextTest::StartsWith, _) => (How::Start(capacity), 3),
        (TextTest::Contains, 1..=3) => (How::Anywhere(capacity), 150),
        (TextTest::Contains, _) => (How::Anywhere(capacity), 8),
    };
    let look = Look { offset: field.offset, how };
    Some(Cover::one(Key { look, bytes: literal.to_vec() }, wakes))
}

/// 0 and 1 are root, its group, and the first process.
fn int(field: IntField, value: i64) -> Cover {
    let look = Look { offset: field.offset, how: if field.wide { How::WideInt } else { How::Int } };
    Cover::one(Key { look, bytes: value.to_le_bytes().to_vec() }, if matches!(value, 0 | 1) { 300 } else { 20 })
}
