//! What may come into force: the one place where that is decided, whatever the road. Pure.
//!
//! | Road | [`Step`] |
//! |---|---|
//! | a push, an offer of the fleet, out of the shadow, tried again after a start or a mishap | [`Take`](Step::Take) |
//! | rules that nobody has signed, pushed or out of the shadow | [`Unsigned`](Step::Unsigned) |
//! | the start, a roll-back by order or by the owner's policy, a mishap, a revocation | [`Return`](Step::Return) |
//! | what is in force, loaded anew: for other actions, without a rule, in another version | [`Stay`](Step::Stay) |

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;

use crate::{
    bundle::{Category, Number},
    fleet::Ramps,
    life::{Id, Trial},
    policy::{Answer, Decision, Host, Offer, Policy, Rollback, because},
    store::{Memory, Rung, Switch},
};

/// What is about to be put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A release that has not yet earned its place here.
    Take {
        /// Which.
        id: Id,
        /// What kind of release it is.
        category: Category,
        /// Whether the owner has set the policy aside for it, and the ramp: all but `rollback.from`, and no switch.
        aside: bool,
    },
    /// Rules that nobody has signed.
    Unsigned,
    /// What was good here before, the baseline, or nothing.
    Return(Rung),
    /// What is in force.
    Stay(Rung),
}

/// What the host knows.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    /// What its owner wants.
    pub policy: &'a Policy,
    /// Why that cannot be read, if so.
    pub blind: Option<&'a str>,
    /// The order that holds when nothing else works.
    pub switch: Option<Switch>,
    /// What it remembers.
    pub memory: &'a Memory,
    /// Number of the generation in force; 0 where it is none from the store.
    pub running: Number,
    /// The releases that it knows of, each with the time when it first saw it.
    pub known: &'a BTreeMap<Number, Timestamp>,
    /// Whether the owner has approved what is to be taken.
    pub approved: bool,
    /// How fast the content keys allow what the repository lists.
    pub ramps: &'a Ramps,
}

/// Why something does not come into force. `Display` says it in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// This host has rolled it back.
    Denied(String),
    /// A newer one is in force.
    Old(String),
    /// The owner does not want it now, or the content keys do not allow it yet: it may be asked again.
    Waits(String),
    /// The owner does not want it, as long as the policy is what it is.
    Unwanted(String),
}

/// With what a host starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// In this order, until one comes into force. Never empty; the last is [`Rung::Nothing`].
    pub rungs: Vec<Rung>,
    /// The generation on probation: to be tried again once the host is up.
    pub retry: Option<Trial>,
}

/// What comes of the owner's wish to leave a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// There is none, or another generation runs.
    Nothing,
    /// Back to the first of these that comes into force.
    Back(Vec<Rung>),
    /// It cannot be met, and why.
    Unmet(String),
}

/// No release was seen.
static UNSEEN: BTreeMap<Number, Timestamp> = BTreeMap::new();
/// The content keys hold nothing back.
static UNPACED: Ramps = Ramps::NONE;

impl<'a> Gate<'a> {
    /// Of a host of which no more is known: nothing is in force, no switch is set, nothing was seen or approved.
    pub const fn new(policy: &'a Policy, memory: &'a Memory) -> Self {
        let (known, ramps) = (&UNSEEN, &UNPACED);
        Self { policy, blind: None, switch: None, memory, running: 0, known, approved: false, ramps }
    }
}

