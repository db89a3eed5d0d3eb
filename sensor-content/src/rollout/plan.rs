//! How a release goes out: rings, shares, times, and what the judge lets pass. Two plans are shipped, as data.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{
    bucket::Share,
    document::{Offer, Slice},
    health::Census,
    ring::Ring,
};
use crate::lasting;

/// A plan that makes sense: there is no other road to one than [`Plan::parse`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
pub struct Plan {
    control: BTreeMap<Ring, Share>,
    judge: Limits,
    #[serde(rename = "stage")]
    stages: Vec<Stage>,
}

/// A plan as it was written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    control: BTreeMap<Ring, Share>,
    judge: Limits,
    stage: Vec<Stage>,
}

/// What the judge lets pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The probability that a harmless release is stopped, over all looks, signals, stages and kernels.
    pub error_rate: f64,
    /// The same for a pause.
    pub suspicion: f64,
    /// A rate below so many times the control's is let pass.
    pub ratio: f64,
    /// Hosts whose verifier refuses a good release.
    pub refusals: Share,
    /// From fetch until a host must have been heard from.
    #[serde(deserialize_with = "lasting::read")]
    pub grace: SignedDuration,
    /// Older health is no health.
    #[serde(deserialize_with = "lasting::read")]
    pub stale: SignedDuration,
    /// At most so much counts between two steps: time that nobody watched is no soak.
    #[serde(deserialize_with = "lasting::read")]
    pub step: SignedDuration,
}

/// A step on the way; what it opens stays open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// As it is shown.
    pub name: String,
    /// How much of each ring has it at the end of the stage; rings that are not named, nothing.
    pub open: BTreeMap<Ring, Share>,
    /// At least so many hosts of each kernel, in each ring that is named, however rare the kernel.
    pub hosts_per_kernel: u64,
    /// From the stage before to these shares, evenly.
    #[serde(deserialize_with = "lasting::read")]
    pub ramp: SignedDuration,
    /// Then wait and watch.
    #[serde(deserialize_with = "lasting::read")]
    pub soak: SignedDuration,
}

/// Hosts that a stage should bring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Those that it opens.
    pub treated: u64,
    /// Those that they are compared with.
    pub control: u64,
}

/// Why a text is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It cannot be read.
    #[error("this is no plan: {0}")]
    Syntax(#[from] toml::de::Error),
}

