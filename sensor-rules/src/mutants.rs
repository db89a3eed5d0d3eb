//! Whether a rule's tests notice when a part of the rule is gone.
//!
//! The tests of July 2024 tried field 21 with a wildcard only, and so nobody saw what the first other value did. Here
//! each term of a condition is taken for true, and for false, whatever the event is, and each exception is left out.
//! The tests of the rule must fail for each of these *mutants*: one that passes them all says that the term could be
//! anything.

use crate::{
    rule::{Rule, RuleSet},
    selftest::{self, Report, Wrong},
};

/// Tries every mutant of rules with tests: what their tests do not notice is wrong with them. The rules must have been
/// read with [`Options::mutants`](crate::Options::mutants).
pub fn run(rules: &RuleSet) -> Report {
    let mut report = Report::default();
    for rule in rules.rules().iter().filter(|rule| !rule.examples.is_empty()) {
        let mut changed = Rule { mutants: Vec::new(), ..rule.clone() };
        for mutant in &rule.mutants {
            report.tried += 1;
            changed.checked = mutant.checked.clone();
            // One that the interpreter fails at is noticed.
            if selftest::run(&RuleSet::new(vec![changed.clone()])).wrong.is_empty() {
                let message = format!("its tests are right as well {}", mutant.change);
                report.wrong.push(Wrong { place: mutant.place.clone(), rule: rule.id.clone(), message });
            }
        }
    }
    report
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
            ["x.yaml:6:34: rule `x`: its tests are right as well where `process.uid == 7` is always true"]
        );
        let tried = rule.to_owned() + "    - {path: /tmp/f, process.uid: 8}\n";
        assert!(survivors_of(&tried).is_empty());
    }

    #[test]
    fn an_exception_that_no_test_needs_survives() {
        let rule = "  condition: path == '/tmp/f'\n  exceptions:\n    backup: process.uid == 7\n  tests:\n    match:\n    - {path: /tmp/f, process.uid: 8}\n    no_match:\n    - {path: /tmp/g}\n";
        assert_eq!(
            survivors_of(rule),
            ["x.yaml:8:13: rule `x`: its tests are right as well where the exception `backup` is left out"]
        );
        let tried = rule.to_owned() + "    - {path: /tmp/f, process.uid: 7}\n";
        assert!(survivors_of(&tried).is_empty());
    }

    #[test]
    fn what_is_negated_or_chosen_is_tried_too() {
        let rule = "  condition: 'path == \"/tmp/f\" && !(process.uid == 7) || process.uid == 0'\n  tests:\n    match:\n    - {path: /tmp/f, process.uid: 8}\n    no_match:\n    - {path: /tmp/g, process.uid: 8}\n";
        let found = survivors_of(rule);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("`process.uid == 7` is always false"), "{found:?}");
        assert!(found[1].contains("`process.uid == 0` is always false"), "{found:?}");
    }
}
