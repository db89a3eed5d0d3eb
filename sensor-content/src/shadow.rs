//! Whether a generation that judged live events in the shadow of the one in force may take its place: a pure
//! decision, with its reasons.
//!
//! A limit that is broken rejects at once. What has not been seen long enough, often enough or completely
//! enough is held: no data is not a good sign. What one ordinary user alone makes rules match breaks no
//! limit, see [`noise`](crate::noise).

use std::{fmt, time::Duration};

use crate::{bundle::Budget, noise::Noise, rollout::Signal};

/// What a candidate has to keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// It judges at least so long …
    pub time: Duration,
    /// … and at least so many events.
    pub events: u64,
    /// More events than the active generation that one rule may block.
    pub blocks: u64,
    /// More events than the active generation that one rule may report.
    pub alerts: u64,
    /// What judging one event may cost on average, nanoseconds.
    pub cost: u64,
    /// Of a thousand events, how many it may miss.
    pub missed: u64,
    /// How many events its rules may match in an hour. Reached in less than an hour, it is broken too.
    pub hourly: u64,
}

impl Limits {
    /// What holds where nothing else is said.
    pub const DEFAULT: Self = Self {
        time: Duration::from_mins(1),
        events: 1000,
        blocks: 0,
        alerts: 100,
        cost: 5000,
        missed: 1,
        hourly: u64::MAX,
    };

    /// These, and what the release says that it may cost.
    #[must_use]
    pub fn within(self, budget: Budget) -> Self {
        let Budget { nanoseconds_per_event, alerts_per_hour } = budget;
        Self {
            cost: self.cost.min(nanoseconds_per_event.into()),
            hourly: self.hourly.min(alerts_per_hour.into()),
            ..self
        }
    }
}

/// How often a rule of the candidate matched, beside the rule with the same id of the active generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// Its id.
    pub rule: String,
    /// Whether it asks for more than an alert.
    pub blocks: bool,
    /// How often it matched.
    pub candidate: u64,
    /// How often the one with this id in the active generation did, where that asks for as much; 0 where there is none.
    pub active: u64,
    /// Whom it matched more often than that one did.
    pub beyond: Noise,
    /// A few of the events that it matched, for people.
    pub examples: Vec<String>,
}

/// What has been seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Since the candidate judges.
    pub time: Duration,
    /// Events that it judged.
    pub events: u64,
    /// Events that the active generation judged and it did not.
    pub missed: u64,
    /// Events that one of its rules matched at least.
    pub matched: u64,
    /// Who caused these.
    pub noise: Noise,
    /// What judging an event took it on average, nanoseconds: see [`mean`].
    pub cost: u64,
    /// By rule.
    pub rules: Vec<Matches>,
}

/// What becomes of the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It takes the active generation's place.
    Promote,
    /// It goes on judging in the shadow.
    Hold,
    /// It is given up.
    Reject,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A rule would block more than it may.
    Blocks(Matches),
    /// A rule would report more than it may.
    Alerts(Matches),
    /// Its rules matched so many events, more than it may in an hour.
    Hourly(u64),
    /// An event costs so many nanoseconds.
    Cost(u64),
    /// So much time is missing.
    Time(Duration),
    /// So many events are missing.
    Events(u64),
    /// So many events were missed.
    Missed(u64),
    /// All limits were kept.
    Kept,
}

/// A decision and all its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What becomes of it.
    pub decision: Decision,
    /// Why; at least one.
    pub reasons: Vec<Reason>,
}

impl Report {
    /// What the judge of a roll-out is told of a candidate that is given up: that it costs too much where
    /// nothing else speaks against it.
    pub fn signal(&self) -> Signal {
        let costs = |reason: &Reason| matches!(reason, Reason::Cost(_));
        if self.reasons.iter().all(costs) { Signal::Cost } else { Signal::Flood }
    }
}

/// Decides by what was seen until now.
pub fn decide(seen: &Observed, limits: &Limits) -> Report {
    let broken = broken(seen, limits);
    if !broken.is_empty() {
        return Report { decision: Decision::Reject, reasons: broken };
    }
    let missing = missing(seen, limits);
    if !missing.is_empty() {
        return Report { decision: Decision::Hold, reasons: missing };
    }
    Report { decision: Decision::Promote, reasons: vec![Reason::Kept] }
}

