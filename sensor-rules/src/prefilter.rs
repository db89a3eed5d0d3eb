//! What a hook asks before it takes a record: by one number, most events match no rule.
//!
//! Most writes are short, and a rule on a payload names some text that it must hold: fewer bytes than the text has
//! cannot hold it, whether they could be read or not. Most signals are others than those that rules name.

use core::mem::offset_of;

use sensor_common::{event::Event, record::Record};

use crate::{
    early::by_known,
    expr::{Cond, CondKind},
    int::{Int, IntField},
    rule::RuleSet,
};

impl RuleSet {
    /// How many bytes the payload of `event` must have at least so that any rule can match; 0 where no number says so.
    pub fn least_payload(&self, event: Event) -> u32 {
        let least = self.judging(event).map(|(_, _, checked, _)| least(&checked.cond, true)).min();
        u32::try_from(least.unwrap_or(0)).unwrap_or(u32::MAX)
    }

    /// The signals from 0 to 63 with which any rule for [`Event::ProcessSignal`] can match, one bit each.
    pub fn signals(&self) -> u64 {
        let conds = || self.judging(Event::ProcessSignal).map(|(_, _, checked, _)| &checked.cond);
        if conds().any(is_in_doubt) {
            return u64::MAX;
        }
        let can_match = |signal: &u32| {
            let by_signal = |part: &Cond| by_signal(part, *signal);
            conds().any(|cond| !matches!(by_known(cond, &by_signal).kind, CondKind::Const(false)))
        };
        (0..u64::BITS).filter(can_match).fold(0, |mask, signal| mask | 1 << signal)
    }
}

/// What a part of a condition says where nothing is known but the signal; `None` where that does not say.
fn by_signal(part: &Cond, signal: u32) -> Option<CondKind> {
    let holds = match &part.kind {
        CondKind::Const(holds) => *holds,
        CondKind::Ints(relation, Int::Field(field), Int::Const(value)) if is_signal(*field) => {
            relation.holds(signal.into(), *value)
        }
        CondKind::Ints(relation, Int::Const(value), Int::Field(field)) if is_signal(*field) => {
            relation.holds(*value, signal.into())
        }
        CondKind::IntIn(Int::Field(field), values) if is_signal(*field) => values.contains(&signal.into()),
        _ => return None,
    };
    Some(CondKind::Const(holds))
}

/// Whether a choice in it is by a text that may not be seen whole: it can be undecided, whatever its sides say.
fn is_in_doubt(cond: &Cond) -> bool {
    let is_by_doubtful = matches!(&cond.kind, CondKind::Choose(by, ..) if !by.doubtful().is_empty());
    is_by_doubtful || cond.parts().into_iter().any(is_in_doubt)
}

fn is_signal(field: IntField) -> bool {
    field.offset == offset_of!(Record, object.signal)
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
        (CondKind::Choose(by, one, other), _) if !is_in_doubt(cond) => {
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

    fn rules(event: &str, conditions: &[&str]) -> RuleSet {
        let rules = conditions.iter().enumerate().map(|(number, condition)| {
            format!("- {{id: r{number}, title: x, severity: low, on: {event}, condition: '{condition}'}}\n")
        });
        let text = format!("rules:\n{}", rules.collect::<String>());
        let source = Source { name: "x.yaml".into(), text: text.into_bytes() };
        check(&[source], Options::default()).map_err(|problems| problems.to_string()).unwrap()
    }

    fn least_of(conditions: &[&str]) -> u32 {
        rules("pipe.payload", conditions).least_payload(Event::PipePayload)
    }

    fn signals_of(conditions: &[&str]) -> u64 {
        rules("process.signal", conditions).signals()
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
        let undecided = r#"process.exe == "/x" ? payload.contains("12345678") : payload.contains("123456")"#;
        assert_eq!(least_of(&[undecided]), 0);
        assert_eq!(least_of(&[r#"payload.contains("12345") == (process.comm == "nc")"#]), 0);
    }
    #[test]
    fn signals_that_no_rule_names_match_none() {
        assert_eq!(signals_of(&["signal == SIGKILL"]), 1 << 9);
        assert_eq!(signals_of(&["signal in [9, 15] && process.uid == 7", "signal < 2"]), 1 << 9 | 1 << 15 | 0b11);
        assert_eq!(signals_of(&["!(signal in [0]) && 5 > signal"]), 0b11110);
        assert_eq!(signals_of(&["process.uid == 7 ? signal == 1 : signal == 2"]), 0b110);
        assert_eq!(signals_of(&["signal == 1 || process.uid == 7"]), u64::MAX);
        assert_eq!(signals_of(&["(signal == 1) == (process.uid == 7)"]), u64::MAX);
        let undecided = "(signal == 9 && process.exe == \"/x\") ? process.uid == 0 : signal == 9";
        assert_eq!(signals_of(&[undecided]), u64::MAX);
    }
}
