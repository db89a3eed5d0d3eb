//! What a rule judges by: its condition, and the exceptions that silence it.

use std::sync::Arc;

use cel::common::ast::{CallExpr, Expr, IdedExpr, operators as op};

use super::Reader;
use crate::{
    align::Alignment,
    condition::{self, Checked, Names},
    expr::{Cond, CondKind},
    mutant::Mutant,
    rule::Lines,
    scalar,
    terms::{Term, terms},
    yaml::{Entry, Value},
};

/// What terms are replaced by.
const VALUES: [bool; 2] = [true, false];

/// A condition and its exceptions.
pub struct Judged {
    /// The condition's text.
    pub condition: String,
    /// The exceptions: name and text.
    pub exceptions: Vec<(String, String)>,
    /// The condition, and that no exception holds.
    pub checked: Checked,
    /// Where the parts of all stand.
    pub lines: Lines,
    /// Where their texts end, put one behind the other.
    pub end: usize,
    /// The same with one part changed each, where they were asked for.
    pub mutants: Vec<Mutant>,
}

/// One condition.
pub struct Part {
    pub text: String,
    pub alignment: Alignment,
    pub checked: Checked,
}

impl Reader<'_, '_> {
    /// Reads the condition at `entry`, and the exceptions, which are all checked, so that all problems are noted.
    pub(super) fn judged(&mut self, entry: &Entry, exceptions: Option<&Entry>, names: Names<'_>) -> Option<Judged> {
        let condition = self.part(entry, "the condition", names);
        let exceptions: Vec<_> = exceptions
            .map_or(Some([].as_slice()), |entry| self.exceptions(entry))?
            .iter()
            .map(|entry| Some((entry, self.part(entry, "the exception", names)?)))
            .collect();
        let exceptions: Vec<_> = exceptions.into_iter().collect::<Option<_>>()?;
        let condition = condition?;
        let mutants = if self.options.mutants { self.mutants(&condition, &exceptions, names) } else { Vec::new() };
        let Part { text: condition, alignment, checked } = condition;
        let mut lines = Lines::default();
        lines.add(self.text, &alignment, &checked.cond, 0);
        let mut judged = Judged { exceptions: Vec::new(), checked, lines, condition, end: 0, mutants };
        let mut behind = judged.condition.len() + 1;
        for (entry, Part { text, alignment, checked }) in exceptions {
            judged.lines.add(self.text, &alignment, &checked.cond, behind);
            judged.checked = without(judged.checked, checked.moved(behind));
            behind += text.len() + 1;
            judged.exceptions.push((entry.key.clone(), text));
        }
        judged.end = behind;
        Some(judged)
    }

    /// The condition and its exceptions with one part changed each.
    fn mutants(&self, condition: &Part, exceptions: &[(&Entry, Part)], names: Names<'_>) -> Vec<Mutant> {
        // What a change makes foregone is no mistake of the author's.
        let names = Names { any_range: true, ..names };
        let without_others = |all: Checked, but: usize| {
            let others = exceptions.iter().enumerate().filter(|(index, _)| *index != but);
            others.fold(all, |all, (_, (_, exception))| without(all, exception.checked.clone()))
        };
        let mut mutants = self.changed(condition, names, &VALUES, None, |checked| without_others(checked, usize::MAX));
        for (index, (entry, part)) in exceptions.iter().enumerate() {
            let rest = without_others(condition.checked.clone(), index);
            let place = self.text.place(part.alignment.range(&(0..part.text.len())).start);
            let change = format!("where the exception `{}` is left out", entry.key);
            let noticed_by = "an event that only this exception spares, under `no_match`".to_owned();
            let name = Some(entry.key.as_str());
            let exception = name.map(str::to_owned);
            mutants.push(Mutant { place, change, noticed_by, exception, checked: rest.clone() });
            // One that is a single term, and never holds, is left out.
            let values = if terms(&part.text).len() > 1 { &VALUES[..] } else { &VALUES[..1] };
            mutants.extend(self.changed(part, names, values, name, |checked| without(rest.clone(), checked)));
        }
        mutants
    }

    /// One condition with each of its terms replaced by these values, as part of what `whole` makes of it.
    fn changed(
        &self,
        part: &Part,
        names: Names<'_>,
        values: &[bool],
        exception: Option<&str>,
        whole: impl Fn(Checked) -> Checked,
    ) -> Vec<Mutant> {
        let mut mutants = Vec::new();
        for Term { range, widens } in terms(&part.text) {
            let Some(term) = part.text.get(range.clone()) else { continue };
            for value in values.iter().filter(|value| value.to_string() != term) {
                let text = [&part.text[..range.start], &value.to_string(), &part.text[range.end..]].concat();
                // Not where the term is no condition: what is asked of a choice can be a string.
                let Ok(checked) = condition::check(&text, names) else { continue };
                let place = self.text.place(part.alignment.range(&range).start);
                let change = format!("where `{term}` is always {value}");
                // An exception that holds more often makes the rule match less often.
                let widens = widens.map(|widens| (widens == *value) == exception.is_none());
                let noticed_by = noticed_by(!value, widens);
                mutants.push(Mutant {
                    place,
                    change,
                    noticed_by,
                    exception: exception.map(str::to_owned),
                    checked: whole(checked),
                });
            }
        }
        mutants
    }

    /// The entries of `exceptions:`.
    fn exceptions<'e>(&mut self, entry: &'e Entry) -> Option<&'e [Entry]> {
        match &entry.node.value {
            Value::Map(entries) => Some(entries),
            other => {
                let message = format!("`exceptions` is a map from names to conditions, and this is {}", other.kind());
                self.refuse(&entry.key_range, message, "write it like `backup: process.exe == \"/usr/bin/backup\"`")
            }
        }
    }

    /// Reads and checks one condition.
    pub(super) fn part(&mut self, entry: &Entry, what: &str, names: Names<'_>) -> Option<Part> {
        let (condition, alignment) = match scalar::condition(self.text, entry, what) {
            Ok(found) => found,
            Err(problem) => return self.note(*problem),
        };
        match condition::check(&condition, names) {
            Ok(checked) => Some(Part { text: condition, alignment, checked }),
            Err(faults) => {
                for fault in faults {
                    self.note::<()>(fault.at(self.text, &alignment));
                }
                None
            }
        }
    }
}

/// The test that notices that a term is not `value` where it is; `widens` says whether the rule matches more often
/// then.
fn noticed_by(value: bool, widens: Option<bool>) -> String {
    let list = match widens {
        Some(true) => "under `no_match`",
        Some(false) => "under `match`",
        None => "whose answer depends on it",
    };
    format!("an event that this term alone decides by being {value}, {list}")
}

/// `rule && !exception`: in the compiler's form and in the interpreter's.
fn without(rule: Checked, exception: Checked) -> Checked {
    let range = exception.cond.range.clone();
    let not = Cond { kind: CondKind::Not(Box::new(exception.cond)), range };
    let range = rule.cond.range.clone();
    let cond = Cond { kind: CondKind::And(Box::new(rule.cond), Box::new(not)), range };
    let call = |name: &str, args| {
        let call = CallExpr { func_name: name.to_owned(), target: None, args };
        IdedExpr { id: 0, expr: Expr::Call(call) }
    };
    let not = call(op::LOGICAL_NOT, vec![exception.expr.as_ref().clone()]);
    Checked { cond, expr: Arc::new(call(op::LOGICAL_AND, vec![rule.expr.as_ref().clone(), not])) }
}
