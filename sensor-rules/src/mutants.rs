//! Whether a rule's tests notice when a part of the rule is gone.
//!
//! The tests of July 2024 tried field 21 with a wildcard only, and so nobody saw what the first other value did. Here
//! each term of a condition is taken for true, and for false, whatever the event is, and each exception is left out.
//! The tests of the rule must fail for each of these *mutants*: one that passes them all says that the term could be
//! anything.

use std::fmt;

use crate::{
    mutant::Mutant,
    rule::{Rule, RuleSet},
    selftest,
    source::Place,
};

/// A mutant that all tests of its rule accept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Survivor {
    /// Where the part stands.
    pub place: Place,
    /// The rule's id.
    pub rule: String,
    /// What was changed, in words.
    pub change: String,
}

impl fmt::Display for Survivor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: rule `{}`: its tests are right as well {}", self.place, self.rule, self.change)
    }
}

/// The mutants of rules with tests that their tests do not notice. The rules must have been read with
/// [`Options::mutants`](crate::Options::mutants).
pub fn survivors(rules: &RuleSet) -> Vec<Survivor> {
    let tested = rules.rules().iter().filter(|rule| !rule.examples.is_empty());
    tested
        .flat_map(|rule| rule.mutants.iter().filter(|mutant| survives(rule, mutant)).map(|mutant| of(rule, mutant)))
        .collect()
}

fn of(rule: &Rule, Mutant { place, change, .. }: &Mutant) -> Survivor {
    Survivor { place: place.clone(), rule: rule.id.clone(), change: change.clone() }
}

/// Whether no test tells the mutant from its rule. One that the interpreter fails at is noticed.
fn survives(rule: &Rule, mutant: &Mutant) -> bool {
    let changed = Rule { checked: mutant.checked.clone(), mutants: Vec::new(), ..rule.clone() };
    selftest::run(&RuleSet::new(vec![changed])).wrong.is_empty()
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
        survivors(&rules).iter().map(Survivor::to_string).collect()
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
