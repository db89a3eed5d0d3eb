//! What can be said of a condition before all fields are filled.
//!
//! Some fields cost much to fill: paths of executables, arguments. Most events match nothing, and most
//! conditions say so by their other parts. So each event gets an *early* program: the same rules, in which
//! every part that reads a costly field is taken to hold. Where none of these matches, no rule does, and the
//! costly fields are never filled. So are fields that cost less, where every rule is still found by a key
//! without them.

use sensor_common::event::{Event, Groups};

use crate::{
    expr::{Cond, CondKind},
    fold::fold,
    plan::key::cover,
    rule::RuleSet,
};

/// `cond` without the parts that read groups of `late`: holds wherever `cond` holds.
pub fn weakened(cond: &Cond, late: Groups) -> Cond {
    by_known(cond, &|part| (!part.groups().meets(late)).then(|| part.kind.clone()))
}

/// `cond` with nothing in it but what is known of its parts: holds wherever `cond` holds.
pub fn by_known(cond: &Cond, known: &impl Fn(&Cond) -> Option<CondKind>) -> Cond {
    fold(&assumed(cond, known, true))
}

/// `cond` with the parts of which nothing is known replaced: so that it holds wherever `cond` holds (`sense`), or
/// so that `cond` holds wherever it holds.
fn assumed(cond: &Cond, known: &impl Fn(&Cond) -> Option<CondKind>, sense: bool) -> Cond {
    let part = |part: &Cond, sense| Box::new(assumed(part, known, sense));
    let kind = match &cond.kind {
        _ if let Some(kind) = known(cond) => kind,
        CondKind::Not(inner) => CondKind::Not(part(inner, !sense)),
        CondKind::And(left, right) => CondKind::And(part(left, sense), part(right, sense)),
        CondKind::Or(left, right) => CondKind::Or(part(left, sense), part(right, sense)),
        CondKind::Choose(by, one, other) if let Some(kind) = known(by) => {
            let by = Box::new(Cond { kind, range: by.range.clone() });
            CondKind::Choose(by, part(one, sense), part(other, sense))
        }
        CondKind::Choose(_, one, other) if sense => CondKind::Or(part(one, true), part(other, true)),
        CondKind::Choose(_, one, other) => CondKind::And(part(one, false), part(other, false)),
        _ => CondKind::Const(sense),
    };
    Cond { kind, range: cond.range.clone() }
}

/// What an early program for an event reads, and what it does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Early {
    /// The groups that it reads, with [`Groups::JUDGED`].
    pub reads: Groups,
    /// Those that are filled after it.
    pub late: Groups,
}

impl Early {
    /// For `event`; `None` where it would sort nothing out.
    pub fn of(rules: &RuleSet, event: Event) -> Option<Self> {
        let late = late(rules, event);
        if !rules.needs(event).meets(late) {
            return None;
        }
        let mut reads = Groups::JUDGED;
        for (_, _, checked, _) in rules.judging(event) {
            let weakened = weakened(&checked.cond, late);
            if matches!(weakened.kind, CondKind::Const(true)) {
                return None;
            }
            reads = reads.with(weakened.groups());
        }
        Some(Self { reads, late })
    }
}

impl RuleSet {
    /// What the early program for `event` reads of the groups that its rules need, and what not; `None` where there is
    /// no such program. Takes a look at every condition.
    pub fn early(&self, event: Event) -> Option<Early> {
        Early::of(self, event)
    }
}

/// The groups that the early program for `event` does without: those that cost much, and of those that cost less
/// each that no rule needs to be found by a key.
fn late(rules: &RuleSet, event: Event) -> Groups {
    let found_without = |late: Groups| {
        let mut conditions = rules.judging(event).map(|(_, _, checked, _)| &checked.cond);
        conditions.all(|cond| !cond.groups().meets(late) || cover(&weakened(cond, late), true).is_some())
    };
    Groups::SPARED.into_iter().fold(Groups::LATE, |late, group| {
        let more = late.with(group);
        if rules.needs(event).meets(group) && found_without(more) { more } else { late }
    })
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
        Early::of(&rules, Event::FifoOpen).map(|early| early.reads)
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
    fn a_name_is_read_late_where_the_rule_is_found_by_more_than_it() {
        let path = Some(Groups::JUDGED.with(Groups::PATH));
        assert_eq!(early("path == '/tmp/f' && process.comm == 'nc'"), path);
        assert_eq!(early("path == '/tmp/f' && (process.comm == 'nc' || process.exe == '/bin/nc')"), path);
        assert_eq!(early("reads && process.comm == 'nc'"), None);
        let open_and_comm = Some(Groups::JUDGED.with(Groups::OPEN).with(Groups::COMM));
        assert_eq!(early("reads && process.comm == 'nc' && process.exe == '/bin/nc'"), open_and_comm);
    }

    #[test]
    fn what_sorts_nothing_out_is_not_made() {
        assert_eq!(early("path == '/tmp/f'"), None);
        assert_eq!(early("path == '/tmp/f' || process.exe == '/bin/cat'"), None);
        assert_eq!(early("!(path == '/tmp/f' && process.exe == '/bin/cat')"), None);
        assert_eq!(early("reads == (process.exe == '/bin/cat')"), None);
    }
}
