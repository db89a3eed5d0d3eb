//! What the controller publishes and every host reads: `rollout/current.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    bucket::{Bucket, Share},
    ring::Ring,
};

/// Who may take a release now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The generation it is about.
    pub release: u64,
    /// Counts the documents of this release.
    pub serial: u64,
    /// What hosts shall do.
    pub order: Order,
    /// Hosts that would hang after a kernel panic (no `kernel.panic`, no watchdog) wait until this is set.
    pub hanging: bool,
    /// By ring; a ring that is not named waits.
    pub offers: BTreeMap<Ring, Offer>,
    /// The generation that everybody may have already: what went out before, for hosts that come late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
    /// What went out to everybody before `base`, the newest first: for hosts that stay behind. What was
    /// revoked, given up, or never rolled out is not there, and is offered to nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<u64>,
    /// The last stage that is open, from 0: a host that takes the release now is counted there.
    #[serde(default)]
    pub stage: usize,
    /// By ring: the buckets that are compared with those that this stage opens, as far as its ramp is gone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub control: BTreeMap<Ring, Slice>,
    /// Whether all stages are over: nothing is compared any more.
    #[serde(default)]
    pub finished: bool,
}

/// Hosts whose buckets are at least `from`, and below `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// The first.
    pub from: Share,
    /// Beyond the last.
    pub to: Share,
}

impl Slice {
    /// Whether a host with this bucket is in it.
    pub const fn contains(self, bucket: Bucket) -> bool {
        !self.from.contains(bucket) && self.to.contains(bucket)
    }
}

/// What hosts shall do about a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Those that are covered may take it.
    #[default]
    Offer,
    /// Nobody takes it for now; who has it keeps it.
    Pause,
    /// Nobody takes it any more; who has it keeps it.
    Halt,
    /// Nobody takes it, and who has it returns to the last good generation.
    Revoke,
}

/// How much of a ring is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Hosts with any kernel.
    pub share: Option<Share>,
    /// More of those with one of these kernels (releases as `uname -r` prints them), so that rare ones have
    /// canaries too.
    pub kernels: BTreeMap<String, Share>,
}

impl Offer {
    /// The share of the hosts with this kernel.
    pub fn of(&self, kernel: &str) -> Share {
        let general = self.share.unwrap_or(Share::NONE);
        self.kernels.get(kernel).map_or(general, |own| general.max(*own))
    }
}

/// What a document needs to know about a host.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    /// Its place in the order of this release.
    pub bucket: Bucket,
    /// The ring that its owner chose.
    pub ring: Ring,
    /// Release of its kernel.
    pub kernel: &'a str,
    /// Whether it would hang after a kernel panic.
    pub hangs: bool,
}

/// What a document says to one host; the owner's policy comes after it and may only be stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may take the release.
    Take,
    /// It takes nothing now; a release that it has, it keeps.
    Wait,
    /// It returns to the last good generation if it has the release.
    Return,
}

impl Document {
    /// What it says to `host`.
    pub fn answer(&self, host: Host) -> Answer {
        match self.order {
            Order::Revoke => Answer::Return,
            Order::Offer if self.covers(host) => Answer::Take,
            Order::Offer | Order::Pause | Order::Halt => Answer::Wait,
        }
    }

    /// Whether the generation went out before this release, and everybody may have it.
    pub fn went_out(&self, number: u64) -> bool {
        self.base == Some(number) || self.earlier.contains(&number)
    }

    fn covers(&self, host: Host) -> bool {
        (self.hanging || !host.hangs)
            && self.offers.get(&host.ring).is_some_and(|offer| offer.of(host.kernel).contains(host.bucket))
    }
}
