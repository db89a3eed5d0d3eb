//! What a generation on probation is held to while it is in force: it alerts no more than its publisher said
//! it would, and no brake has to hold its rules. What one ordinary user alone makes its rules match is not
//! held against it, see [`noise`](sensor_content::noise).

use std::{collections::BTreeMap, time::Duration};

use sensor_common::noise::{EVERY, NoiseKey};
use sensor_content::{
    bundle::{Budget, Category},
    life::Id,
    noise::{Actor, Heard, Noise, TooLoud},
    rollout::Signal,
};

/// What is known of a generation since it was first looked at.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The generation.
    pub id: Id,
    /// What its bundle says of it.
    pub budget: Budget,
    /// Whether it is urgent: hosts wait for what it stops.
    pub category: Category,
    /// What had been heard of it before.
    pub before: Heard,
}

/// Why a generation is not to stay as it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Mishap {
    /// What the judge of a roll-out is told.
    pub signal: Signal,
    /// For people.
    pub reason: String,
    /// The one rule without which the generation can stay.
    pub rule: Option<u32>,
}

/// What the kernel side counted of a generation in force.
pub fn heard(counts: &[(NoiseKey, u64)], generation: u64) -> Heard {
    let mut heard = Heard::default();
    for (key, events) in counts.iter().filter(|(key, _)| key.generation == generation) {
        let noise = if key.rule == EVERY { &mut heard.all } else { heard.rules.entry(key.rule).or_default() };
        noise.add(Actor::from_number(key.actor), *events);
    }
    heard
}

impl Watch {
    /// Why the generation is not to stay as it is, if so: a brake holds a rule for everybody (`holds`, with
    /// its number and id), which takes several users or services; or more was heard of it than its bundle
    /// says for the hours that it has been in force, the last one whole.
    pub fn mishap(&self, holds: &[(u32, String)], heard: &Heard, in_force: Duration) -> Option<Mishap> {
        let heard = self.since(heard);
        if let Some((rule, id)) = holds.first() {
            let reason = format!("a brake holds rule {id}, which hit several users or services");
            return Some(self.mishap_of(Signal::Fallback, reason, Some(*rule)));
        }
        let (said, hours) = (u64::from(self.budget.alerts_per_hour), in_force.as_secs() / 3600 + 1);
        let too_loud = heard.judge(said * hours)?;
        let (alerts, (users, services)) = (heard.all.evidence(), heard.all.actors());
        let reason = format!(
            "{alerts} alerts within {} s of {users} users and {services} services, the loudest user's not counted, and its bundle says \
             {said} in an hour",
            in_force.as_secs()
        );
        let rule = match too_loud {
            TooLoud::One(rule) => Some(rule),
            TooLoud::All => None,
        };
        Some(self.mishap_of(Signal::Flood, reason, rule))
    }

    fn mishap_of(&self, signal: Signal, reason: String, rule: Option<u32>) -> Mishap {
        Mishap { signal, reason, rule: rule.filter(|_| self.category == Category::Urgent) }
    }

    /// What was heard since the first look.
    fn since(&self, now: &Heard) -> Heard {
        let none = Noise::default();
        let rules =
            now.rules.iter().map(|(rule, noise)| (*rule, noise.beyond(self.before.rules.get(rule).unwrap_or(&none))));
        Heard { all: now.all.beyond(&self.before.all), rules: rules.collect::<BTreeMap<_, _>>() }
    }
}

#[cfg(test)]
mod tests {
    use sensor_content::digest::Digest;

    use super::*;

    const ROOT: Actor = Actor::Service(1);
    const USER: Actor = Actor::User(1000);

    fn heard(rules: &[(u32, Actor, u64)]) -> Heard {
        let mut heard = Heard::default();
        for (rule, actor, events) in rules {
            heard.all.add(*actor, *events);
            heard.rules.entry(*rule).or_default().add(*actor, *events);
        }
        heard
    }

    fn watch(category: Category, before: Heard) -> Watch {
        let budget = Budget { nanoseconds_per_event: 1, alerts_per_hour: 10 };
        Watch { id: Id { number: 7, digest: Digest::of(b"") }, budget, category, before }
    }

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }

    #[test]
    fn the_hours_that_have_begun_count_whole_and_from_the_first_event_on() {
        let watch = watch(Category::Routine, heard(&[(0, ROOT, 100)]));
        assert_eq!(watch.mishap(&[], &heard(&[(0, ROOT, 110)]), hours(0)), None);
        assert_eq!(watch.mishap(&[], &heard(&[(0, ROOT, 120)]), hours(1)), None);
        let said = watch.mishap(&[], &heard(&[(0, ROOT, 111)]), Duration::from_secs(5)).unwrap();
        assert!(
            said.signal == Signal::Flood && said.reason.starts_with("11 alerts within 5 s of 0 users and 1 services")
        );
        // The counts of another daemon.
        assert_eq!(watch.mishap(&[], &heard(&[(0, ROOT, 5)]), hours(0)), None);
    }

    #[test]
    fn one_user_takes_nothing_back_and_a_second_one_does() {
        let watch = watch(Category::Routine, Heard::default());
        assert_eq!(watch.mishap(&[], &heard(&[(0, USER, 70_000), (0, ROOT, 5)]), hours(0)), None);
        let two = heard(&[(0, USER, 70), (0, Actor::User(1001), 11)]);
        assert_eq!(watch.mishap(&[], &two, hours(0)).unwrap().signal, Signal::Flood);
        let mishap = watch.mishap(&[(0, "guard".to_owned())], &two, hours(0)).unwrap();
        assert!(mishap.signal == Signal::Fallback && mishap.reason.contains("guard") && mishap.rule.is_none());
    }

    #[test]
    fn an_urgent_release_loses_its_one_loud_rule() {
        let watch = watch(Category::Urgent, Heard::default());
        assert_eq!(watch.mishap(&[], &heard(&[(0, ROOT, 50), (1, ROOT, 5)]), hours(0)).unwrap().rule, Some(0));
        assert_eq!(watch.mishap(&[], &heard(&[(0, ROOT, 50), (1, ROOT, 15)]), hours(0)).unwrap().rule, None);
    }
}
