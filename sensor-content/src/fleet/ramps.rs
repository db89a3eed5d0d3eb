//! When this host may take a release at the earliest: by what the content keys have signed, its own place in the order,
//! and a time that no thief of the online key can move. Pure.
//!
//! A release is as old as this host knows for sure, or as two say who do not know of each other:
//!
//! | Says how old it is | Who could lie | Alone |
//! |---|---|---|
//! | the host's own uptime since it first saw the release listed | nobody | counts |
//! | the host's clock | who sets clocks | does not count |
//! | the newest signed time, and uptime since it was read | who has the online key | does not count |

use std::{collections::BTreeMap, fmt};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    bundle::Category,
    life::Id,
    rollout::{Bucket, HostId, Pace, Ramp, Ring},
};

/// What the content keys say of a release's pace, as a host reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paced {
    /// This is the fastest.
    Signed(Pace),
    /// Something that this version cannot read: it takes no release of which it cannot say when.
    Unreadable(String),
}

/// What decides a host's place in every ramp.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// Which host it is.
    pub host: HostId,
    /// Its owner's choice.
    pub ring: Ring,
    /// Whether it would hang after a kernel panic.
    pub hangs: bool,
}

/// A release that exists.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// Its number and digest.
    pub id: Id,
    /// What kind of release it is.
    pub category: Category,
    /// What the content keys say of its pace; none in releases that were signed before there were ramps.
    pub paced: Option<&'a Paced>,
}

/// What a host knows of time and of the releases that exist; on its disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramps {
    /// How long the host was up, by its own count.
    own: SignedDuration,
    /// The newest signed time, and the own count when it was read.
    signed: Option<(Timestamp, SignedDuration)>,
    /// The latest time that both the host's clock and the signed time had reached.
    latest: Option<Timestamp>,
    places: Vec<Place>,
}

/// This host's place in the ramp of one release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    id: Id,
    /// The own count when it was first seen listed.
    seen: SignedDuration,
    /// When it was published first, where that is signed.
    published: Option<Timestamp>,
    /// From so long after on this host may take it.
    opens: Result<SignedDuration, String>,
    ring: Ring,
}

/// Why a release waits, and until when. `Display` says it in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    id: Id,
    ring: Ring,
    because: Because,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Because {
    /// It is signed from when on.
    Signed {
        from: Timestamp,
        opens: SignedDuration,
        left: SignedDuration,
    },
    /// Nothing is signed: the shipped ramp, by own uptime.
    Shipped {
        opens: SignedDuration,
        left: SignedDuration,
    },
    Unreadable(String),
}

impl Default for Ramps {
    fn default() -> Self {
        Self::NONE
    }
}

impl Ramps {
    /// Of a host that knows of no release.
    pub const NONE: Self = Self { own: SignedDuration::ZERO, signed: None, latest: None, places: Vec::new() };

    /// The host was up for so long since this was said last, and its clock says `clock`.
    pub fn passes(&mut self, up: SignedDuration, clock: Timestamp) {
        self.own = self.own.saturating_add(up.max(SignedDuration::ZERO));
        let Some((issued, read)) = self.signed else { return };
        let signed = issued.saturating_add(self.own.saturating_sub(read)).unwrap_or(Timestamp::MAX);
        // Both must have come so far; what they had reached once, they do not lose.
        self.latest = self.latest.max(Some(signed.min(clock)));
    }

