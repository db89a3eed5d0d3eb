//! How little may be written so that no rule can match: what a hook asks before it does anything else.
//!
//! Most writes are short, and a rule on a payload names some text that it must hold. Fewer bytes than the text has
//! cannot hold it, whether they could be read or not.

use sensor_common::event::Event;

use crate::{
    expr::{Cond, CondKind},
    rule::RuleSet,
};

impl RuleSet {
    /// How many bytes the payload of `event` must have at least so that any rule can match; 0 where no number says so.
    pub fn least_payload(&self, event: Event) -> u32 {
        let least = self.judging(event).map(|(_, _, checked, _)| least(&checked.cond, true)).min();
        u32::try_from(least.unwrap_or(0)).unwrap_or(u32::MAX)
    }
}

/// How many bytes the payload has at least where "`cond` is `sense`" may hold.
fn least(cond: &Cond, sense: bool) -> usize {
    match (&cond.kind, sense) {
        // Never so, whatever is written.
        (CondKind::Const(holds), _) if *holds != sense => usize::MAX,
        (CondKind::Not(inner), _) => least(inner, !sense),
        (CondKind::And(left, right), true) | (CondKind::Or(left, right), false) => {
            least(left, sense).max(least(right, sense))
        }
        (CondKind::And(left, right), false) | (CondKind::Or(left, right), true) => {
            least(left, sense).min(least(right, sense))
        }
        (CondKind::Choose(by, one, other), _) => {
            let (one, other) = (least(one, sense), least(other, sense));
            one.max(least(by, true)).min(other.max(least(by, false)))
        }
        (CondKind::Text(_, field, literal), true) if field.is_payload() => literal.len(),
        (CondKind::TextIn(field, literals), true) if field.is_payload() => {
            literals.iter().map(Vec::len).min().unwrap_or(0)
        }
        (CondKind::Pattern(field, pattern), true) if field.is_payload() => pattern.shortest.unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Source, check};

    fn least_of(conditions: &[&str]) -> u32 {
        let rules = conditions.iter().enumerate().map(|(number, condition)| {
            format!("- {{id: r{number}, title: x, severity: low, on: pipe.payload, condition: '{condition}'}}\n")
        });
        let text = format!("rules:\n{}", rules.collect::<String>());
        let source = Source { name: "x.yaml".into(), text: text.into_bytes() };
        let rules = check(&[source], Options::default()).map_err(|problems| problems.to_string()).unwrap();
        rules.least_payload(Event::PipePayload)
    }

    #[test]
    fn the_shortest_payload_that_any_rule_can_match_is_known() {
        assert_eq!(least_of(&[r#"payload.contains("12345")"#]), 5);
        assert_eq!(least_of(&[r#"payload.contains("12345")"#, r#"payload == "123""#]), 3);
        assert_eq!(least_of(&[r#"payload.contains("12345") && payload.startsWith("12345678")"#]), 8);
        assert_eq!(least_of(&[r#"payload.contains("12345") || payload.startsWith("12345678")"#]), 5);
        assert_eq!(least_of(&[r#"payload in ["1234", "123456"]"#]), 4);
        assert_eq!(least_of(&[r#"payload.matches("^ab+c")"#]), 3);
        assert_eq!(least_of(&[r#"process.uid == 0 ? payload.contains("12345") : payload.contains("123")"#]), 3);
    }

    #[test]
    fn what_says_nothing_of_the_payload_has_no_least() {
        assert_eq!(least_of(&[r#"payload.contains("12345")"#, r#"process.comm == "nc""#]), 0);
        assert_eq!(least_of(&[r#"!payload.contains("12345")"#]), 0);
        assert_eq!(least_of(&[r#"payload.contains("12345") == (process.comm == "nc")"#]), 0);
    }
}
