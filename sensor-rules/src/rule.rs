//! Rules that were checked.

use std::{collections::BTreeMap, fmt, sync::OnceLock};

use sensor_common::{
    event::{Event, Groups},
    field::{Field, Sight},
    maps::Container,
    record::Record,
    verdict::{Action, Verdict},
};

use crate::{
    align::Alignment, budget::BlockBudget, condition::Checked, early::Early, expr::Cond, mutant::Mutant, source::Place,
    state::State, text::Text,
};

/// How much a match matters to whoever reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For context only.
    Informational,
    /// Unusual.
    Low,
    /// Worth a look.
    Medium,
    /// Probably an attack.
    High,
    /// An attack.
    Critical,
}

impl Severity {
    /// All severities, mildest first.
    pub const ALL: &'static [Self] = &[Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name in rule files and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// One rule. Its number in the generation is its index in [`RuleSet::rules`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rule {
    /// Unique in the rule set; `[a-z0-9-]`.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// More for people.
    pub description: Option<String>,
    /// How much a match matters.
    pub severity: Severity,
    /// MITRE ATT&CK techniques, such as `T1059.004`.
    pub attack: Vec<String>,
    /// Where to read on.
    pub references: Vec<String>,
    /// The events it judges: at least one, each once, in the order of [`Event::ALL`].
    pub events: Vec<Event>,
    /// What it asks for on a match.
    pub action: Action,
    /// What it asks for where it is undecided: no more than that.
    pub undecided: Action,
    /// How often that is carried out, where it is more than an alert, before the rule only alerts.
    pub budget: BlockBudget,
    /// The condition, as CEL text.
    pub condition: String,
    /// The named conditions that silence the rule, as CEL text.
    pub exceptions: Vec<(String, String)>,
    /// What is kept for it between events.
    pub(crate) state: Option<State>,
    /// Where the rule begins.
    pub place: Place,
    /// Where the condition begins.
    pub condition_place: Place,
    /// Its own tests.
    pub examples: Vec<Example>,
    /// The condition after the checks, and that no exception holds.
    pub(crate) checked: Checked,
    /// Where the parts of the condition stand.
    pub(crate) origins: Lines,
    /// The same with one part changed each, where they were asked for.
    pub(crate) mutants: Vec<Mutant>,
}

impl Rule {
    /// The events that must come before, where the rule is a sequence.
    pub fn first_events(&self) -> &[Event] {
        self.state.as_ref().map_or(&[], State::first_events)
    }
}

/// One test that a rule carries: what it must match, or must not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Example {
    /// What happens.
    pub events: Happenings,
    /// What the rule must say of it.
    pub expected: Answer,
    /// Where the test stands.
    pub place: Place,
}

/// What a rule says of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It matches.
    Match,
    /// It does not match.
    NoMatch,
    /// What was not seen decides.
    Undecided,
}

impl Answer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Match, Self::NoMatch, Self::Undecided];

    /// The key of `tests` below which the events stand of which a rule must say so.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::NoMatch => "no_match",
            Self::Undecided => "undecided",
        }
    }
}

/// What happens in a test.
#[derive(Clone, Debug)]
pub enum Happenings {
    /// One event, which tries conditions only.
    One(Happening),
    /// Events one after the other, which try how often and in which order as well.
    Sequence(Vec<Happening>),
}

/// An event of a test.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Happening {
    /// The event.
    pub event: Event,
    /// The record of that event; fields that the test does not name are zero, false or empty.
    pub record: Box<Record>,
    /// When it happens, nanoseconds since the sequence began.
    pub at: u64,
    /// How often it happens then.
    pub times: u32,
}

impl Rule {
    /// The string fields that it reads and that were not seen whole in `record`, an event of kind `event`.
    pub fn unseen(&self, event: Event, record: &Record) -> Vec<&'static Field> {
        in_order(self.doubtful(event, record))
    }

    fn doubtful(&self, event: Event, record: &Record) -> impl Iterator<Item = &'static Field> {
        let texts = self.parts(event).flat_map(|(checked, _)| checked.cond.doubtful());
        texts.filter(|field| field.sight(record) != Sight::Whole)
    }
}