impl Gate<'_> {
    /// Why the step is not to be taken, if so.
    ///
    /// # Errors
    /// See [`Objection`].
    pub fn admits(&self, step: &Step, now: Timestamp) -> Result<(), Objection> {
        match *step {
            Step::Take { id, category, aside } => self.takes(id, category, aside, now),
            Step::Unsigned => self.takes_unsigned(now),
            Step::Return(rung) => self.returns(rung),
            Step::Stay(_) => Ok(()),
        }
    }

    /// Where the host can go back to from what it leaves, best first: to the generation that its owner has
    /// pinned, the last good ones, the baseline. Nothing is behind the baseline.
    pub fn behind(&self, leaving: Rung) -> Vec<Rung> {
        if leaving == Rung::Baseline { Vec::new() } else { self.ladder().filter(|rung| *rung != leaving).collect() }
    }

    /// With what the host starts.
    pub fn start(&self) -> Start {
        Start { rungs: self.ladder().chain([Rung::Nothing]).collect(), retry: self.memory.trial.clone() }
    }

    /// All that may be returned to, best first.
    fn ladder(&self) -> impl Iterator<Item = Rung> {
        let mut good = self.memory.good.clone();
        good.sort_by_key(|id| Some(id.number) != self.policy.pinned());
        let baseline = (!self.memory.is_baseline_given_up()).then_some(Rung::Baseline);
        let rungs = good.into_iter().map(Rung::Generation).chain(baseline);
        rungs.filter(|rung| self.returns(*rung).is_ok())
    }

    /// What comes of the owner's wish to leave a generation, while `running` is in force.
    pub fn wish(&self, running: Rung) -> Wish {
        let Some(Rollback { from, to }) = self.policy.rollback() else { return Wish::Nothing };
        if !matches!(running, Rung::Generation(id) if id.number == from) {
            return Wish::Nothing;
        }
        let is_meant = |rung: &Rung| to.is_none_or(|to| matches!(rung, Rung::Generation(id) if id.number == to));
        let meant: Vec<_> = self.behind(running).into_iter().filter(is_meant).collect();
        if !meant.is_empty() {
            return Wish::Back(meant);
        }
        let good: Vec<_> = self.memory.good.iter().map(|id| id.number.to_string()).collect();
        let good = if good.is_empty() { "none".to_owned() } else { good.join(", ") };
        let why = match to {
            Some(to) => {
                format!("{to} is not among the good generations here ({good}): name one of them, or leave `to` out")
            }
            None => format!("there is nothing to go back to (good generations: {good})"),
        };
        Wish::Unmet(format!(
            "the wish to leave generation {from} (rollback) cannot be met, and {from} stays in force: {why}"
        ))
    }

    /// When the owner wants this release.
    pub fn answer(&self, number: Number, category: Category, now: Timestamp) -> Answer {
        let first_seen = self.known.get(&number).copied().unwrap_or(now);
        let known: Vec<_> = self.known.keys().copied().collect();
        let host = Host { running: self.running, known: &known, approved: self.approved };
        self.policy.decide(&Offer { number, category, first_seen }, &host, now)
    }

    /// Whether it would take the release if the content keys allowed it by now: a host of the control group goes
    /// through the same motions as those that come first, and takes nothing.
    ///
    /// # Errors
    /// See [`Objection`].
    pub fn would_take(&self, id: Id, category: Category, now: Timestamp) -> Result<(), Objection> {
        Gate { ramps: &UNPACED, ..*self }.takes(id, category, false, now)
    }

    fn takes(&self, id: Id, category: Category, aside: bool, now: Timestamp) -> Result<(), Objection> {
        self.is_not_denied(id)?;
        self.sees()?;
        // Not part of what is set aside: a switch is stronger than the policy, and what the owner takes back
        // would be left again at once.
        self.is_not_switched(&format!("generation {id}"))?;
        self.is_not_taken_back(id)?;
        if aside {
            return if id.number > self.running {
                Ok(())
            } else {
                Err(Objection::Old(format!("generation {id} is not newer than {}, which is in force", self.running)))
            };
        }
        if let Some(waits) = self.ramps.waits(id) {
            return Err(Objection::Waits(waits.to_string()));
        }
        let answer = self.answer(id.number, category, now);
        objection(answer.decision, || answer.to_string())
    }

    fn takes_unsigned(&self, now: Timestamp) -> Result<(), Objection> {
        self.sees()?;
        self.is_not_switched("a set of rules that nobody has signed")?;
        let (decision, reasons) = self.policy.decide_unsigned(now);
        objection(decision, || {
            let moment = if let Decision::At(time) = decision { format!(" before {time:.0}") } else { String::new() };
            format!("these rules are not taken{moment}{}", because(&reasons))
        })
    }

    /// Hold, delay, window, pin and approval are about what is new. What was good here is always within
    /// reach, unless its owner took it back; the actions that it may take are those of the policy all the
    /// same.
    fn returns(&self, rung: Rung) -> Result<(), Objection> {
        // The stronger switches are the smaller ones.
        let weakest = match rung {
            Rung::Generation(_) => Switch::Baseline,
            Rung::Baseline => Switch::Off,
            Rung::Nothing => return Ok(()),
        };
        if let Some(word) = self.switch.filter(|word| *word <= weakest) {
            return Err(Objection::Waits(format!("the switch `{word}` holds it back")));
        }
        let Rung::Generation(id) = rung else { return Ok(()) };
        self.is_not_denied(id)?;
        self.is_not_taken_back(id)
    }

    fn is_not_taken_back(&self, id: Id) -> Result<(), Objection> {
        if self.policy.rollback().is_some_and(|wish| wish.from == id.number) {
            return Err(Objection::Unwanted(format!("the owner has taken generation {id} back (rollback.from)")));
        }
        Ok(())
    }

    fn is_not_denied(&self, id: Id) -> Result<(), Objection> {
        self.memory.denial(id).map_or(Ok(()), |denial| {
            Err(Objection::Denied(format!(
                "generation {id} is denied here since {:.0}: {}",
                denial.time, denial.reason
            )))
        })
    }

    fn sees(&self) -> Result<(), Objection> {
        self.blind.map_or(Ok(()), |words| Err(Objection::Waits(words.to_owned())))
    }

    fn is_not_switched(&self, what: &str) -> Result<(), Objection> {
        self.switch.map_or(Ok(()), |word| {
            Err(Objection::Waits(format!(
                "{what} waits because the switch `{word}` holds all content back (the file safe-mode, or creance.content= on the \
                 kernel's command line)"
            )))
        })
    }
}

fn objection(decision: Decision, words: impl FnOnce() -> String) -> Result<(), Objection> {
    match decision {
        Decision::Take => Ok(()),
        Decision::At(_) | Decision::Wait => Err(Objection::Waits(words())),
        Decision::Never => Err(Objection::Unwanted(words())),
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Denied(words) | Self::Old(words) | Self::Waits(words) | Self::Unwanted(words)) = self;
        out.write_str(words)
    }
}
