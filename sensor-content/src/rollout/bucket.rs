//! Which hosts come first: a hash of host and release, so that no host is a canary every time.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A host's own identifier, such as one derived from `/etc/machine-id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostId(pub [u8; 16]);

/// A host's place in the order of one release, in parts per thousand million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket(u32);

impl Bucket {
    /// The place of `host` in the order of `release` (the generation's number).
    pub fn of(host: HostId, release: u64) -> Self {
        let digest = Sha256::new().chain_update(host.0).chain_update(release.to_le_bytes()).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        let scaled = (u128::from(u64::from_le_bytes(first)) * u128::from(Share::ALL.0)) >> 64;
        Self(u32::try_from(scaled).unwrap_or(Share::ALL.0 - 1))
    }

    /// The smallest share that contains this bucket reaches just beyond it.
    pub const fn parts(self) -> u32 {
        self.0
    }
}

/// A part of all hosts; written as `12.5%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(u32);

impl Share {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everybody.
    pub const ALL: Self = Self(1_000_000_000);

    /// The nearest share to `part` of `whole`, rounded up; all where `whole` is less than `part`.
    pub fn of(part: u64, whole: u64) -> Self {
        if part >= whole {
            return Self::ALL;
        }
        let parts = (u128::from(part) * u128::from(Self::ALL.0)).div_ceil(u128::from(whole));
        Self(u32::try_from(parts).unwrap_or(Self::ALL.0).min(Self::ALL.0))
    }

    /// Whether a host with this bucket belongs to the first `self` of all hosts.
    pub const fn contains(self, bucket: Bucket) -> bool {
        bucket.0 < self.0
    }

    /// What is left of all.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(Self::ALL.0 - self.0)
    }

    /// In parts per thousand million.
    pub const fn parts(self) -> u32 {
        self.0
    }

    /// What is left when `other` is taken away.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many of `hosts`, rounded down.
    pub fn count(self, hosts: u64) -> u64 {
        let count = u128::from(hosts) * u128::from(self.0) / u128::from(Self::ALL.0);
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Between 0 and 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ALL.0)
    }

    /// The way from `self` to `to`, as far as `done` of `whole`.
    #[must_use]
    pub fn towards(self, to: Self, done: u64, whole: u64) -> Self {
        let way = u128::from(to.0.saturating_sub(self.0));
        let gone = if whole == 0 { way } else { way * u128::from(done.min(whole)) / u128::from(whole) };
        Self(self.0 + u32::try_from(gone).unwrap_or(0))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 10_000_000, self.0 % 10_000_000);
        if part == 0 {
            return write!(formatter, "{whole}%");
        }
        write!(formatter, "{whole}.{}%", format!("{part:07}").trim_end_matches('0'))
    }
}

/// A text that is no share.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no share of hosts; write a percentage with at most 7 decimals, such as \"12.5%\"")]
pub struct ShareError(String);

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let parts = || {
            let number = text.strip_suffix('%')?.trim_end();
            let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if !digits(whole) || !digits(part) || part.len() > 7 {
                return None;
            }
            let parts =
                whole.parse::<u32>().ok()?.checked_mul(10_000_000)? + format!("{part:0<7}").parse::<u32>().ok()?;
            (parts <= Self::ALL.0).then_some(Self(parts))
        };
        parts().ok_or_else(|| ShareError(text.to_owned()))
    }
}

impl TryFrom<String> for Share {
    type Error = ShareError;

    fn try_from(text: String) -> Result<Self, ShareError> {
        text.parse()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_is_the_same_for_ever() {
        // SHA-256 of 16 zero bytes and the release 1 as u64, computed elsewhere: a change would move every
        // host of a running roll-out.
        assert_eq!(Bucket::of(HostId([0; 16]), 1), Bucket(440_004_860));
        assert_ne!(Bucket::of(HostId([0; 16]), 1), Bucket::of(HostId([0; 16]), 2));
        assert_ne!(Bucket::of(HostId([0; 16]), 1), Bucket::of(HostId([1; 16]), 1));
    }

    #[test]
    fn one_percent_of_hosts_is_in_one_percent() {
        let share: Share = "1%".parse().unwrap();
        let inside =
            (0..100_000_u128).filter(|host| share.contains(Bucket::of(HostId(host.to_le_bytes()), 124))).count();
        assert!((850..1150).contains(&inside), "{inside}");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "%", "10", "-1%", "100.1%", "1.12345678%", "1.%", ".5%", "+1%", "4294967296%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(parts in 0..=1_000_000_000_u32) {
            prop_assert_eq!(Share(parts).to_string().parse(), Ok(Share(parts)));
        }

        #[test]
        fn the_way_never_leaves_its_ends(from in 0..=1_000_000_000_u32, to in 0..=1_000_000_000_u32, done: u64, whole: u64) {
            let share = Share(from).towards(Share(to), done, whole);
            prop_assert!(share >= Share(from) && share <= Share(from.max(to)));
        }
    }
}