/// Why a plan makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Nonsense {
    #[error("a plan has two stages at least: there is no release without a canary")]
    NoCanary,
    #[error(
        "the first stage, `{0}`, opens more than 1% of a ring and is no canary; open less and set hosts_per_kernel"
    )]
    CanaryTooLarge(String),
    #[error("the first stage, `{0}`, has no canaries of each kernel; set hosts_per_kernel to 10 or more")]
    CanaryWithoutKernels(String),
    #[error(
        "stage `{0}` has no time to see anything: ramp must not be negative, soak must be at least the judge's grace of {1}"
    )]
    NoSoak(String, SignedDuration),
    #[error("stage `{0}` opens less of ring {1:?} than the stage before; what is open stays open")]
    Closes(String, Ring),
    #[error("the last stage, `{0}`, does not open 100% of ring {1:?}")]
    Unfinished(String, Ring),
    #[error("control.{0:?} must be from 0.1% to 50%: without a control group nothing can be compared")]
    Control(Ring),
    #[error("judge.{0} must be {1}")]
    Limit(&'static str, &'static str),
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// Where the text is no TOML of this shape, or what it says makes no sense: there is no plan without
    /// canary, control group and soak, and none that leaves a ring out.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        Ok(toml::from_str(text)?)
    }

    /// The shipped plan for a release that nobody waits for.
    pub const ROUTINE: &str = include_str!("plans/routine.toml");
    /// The shipped plan for a release against an attack that is under way.
    pub const URGENT: &str = include_str!("plans/urgent.toml");

    /// The last part of a ring: compared with the others, and opened when all stages are over.
    pub fn control(&self, ring: Ring) -> Share {
        self.control.get(&ring).copied().unwrap_or(Share::NONE)
    }

    /// What the judge lets pass.
    pub const fn limits(&self) -> &Limits {
        &self.judge
    }

    /// All stages; two at least.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Whether `stage` is the last, which opens the hosts that hang after a panic.
    pub fn is_last(&self, stage: usize) -> bool {
        stage + 1 >= self.stages.len()
    }

    /// What is offered when all stages are over: all, the control group too.
    pub fn everything() -> BTreeMap<Ring, Offer> {
        Ring::ALL.iter().map(|ring| (*ring, Offer { share: Some(Share::ALL), ..Offer::default() })).collect()
    }

    /// The position of `stage` among those that open more of `ring`, and the number of these; each has a control group
    /// of its own.
    pub fn turn(&self, stage: usize, ring: Ring) -> Option<(usize, usize)> {
        let share = |stage: usize| self.stages.get(stage)?.open.get(&ring);
        let opens = |stage: usize| share(stage) != stage.checked_sub(1).and_then(share);
        let turn = (0..stage).filter(|stage| opens(*stage)).count();
        opens(stage).then(|| (turn, (0..self.stages.len()).filter(|stage| opens(*stage)).count()))
    }

    /// What `stage` offers when `done` of its ramp is over.
    pub fn offers(&self, stage: usize, done: SignedDuration, census: &Census) -> BTreeMap<Ring, Offer> {
        let Some(here) = self.stages.get(stage) else { return BTreeMap::new() };
        let part = |duration: SignedDuration| u64::try_from(duration.as_secs()).unwrap_or(0);
        let ramp = |from: Share, to: Share| from.towards(to, part(done), part(here.ramp));
        let offer = |ring: &Ring| {
            let share = ramp(self.target(stage.checked_sub(1), *ring), self.target(Some(stage), *ring));
            let kernels = census.get(ring).into_iter().flatten().filter_map(|(kernel, hosts)| {
                let own = |stage| self.kernel_target(stage, *ring, *hosts);
                let own = ramp(own(stage.checked_sub(1)), own(Some(stage)));
                (own > share).then(|| (kernel.clone(), own))
            });
            Offer { share: (share > Share::NONE).then_some(share), kernels: kernels.collect() }
        };
        here.open.keys().map(|ring| (*ring, offer(ring))).collect()
    }

    /// The buckets that are compared with those that `stage` opens, when `done` of its ramp is over: a part
    /// of each ring's control group, which goes through the same motions at the same pace.
    pub fn compared(&self, stage: usize, done: SignedDuration) -> BTreeMap<Ring, Slice> {
        let Some(here) = self.stages.get(stage) else { return BTreeMap::new() };
        let part = |duration: SignedDuration| u64::try_from(duration.as_secs()).unwrap_or(0);
        let slice = |ring: &Ring| {
            let (turn, turns) = self.turn(stage, *ring)?;
            let first = self.control(*ring).rest();
            let cut = |turn: usize| first.towards(Share::ALL, turn as u64, turns as u64);
            Some((*ring, Slice { from: cut(turn), to: cut(turn).towards(cut(turn + 1), part(done), part(here.ramp)) }))
        };
        here.open.keys().filter_map(slice).collect()
    }

    /// How many hosts `stage` opens that were not open before, and how many they are compared with.
    pub fn expected(&self, stage: usize, census: &Census) -> Expected {
        let Some(here) = self.stages.get(stage) else { return Expected::default() };
        let (mut treated, mut control) = (0, 0);
        for ring in here.open.keys() {
            for hosts in census.get(ring).into_iter().flat_map(BTreeMap::values) {
                let open = |stage: Option<usize>| self.kernel_target(stage, *ring, *hosts);
                treated += open(Some(stage)).less(open(stage.checked_sub(1))).count(*hosts);
                let turns = self.turn(stage, *ring).map(|(_, turns)| turns as u64);
                control += turns.map_or(0, |turns| self.control(*ring).count(*hosts) / turns);
            }
        }
        Expected { treated, control }
    }

    /// How much of `ring` is open at the end of a stage; the control group is left out.
    fn target(&self, stage: Option<usize>, ring: Ring) -> Share {
        let open = |stage: usize| self.stages.get(stage)?.open.get(&ring).copied();
        stage.and_then(open).map_or(Share::NONE, |share| share.min(self.control(ring).rest()))
    }

    /// The same for the hosts of one kernel, of which the ring has `hosts`.
    fn kernel_target(&self, stage: Option<usize>, ring: Ring, hosts: u64) -> Share {
        let Some(here) = stage.and_then(|stage| self.stages.get(stage)) else { return Share::NONE };
        if !here.open.contains_key(&ring) {
            return Share::NONE;
        }
        Share::of(here.hosts_per_kernel, hosts).min(self.control(ring).rest()).max(self.target(stage, ring))
    }
}

