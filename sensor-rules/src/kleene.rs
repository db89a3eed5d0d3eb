//! Three values: what a condition says of an event of which some text was not seen whole.
//!
//! A term about what was not seen is *unknown*, and that spreads by Kleene's tables. In the compiler's form a
//! condition becomes two: one that holds where it is certainly true (`must`), and one that holds where it is
//! true or unknown (`may`).

use sensor_common::{
    field::{Field, Kind},
    record::TEXT_MAX,
};

use crate::{
    expr::{Cond, CondKind},
    int::Int,
    text_test::TextTest,
};

/// How many bytes of each end of a text that was cut are known.
pub const END: usize = TEXT_MAX / 2;
/// A condition as two.
#[derive(Clone, Debug)]
pub struct Both {
    /// It is certainly true.
    pub must: Cond,
    /// It is true or unknown.
    pub may: Cond,
}

impl Both {
    /// `cond`, which is never unknown.
    fn certain(cond: &Cond) -> Self {
        Self { must: cond.clone(), may: cond.clone() }
    }
}

/// `cond` as two; `None` where it is never unknown.
pub fn both(cond: &Cond) -> Option<Both> {
    let made = |kind| Cond { kind, range: cond.range.clone() };
    match &cond.kind {
        CondKind::Not(inner) => {
            let Both { must, may } = both(inner)?;
            Some(Both { must: not(may), may: not(must) })
        }
        CondKind::And(left, right) => {
            let (left, right) = pair(left, right)?;
            Some(Both { must: made(and(left.must, right.must)), may: made(and(left.may, right.may)) })
        }
        CondKind::Or(left, right) => {
            let (left, right) = pair(left, right)?;
            Some(Both { must: made(or(left.must, right.must)), may: made(or(left.may, right.may)) })
        }
        CondKind::Choose(by, one, other) => choose(by, one, other, cond),
        CondKind::Same(..) => doubted(cond, doubts(cond)),
        _ => leaf(cond),
    }
}

/// Both sides; `None` where neither is ever unknown.
fn pair(left: &Cond, right: &Cond) -> Option<(Both, Both)> {
    match (both(left), both(right)) {
        (None, None) => None,
        (one, other) => {
            Some((one.unwrap_or_else(|| Both::certain(left)), other.unwrap_or_else(|| Both::certain(right))))
        }
    }
}

/// `by ? one : other`. As soon as some text in `by` was not seen whole, it says what both sides say; where
/// choices are nested, nothing: each would make twice as much of what is in it, which is more than a verifier
/// follows.
fn choose(by: &Cond, one: &Cond, other: &Cond, whole: &Cond) -> Option<Both> {
    let made = |kind| Cond { kind, range: whole.range.clone() };
    let choice = |by: &Cond, one: &Cond, other: &Cond| {
        made(CondKind::Choose(Box::new(by.clone()), Box::new(one.clone()), Box::new(other.clone())))
    };
    let (sides, doubt) = (pair(one, other), any(doubts(by)));
    if sides.is_none() && doubt.is_none() {
        return None;
    }
    let is_nested = [by, one, other].into_iter().any(has_choice);
    let (one, other) = sides.unwrap_or_else(|| (Both::certain(one), Both::certain(other)));
    let (must, may) = (choice(by, &one.must, &other.must), choice(by, &one.may, &other.may));
    Some(match doubt {
        None => Both { must, may },
        Some(doubt) if is_nested => Both { must: made(and(must, not(doubt.clone()))), may: made(or(may, doubt)) },
        Some(doubt) => Both {
            must: choice(&doubt, &made(and(one.must, other.must)), &must),
            may: choice(&doubt, &made(or(one.may, other.may)), &may),
        },
    })
}

/// Whether there is a `?:` in a condition.
fn has_choice(cond: &Cond) -> bool {
    matches!(cond.kind, CondKind::Choose(..)) || cond.parts().into_iter().any(has_choice)
}

