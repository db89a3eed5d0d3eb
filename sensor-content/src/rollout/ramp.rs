//! The fastest ramp that a release may ever have: the content keys sign it with the release, and every host holds to
//! it by its own place in the order. Whoever has the online key can only be slower. Two ramps are shipped, as data.

use std::{collections::BTreeMap, fmt};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    bucket::{Bucket, Share},
    ring::Ring,
};
use crate::{bundle::Category, lasting};

/// A ramp that makes sense: there is no other road to one than [`Ramp::parse`]. Between two steps it rises evenly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
pub struct Ramp {
    hanging: SignedDuration,
    #[serde(rename = "step")]
    steps: Vec<Step>,
}

/// What may have the release so long after its first publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// So long after.
    #[serde(deserialize_with = "lasting::read")]
    pub after: SignedDuration,
    /// How much of each ring; rings that are not named, nothing.
    pub open: BTreeMap<Ring, Share>,
}

/// A ramp as it was written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    #[serde(deserialize_with = "lasting::read")]
    hanging: SignedDuration,
    step: Vec<Step>,
}

/// What the content keys sign beside a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// When it was published first: the ramp counts from there, also when another ramp is signed later.
    pub published: Timestamp,
    /// The fastest that it may be.
    pub ramp: Ramp,
}

/// Why a text is no ramp.
#[derive(Debug, thiserror::Error)]
pub enum RampError {
    /// It cannot be read.
    #[error("this is no ramp: {0}")]
    Syntax(#[from] toml::de::Error),
}

/// So many steps at most: they are part of what every host fetches.
const STEPS_MAX: usize = 32;
/// Longest ramp.
const LONGEST: SignedDuration = SignedDuration::from_hours(90 * 24);
/// What a ramp begins with at most.
const FIRST: (u64, u64) = (1, 100);

/// Why a ramp makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Nonsense {
    #[error("a ramp has from 2 to {STEPS_MAX} steps, and there are {0}")]
    Count(usize),
    #[error("the first step is `after = \"0s\"`, not {0:#}: times count from the first publication")]
    Begin(SignedDuration),
    #[error("the first step opens {1} of ring {0:?}, and may open 1% at most: canaries come first")]
    NoCanary(Ring, Share),
    #[error("the step after {0:#} does not come later than the one before it, by whole seconds")]
    Order(SignedDuration),
    #[error("the step after {0:#} opens less of ring {1:?} than the one before; what is open stays open")]
    Closes(SignedDuration, Ring),
    #[error("the last step, after {0:#}, does not open 100% of ring {1:?}: some hosts could never have the release")]
    Unfinished(SignedDuration, Ring),
    #[error("the last step comes after {0:#}, and a ramp is over after 90 days")]
    Long(SignedDuration),
    #[error("`hanging` must be from 0s to the last step, {1:#}, not {0:#}")]
    Hanging(SignedDuration, SignedDuration),
}

impl Ramp {
    /// The shipped ramp for a release that nobody waits for.
    pub const ROUTINE: &str = include_str!("ramps/routine.toml");
    /// The shipped ramp for a release against an attack that is under way.
    pub const URGENT: &str = include_str!("ramps/urgent.toml");

    /// Reads a ramp.
    ///
    /// # Errors
    /// Where the text is no TOML of this shape, or what it says makes no sense: there is no ramp without canaries,
    /// none that takes back what is open, and none that leaves a host out.
    pub fn parse(text: &str) -> Result<Self, RampError> {
        Ok(toml::from_str(text)?)
    }

    /// The shipped ramp for releases of this kind.
    pub fn shipped(category: Category) -> Self {
        let text = match category {
            Category::Urgent => Self::URGENT,
            Category::Routine | Category::Baseline => Self::ROUTINE,
        };
        Self::parse(text).unwrap_or_else(|error| unreachable!("{error}, in a text of our own"))
    }

    /// All steps; two at least.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Hosts that would hang after a kernel panic take nothing before.
    pub const fn hanging(&self) -> SignedDuration {
        self.hanging
    }