    /// These releases exist, `issued` is the newest signed time. Whether that is news.
    pub fn learns<'a>(
        &mut self,
        seat: Seat,
        issued: Option<Timestamp>,
        releases: impl Iterator<Item = Release<'a>>,
    ) -> bool {
        if self.signed.map(|(issued, _)| issued) != issued {
            self.signed = issued.map(|issued| (issued, self.own));
        }
        let seen: BTreeMap<_, _> = self.places.iter().map(|place| (place.id.number, (place.id, place.seen))).collect();
        let place = |release: Release| {
            let before = seen.get(&release.id.number).filter(|(id, _)| *id == release.id);
            let opens = |ramp: &Ramp| ramp.opens(Bucket::of(seat.host, release.id.number), seat.ring, seat.hangs);
            let (published, opens) = match release.paced {
                Some(Paced::Signed(pace)) => (Some(pace.published), Ok(opens(&pace.ramp))),
                Some(Paced::Unreadable(words)) => (None, Err(words.clone())),
                None => (None, Ok(opens(&Ramp::shipped(release.category)))),
            };
            let seen = before.map_or(self.own, |(_, seen)| *seen);
            Place { id: release.id, seen, published, opens, ring: seat.ring }
        };
        let places: Vec<_> = releases.map(place).collect();
        let news = places != self.places;
        self.places = places;
        news
    }

    /// Why this release must wait here, if so.
    pub fn waits(&self, id: Id) -> Option<Waits> {
        let place = self.places.iter().find(|place| place.id == id)?;
        let waits = |because| Some(Waits { id, ring: place.ring, because });
        let opens = match &place.opens {
            Ok(opens) => *opens,
            Err(words) => return waits(Because::Unreadable(words.clone())),
        };
        let left = opens.saturating_sub(self.age(place));
        if !left.is_positive() {
            return None;
        }
        waits(match place.published {
            Some(published) => {
                let from = published.saturating_add(opens).unwrap_or(Timestamp::MAX);
                Because::Signed { from, opens, left }
            }
            None => Because::Shipped { opens, left },
        })
    }

    /// How many releases wait.
    pub fn waiting(&self) -> usize {
        self.places.iter().filter(|place| self.waits(place.id).is_some()).count()
    }

    /// How old a release is at least.
    fn age(&self, place: &Place) -> SignedDuration {
        let sure = self.own.saturating_sub(place.seen);
        let agreed = place.published.zip(self.latest).map(|(published, latest)| latest.duration_since(published));
        agreed.map_or(sure, |agreed| agreed.max(sure))
    }
}