/// Each once, as they lie in the record.
fn in_order(fields: impl Iterator<Item = &'static Field>) -> Vec<&'static Field> {
    let mut fields: Vec<_> = fields.collect();
    fields.sort_unstable_by_key(|field| field.offset);
    fields.dedup();
    fields
}

/// Rules of which every one was checked: made by [`check`](crate::check) only.
#[derive(Clone, Debug)]
pub struct RuleSet {
    /// Their conditions never change.
    pub(crate) rules: Vec<Rule>,
    /// By event, once somebody has asked: it takes a look at every condition.
    early: [OnceLock<Option<Early>>; Event::COUNT],
}

impl RuleSet {
    pub(crate) const fn new(rules: Vec<Rule>) -> Self {
        Self { rules, early: [const { OnceLock::new() }; Event::COUNT] }
    }

    /// All rules; a rule's index is its number in verdicts.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules that ask for more than an alert, with their numbers.
    pub fn braked(&self) -> impl Iterator<Item = (u32, &Rule)> {
        (0..).zip(&self.rules).filter(|(_, rule)| rule.action > Action::Alert)
    }

    /// What rules may put in quarantine: the last of [`Container`] that one asks for; `None` where none does.
    pub fn quarantines(&self) -> Option<Container> {
        // What is forbidden and already copied can only be kept from being read.
        if self.acts_on(Event::UnixCopied) {
            return Event::UnixCopied.container();
        }
        let rules = self.rules.iter().filter(|rule| [rule.action, rule.undecided].contains(&Action::Quarantine));
        rules.flat_map(|rule| &rule.events).filter_map(|event| event.container()).max()
    }

    /// The string fields that were not seen whole in `record`, an event of kind `event`, and that are read by
    /// a rule that is undecided by `verdict`.
    pub fn undecided(&self, event: Event, record: &Record, verdict: &Verdict) -> Vec<&'static Field> {
        let rules = verdict.undecided().filter_map(|number| self.rules.get(number as usize));
        in_order(rules.flat_map(|rule| rule.doubtful(event, record)))
    }

    /// Whether a rule for `event` asks for more than an alert.
    pub fn acts_on(&self, event: Event) -> bool {
        self.braked().any(|(_, rule)| rule.events.contains(&event))
    }

    /// The field groups that the rules for `event` read, with [`Groups::JUDGED`] where there are any rules.
    pub fn needs(&self, event: Event) -> Groups {
        self.judging(event).fold(Groups::NONE, |needs, (_, _, checked, effect)| {
            needs.with(checked.cond.groups()).with(effect.groups()).with(Groups::JUDGED)
        })
    }

    /// What the early program for `event` reads of them, and what not; `None` where there is no such program.
    pub fn early(&self, event: Event) -> Option<Early> {
        *self.early.get(event as usize)?.get_or_init(|| Early::of(self, event))
    }
}

/// Where the parts of a condition stand in the rule file, by where they start in the condition's text, behind which its
/// exceptions are thought to follow: what is needed of
/// the file once it is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(BTreeMap<usize, (Place, String)>);

impl Lines {
    /// Adds the places of all parts of `cond`, which is going to be moved by `by`.
    pub fn add(&mut self, text: &Text<'_>, alignment: &Alignment, cond: &Cond, by: usize) {
        let at = alignment.range(&cond.range).start;
        self.0.entry(by + cond.range.start).or_insert_with(|| (text.place(at), text.line_text(at).to_owned()));
        for part in cond.parts() {
            self.add(text, alignment, part, by);
        }
    }

    /// Adds the places of `more`.
    pub fn append(&mut self, mut more: Self) {
        self.0.append(&mut more.0);
    }

    /// The place of the part that starts at byte `start` of the condition, and its line, trimmed.
    pub fn get(&self, start: usize) -> Option<&(Place, String)> {
        self.0.get(&start)
    }
}