impl TryFrom<Draft> for Plan {
    type Error = Nonsense;

    fn try_from(draft: Draft) -> Result<Self, Nonsense> {
        let Draft { control, judge, stage: stages } = draft;
        let [first, .., last] = stages.as_slice() else { return Err(Nonsense::NoCanary) };
        if first.open.values().any(|share| *share > Share::of(1, 100)) {
            return Err(Nonsense::CanaryTooLarge(first.name.clone()));
        }
        if first.hosts_per_kernel < 10 || first.open.is_empty() {
            return Err(Nonsense::CanaryWithoutKernels(first.name.clone()));
        }
        if let Some(ring) = Ring::ALL.iter().find(|ring| last.open.get(ring) != Some(&Share::ALL)) {
            return Err(Nonsense::Unfinished(last.name.clone(), *ring));
        }
        let bounds = Share::of(1, 1000)..=Share::of(1, 2);
        if let Some(ring) = Ring::ALL.iter().find(|ring| control.get(ring).is_none_or(|share| !bounds.contains(share)))
        {
            return Err(Nonsense::Control(*ring));
        }
        check_limits(&judge)?;
        for stage in &stages {
            if stage.ramp.is_negative() || stage.soak < judge.grace {
                return Err(Nonsense::NoSoak(stage.name.clone(), judge.grace));
            }
        }
        for pair in stages.windows(2) {
            let [before, after] = pair else { continue };
            let closed = |ring: &&Ring| after.open.get(ring) < before.open.get(ring);
            if let Some(ring) = Ring::ALL.iter().find(closed) {
                return Err(Nonsense::Closes(after.name.clone(), *ring));
            }
        }
        Ok(Self { control, judge, stages })
    }
}

