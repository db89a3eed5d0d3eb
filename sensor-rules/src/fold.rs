//! Constants are folded away before code is made: the kernel refuses a program with unreachable instructions.

use std::ops::Range;

use crate::expr::{Cond, CondKind};

/// `cond` without constants, or a constant.
pub fn fold(cond: &Cond) -> Cond {
    let kind = match &cond.kind {
        CondKind::Not(inner) => not(fold(inner)),
        CondKind::And(left, right) => match (fold(left), fold(right)) {
            (Cond { kind: CondKind::Const(false), .. }, _) | (_, Cond { kind: CondKind::Const(false), .. }) => {
                CondKind::Const(false)
            }
            (Cond { kind: CondKind::Const(true), .. }, other) | (other, Cond { kind: CondKind::Const(true), .. }) => {
                return other;
            }
            (left, right) => CondKind::And(Box::new(left), Box::new(right)),
        },
        CondKind::Or(left, right) => match (fold(left), fold(right)) {
            (Cond { kind: CondKind::Const(true), .. }, _) | (_, Cond { kind: CondKind::Const(true), .. }) => {
                CondKind::Const(true)
            }
            (Cond { kind: CondKind::Const(false), .. }, other) | (other, Cond { kind: CondKind::Const(false), .. }) => {
                return other;
            }
            (left, right) => CondKind::Or(Box::new(left), Box::new(right)),
        },
        CondKind::Same(left, right) => match (fold(left), fold(right)) {
            (Cond { kind: CondKind::Const(true), .. }, other) | (other, Cond { kind: CondKind::Const(true), .. }) => {
                return other;
            }
            (Cond { kind: CondKind::Const(false), .. }, other) | (other, Cond { kind: CondKind::Const(false), .. }) => {
                not(other)
            }
            (left, right) => CondKind::Same(Box::new(left), Box::new(right)),
        },
        CondKind::Choose(by, one, other) => return choose(&cond.range, fold(by), fold(one), fold(other)),
        CondKind::IntIn(_, list) if list.is_empty() => CondKind::Const(false),
        CondKind::TextIn(_, list) if list.is_empty() => CondKind::Const(false),
        other => other.clone(),
    };
    Cond { kind, range: cond.range.clone() }
}

/// `by ? one : other`, all folded.
fn choose(range: &Range<usize>, by: Cond, one: Cond, other: Cond) -> Cond {
    let made = |kind| Box::new(Cond { kind, range: range.clone() });
    let kind = match (&by.kind, &one.kind, &other.kind) {
        (CondKind::Const(true), ..) => return one,
        (CondKind::Const(false), ..) => return other,
        (_, CondKind::Const(true), _) => CondKind::Or(Box::new(by), Box::new(other)),
        (_, CondKind::Const(false), _) => CondKind::And(made(CondKind::Not(Box::new(by))), Box::new(other)),
        (_, _, CondKind::Const(true)) => CondKind::Or(made(CondKind::Not(Box::new(by))), Box::new(one)),
        (_, _, CondKind::Const(false)) => CondKind::And(Box::new(by), Box::new(one)),
        _ => return *made(CondKind::Choose(Box::new(by), Box::new(one), Box::new(other))),
    };
    // Of two constants one is still there.
    fold(&made(kind))
}

fn not(inner: Cond) -> CondKind {
    match inner.kind {
        CondKind::Const(value) => CondKind::Const(!value),
        _ => CondKind::Not(Box::new(inner)),
    }
}
