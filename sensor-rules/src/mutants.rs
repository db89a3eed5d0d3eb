//! Whether a rule's tests notice when a part of the rule is gone.
//!
//! The tests of July 2024 tried field 21 with a wildcard only, and so nobody saw what the first other value did. Here
//! each term of a condition is taken for true, and for false, whatever the event is, and each exception is left out.
//! The tests of the rule must fail for each of these *mutants*: one that passes them all says that the term could be
//! anything.

use crate::{
    mutant::Mutant,
    rule::{Answer, Example, Happenings, Rule, RuleSet},
    selftest::{self, Report, Wrong},
};

/// Tries every mutant of rules with tests: what their tests do not notice is wrong with them. The rules must have been
/// read with [`Options::mutants`](crate::Options::mutants).
pub fn run(rules: &RuleSet) -> Report {
    let mut report = Report::default();
    for rule in rules.rules().iter().filter(|rule| !rule.examples.is_empty()) {
        try_parts(rule, &mut report);
        try_state(rule, &mut report);
    }
    report
}

/// Changes the condition and the exceptions.
fn try_parts(rule: &Rule, report: &mut Report) {
    let mut changed = Rule { mutants: Vec::new(), ..rule.clone() };
    // Of an exception that no test needs, no part is needed either.
    let mut untried = None;
    for mutant in &rule.mutants {
        if untried.is_some() && untried == mutant.exception.as_ref() {
            continue;
        }
        report.tried += 1;
        changed.checked = mutant.checked.clone();
        // One that the interpreter fails at is noticed.
        if selftest::run(&RuleSet::new(vec![changed.clone()])).wrong.is_empty() {
            let Mutant { change, noticed_by, exception, place, .. } = mutant;
            let message = format!("its tests are right as well {change}; add {noticed_by}");
            report.wrong.push(Wrong { place: place.clone(), rule: rule.id.clone(), message });
            untried = exception.as_ref();
        }
    }
}

/// A rule with `count` or `after` must be tried by a sequence that it matches.
fn try_state(rule: &Rule, report: &mut Report) {
    let (Some(_), Some(first)) = (&rule.state, rule.examples.first()) else { return };
    report.tried += 1;
    let is_sequence = |example: &Example| matches!(example.events, Happenings::Sequence(_));
    if !rule.examples.iter().any(|example| example.expected == Answer::Match && is_sequence(example)) {
        let message =
            "its tests try conditions only, not how often or in which order; add a sequence of events, under `match`";
        report.wrong.push(Wrong { place: first.place.clone(), rule: rule.id.clone(), message: message.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Source, check};

    fn survivors_of(rule: &str) -> Vec<String> {
        let head = "rules:\n- id: x\n  title: x\n  severity: low\n  on: fifo.open\n";
        let source = Source { name: "x.yaml".into(), text: format!("{head}{rule}").into_bytes() };
        let options = Options { mutants: true, ..Options::default() };
        let rules = check(&[source], options).map_err(|problems| problems.to_string()).unwrap();
        assert!(selftest::run(&rules).wrong.is_empty());
        run(&rules).wrong.iter().map(Wrong::to_string).collect()
    }

    #[test]
    fn a_term_that_no_test_tries_survives() {
        let rule = "  condition: path == '/tmp/f' && process.uid == 7\n  tests:\n    match:\n    - {path: /tmp/f, process.uid: 7}\n    no_match:\n    - {path: /tmp/g, process.uid: 7}\n";
        assert_eq!(
            survivors_of(rule),
            [
                "x.yaml:6:34: rule `x`: its tests are right as well where `process.uid == 7` is always true; add an event that this term alone decides by being false, under `no_match`"
            ]
        );
        let tried = rule.to_owned() + "    - {path: /tmp/f, process.uid: 8}\n";
        assert!(survivors_of(&tried).is_empty());
    }

    #[test]
    fn an_exception_that_no_test_needs_survives() {
        let rule = "  condition: path == '/tmp/f'\n  exceptions:\n    backup: process.uid == 7\n  tests:\n    match:\n    - {path: /tmp/f, process.uid: 8}\n    no_match:\n    - {path: /tmp/g}\n";
        assert_eq!(
            survivors_of(rule),
            [
                "x.yaml:8:13: rule `x`: its tests are right as well where the exception `backup` is left out; add an event that only this exception spares, under `no_match`"
            ]
        );
        let tried = rule.to_owned() + "    - {path: /tmp/f, process.uid: 7}\n";
        assert!(survivors_of(&tried).is_empty());
    }

    #[test]
    fn how_often_is_tried_by_a_sequence() {
        let rule = "  condition: path == '/tmp/f'\n  count: {by: process.pid, within: 7s, more_than: 2}\n  tests:\n    match:\n    - {path: /tmp/f}\n    no_match:\n    - {path: /tmp/g}\n";
        let found = survivors_of(rule);
        assert!(found.len() == 1 && found[0].contains("not how often or in which order"), "{found:?}");
        assert!(survivors_of(&rule.replace("- {path: /tmp/f}", "- [{path: /tmp/f, times: 3}]")).is_empty());
    }

    #[test]
    fn what_is_negated_or_chosen_is_tried_too() {
        let rule = "  condition: 'path == \"/tmp/f\" && !(process.uid == 7) || process.uid == 0'\n  tests:\n    match:\n    - {path: /tmp/f, process.uid: 8}\n    no_match:\n    - {path: /tmp/g, process.uid: 8}\n";
        let found = survivors_of(rule);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("`process.uid == 7` is always false") && found[0].ends_with("under `no_match`"),
            "{found:?}"
        );
        assert!(
            found[1].contains("`process.uid == 0` is always false") && found[1].ends_with("under `match`"),
            "{found:?}"
        );
    }
}
