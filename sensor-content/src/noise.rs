//! How much of what rules match speaks against them: what is left when the loudest ordinary user is put aside.
//!
//! One user can cause as many events as he likes, and content that can be taken back by that protects nobody
//! from him. So whatever one ordinary user does, alone, is never evidence; what happens to services of the
//! system is, and what happens to a second user.

use std::{collections::BTreeMap, fmt};

/// Who caused events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// An ordinary user.
    User(u32),
    /// A service of the system, root included, by the id of its cgroup.
    Service(u64),
}

impl Actor {
    /// The actor that the kernel side counts under this number.
    pub fn from_number(number: u64) -> Self {
        match u32::try_from(number) {
            Ok(user) => Self::User(user),
            Err(_) => Self::Service(number & !sensor_common::actor::CGROUP),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => write!(out, "user {uid}"),
            Self::Service(cgroup) => write!(out, "a service or root (in cgroup {cgroup})"),
        }
    }
}

/// Events by who caused them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noise(BTreeMap<Actor, u64>);

impl Noise {
    /// Adds events.
    pub fn add(&mut self, actor: Actor, events: u64) {
        let sum = self.0.entry(actor).or_default();
        *sum = sum.saturating_add(events);
    }

    /// How many distinct actors there are, ordinary users and services.
    pub fn actors(&self) -> (usize, usize) {
        let users = self.0.keys().filter(|actor| matches!(actor, Actor::User(_))).count();
        (users, self.0.len() - users)
    }

    /// What each actor caused here beyond what he caused there.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        let beyond = self.0.iter().map(|(actor, events)| {
            let there = other.0.get(actor).copied().unwrap_or_default();
            (*actor, events.saturating_sub(there))
        });
        Self(beyond.filter(|(_, events)| *events > 0).collect())
    }

    /// Who caused most, and how much; of those who caused the same, ordinary users first.
    pub fn loudest(&self) -> Option<(Actor, u64)> {
        let all = self.0.iter().rev().map(|(actor, events)| (*actor, *events));
        all.max_by_key(|(_, events)| *events)
    }

    /// How many events speak against the rules: all but those of the loudest ordinary user.
    pub fn evidence(&self) -> u64 {
        let all: u128 = self.0.values().copied().map(u128::from).sum();
        let users = self.0.iter().filter(|(actor, _)| matches!(actor, Actor::User(_)));
        let loudest = users.map(|(_, events)| u128::from(*events)).max().unwrap_or_default();
        u64::try_from(all - loudest).unwrap_or(u64::MAX)
    }
}

impl FromIterator<(Actor, u64)> for Noise {
    fn from_iter<I: IntoIterator<Item = (Actor, u64)>>(events: I) -> Self {
        let mut noise = Self::default();
        events.into_iter().for_each(|(actor, events)| noise.add(actor, events));
        noise
    }
}

/// What was heard of a generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Events that at least one rule matched.
    pub all: Noise,
    /// By rule.
    pub rules: BTreeMap<u32, Noise>,
}

/// What is too loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLoud {
    /// This rule: without it, the others keep to what is allowed.
    One(u32),
    /// The generation.
    All,
}

impl Heard {
    /// What is too loud where so many events are allowed, if anything is.
    pub fn judge(&self, allowed: u64) -> Option<TooLoud> {
        if self.all.evidence() <= allowed {
            return None;
        }
        let evidence = || self.rules.iter().map(|(rule, noise)| (noise.evidence(), *rule));
        let Some((_, loudest)) = evidence().max() else { return Some(TooLoud::All) };
        let mut others = evidence().filter(|(_, rule)| *rule != loudest).map(|(events, _)| events);
        let rest = others.try_fold(0u64, u64::checked_add);
        Some(if rest.is_some_and(|rest| rest <= allowed) { TooLoud::One(loudest) } else { TooLoud::All })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: Actor = Actor::Service(1);

    fn noise(events: &[(Actor, u64)]) -> Noise {
        events.iter().copied().collect()
    }

    #[test]
    fn one_user_is_never_evidence_and_services_and_a_second_user_are() {
        assert_eq!(noise(&[]).evidence(), 0);
        assert_eq!(noise(&[(Actor::User(1000), u64::MAX)]).evidence(), 0);
        assert_eq!(noise(&[(Actor::User(1000), 70), (Actor::User(1001), 5)]).evidence(), 5);
        assert_eq!(noise(&[(Actor::User(1000), 70), (ROOT, 3), (Actor::Service(2), 4)]).evidence(), 7);
        assert_eq!(noise(&[(Actor::User(1000), 70), (Actor::User(1001), 5), (ROOT, 3)]).actors(), (2, 1));
    }

    #[test]
    fn actors_are_told_from_the_numbers_of_the_kernel_side() {
        use sensor_common::noise::actor;
        assert_eq!(Actor::from_number(actor(1000, 77)), Actor::User(1000));
        assert_eq!(Actor::from_number(actor(u32::MAX, 77)), Actor::User(u32::MAX));
        assert_eq!(Actor::from_number(actor(999, 77)), Actor::Service(77));
        assert_eq!(Actor::from_number(actor(0, 0)), Actor::Service(0));
    }

    #[test]
    fn one_loud_rule_is_told_from_a_loud_generation() {
        let heard = |rules: &[(u32, u64)]| Heard {
            all: noise(&[(ROOT, rules.iter().map(|(_, events)| events).sum())]),
            rules: rules.iter().map(|(rule, events)| (*rule, noise(&[(ROOT, *events)]))).collect(),
        };
        assert_eq!(heard(&[(0, 5), (1, 5)]).judge(10), None);
        assert_eq!(heard(&[(0, 50), (1, 5)]).judge(10), Some(TooLoud::One(0)));
        assert_eq!(heard(&[(0, 50), (1, 11)]).judge(10), Some(TooLoud::All));
        assert_eq!(Heard { rules: BTreeMap::new(), ..heard(&[(0, 50)]) }.judge(10), Some(TooLoud::All));
    }

    fn anybody() -> impl Strategy<Value = Actor> {
        prop_oneof![(1000..1004u32).prop_map(Actor::User), (1..4u64).prop_map(Actor::Service)]
    }

    proptest! {
        /// Whatever one user adds, the evidence stays below what the others caused.
        #[test]
        fn no_user_alone_adds_evidence(others in prop::collection::vec((anybody(), 0..1000u64), 0..8), own in any::<u64>()) {
            let others: Vec<_> = others.into_iter().filter(|(actor, _)| *actor != Actor::User(1000)).collect();
            let sum: u64 = others.iter().map(|(_, events)| events).sum();
            let mut all = noise(&others);
            all.add(Actor::User(1000), own);
            prop_assert!(all.evidence() <= sum);
        }

        /// More noise is never less evidence.
        #[test]
        fn evidence_grows_with_the_noise(events in prop::collection::vec((anybody(), 0..1000u64), 0..8), who in anybody(), more in 0..1000u64) {
            let before = noise(&events);
            let mut after = before.clone();
            after.add(who, more);
            prop_assert!(after.evidence() >= before.evidence());
            prop_assert_eq!(after.beyond(&before).evidence(), if matches!(who, Actor::User(_)) { 0 } else { more });
        }
    }
}