/// The limits that are broken: nothing that comes could mend them, but for the cost, which is an average.
fn broken(seen: &Observed, limits: &Limits) -> Vec<Reason> {
    let over = |rule: &&Matches| {
        let limit = if rule.blocks { limits.blocks } else { limits.alerts };
        rule.beyond.evidence() > limit
    };
    let of = |rule: &Matches| if rule.blocks { Reason::Blocks(rule.clone()) } else { Reason::Alerts(rule.clone()) };
    let mut broken: Vec<_> = seen.rules.iter().filter(over).map(of).collect();
    let hour = 3600;
    let hours = |count: u64| u128::from(count) * u128::from(seen.time.as_secs().max(hour));
    let heard = seen.noise.evidence();
    if u128::from(heard) * u128::from(hour) > hours(limits.hourly) {
        broken.push(Reason::Hourly(heard));
    }
    // An average of few says nothing.
    if seen.cost > limits.cost && seen.events >= limits.events.max(1) {
        broken.push(Reason::Cost(seen.cost));
    }
    broken
}

/// What an event took on average, nanoseconds, of events by classes of what they took, the cheapest first:
/// how many there were, and what they took together. The dearest hundredth is left out: what was interrupted
/// while it was judged.
pub fn mean(classes: impl IntoIterator<Item = (u64, u64)> + Clone) -> u64 {
    let all: u64 = classes.clone().into_iter().map(|(count, _)| count).sum();
    let kept = all - all / 100;
    let (mut left, mut time) = (kept, 0u128);
    for (count, together) in classes {
        let taken = left.min(count);
        left -= taken;
        time += u128::from(together) * u128::from(taken) / u128::from(count.max(1));
    }
    u64::try_from(time / u128::from(kept.max(1))).unwrap_or(u64::MAX)
}

/// What is missing until there is enough to go by.
fn missing(seen: &Observed, limits: &Limits) -> Vec<Reason> {
    let mut missing = Vec::new();
    if seen.time < limits.time {
        missing.push(Reason::Time(limits.time.saturating_sub(seen.time)));
    }
    if seen.events < limits.events {
        missing.push(Reason::Events(limits.events - seen.events));
    }
    let (events, missed, allowed) = (u128::from(seen.events), u128::from(seen.missed), u128::from(limits.missed));
    if missed * 1000 > allowed * (events + missed) {
        missing.push(Reason::Missed(seen.missed));
    }
    missing
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (does, rule) = match self {
            Self::Blocks(rule) => ("block", rule),
            Self::Alerts(rule) => ("report", rule),
            Self::Hourly(events) => {
                return write!(out, "its rules matched {events} events, more than the release says for an hour");
            }
            Self::Cost(cost) => return write!(out, "an event costs {cost} ns"),
            Self::Time(time) => return write!(out, "{} s more are to be seen", time.as_secs_f64().ceil()),
            Self::Events(events) => return write!(out, "{events} events more are to be seen"),
            Self::Missed(events) => return write!(out, "{events} events were not judged in the shadow"),
            Self::Kept => return write!(out, "all limits were kept"),
        };
        let Matches { rule, candidate, active, beyond, examples, .. } = rule;
        let (users, services) = beyond.actors();
        write!(
            out,
            "rule {rule} would {does} {candidate} events, {active} in the generation in force, of {users} users and {services} services \
             more"
        )?;
        examples.iter().try_for_each(|example| write!(out, "\n{EXAMPLE}{example}"))
    }
}

/// How the line of an example begins.
const EXAMPLE: &str = "  ";