/// A part without parts.
fn leaf(cond: &Cond) -> Option<Both> {
    let made = |kind| Cond { kind, range: cond.range.clone() };
    match &cond.kind {
        CondKind::Text(TextTest::StartsWith | TextTest::Contains, field, _) if field.is_payload() => {
            // What is found in what was read is there.
            let may = made(or(cond.clone(), made(CondKind::Unknown(field))));
            Some(Both { must: cond.clone(), may })
        }
        CondKind::Text(TextTest::StartsWith | TextTest::EndsWith, field, literal)
            if literal.len() <= END && is_long(field) =>
        {
            doubted(cond, [made(CondKind::Unknown(field))])
        }
        CondKind::Text(TextTest::Equals, field, _) if is_cut(field) => Some(excluded(cond, field)),
        CondKind::TextIn(field, list) if is_cut(field) => (!list.is_empty()).then(|| excluded(cond, field)),
        CondKind::TextIn(_, list) if list.is_empty() => None,
        CondKind::IntIn(_, list) if list.is_empty() => None,
        _ => doubted(cond, doubts(cond)),
    }
}

/// A comparison with whole literals: one that was cut is longer than any of them.
fn excluded(cond: &Cond, field: &'static Field) -> Both {
    let made = |kind| Cond { kind, range: cond.range.clone() };
    let must = made(and(cond.clone(), not(made(CondKind::Cut(field)))));
    let may = made(or(must.clone(), made(CondKind::Unknown(field))));
    Both { must, may }
}

/// `cond`, which is unknown where one of `doubts` holds; `None` where there are none.
fn doubted(cond: &Cond, doubts: impl IntoIterator<Item = Cond>) -> Option<Both> {
    let made = |kind| Cond { kind, range: cond.range.clone() };
    let doubt = any(doubts)?;
    let must = made(and(cond.clone(), not(doubt.clone())));
    Some(Both { must, may: made(or(cond.clone(), doubt)) })
}

/// Where a text that `cond` reads was not seen whole, one for each.
fn doubts(cond: &Cond) -> impl Iterator<Item = Cond> {
    cond.doubtful().into_iter().filter_map(|field| doubt(field, cond))
}

/// Whether one of these holds; `None` where there are none.
fn any(conds: impl IntoIterator<Item = Cond>) -> Option<Cond> {
    conds.into_iter().reduce(|all, one| Cond { range: one.range.clone(), kind: or(all, one) })
}

/// Where something that takes all of `field` cannot be answered; `None` where it always can.
fn doubt(field: &'static Field, of: &Cond) -> Option<Cond> {
    let kind = if is_cut(field) { CondKind::Cut(field) } else { CondKind::Unknown(field) };
    is_long(field).then(|| Cond { kind, range: of.range.clone() })
}

/// Whether a text is ever not seen whole: names of threads are.
pub fn is_long(field: &Field) -> bool {
    field.kind == Kind::Text(TEXT_MAX)
}

/// Whether a text can be longer than what is kept: a payload is by definition its first bytes.
fn is_cut(field: &Field) -> bool {
    is_long(field) && !field.is_payload()
}

fn not(cond: Cond) -> Cond {
    let range = cond.range.clone();
    Cond { kind: CondKind::Not(Box::new(cond)), range }
}

fn and(left: Cond, right: Cond) -> CondKind {
    CondKind::And(Box::new(left), Box::new(right))
}

fn or(left: Cond, right: Cond) -> CondKind {
    CondKind::Or(Box::new(left), Box::new(right))
}

impl Cond {
    /// The texts that it reads and that may not have been seen whole, each once, in the order of the record.
    pub fn doubtful(&self) -> Vec<&'static Field> {
        let mut fields = Vec::new();
        self.collect_texts(&mut fields);
        fields.retain(|field| is_long(field));
        fields.sort_unstable_by_key(|field| field.offset);
        fields.dedup();
        fields
    }

    fn collect_texts(&self, fields: &mut Vec<&'static Field>) {
        match &self.kind {
            CondKind::Text(_, field, _)
            | CondKind::TextIn(field, _)
            | CondKind::Pattern(field, _)
            | CondKind::Cut(field)
            | CondKind::Unknown(field) => fields.push(field),
            CondKind::TextSame(left, right) => fields.extend([*left, *right]),
            CondKind::Ints(_, left, right) => [left, right].into_iter().for_each(|int| int.collect_lengths(fields)),
            CondKind::IntIn(int, _) => int.collect_lengths(fields),
            CondKind::Bits(field, _) => Int::Field(*field).collect_lengths(fields),
            _ => self.parts().into_iter().for_each(|part| part.collect_texts(fields)),
        }
    }
}