    /// How much of a ring may have it so long after its publication.
    pub fn share(&self, ring: Ring, age: SignedDuration) -> Share {
        let after = self.steps.partition_point(|step| step.after <= age);
        let Some(from) = after.checked_sub(1).and_then(|before| self.steps.get(before)) else { return Share::NONE };
        let Some(to) = self.steps.get(after) else { return from.share(ring) };
        let part = |time: SignedDuration| u64::try_from(time.saturating_sub(from.after).as_secs()).unwrap_or(0);
        from.share(ring).towards(to.share(ring), part(age), part(to.after))
    }

    /// So long after its publication a host with this place in this ring may take it at the earliest.
    pub fn opens(&self, bucket: Bucket, ring: Ring, hangs: bool) -> SignedDuration {
        let open = self.steps.partition_point(|step| !step.share(ring).contains(bucket));
        let opens = match (open.checked_sub(1).and_then(|before| self.steps.get(before)), self.steps.get(open)) {
            (Some(from), Some(to)) => {
                // Rounded up to the second in which `share` contains the bucket.
                let missing = u128::from(bucket.parts() + 1 - from.share(ring).parts());
                let way = u128::from(to.share(ring).parts() - from.share(ring).parts());
                let time = u128::try_from(to.after.saturating_sub(from.after).as_secs()).unwrap_or(0);
                let more = i64::try_from((missing * time).div_ceil(way)).unwrap_or(i64::MAX);
                from.after.saturating_add(SignedDuration::from_secs(more))
            }
            (None, Some(first)) => first.after,
            (_, None) => self.end(),
        };
        if hangs { opens.max(self.hanging) } else { opens }
    }

    /// When everybody may have it.
    pub fn end(&self) -> SignedDuration {
        self.steps.last().map_or(SignedDuration::ZERO, |last| last.after)
    }
}

impl Step {
    fn share(&self, ring: Ring) -> Share {
        self.open.get(&ring).copied().unwrap_or(Share::NONE)
    }
}

impl TryFrom<Draft> for Ramp {
    type Error = Nonsense;