/// What reasons say, without the examples: those are events, with paths and payloads of others' processes.
pub fn without_examples(reasons: &str) -> String {
    reasons.lines().filter(|line| !line.starts_with(EXAMPLE)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Actor;

    /// Enough of everything, and nothing wrong.
    fn good() -> Observed {
        let Limits { time, events, cost, .. } = Limits::DEFAULT;
        let rules = vec![rule(true, 7, 7), rule(false, 100, 0)];
        Observed { time, events, missed: 0, matched: 107, noise: by(ROOT, 107), cost, rules }
    }

    const ROOT: Actor = Actor::Service(1);
    const USER: Actor = Actor::User(1000);

    fn by(actor: Actor, events: u64) -> Noise {
        Noise::from_iter([(actor, events)])
    }

    fn rule(blocks: bool, candidate: u64, active: u64) -> Matches {
        let beyond = by(ROOT, candidate).beyond(&by(ROOT, active));
        Matches {
            rule: "one".into(),
            blocks,
            candidate,
            active,
            beyond,
            examples: vec!["fifo.open /tmp/f by sh".into()],
        }
    }

    fn decided(change: impl FnOnce(&mut Observed)) -> (Decision, Vec<Reason>) {
        let mut seen = good();
        change(&mut seen);
        let Report { decision, reasons } = decide(&seen, &Limits::DEFAULT);
        (decision, reasons)
    }

    #[test]
    fn what_keeps_every_limit_is_promoted() {
        assert_eq!(decided(|_| ()), (Decision::Promote, vec![Reason::Kept]));
    }

    #[test]
    fn one_block_too_many_rejects_at_once_with_its_rule_and_examples() {
        let (decision, reasons) = decided(|seen| {
            (seen.time, seen.events) = (Duration::ZERO, 1);
            seen.rules = vec![rule(true, 1, 0)];
        });
        assert_eq!((decision, &reasons[..]), (Decision::Reject, &[Reason::Blocks(rule(true, 1, 0))][..]));
        let words = reasons[0].to_string();
        assert!(words.contains("rule one would block 1 events, 0 in") && words.contains("/tmp/f by sh"), "{words}");
    }

    #[test]
    fn one_user_alone_rejects_nothing_and_two_or_a_service_do() {
        let of = |blocks, actors: &[(Actor, u64)]| {
            let noise: Noise = actors.iter().copied().collect();
            decided(|seen| {
                seen.rules = vec![Matches { beyond: noise.clone(), ..rule(blocks, 1, 0) }];
                seen.noise = noise.clone();
            })
            .0
        };
        for (blocks, events) in [(true, 1), (false, 101), (true, u64::MAX)] {
            assert_eq!(of(blocks, &[(USER, events)]), Decision::Promote);
            assert_eq!(of(blocks, &[(USER, events), (Actor::User(1001), events)]), Decision::Reject);
            assert_eq!(of(blocks, &[(ROOT, events)]), Decision::Reject);
        }
    }

    #[test]
    fn more_reports_are_limited_by_rule_and_fewer_are_not() {
        assert_eq!(decided(|seen| seen.rules = vec![rule(false, 101, 0)]).0, Decision::Reject);
        assert_eq!(decided(|seen| seen.rules = vec![rule(false, 1101, 1001)]).0, Decision::Promote);
        assert_eq!(decided(|seen| seen.rules = vec![rule(false, 0, 5000)]).0, Decision::Promote);
    }

    #[test]
    fn cost_is_an_average_of_enough_events() {
        assert_eq!(decided(|seen| seen.cost += 1), (Decision::Reject, vec![Reason::Cost(5001)]));
        assert_eq!(decided(|seen| (seen.events, seen.cost) = (10, u64::MAX)).0, Decision::Hold);
        // 100 cheap ones, and one that was interrupted.
        assert_eq!(mean([(100, 200), (0, 0), (1, 1_000_000)]), 2);
        assert_eq!(mean([(50, 100), (50, 500)]), 5);
        assert_eq!(mean([]), 0);
        assert_eq!(mean([(u64::MAX, u64::MAX)]), 1);
    }

    #[test]
    fn the_judge_is_told_of_cost_where_nothing_else_is_wrong() {
        let signal = |change: fn(&mut Observed)| {
            let mut seen = good();
            change(&mut seen);
            decide(&seen, &Limits::DEFAULT).signal()
        };
        assert_eq!(signal(|seen| seen.cost += 1), Signal::Cost);
        let both = |seen: &mut Observed| (seen.cost, seen.rules) = (5001, vec![rule(false, 101, 0)]);
        assert_eq!(signal(both), Signal::Flood);
    }

    #[test]
    fn a_release_is_held_to_its_own_budget() {
        let limits = Limits::DEFAULT.within(Budget { nanoseconds_per_event: 100, alerts_per_hour: 107 });
        assert_eq!((limits.cost, limits.hourly), (100, 107));
        let mut seen = Observed { cost: 100, ..good() };
        assert_eq!(decide(&seen, &limits).decision, Decision::Promote);
        seen.noise.add(ROOT, 1);
        assert_eq!(decide(&seen, &limits).reasons, [Reason::Hourly(108)]);
        seen.time = Duration::from_hours(2);
        assert_eq!(decide(&seen, &limits).decision, Decision::Promote);
    }

    #[test]
    fn what_is_missing_holds_and_is_named() {
        let (decision, reasons) = decided(|seen| {
            (seen.time, seen.events, seen.missed, seen.cost) = (Duration::from_millis(59_500), 990, 2, 0);
        });
        let named = vec![Reason::Time(Duration::from_millis(500)), Reason::Events(10), Reason::Missed(2)];
        assert_eq!((decision, reasons), (Decision::Hold, named));
        assert_eq!(decided(|seen| *seen = Observed::default()).0, Decision::Hold, "no data is a good sign");
    }

    #[test]
    fn the_largest_numbers_do_no_harm() {
        let largest = Observed {
            time: Duration::MAX,
            events: u64::MAX,
            missed: u64::MAX,
            matched: u64::MAX,
            noise: by(USER, u64::MAX),
            cost: 0,
            rules: Vec::new(),
        };
        assert_eq!(decide(&largest, &Limits::DEFAULT).decision, Decision::Hold);
    }
}