fn check_limits(limits: &Limits) -> Result<(), Nonsense> {
    let must = |holds: bool, name, what| if holds { Ok(()) } else { Err(Nonsense::Limit(name, what)) };
    must(limits.error_rate > 0.0 && limits.error_rate <= 0.1, "error_rate", "above 0 and at most 0.1")?;
    must(
        limits.suspicion >= limits.error_rate && limits.suspicion <= 0.5,
        "suspicion",
        "at least error_rate and at most 0.5",
    )?;
    must((1.0..=10.0).contains(&limits.ratio), "ratio", "from 1 to 10")?;
    must(limits.refusals <= Share::of(1, 10), "refusals", "at most 10%")?;
    let positive = |duration: SignedDuration| duration.is_positive();
    must(positive(limits.grace), "grace", "longer than 0")?;
    must(positive(limits.stale), "stale", "longer than 0")?;
    must(positive(limits.step), "step", "longer than 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routine_with(from: &str, to: &str) -> String {
        assert!(Plan::ROUTINE.contains(from), "{from}");
        Plan::parse(&Plan::ROUTINE.replace(from, to)).unwrap_err().to_string()
    }

    fn census(hosts: u64) -> Census {
        Ring::ALL
            .iter()
            .map(|ring| (*ring, BTreeMap::from([("6.1".to_owned(), hosts), ("rare".to_owned(), 5)])))
            .collect()
    }

    #[test]
    fn shipped_plans_make_sense_and_urgent_has_a_canary_too() {
        for text in [Plan::ROUTINE, Plan::URGENT] {
            let plan = Plan::parse(text).unwrap();
            assert!(plan.stages().len() >= 4);
            let canary = plan.offers(0, SignedDuration::from_hours(9), &census(80_000));
            assert_eq!(canary.keys().collect::<Vec<_>>(), [&Ring::Early]);
            assert!(canary[&Ring::Early].of("6.1") <= Share::of(60, 80_000));
        }
    }

    #[test]
    fn plans_without_sense_are_refused_by_name() {
        for (from, to, expected) in [
            (r#"open = { early = "0%" }"#, r#"open = { early = "5%" }"#, "`canary`, opens more than 1%"),
            ("hosts_per_kernel = 30\nramp", "hosts_per_kernel = 5\nramp", "no canaries of each kernel"),
            (r#"soak = "12h""#, r#"soak = "1m""#, "stage `canary` has no time"),
            (r#"late = "100%""#, r#"late = "99%""#, "`everyone`, does not open 100% of ring Late"),
            (r#"early = "10%""#, r#"early = "10 %%""#, "is no share"),
            (r#"late = "1%""#, r#"late = "0%""#, "control.Late must be"),
            ("error_rate = 0.002", "error_rate = nan", "judge.error_rate"),
            ("ramp =", "rampe =", "unknown field `rampe`"),
        ] {
            let refused = routine_with(from, to);
            assert!(refused.contains(expected), "{refused}");
        }
        let closing = routine_with(r#"open = { early = "100%", general = "10%" }"#, r#"open = { early = "100%" }"#);
        assert!(closing.contains("opens less of ring General"), "{closing}");
    }

    #[test]
    fn a_rare_kernel_has_canaries_and_the_control_group_waits() {
        let plan = Plan::parse(Plan::ROUTINE).unwrap();
        let over = SignedDuration::from_hours(9);
        let canary = &plan.offers(0, over, &census(80_000))[&Ring::Early];
        assert_eq!(canary.of("6.1"), Share::of(30, 80_000));
        assert_eq!(canary.of("rare"), plan.control(Ring::Early).rest());
        assert_eq!(canary.of("never seen"), Share::NONE);
        let last = plan.stages().len() - 1;
        assert_eq!(plan.offers(last, over, &census(80_000))[&Ring::Early].of("6.1"), plan.control(Ring::Early).rest());
        assert_eq!(Plan::everything()[&Ring::Early].of("never seen"), Share::ALL);
    }

    #[test]
    fn stages_that_open_a_ring_share_its_control_group() {
        let plan = Plan::parse(Plan::ROUTINE).unwrap();
        let turns = |ring| (0..plan.stages().len()).map(|stage| plan.turn(stage, ring)).collect::<Vec<_>>();
        assert_eq!(turns(Ring::Early)[..4], [Some((0, 3)), Some((1, 3)), Some((2, 3)), None]);
        assert_eq!(turns(Ring::Late).last(), Some(&Some((0, 1))));
    }

    #[test]
    fn a_stage_begins_where_the_one_before_ended() {
        for plan in [Plan::ROUTINE, Plan::URGENT].map(|text| Plan::parse(text).unwrap()) {
            for stage in 1..plan.stages().len() {
                let before = plan.offers(stage - 1, SignedDuration::from_hours(99), &census(1_000_000));
                let begin = plan.offers(stage, SignedDuration::ZERO, &census(1_000_000));
                for (ring, offer) in &before {
                    assert_eq!(begin[ring].of("6.1"), offer.of("6.1"), "{ring:?} {stage}");
                    assert_eq!(begin[ring].of("rare"), offer.of("rare"), "{ring:?} {stage}");
                }
            }
        }
    }
}
