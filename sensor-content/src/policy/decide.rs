//! What a policy says of one release, and why. Pure.

use std::fmt;

use jiff::Timestamp;

use super::{Pin, Policy, Window};
use crate::{
    bundle::{Category, Number},
    printable,
};

/// A release that this host may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its number.
    pub number: Number,
    /// What kind of release it is.
    pub category: Category,
    /// When this host first saw it.
    pub first_seen: Timestamp,
}

/// What a decision needs to know of the host.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    /// The generation in force; 0 for the baseline, or none.
    pub running: Number,
    /// The releases that this host knows of, the offered one among them or not; in any order.
    pub known: &'a [Number],
    /// Whether the owner has approved the release.
    pub approved: bool,
}

/// When a release is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Now.
    Take,
    /// At this moment, if nothing changes.
    At(Timestamp),
    /// When something has happened for which there is no time.
    Wait,
    /// Not while the policy is what it is.
    Never,
}

/// One thing that speaks for a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody has signed it.
    Unsigned,
    /// It is in force already.
    Runs,
    /// A newer one is in force.
    Older(Number),
    /// The owner took it back.
    TakenBack,
    /// The owner wants another.
    Pinned(Number),
    /// The owner wants to stay behind, and this one is too new.
    Behind {
        /// So many releases behind the newest.
        count: usize,
        /// The release that this means now.
        means: Option<Number>,
    },
    /// The owner holds everything.
    Held {
        /// Until then.
        until: Timestamp,
        /// In the owner's words.
        reason: Option<String>,
    },
    /// The owner has not approved it.
    NotApproved,
    /// The owner waits for others to try it.
    Delayed(Timestamp),
    /// It is urgent: windows do not count, and the delay is another.
    Urgent,
    /// This window opens first.
    Window(Window),
}

/// See [`Policy::decide`]. `Display` explains it in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The release it is about.
    pub number: Number,
    /// When it is taken.
    pub decision: Decision,
    /// Why not now, or in spite of what it is taken.
    pub because: Vec<Reason>,
}

impl Policy {
    /// Decides when `host` takes `offer`.
    pub fn decide(&self, offer: &Offer, host: &Host, now: Timestamp) -> Answer {
        let mut because = Vec::new();
        let decision =
            self.unsuitable(offer, host, &mut because).unwrap_or_else(|| self.moment(offer, host, now, &mut because));
        Answer { number: offer.number, decision, because }
    }

    /// Decides when rules are taken that nobody has signed. They are the owner's own: nobody else tries them
    /// first, and they are no release that could be the one that is wanted.
    pub fn decide_unsigned(&self, now: Timestamp) -> (Decision, Vec<Reason>) {
        let refusal = if self.unsigned { self.pinned().map(Reason::Pinned) } else { Some(Reason::Unsigned) };
        if let Some(reason) = refusal {
            return (Decision::Never, vec![reason]);
        }
        let own = Offer { number: 0, category: Category::Routine, first_seen: Timestamp::MIN };
        let host = Host { running: 0, known: &[], approved: false };
        let mut because = Vec::new();
        let decision = self.moment(&own, &host, now, &mut because);
        (decision, because)
    }

    /// Whether the release is not one that the owner wants.
    fn unsuitable(&self, offer: &Offer, host: &Host, because: &mut Vec<Reason>) -> Option<Decision> {
        let number = offer.number;
        let pinned = self.pin == Pin::Number(number);
        let (reason, decision) = match self.pin {
            _ if self.rollback.is_some_and(|wish| wish.from == number) => (Reason::TakenBack, Decision::Never),
            _ if number == host.running => (Reason::Runs, Decision::Never),
            Pin::Number(other) if other != number => (Reason::Pinned(other), Decision::Never),
            _ if number < host.running && !pinned => (Reason::Older(host.running), Decision::Never),
            Pin::Behind(count) if offer.category != Category::Urgent => {
                let means = before_newest(offer.number, host.known, count);
                if means.is_some_and(|means| number <= means) {
                    return None;
                }
                (Reason::Behind { count, means }, Decision::Wait)
            }
            Pin::Latest | Pin::Behind(_) | Pin::Number(_) => return None,
        };
        because.push(reason);
        Some(decision)
    }

