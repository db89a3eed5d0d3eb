//! The reference: conditions on the CEL interpreter.

mod implied;
mod truth;
mod value;

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use cel::{Context, ExecutionError, Value, extractors::This};
use globset::GlobBuilder;
use regex::bytes::{Regex, RegexBuilder};
use sensor_common::{
    event::Event,
    field::{Field, is_in_doubt},
    record::Record,
    verdict::Verdict,
};

use self::{
    truth::{Judged, Truth, holds},
    value::value,
};
use crate::{
    ancestors,
    condition::Checked,
    rule::{Rule, RuleSet},
    state::{Effect, notes},
};

/// The interpreter could not evaluate a condition that was checked: a defect of ours.
#[derive(Debug, thiserror::Error)]
#[error("rule `{rule}`: the CEL interpreter failed on `{condition}`: {reason}")]
pub struct InterpretError {
    /// Id of the rule.
    pub rule: String,
    /// Its condition.
    pub condition: String,
    /// The interpreter's words.
    pub reason: String,
}

/// Judges `record` as an event of kind `event` by all rules, in the interpreter.
///
/// # Errors
/// A condition that passed the checks and fails at run time: a defect of ours, or a rule that was read with
/// [`Options::skip_checks`](crate::Options::skip_checks).
pub fn interpret(rules: &RuleSet, event: Event, record: &Record) -> Result<Verdict, InterpretError> {
    by(rules.judging(event), event, record)
}

/// Judges `record` as an event of kind `event` by the rule with this number alone.
pub fn by_rule(rules: &RuleSet, number: u32, event: Event, record: &Record) -> Result<Verdict, InterpretError> {
    let rule = usize::try_from(number).ok().and_then(|index| rules.rules().get(index));
    let parts =
        rule.into_iter().flat_map(|rule| rule.parts(event).map(move |(what, effect)| (number, rule, what, effect)));
    by(parts, event, record)
}

fn by<'r>(
    judging: impl Iterator<Item = (u32, &'r Rule, &'r Checked, Effect<'r>)>,
    event: Event,
    record: &Record,
) -> Result<Verdict, InterpretError> {
    let context = context(event, record);
    let judged = is_in_doubt(record).then_some(Judged { context: &context, record });
    let mut verdict = Verdict::NONE;
    for (number, rule, checked, effect) in judging {
        let says = match &judged {
            Some(judged) => judged.truth(&checked.expr),
            None => holds(&checked.expr, &context).map(Truth::of),
        };
        let says = says.map_err(|reason| failed(rule, reason))?;
        match (says, effect) {
            (Truth::False, _) => {}
            (Truth::True, Effect::Match) => verdict.add(number, rule.action),
            (Truth::Unknown, Effect::Match) => verdict.add_undecided(number, rule.undecided),
            // What may be a step is one.
            (_, Effect::Note(state, step)) => {
                for note in notes(state, step, record) {
                    verdict.note(note);
                }
            }
        }
    }
    Ok(verdict)
}

fn failed(rule: &Rule, reason: String) -> InterpretError {
    InterpretError { rule: rule.id.clone(), condition: rule.condition.clone(), reason }
}

/// The fields that `event` carries, which those of ancestors are among, as variables: `process.exe` is the
/// member `exe` of the map `process`.
fn context(event: Event, record: &Record) -> Context<'static, 'static> {
    let mut context = Context::default();
    // No such function is declared yet, so it is added.
    let _ = context.add_function("has", |This(number): This<i64>, bits: i64| number & bits == bits);
    let _ =
        context.add_function("matches", |This(text): This<Arc<String>>, regex: Arc<String>| has(false, &text, &regex));
    let _ = context.add_function("glob", |This(text): This<Arc<String>>, glob: Arc<String>| has(true, &text, &glob));
    let mut groups: HashMap<&str, HashMap<String, Value>> = HashMap::new();
    for field in Field::of(event) {
        let value = value(field, record);
        match field.name.split_once('.') {
            Some((group, member)) => {
                groups.entry(group).or_default().insert(member.to_owned(), value);
            }
            None => context.add_variable_from_value(field.name, value),
        }
    }
    let above = ancestors::values(|name| Field::from_name(name).map(|field| value(field, record)));
    context.add_variable_from_value(ancestors::LIST, above);
    for (group, members) in groups {
        context.add_variable_from_value(group, members);
    }
    context
}

/// Whether `text` has a pattern: a glob, or a regular expression. Both are bytes, each as the character of that number.
fn has(is_glob: bool, text: &str, pattern: &str) -> Result<bool, ExecutionError> {
    thread_local! {
        /// Patterns in use: an interpreter that made them anew for each record would be unbearably slow.
        static MADE: RefCell<HashMap<(bool, String), Regex>> = RefCell::new(HashMap::new());
    }
    let narrowed = |text: &str| text.chars().filter_map(|c| u8::try_from(c).ok()).collect::<Vec<_>>();
    MADE.with_borrow_mut(|made| {
        let key = (is_glob, pattern.to_owned());
        if made.len() > 10_000 {
            made.clear();
        }
        if !made.contains_key(&key) {
            let source = String::from_utf8_lossy(&narrowed(pattern)).into_owned();
            let failed = |reason: String| ExecutionError::function_error("matches", reason);
            let source = if is_glob {
                let glob = GlobBuilder::new(&source).literal_separator(true).backslash_escape(true).build();
                glob.map_err(|error| failed(error.to_string()))?.regex().to_owned()
            } else {
                source
            };
            let regex = RegexBuilder::new(&source).unicode(false).dot_matches_new_line(is_glob).build();
            made.insert(key.clone(), regex.map_err(|error| failed(error.to_string()))?);
        }
        Ok(made.get(&key).is_some_and(|regex| regex.is_match(&narrowed(text))))
    })
}
