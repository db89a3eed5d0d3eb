//! The tests that rules carry. This is the one place that says what a right answer is: `creance test`,
//! `creance bundle build` and `verify`, the daemon and so the fleet all ask here.

use std::fmt;

use sensor_common::{
    event::Event,
    record::Record,
    state::NOTES_MAX,
    verdict::{RULES_MAX, Verdict},
};

use crate::{
    condition::quoted_list,
    interpret::by_rule,
    rule::{Answer, Example, Happening, Happenings, Rule, RuleSet},
    source::Place,
    state::Windows,
};

/// What came of the tests of all rules.
#[derive(Debug, Default)]
pub struct Report {
    /// How many tests there were.
    pub tried: usize,
    /// The wrong answers.
    pub wrong: Vec<Wrong>,
}

/// A wrong answer; or a part of the rule that no answer depends on, see [`mutants`](crate::mutants).
#[derive(Clone, Debug)]
pub struct Wrong {
    /// Where the test stands.
    pub place: Place,
    /// The rule's id.
    pub rule: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: rule `{}`: {}", self.place, self.rule, self.message)
    }
}

impl Report {
    /// How many tests there were, where all answers are right.
    ///
    /// # Errors
    /// A line for each wrong answer.
    pub fn all_right(&self) -> Result<usize, Vec<String>> {
        if self.wrong.is_empty() {
            return Ok(self.tried);
        }
        Err(self.wrong.iter().map(Wrong::to_string).collect())
    }
}

/// Tries each rule on its own tests, on the interpreter.
pub fn run(rules: &RuleSet) -> Report {
    run_on(rules, "the interpreter", |number, event, record| by_rule(rules, number, event, record))
}

/// Tries each rule on its own tests. `judge` says what the rule with a number says of an event, and perhaps others
/// with it, and `name` who that is.
pub fn run_on<E: fmt::Display>(
    rules: &RuleSet,
    name: &str,
    mut judge: impl FnMut(u32, Event, &Record) -> Result<Verdict, E>,
) -> Report {
    let mut report = Report::default();
    for (number, rule) in (0..).zip(rules.rules()) {
        for example in &rule.examples {
            report.tried += 1;
            let message = match example.tried(rule, number, &mut |event, record| judge(number, event, record)) {
                Ok(None) => continue,
                Ok(Some(mistake)) => format!("{mistake}, says {name}; {}", example.explained(rule)),
                Err(error) => format!("{name} failed: {error:#}"),
            };
            report.wrong.push(Wrong { place: example.place.clone(), rule: rule.id.clone(), message });
        }
    }
    report
}

impl Example {
    /// By what `rule` judges it, for messages.
    fn explained(&self, rule: &Rule) -> String {
        let condition = format!("the condition is `{}`", rule.condition.trim());
        match (&self.events, &rule.state) {
            (Happenings::One(_), Some(_)) => {
                format!(
                    "{condition}; one event alone tries conditions only, a list of events how often and in which order"
                )
            }
            _ => condition,
        }
    }

    /// What is wrong about what `rule`, which has this number, says of it.
    fn tried<E>(
        &self,
        rule: &Rule,
        number: u32,
        judge: &mut impl FnMut(Event, &Record) -> Result<Verdict, E>,
    ) -> Result<Option<String>, E> {
        match &self.events {
            Happenings::One(one) => {
                let answer = rule.answer(number, &judge(one.event, &one.record)?);
                Ok(answer.filter(|answer| *answer != self.expected).map(|answer| {
                    let (must, event) = (must(self.expected), one.event.name());
                    format!("{must} {event} and {}", does(answer, rule, one))
                }))
            }
            Happenings::Sequence(events) => {
                let Some(matched) = matched(rule, number, events, judge)? else { return Ok(None) };
                let last = matched.last().copied().unwrap_or(false);
                Ok(match (self.expected, matched.iter().position(|matched| *matched)) {
                    (Answer::Match, _) if !last => {
                        Some("it must match the last event of this sequence and does not".to_owned())
                    }
                    (Answer::NoMatch, Some(first)) => {
                        let count = matched.len();
                        Some(format!(
                            "it must match no event of this sequence and does match number {} of {count}",
                            first + 1
                        ))
                    }
                    _ => None,
                })
            }
        }
    }
}

/// What an event had to be, for messages.
const fn must(expected: Answer) -> &'static str {
    match expected {
        Answer::Match => "it must match this",
        Answer::NoMatch => "it must not match this",
        Answer::Undecided => "it must be undecided on this",
    }
}

/// What the rule says instead.
fn does(answer: Answer, rule: &Rule, happening: &Happening) -> String {
    match answer {
        Answer::Match => "matches".to_owned(),
        Answer::NoMatch => "does not match".to_owned(),
        Answer::Undecided => {
            let unseen = rule.unseen(happening.event, &happening.record);
            format!(
                "is undecided, since not all is seen of {}: should that be so, write it under `undecided`",
                quoted_list(unseen.iter().map(|field| field.name))
            )
        }
    }
}

impl Rule {
    /// What by `verdict` the rule says, which has this number; one with state, whether a condition of it holds.
    /// `None` where the verdict does not say: of many rules it names the first only.
    fn answer(&self, number: u32, verdict: &Verdict) -> Option<Answer> {
        let (named, is_cut) = match &self.state {
            None => (verdict.rules().any(|named| named == number), verdict.matched as usize > RULES_MAX),
            Some(state) => {
                let noted = verdict.notes().iter().any(|note| note.state == state.number);
                (noted, is_cut_of_notes(verdict))
            }
        };
        let is_undecided = self.state.is_none() && verdict.undecided().any(|undecided| undecided == number);
        match named {
            true if is_undecided => Some(Answer::Undecided),
            true => Some(Answer::Match),
            false => (!is_cut).then_some(Answer::NoMatch),
        }
    }
}

/// Whether a verdict does not hold all that was noted.
fn is_cut_of_notes(verdict: &Verdict) -> bool {
    verdict.noted > NOTES_MAX as u64
}

/// For each event of a sequence, as often as it happens, whether `rule`, which has this number, matches it;
/// `None` where a verdict does not say.
fn matched<E>(
    rule: &Rule,
    number: u32,
    events: &[Happening],
    judge: &mut impl FnMut(Event, &Record) -> Result<Verdict, E>,
) -> Result<Option<Vec<bool>>, E> {
    // A sequence has its own windows: tests know nothing of each other.
    let mut windows = Windows::default();
    let mut matched = Vec::new();
    let (Some(state), Some(tracked)) = (&rule.state, rule.tracked(number)) else { return Ok(None) };
    for happening in events {
        let verdict = judge(happening.event, &happening.record)?;
        if is_cut_of_notes(&verdict) {
            return Ok(None);
        }
        let notes = || verdict.notes().iter().filter(|note| note.state == state.number);
        for _ in 0..happening.times {
            // Each note is followed up, also behind one that matches.
            matched
                .push(notes().fold(false, |matches, note| windows.follow(&tracked, 0, happening.at, *note) | matches));
        }
    }
    Ok(Some(matched))
}
