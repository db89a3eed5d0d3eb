//! Integers: literals, fields, and what is computed of them. Only arithmetic that cannot fail is made: CEL's fails
//! where it overflows and where it divides by 0, and a rule that fails would be silent.

use core::mem::offset_of;

use sensor_common::{
    event::Groups,
    field::{FIELDS, Field, Kind},
    record::{Record, TEXT_MAX, Text},
};

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

/// How many intermediate results there is room for.
pub const REGISTERS: usize = 5;

/// An operator on integers. Division is towards 0, and a remainder has the sign of what is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

impl Arithmetic {
    /// As CEL writes it.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }

    /// The least and the largest result for operands from such to such; `None` where a divisor can be 0.
    pub fn extent(self, left: Extent, right: Extent) -> Option<Extent> {
        let divides = matches!(self, Self::Divide | Self::Remainder);
        if divides && right.least <= 0 && right.most >= 0 {
            return None;
        }
        let corners = |compute: fn(i128, i128) -> i128| {
            let results = [
                compute(left.least, right.least),
                compute(left.least, right.most),
                compute(left.most, right.least),
                compute(left.most, right.most),
            ];
            let [first, ..] = results;
            results.into_iter().fold(Extent { least: first, most: first }, |all, result| Extent {
                least: all.least.min(result),
                most: all.most.max(result),
            })
        };
        Some(match self {
            Self::Add => corners(|left, right| left + right),
            Self::Subtract => corners(|left, right| left - right),
            Self::Multiply => corners(|left, right| left * right),
            Self::Divide => corners(|left, right| left / right),
            // CEL fails here, though 0 would be right.
            Self::Remainder if left.least == i64::MIN.into() && right.least <= -1 && right.most >= -1 => {
                Extent { least: 0, most: -left.least }
            }
            Self::Remainder => {
                let most = right.least.abs().max(right.most.abs()) - 1;
                Extent { least: left.least.clamp(-most, 0), most: left.most.clamp(0, most) }
            }
        })
    }
}

/// From where to where an integer can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The least.
    pub least: i128,
    /// The largest.
    pub most: i128,
}

impl Extent {
    const ALL: Self = Self { least: i64::MIN as i128, most: i64::MAX as i128 };

    /// Whether none is negative.
    pub const fn is_natural(self) -> bool {
        self.least >= 0
    }
}

/// What could go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsafe {
    /// The result is from such to such, which an integer of 64 bits does not hold.
    Overflow(i128, i128),
    /// Division by 0.
    Zero,
}

/// An integer made of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// How.
    pub op: Arithmetic,
    /// The left operand.
    pub left: Int,
    /// The right operand.
    pub right: Int,
    /// From where to where the result can be.
    extent: Extent,
    /// How many registers it takes to compute it.
    registers: usize,
}

impl Made {
    /// `left op right`, computed where both are known.
    ///
    /// # Errors
    /// Operands with which it would fail.
    #[expect(clippy::new_ret_no_self, reason = "what is known is a constant, and no longer made")]
    pub fn new(op: Arithmetic, left: Int, right: Int) -> Result<Int, Unsafe> {
        let extent = op.extent(left.extent(), right.extent()).ok_or(Unsafe::Zero)?;
        if extent.least < Extent::ALL.least || extent.most > Extent::ALL.most {
            return Err(Unsafe::Overflow(extent.least, extent.most));
        }
        if let (Int::Const(_), Int::Const(_), Ok(value)) = (&left, &right, i64::try_from(extent.least))
            && op != Arithmetic::Remainder
        {
            return Ok(Int::Const(value));
        }
        if let (Arithmetic::Remainder, Int::Const(left), Int::Const(right)) = (op, &left, &right) {
            return Ok(Int::Const(left % right));
        }
        let registers = together(&left, &right);
        Ok(Int::Made(Box::new(Self { op, left, right, extent, registers })))
    }
}

/// How many registers it takes to have two integers: the one that takes more is computed first.
pub fn together(left: &Int, right: &Int) -> usize {
    let (left, right) = (left.registers(), right.registers());
    if left == right { left + 1 } else { left.max(right) }
}

impl Int {
    /// From where to where it can be.
    pub fn extent(&self) -> Extent {
        match self {
            Self::Const(value) => Extent { least: (*value).into(), most: (*value).into() },
            Self::Field(field) if field.wide => Extent::ALL,
            Self::Field(field) => Extent { least: 0, most: field.largest.into() },
            Self::Made(made) => made.extent,
        }
    }

    /// How many registers it takes to compute it.
    pub fn registers(&self) -> usize {
        match self {
            Self::Const(_) | Self::Field(_) => 1,
            Self::Made(made) => made.registers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(op: Arithmetic, left: (i64, i64), right: (i64, i64)) -> Option<(i128, i128)> {
        let extent = |(least, most): (i64, i64)| Extent { least: least.into(), most: most.into() };
        op.extent(extent(left), extent(right)).map(|extent| (extent.least, extent.most))
    }

    #[test]
    fn extents_hold_every_result_and_the_ends_are_reached() {
        let ranges: Vec<_> = (-4..=4).flat_map(|least| (least..=4).map(move |most| (least, most))).collect();
        for left in &ranges {
            for right in &ranges {
                let pairs = || (left.0..=left.1).flat_map(|a| (right.0..=right.1).map(move |b| (a, b)));
                let results = |compute: fn(i64, i64) -> i64| {
                    let results: Vec<_> = pairs().map(|(a, b)| i128::from(compute(a, b))).collect();
                    Some((*results.iter().min().unwrap(), *results.iter().max().unwrap()))
                };
                assert_eq!(extent(Arithmetic::Add, *left, *right), results(|a, b| a + b));
                assert_eq!(extent(Arithmetic::Subtract, *left, *right), results(|a, b| a - b));
                assert_eq!(extent(Arithmetic::Multiply, *left, *right), results(|a, b| a * b));
                if pairs().any(|(_, b)| b == 0) {
                    assert_eq!(extent(Arithmetic::Divide, *left, *right), None);
                    assert_eq!(extent(Arithmetic::Remainder, *left, *right), None);
                    continue;
                }
                assert_eq!(extent(Arithmetic::Divide, *left, *right), results(|a, b| a / b));
                let (least, most) = extent(Arithmetic::Remainder, *left, *right).unwrap();
                assert!(pairs().all(|(a, b)| (least..=most).contains(&(a % b).into())), "{left:?} {right:?}");
            }
        }
    }

    #[test]
    fn what_cel_fails_at_is_unsafe() {
        let made = |op, left, right| Made::new(op, Int::Const(left), Int::Const(right));
        assert_eq!(made(Arithmetic::Add, i64::MAX, 1), Err(Unsafe::Overflow(1 << 63, 1 << 63)));
        assert_eq!(made(Arithmetic::Divide, i64::MIN, -1), Err(Unsafe::Overflow(1 << 63, 1 << 63)));
        assert!(matches!(made(Arithmetic::Remainder, i64::MIN, -1), Err(Unsafe::Overflow(..))));
        assert_eq!(made(Arithmetic::Divide, 1, 0), Err(Unsafe::Zero));
        assert_eq!(made(Arithmetic::Remainder, 1, 0), Err(Unsafe::Zero));
        assert_eq!(made(Arithmetic::Remainder, -7, 3), Ok(Int::Const(-1)));
        assert_eq!(made(Arithmetic::Divide, -7, 2), Ok(Int::Const(-3)));
    }
}
