//! What can be said of a condition before all fields are filled.
//!
//! Some fields cost much to fill: paths of executables, arguments. Most events match nothing, and most conditions say so by their
//! other parts. So each event gets an *early* program: the same rules, in which every part that reads a costly field is taken to
//! hold. Where none of these matches, no rule does, and the costly fields are never filled.

use sensor_common::event::{Event, Groups};

use crate::{
    expr::{Cond, CondKind},
    fold::fold,
    rule::RuleSet,
};

/// `cond` without the parts that read [`Groups::LATE`]: holds wherever `cond` holds.
pub fn weakened(cond: &Cond) -> Cond {
    fold(&assumed(cond, true))
}

/// `cond` with the parts that read late fields replaced: so that it holds wherever `cond` holds (`sense`), or so that `cond`
/// holds wherever it holds.
fn assumed(cond: &Cond, sense: bool) -> Cond {
    let part = |part: &Cond, sense| Box::new(assumed(part, sense));
    let kind = match &cond.kind {
        _ if !cond.groups().meets(Groups::LATE) => cond.kind.clone(),
        CondKind::Not(inner) => CondKind::Not(part(inner, !sense)),
        CondKind::And(left, right) => CondKind::And(part(left, sense), part(right, sense)),
        CondKind::Or(left, right) => CondKind::Or(part(left, sense), part(right, sense)),
        CondKind::Choose(by, one, other) if !by.groups().meets(Groups::LATE) => {
            CondKind::Choose(by.clone(), part(one, sense), part(other, sense))
        }
        CondKind::Choose(_, one, other) if sense => CondKind::Or(part(one, true), part(other, true)),
        CondKind::Choose(_, one, other) => CondKind::And(part(one, false), part(other, false)),
        _ => CondKind::Const(sense),
    };
    Cond { kind, range: cond.range.clone() }
}

/// The groups that an early program for `event` reads; `None` where it would sort nothing out.
pub fn groups(rules: &RuleSet, event: Event) -> Option<Groups> {
    if !rules.needs(event).meets(Groups::LATE) {
        return None;
    }
    let mut groups = Groups::JUDGED;
    for (_, _, checked, _) in rules.judging(event) {
        let weakened = weakened(&checked.cond);
        if matches!(weakened.kind, CondKind::Const(true)) {
            return None;
        }
        groups = groups.with(weakened.groups());
    }
    Some(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Source, check};

    fn early(condition: &str) -> Option<Groups> {
        let text =
            format!("rules:\n- id: x\n  title: x\n  severity: low\n  on: fifo.open\n  condition: |\n    {condition}\n");
        let source = Source { name: "x.yaml".into(), text: text.into_bytes() };
        let rules = check(&[source], Options::default()).map_err(|problems| problems.to_string()).unwrap();
        groups(&rules, Event::FifoOpen)
    }

    #[test]
    fn costly_parts_are_taken_to_hold() {
        let path = Some(Groups::JUDGED.with(Groups::PATH));
        assert_eq!(early("path == '/tmp/f' && process.exe == '/bin/cat'"), path);
        assert_eq!(early("path == '/tmp/f' && !(process.exe == '/bin/cat')"), path);
        assert_eq!(
            early("path == '/tmp/f' && !(reads || process.exe == '/bin/cat')"),
            path.map(|path| path.with(Groups::OPEN))
        );
        assert_eq!(early("process.exe == '/bin/cat' ? path == '/tmp/f' : path == '/tmp/g'"), path);
        assert_eq!(early("reads ? process.exe == 'a' : false"), Some(Groups::JUDGED.with(Groups::OPEN)));
    }

    #[test]
    fn what_sorts_nothing_out_is_not_made() {
        assert_eq!(early("path == '/tmp/f'"), None);
        assert_eq!(early("path == '/tmp/f' || process.exe == '/bin/cat'"), None);
        assert_eq!(early("!(path == '/tmp/f' && process.exe == '/bin/cat')"), None);
        assert_eq!(early("reads == (process.exe == '/bin/cat')"), None);
    }
}
