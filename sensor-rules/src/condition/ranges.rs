//! What a field can never be. A comparison that holds of no event, or of every one, is a slip: its author means
//! something else.

use std::ops::Range;

use cel::common::ast::IdedExpr;
use sensor_common::{
    field::{Field, Kind},
    record::COMM_MAX,
};

use super::{
    fault::Fault,
    types::{Checked, Checker},
};
use crate::{
    expr::Relation,
    int::{Extent, Int, IntField},
    pattern::Pattern,
};

impl Checker<'_> {
    /// Refuses a comparison whose answer is the same for every event; its operator stands at `own`.
    pub(super) fn undecided_yet(
        &mut self,
        relation: Relation,
        (left, left_expr): (&Int, &IdedExpr),
        (right, right_expr): (&Int, &IdedExpr),
        own: &Range<usize>,
    ) -> Checked<()> {
        match (relation, left, right) {
            (_, Int::Const(_), Int::Const(_)) => return Ok(()),
            (Relation::Equal, int, Int::Const(value)) => return self.can_be(int, *value, right_expr),
            (Relation::Equal, Int::Const(value), int) => return self.can_be(int, *value, left_expr),
            _ => {}
        }
        let sides = (range(left), range(right));
        let Some(answer) = foregone(relation, sides.0, sides.1).filter(|_| !self.names.any_range) else {
            return Ok(());
        };
        let says = |int: &Int, Extent { least, most }: Extent| format!("{} is from {least} to {most}", name(int));
        let reasons: Vec<_> = [(left, sides.0), (right, sides.1)]
            .into_iter()
            .filter(|(int, _)| !matches!(int, Int::Const(_)))
            .map(|(int, extent)| says(int, extent))
            .collect();
        let message = format!("this comparison {} holds", if answer { "always" } else { "never" });
        self.note(Fault::new(own.clone(), message).label(reasons.join(", ")))
    }

    /// Refuses a value, which stands at `expr`, that `int` never has.
    pub(super) fn can_be(&mut self, int: &Int, value: i64, expr: &IdedExpr) -> Checked<()> {
        let Extent { least, most } = range(int);
        if self.names.any_range || (least..=most).contains(&value.into()) {
            return Ok(());
        }
        let fault = Fault::new(self.spans.of(expr), format!("{} can never be this", name(int)))
            .label(format!("it is from {least} to {most}"));
        let unsigned = i32::try_from(value).ok().filter(|_| most == u32::MAX.into()).map(i32::cast_unsigned);
        let fault = match unsigned {
            Some(unsigned) => {
                fault.help(format!("it has no sign: {value} is {unsigned} in its 32 bits, so write that"))
            }
            None => fault,
        };
        self.inside(expr, |checker| checker.note(fault))
    }

    /// Refuses bits, which stand at `expr`, that `int` never has.
    pub(super) fn can_have(&mut self, int: IntField, bits: i64, expr: &IdedExpr) -> Checked<()> {
        let largest = int.field().and_then(Field::largest).unwrap_or(u64::MAX);
        let highest = u64::MAX.checked_shr(largest.leading_zeros()).unwrap_or(0);
        if self.names.any_range || bits.cast_unsigned() & !highest == 0 {
            return Ok(());
        }
        let fault = Fault::new(self.spans.of(expr), format!("{} never has all these bits", name(&Int::Field(int))))
            .label(format!("its bits are those of {highest:#x}"));
        self.inside(expr, |checker| checker.note(fault))
    }

    /// Refuses a pattern that no text of `field` has.
    pub(super) fn can_match(&mut self, field: &Field, pattern: &Pattern, at: Range<usize>) -> Checked<()> {
        if self.names.any_range {
            return Ok(());
        }
        let kept = longest(field);
        let label = match pattern.shortest.filter(|_| !pattern.automaton.finds_nothing()) {
            None => "no text has this pattern".to_owned(),
            Some(shortest) if shortest > kept => format!("it takes {shortest} bytes; {kept} of the field are kept"),
            Some(_) => return Ok(()),
        };
        self.note(Fault::new(at, format!("`{}` can never match this", field.name)).label(label))
    }

    /// Whether `field` could hold the literal at all.
    pub(super) fn fits(&mut self, field: &Field, bytes: &[u8], range: Range<usize>) -> Checked<()> {
        let kept = longest(field);
        if bytes.len() <= kept {
            return Ok(());
        }
        let message = format!("`{}` can never be this", field.name);
        let label = format!("{} bytes; the first {kept} of the field are kept", bytes.len());
        self.note(Fault::new(range, message).label(label))
    }
}

/// What a comparison of integers from such to such says whatever they are; `None` where it depends.
fn foregone(relation: Relation, left: Extent, right: Extent) -> Option<bool> {
    match relation {
        Relation::Equal if left.most < right.least || right.most < left.least => Some(false),
        Relation::Less if left.most < right.least => Some(true),
        Relation::Less if left.least >= right.most => Some(false),
        Relation::LessEqual if left.most <= right.least => Some(true),
        Relation::LessEqual if left.least > right.most => Some(false),
        Relation::Greater => foregone(Relation::Less, right, left),
        Relation::GreaterEqual => foregone(Relation::LessEqual, right, left),
        _ => None,
    }
}

/// From where to where an integer can be by what kernels give fields. Compiled code relies on less: see
/// [`Int::extent`].
fn range(int: &Int) -> Extent {
    let natural = |most: u64| Extent { least: 0, most: most.into() };
    match int {
        Int::Const(_) => int.extent(),
        Int::Field(field) => match (field.field().map(Field::largest), field.text()) {
            (Some(Some(most)), _) => natural(most),
            (None, Some(text)) => natural(longest(text) as u64),
            _ => int.extent(),
        },
        Int::Made(made) => made.op.extent(range(&made.left), range(&made.right)).unwrap_or_else(|| int.extent()),
    }
}

/// An integer, for messages.
fn name(int: &Int) -> String {
    let Int::Field(field) = int else { return "what is computed".to_owned() };
    match (field.field(), field.text()) {
        (Some(field), _) => format!("`{}`", field.name),
        (None, Some(text)) => format!("`size({})`", text.name),
        (None, None) => "this field".to_owned(),
    }
}

/// How many bytes a string field can hold: of a `comm`, which the kernel ends with a zero byte, one less than there
/// is room for.
const fn longest(field: &Field) -> usize {
    match field.kind {
        Kind::Text(COMM_MAX) => COMM_MAX - 1,
        Kind::Text(capacity) => capacity,
        Kind::U32 | Kind::U64 | Kind::Bool => 0,
    }
}
