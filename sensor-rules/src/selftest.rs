//! The tests that rules carry. This is the one place that says what a right answer is: `creance test`,
//! `creance bundle build` and `verify`, the daemon and so the fleet all ask here.

use std::fmt;

use sensor_common::{event::Event, record::Record, verdict::Verdict};

use crate::{
    interpret,
    rule::{Example, Happening, Happenings, Rule, RuleSet},
    source::Place,
    state::Memory,
};

/// What came of the tests of all rules.
#[derive(Debug, Default)]
pub struct Report {
    /// How each rule fared, by its number.
    pub scores: Vec<Score>,
    /// The wrong answers.
    pub wrong: Vec<Wrong>,
}

/// How the tests of one rule fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// How many answers were right.
    pub right: usize,
    /// How many were wrong.
    pub wrong: usize,
}

/// A wrong answer.
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
            return Ok(self.scores.iter().map(|score| score.right).sum());
        }
        Err(self.wrong.iter().map(Wrong::to_string).collect())
    }
}

/// Tries each rule on its own tests, on the interpreter.
pub fn run(rules: &RuleSet) -> Report {
    run_on(rules, "the interpreter", |event, record| interpret(rules, event, record))
}

/// Tries each rule on its own tests. `judge` says what all rules say of an event, and `name` who that is.
pub fn run_on<E: fmt::Display>(
    rules: &RuleSet,
    name: &str,
    mut judge: impl FnMut(Event, &Record) -> Result<Verdict, E>,
) -> Report {
    let mut report = Report::default();
    for (number, rule) in (0..).zip(rules.rules()) {
        let mut score = Score::default();
        for example in &rule.examples {
            let fault = match example.tried(rule, number, &mut judge) {
                Ok(None) => None,
                Ok(Some(mistake)) => Some(format!("{mistake}, says {name}; {}", example.explained(rule))),
                Err(error) => Some(format!("{name} failed: {error:#}")),
            };
            match fault {
                None => score.right += 1,
                Some(message) => {
                    score.wrong += 1;
                    report.wrong.push(Wrong { place: example.place.clone(), rule: rule.id.clone(), message });
                }
            }
        }
        report.scores.push(score);
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
                let verdict = judge(one.event, &one.record)?;
                Ok((rule.holds(number, &verdict) != self.matches).then(|| {
                    let (must, does) =
                        if self.matches { ("must match", "does not") } else { ("must not match", "does") };
                    format!("it {must} this {} and {does}", one.event.name())
                }))
            }
            Happenings::Sequence(events) => {
                let matched = matched(rule, number, events, judge)?;
                let last = matched.last().copied().unwrap_or(false);
                Ok(match (self.matches, matched.iter().position(|matched| *matched)) {
                    (true, _) if !last => Some("it must match the last event of this sequence and does not".to_owned()),
                    (false, Some(first)) => {
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

impl Rule {
    /// Whether by `verdict` the rule, which has this number, matches; one with state, whether a condition of it
    /// holds.
    fn holds(&self, number: u32, verdict: &Verdict) -> bool {
        match &self.state {
            None => verdict.matches(number),
            Some(state) => verdict.notes().iter().any(|note| note.state == state.number),
        }
    }
}

/// For each event of a sequence, as often as it happens, whether `rule`, which has this number, matches it.
fn matched<E>(
    rule: &Rule,
    number: u32,
    events: &[Happening],
    judge: &mut impl FnMut(Event, &Record) -> Result<Verdict, E>,
) -> Result<Vec<bool>, E> {
    // A sequence has its own memory: tests know nothing of each other.
    let mut memory = Memory::default();
    let mut matched = Vec::new();
    let (Some(state), Some(tracked)) = (&rule.state, rule.tracked(number)) else { return Ok(matched) };
    for happening in events {
        let verdict = judge(happening.event, &happening.record)?;
        let notes: Vec<_> = verdict.notes().iter().filter(|note| note.state == state.number).collect();
        for _ in 0..happening.times {
            // Each note is followed up, also behind one that matches.
            let matching = notes.iter().filter(|note| memory.follow(&tracked, 0, happening.at, ***note)).count();
            matched.push(matching > 0);
        }
    }
    Ok(matched)
}