    /// When a release that the owner wants is taken.
    fn moment(&self, offer: &Offer, host: &Host, now: Timestamp, because: &mut Vec<Reason>) -> Decision {
        let urgent = offer.category == Category::Urgent;
        let mut moment = now;
        let delay = if urgent { self.urgent_delay } else { self.delay };
        let delayed = offer.first_seen.checked_add(delay).unwrap_or(Timestamp::MAX);
        if delayed > moment {
            moment = delayed;
            because.push(Reason::Delayed(delayed));
        }
        if let Some(hold) = self.hold.as_ref().filter(|hold| hold.until > moment) {
            moment = hold.until;
            because.push(Reason::Held { until: hold.until, reason: hold.reason.clone() });
        }
        if urgent && !(self.windows.is_empty() && self.urgent_delay == self.delay) {
            because.push(Reason::Urgent);
        }
        if !urgent && !self.windows.is_empty() {
            let first = self
                .windows
                .iter()
                .filter_map(|window| Some((window.opens(moment)?, window)))
                .min_by_key(|(opens, _)| *opens);
            let Some((opens, window)) = first else { return Decision::Wait };
            if opens > moment {
                moment = opens;
                because.push(Reason::Window(window.clone()));
            }
        }
        if self.approval_key.is_some() && !host.approved {
            because.push(Reason::NotApproved);
            return Decision::Wait;
        }
        if moment > now { Decision::At(moment) } else { Decision::Take }
    }
}

/// The release that came `count` releases before the newest: releases are counted, not their numbers.
fn before_newest(offered: Number, known: &[Number], count: usize) -> Option<Number> {
    let mut all: Vec<Number> = known.iter().copied().chain([offered]).collect();
    all.sort_unstable_by(|one, other| other.cmp(one));
    all.dedup();
    all.get(count).copied()
}

impl Answer {
    /// The clock on which its moment is shown: that of the window that decides, or else UTC.
    fn moment(&self, time: Timestamp) -> String {
        let window = self
            .because
            .iter()
            .find_map(|reason| if let Reason::Window(window) = reason { Some(window) } else { None });
        match window {
            Some(window) => window.local(time).strftime("%a %Y-%m-%d %H:%M %Z").to_string(),
            None => time.strftime("%a %Y-%m-%d %H:%M UTC").to_string(),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "generation {} ", self.number)?;
        match self.decision {
            Decision::Take => out.write_str("will be taken now")?,
            Decision::At(time) => write!(out, "will be taken at {}", self.moment(time))?,
            Decision::Wait => out.write_str("waits")?,
            Decision::Never => out.write_str("will not be taken")?,
        }
        out.write_str(&because(&self.because))
    }
}

/// All that speaks for a decision, as the end of a sentence.
pub fn because(reasons: &[Reason]) -> String {
    let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
    if reasons.is_empty() { String::new() } else { format!(" because {}", reasons.join(", and ")) }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => out.write_str(
                "they are not signed, and the owner's policy takes signed bundles only: push a bundle, or set `unsigned = true`",
            ),
            Self::Runs => out.write_str("it is in force already"),
            Self::Older(running) => write!(out, "generation {running}, which is newer, is in force"),
            Self::TakenBack => out.write_str("the owner has taken it back (rollback.from)"),
            Self::Pinned(number) => write!(out, "the owner has pinned generation {number}"),
            Self::Behind { count, means: Some(means) } => {
                write!(
                    out,
                    "the owner stays {count} releases behind the newest, which is generation {means} now (pin = \"N-{count}\")"
                )
            }
            Self::Behind { count, means: None } => {
                write!(
                    out,
                    "the owner stays {count} releases behind the newest, and so many are not known yet (pin = \"N-{count}\")"
                )
            }
            Self::Held { until, reason } => {
                write!(out, "the owner holds all content until {}", until.strftime("%a %Y-%m-%d %H:%M UTC"))?;
                reason.as_ref().map_or(Ok(()), |reason| write!(out, " ({})", printable::escaped(reason)))
            }
            Self::NotApproved => out.write_str("the owner has not approved it (`creance policy approve`)"),
            Self::Delayed(until) => {
                write!(out, "the owner lets others try it first, until {}", until.strftime("%a %Y-%m-%d %H:%M UTC"))
            }
            Self::Urgent => out.write_str("it is urgent, for which windows do not count"),
            Self::Window(window) => write!(out, "the window {window} opens then"),
        }
    }
}