impl Waits {
    /// So much longer; for ever, where there is none.
    pub const fn left(&self) -> Option<SignedDuration> {
        match self.because {
            Because::Signed { left, .. } | Because::Shipped { left, .. } => Some(left),
            Because::Unreadable(_) => None,
        }
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, ring, because } = self;
        let ring = ring.name();
        write!(out, "generation {id} ")?;
        match because {
            Because::Signed { from, opens, left } => write!(
                out,
                "waits because the content keys allow it on this host (ring {ring}) from {from:.0} on, {opens:#} after its first \
                 publication, by this host's clock and the signed time, or after {left:#} more of its own uptime"
            ),
            Because::Shipped { opens, left } => write!(
                out,
                "waits because the content keys have signed no ramp with it: this host (ring {ring}) takes it {opens:#} after it \
                 first saw it, by the ramp that ships; {left:#} of its own uptime are left"
            ),
            Because::Unreadable(words) => write!(
                out,
                "is not taken because this version cannot read how fast the content keys allow it ({words}): update creance"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::Digest;

    const PUBLISHED: i64 = 1_700_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(PUBLISHED + seconds).unwrap()
    }

    const fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    fn id(number: u64) -> Id {
        Id { number, digest: Digest::of(&number.to_le_bytes()) }
    }

    const SEAT: Seat = Seat { host: HostId([7; 16]), ring: Ring::General, hangs: false };

    fn pace() -> Pace {
        Pace { published: at(0), ramp: Ramp::shipped(Category::Urgent) }
    }

    /// When the host may take release 5 by that ramp.
    fn opens() -> i64 {
        pace().ramp.opens(Bucket::of(SEAT.host, 5), SEAT.ring, SEAT.hangs).as_secs()
    }

    fn learns(ramps: &mut Ramps, issued: Timestamp, paced: Option<&Paced>) {
        let release = Release { id: id(5), category: Category::Urgent, paced };
        ramps.learns(SEAT, Some(issued), [release].into_iter());
    }

    /// A host that sees release 5 for the first time when it is `age` old, with this clock and this signed time.
    fn sees(clock: i64, signed: i64) -> Ramps {
        let mut ramps = Ramps::default();
        learns(&mut ramps, at(signed), Some(&Paced::Signed(pace())));
        ramps.passes(SignedDuration::ZERO, at(clock));
        ramps
    }

    #[test]
    fn clock_and_signed_time_must_agree() {
        let opens = opens();
        assert!(opens > 5400);
        for (clock, signed, waits) in [
            (opens, opens, false),
            (opens - 1, opens, true),
            (opens, opens - 1, true),
            // The online key signs any time; a clock may be wrong by years.
            (60, opens + 100_000, true),
            (opens + 100_000_000, 60, true),
            (-100_000_000, opens, true),
        ] {
            assert_eq!(sees(clock, signed).waits(id(5)).is_some(), waits, "{clock} {signed}");
        }
    }

    #[test]
    fn own_uptime_is_enough_and_is_counted_from_the_first_sight() {
        let mut ramps = sees(-100_000_000, 60);
        for _ in 0..opens() - 1 {
            ramps.passes(seconds(1), at(-100_000_000));
        }
        let waits = ramps.waits(id(5)).unwrap().to_string();
        assert!(
            waits.contains("the content keys allow it on this host (ring general) from 2023-")
                && waits.contains("1s more"),
            "{waits}"
        );
        // The repository is asked again meanwhile, and the host's disk was read anew.
        learns(&mut ramps, at(90), Some(&Paced::Signed(pace())));
        let mut ramps: Ramps = serde_json::from_str(&serde_json::to_string(&ramps).unwrap()).unwrap();
        ramps.passes(seconds(1), at(-100_000_000));
        assert_eq!(ramps.waits(id(5)), None);
        assert_eq!(ramps.waits(id(6)), None, "it is none of the repository's");
    }

    #[test]
    fn what_was_reached_once_is_not_lost() {
        let mut ramps = sees(opens(), opens());
        learns(&mut ramps, at(60), Some(&Paced::Signed(pace())));
        ramps.passes(SignedDuration::ZERO, at(-100));
        assert_eq!(ramps.waits(id(5)), None);
    }

    #[test]
    fn a_faster_ramp_that_is_signed_counts_at_once() {
        let mut ramps = sees(120, 120);
        assert!(ramps.waits(id(5)).is_some());
        let faster = "hanging = \"1m\"\n[[step]]\nafter = \"0s\"\nopen = {}\n[[step]]\nafter = \"1m\"\nopen = { early = \"100%\", general \
                      = \"100%\", late = \"100%\" }\n";
        let faster = Pace { ramp: Ramp::parse(faster).unwrap(), ..pace() };
        learns(&mut ramps, at(120), Some(&Paced::Signed(faster)));
        assert_eq!(ramps.waits(id(5)), None);
    }

    #[test]
    fn without_a_ramp_the_shipped_one_counts_by_own_uptime_alone() {
        let mut ramps = Ramps::default();
        learns(&mut ramps, at(100_000), None);
        ramps.passes(SignedDuration::ZERO, at(100_000));
        let waits = ramps.waits(id(5)).unwrap().to_string();
        assert!(
            waits.contains("have signed no ramp with it") && waits.contains("of its own uptime are left"),
            "{waits}"
        );
        ramps.passes(seconds(opens()), at(0));
        assert_eq!(ramps.waits(id(5)), None);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken() {
        let mut ramps = Ramps::default();
        learns(&mut ramps, at(100_000), Some(&Paced::Unreadable("unknown field `moons`".into())));
        ramps.passes(seconds(100_000_000), at(100_000_000));
        let waits = ramps.waits(id(5)).unwrap().to_string();
        assert!(waits.contains("unknown field `moons`") && waits.ends_with("update creance"), "{waits}");
    }

    proptest! {
        /// Whatever times an online key signs, and however often: a host whose clock does not run ahead takes
        /// nothing before its moment.
        #[test]
        fn signed_times_speed_nothing_up(polls in prop::collection::vec((0..900_i64, -10_000_000..10_000_000_i64), 1..20)) {
            let (mut ramps, mut now) = (Ramps::default(), 0);
            for (passed, signed) in polls {
                now += passed;
                learns(&mut ramps, at(signed), Some(&Paced::Signed(pace())));
                ramps.passes(seconds(passed), at(now));
                prop_assert!(ramps.waits(id(5)).is_some() || now >= opens());
            }
        }

        /// However a clock jumps: as long as the signed times are true, nothing is taken before its moment.
        #[test]
        fn clocks_speed_nothing_up(polls in prop::collection::vec((0..900_i64, -10_000_000..10_000_000_i64), 1..20)) {
            let (mut ramps, mut now) = (Ramps::default(), 0);
            for (passed, clock) in polls {
                now += passed;
                ramps.passes(seconds(passed), at(clock));
                learns(&mut ramps, at(now), Some(&Paced::Signed(pace())));
                ramps.passes(SignedDuration::ZERO, at(clock));
                prop_assert!(ramps.waits(id(5)).is_some() || now >= opens());
            }
        }
    }
}
