//! What rules answer, and what the sensor makes of it.

use crate::state::{NOTES_MAX, Note, Tracked};

/// How many matched rules a record names; further ones are counted in [`Verdict::matched`] only.
pub const RULES_MAX: usize = 16;

/// What a rule asks for, ordered by strength: the strongest of an event's matches wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Action {
    /// Report the event.
    Alert = 1,
    /// Report it and refuse the operation with `EPERM`.
    Block = 2,
    /// Report it, and refuse to everybody, from now on, to read what the data went into.
    Quarantine = 3,
    /// Report it, refuse it where the hook can, and kill the process.
    Kill = 4,
}

impl Action {
    /// All actions, weakest first.
    pub const ALL: &'static [Self] = &[Self::Alert, Self::Block, Self::Quarantine, Self::Kill];

    /// The name that rules use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Block => "block",
            Self::Quarantine => "quarantine",
            Self::Kill => "kill",
        }
    }

    /// The action with this discriminant.
    pub fn from_index(index: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| *action as u32 == index)
    }
}

/// Where in the number of a rule that is undecided the action is that it then asks for.
const UNDECIDED: u32 = 28;

/// How a verdict names a rule that is undecided: by what was not seen it would match, or not.
pub const fn undecided_rule(rule: u32, asked: Action) -> u32 {
    rule | (asked as u32) << UNDECIDED
}

/// The number of a rule as a verdict names it.
pub const fn rule_number(named: u32) -> u32 {
    named & ((1 << UNDECIDED) - 1)
}

/// What a rule that is undecided asks for, as the discriminant of an [`Action`]; 0 for one that matches.
pub const fn asked_undecided(named: u32) -> u32 {
    named >> UNDECIDED
}

/// Written by the rules of one generation, and by nobody else. A hook hands it over as [`Verdict::NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Verdict {
    /// The strongest [`Action`] asked for; 0 where no rule matched.
    pub action: u32,
    /// How many rules matched or were undecided.
    pub matched: u32,
    /// Numbers (in the generation) of the first [`RULES_MAX`] of them, in rule order; see [`undecided_rule`].
    pub rules: [u32; RULES_MAX],
    /// For how many counts and sequences the event is a step.
    pub noted: u64,
    /// The first [`NOTES_MAX`] of them.
    pub notes: [Note; NOTES_MAX],
}

impl Verdict {
    /// Written as the action by an early program: a rule may match, so the rest of the record is wanted.
    pub const MORE: u32 = u32::MAX;

    /// No rule matched.
    pub const NONE: Self =
        Self { action: 0, matched: 0, rules: [0; RULES_MAX], noted: 0, notes: [Note::NONE; NOTES_MAX] };

    /// Notes the match of one rule: what every compiled rule does, and the interpreter by this function.
    pub fn add(&mut self, rule: u32, action: Action) {
        self.add_asked(rule, action as u32);
    }

    /// Notes that a rule is undecided, and asks for this.
    pub fn add_undecided(&mut self, rule: u32, asked: Action) {
        self.add_asked(undecided_rule(rule, asked), asked as u32);
    }

    /// Notes that a rule matches by its state, unless it was noted just now: one event may be several steps
    /// for one state.
    #[inline]
    pub fn add_by_state(&mut self, tracked: &Tracked) {
        let last = self.matched.wrapping_sub(1) as usize;
        if self.rules.get(last) != Some(&tracked.rule) {
            self.add_asked(tracked.rule, tracked.action);
        }
    }

    #[inline]
    fn add_asked(&mut self, rule: u32, action: u32) {
        if let Some(slot) = self.rules.get_mut(self.matched as usize) {
            *slot = rule;
        }
        self.matched += 1;
        self.action = self.action.max(action);
    }

    /// Notes that the event is a step for a state.
    pub fn note(&mut self, note: Note) {
        if let Some(slot) = self.notes.get_mut(usize::try_from(self.noted).unwrap_or(usize::MAX)) {
            *slot = note;
        }
        self.noted += 1;
    }

    /// The notes that are kept.
    pub fn notes(&self) -> &[Note] {
        &self.notes[..usize::try_from(self.noted).unwrap_or(usize::MAX).min(NOTES_MAX)]
    }

    /// The rules that are named, as they are.
    fn named(&self) -> &[u32] {
        &self.rules[..(self.matched as usize).min(RULES_MAX)]
    }

    /// The numbers of the rules that are named: those that matched and those that were undecided.
    pub fn rules(&self) -> impl Iterator<Item = u32> {
        self.named().iter().map(|named| rule_number(*named))
    }

    /// The numbers of those that were undecided.
    pub fn undecided(&self) -> impl Iterator<Item = u32> {
        self.named().iter().filter(|named| asked_undecided(**named) != 0).map(|named| rule_number(*named))
    }

    /// Whether rule `number` is named as one that matched.
    pub fn matches(&self, number: u32) -> bool {
        self.named().contains(&number)
    }
}

/// What the sensor did with an event that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Outcome {
    /// No rule asked for more than a report.
    Allowed = 0,
    /// Refused with `EPERM`.
    Denied = 1,
    /// The process was sent `SIGKILL` (and the operation refused where the hook can).
    Killed = 2,
    /// A rule asked for more than a report, and the sensor is not enforcing.
    NotEnforcing = 3,
    /// A rule asked to block or kill, and the process is on the lifeline.
    Lifeline = 4,
    /// Nobody may read the pipe, FIFO or socket any more.
    Quarantined = 5,
    /// A rule asked for more than a report, and a brake holds it, for all or for this actor.
    OverBudget = 6,
    /// A rule asked for more than a report, and the daemon gives no sign of life.
    Unattended = 7,
}

impl Outcome {
    /// All outcomes; `ALL[outcome as usize] == outcome`.
    pub const ALL: &'static [Self] = &[
        Self::Allowed,
        Self::Denied,
        Self::Killed,
        Self::NotEnforcing,
        Self::Lifeline,
        Self::Quarantined,
        Self::OverBudget,
        Self::Unattended,
    ];

    /// The name in events and status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Killed => "killed",
            Self::NotEnforcing => "not_enforcing",
            Self::Lifeline => "lifeline",
            Self::Quarantined => "quarantined",
            Self::OverBudget => "over_budget",
            Self::Unattended => "unattended",
        }
    }

    /// The outcome with this discriminant.
    pub fn from_index(index: u32) -> Option<Self> {
        Self::ALL.get(index as usize).copied()
    }
}