    fn try_from(Draft { hanging, step: steps }: Draft) -> Result<Self, Nonsense> {
        let (Some(first), Some(last), 2..=STEPS_MAX) = (steps.first(), steps.last(), steps.len()) else {
            return Err(Nonsense::Count(steps.len()));
        };
        if !first.after.is_zero() {
            return Err(Nonsense::Begin(first.after));
        }
        if let Some((ring, share)) = first.open.iter().find(|(_, share)| **share > Share::of(FIRST.0, FIRST.1)) {
            return Err(Nonsense::NoCanary(*ring, *share));
        }
        for pair in steps.windows(2) {
            let [before, after] = pair else { continue };
            if after.after <= before.after || after.after.subsec_nanos() != 0 {
                return Err(Nonsense::Order(after.after));
            }
            if let Some(ring) = Ring::ALL.iter().find(|ring| after.share(**ring) < before.share(**ring)) {
                return Err(Nonsense::Closes(after.after, *ring));
            }
        }
        if let Some(ring) = Ring::ALL.iter().find(|ring| last.share(**ring) != Share::ALL) {
            return Err(Nonsense::Unfinished(last.after, *ring));
        }
        if last.after > LONGEST {
            return Err(Nonsense::Long(last.after));
        }
        if hanging.is_negative() || hanging > last.after {
            return Err(Nonsense::Hanging(hanging, last.after));
        }
        Ok(Self { hanging, steps })
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let everybody = self.published.saturating_add(self.ramp.end()).unwrap_or(Timestamp::MAX);
        write!(out, "published first at {:.0}, for everybody from {everybody:.0} on", self.published)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rollout::HostId;

    fn urgent_with(from: &str, to: &str) -> String {
        assert!(Ramp::URGENT.contains(from), "{from}");
        Ramp::parse(&Ramp::URGENT.replacen(from, to, 1)).unwrap_err().to_string()
    }

    const fn minutes(minutes: i64) -> SignedDuration {
        SignedDuration::from_mins(minutes)
    }

    #[test]
    fn ramps_without_sense_are_refused_by_name() {
        for (from, to, expected) in [
            (r#"after = "0s""#, r#"after = "1s""#, "the first step is `after = \"0s\"`"),
            (r#"{ early = "0%" }"#, r#"{ late = "2%" }"#, "the first step opens 2% of ring Late"),
            (r#"after = "90m""#, r#"after = "15m""#, "does not come later"),
            (r#"after = "90m""#, r#"after = "-1m""#, "does not come later"),
            (r#"late = "20%""#, r#"late = "0%""#, "opens less of ring Late"),
            (r#"late = "100%""#, r#"late = "99%""#, "does not open 100% of ring Late"),
            (r#"after = "125m""#, r#"after = "91 days""#, "over after 90 days"),
            (r#"hanging = "115m""#, r#"hanging = "126m""#, "`hanging` must be"),
            (r#"hanging = "115m""#, r#"hanging = "-1s""#, "`hanging` must be"),
            ("hanging =", "hangings =", "unknown field `hangings`"),
            (r#"early = "5%""#, r#"early = "101%""#, "is no share"),
            (r#"after = "15m""#, r#"after = "soon""#, "is no length of time"),
        ] {
            let refused = urgent_with(from, to);
            assert!(refused.contains(expected), "{refused}");
        }
        let single = Ramp::parse("hanging = \"0s\"\n[[step]]\nafter = \"0s\"\nopen = {}\n").unwrap_err().to_string();
        assert!(single.contains("from 2 to 32 steps, and there are 1"), "{single}");
    }

    #[test]
    fn until_people_would_notice_an_urgent_release_is_for_canaries() {
        let ramp = Ramp::shipped(Category::Urgent);
        assert_eq!(ramp.share(Ring::Early, minutes(89)), Share::of(5, 100));
        assert_eq!(ramp.share(Ring::General, minutes(89)), Share::NONE);
        assert_eq!(ramp.share(Ring::General, minutes(-5)), Share::NONE);
        assert_eq!(ramp.share(Ring::Late, minutes(125)), Share::ALL);
        assert!(ramp.opens(Bucket::of(HostId([7; 16]), 5), Ring::Early, true) >= minutes(115));
    }

    #[test]
    fn what_is_written_is_read() {
        for ramp in [Category::Urgent, Category::Routine].map(Ramp::shipped) {
            let pace = Pace { published: Timestamp::UNIX_EPOCH, ramp };
            let text = serde_json::to_string(&pace).unwrap();
            assert_eq!(serde_json::from_str::<Pace>(&text).unwrap(), pace);
        }
    }

    /// A ramp that makes sense, of any shape.
    fn ramps() -> impl Strategy<Value = Ramp> {
        let steps = prop::collection::vec((1..5_000_i64, 0..=1_000_000_000_u64, 0..=1_000_000_000_u64), 0..10);
        steps.prop_map(|steps| {
            let (mut after, mut open) = (0, [0, 0]);
            let mut all = vec![Step { after: SignedDuration::ZERO, open: BTreeMap::new() }];
            for (more, early, general) in steps {
                after += more;
                open = [open[0].max(early), open[1].max(general)];
                let share = |part| Share::of(part, 1_000_000_000);
                let open = BTreeMap::from([(Ring::Early, share(open[0])), (Ring::General, share(open[1]))]);
                all.push(Step { after: SignedDuration::from_secs(after), open });
            }
            let open = Ring::ALL.iter().map(|ring| (*ring, Share::ALL)).collect();
            all.push(Step { after: SignedDuration::from_secs(after + 7), open });
            Ramp::try_from(Draft { hanging: SignedDuration::from_secs(after / 2), step: all }).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_share_never_shrinks(ramp in ramps(), one in -9..60_000_i64, other in -9..60_000_i64) {
            let (one, other) = (one.min(other), one.max(other));
            for ring in Ring::ALL {
                let share = |age| ramp.share(ring, SignedDuration::from_secs(age));
                prop_assert!(share(one) <= share(other));
            }
        }

        #[test]
        fn a_host_s_moment_is_the_first_second_at_which_its_share_is_open(ramp in ramps(), host: [u8; 16], release: u64) {
            let bucket = Bucket::of(HostId(host), release);
            for ring in Ring::ALL {
                let opens = ramp.opens(bucket, ring, false);
                prop_assert!(ramp.share(ring, opens).contains(bucket));
                prop_assert!(!ramp.share(ring, opens - SignedDuration::from_secs(1)).contains(bucket));
                prop_assert!(opens <= ramp.end());
                prop_assert_eq!(ramp.opens(bucket, ring, true), opens.max(ramp.hanging()));
            }
        }
    }
}
