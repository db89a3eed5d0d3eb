//! What is known about hosts: counts, by stage and kernel, of those that took the release and of a control group.
//!
//! The control group is the last part of each ring (the plan's `control`), divided among the stages that open the ring.
//! It goes through the same motions at the same time: its hosts get a moment within the stage's ramp at which they
//! *would* have taken the release, and are counted from there on, as long as the others are. So both sides see the same
//! nights and weekends, and a difference is the release's.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ring::Ring;

/// Hosts by ring and kernel, heard from in the last day.
pub type Census = BTreeMap<Ring, BTreeMap<String, u64>>;

/// One reading of the fleet's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// When a host was heard from last; `None` where nothing was read yet, or no host is known.
    pub taken: Option<Timestamp>,
    /// All hosts.
    pub census: Census,
    /// By stage of the plan, as far as opened.
    pub stages: Vec<Cohort>,
}

/// Hosts that one stage opened, and those they are compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cohort {
    /// By kernel.
    pub treated: BTreeMap<String, Counts>,
    /// By kernel; of the same rings.
    pub control: BTreeMap<String, Counts>,
}

/// Counts since the hosts took the release, or would have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Hosts that fetched it (by the web server's log, or their own word before they loaded it).
    pub fetched: u64,
    /// Of these, heard from after the plan's `grace`: active, refused or returned, whatever they said.
    pub heard: u64,
    /// Of these, fetched longer than `grace` ago and silent since: the heartbeat deficit. Dead hosts send no errors.
    pub missing: u64,
    /// Host minutes that were watched.
    pub minutes: u64,
    /// Kernel crashes with evidence (pstore, kdump).
    pub kernel_crashes: u64,
    /// Starts after no clean stop: with the release on probation, the recovery ladder was used.
    pub fallbacks: u64,
    /// Hosts whose verifier refused it.
    pub refusals: u64,
    /// Restarts of the daemon that nobody asked for.
    pub restarts: u64,
    /// Hosts with more alerts than their budget.
    pub flooded: u64,
    /// Hosts where rules cost more than their budget.
    pub costly: u64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        Self {
            fetched: self.fetched + other.fetched,
            heard: self.heard + other.heard,
            missing: self.missing + other.missing,
            minutes: self.minutes + other.minutes,
            kernel_crashes: self.kernel_crashes + other.kernel_crashes,
            fallbacks: self.fallbacks + other.fallbacks,
            refusals: self.refusals + other.refusals,
            restarts: self.restarts + other.restarts,
            flooded: self.flooded + other.flooded,
            costly: self.costly + other.costly,
        }
    }
}

/// Something that a release may make worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Kernel crashes with evidence.
    KernelCrash,
    /// The recovery ladder was used.
    Fallback,
    /// The heartbeat deficit.
    Missing,
    /// The verifier refused.
    Refusal,
    /// The daemon restarted by itself.
    Restart,
    /// More alerts than the host's budget.
    Flood,
    /// More cost than the host's budget.
    Cost,
}

impl Signal {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::KernelCrash, Self::Fallback, Self::Missing, Self::Refusal, Self::Restart, Self::Flood, Self::Cost];

    /// As it is written in findings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KernelCrash => "kernel crashes",
            Self::Fallback => "recovery ladder used",
            Self::Missing => "hosts fetched and fell silent",
            Self::Refusal => "verifier refusals",
            Self::Restart => "daemon restarts",
            Self::Flood => "hosts over their alert budget",
            Self::Cost => "hosts over their cost budget",
        }
    }

    /// As it is written in data.
    pub const fn label(self) -> &'static str {
        match self {
            Self::KernelCrash => "kernel-crash",
            Self::Fallback => "fallback",
            Self::Missing => "missing",
            Self::Refusal => "refusal",
            Self::Restart => "restart",
            Self::Flood => "flood",
            Self::Cost => "cost",
        }
    }

    /// Whether it is judged before the minimum population is reached.
    pub const fn hard(self) -> bool {
        matches!(self, Self::KernelCrash | Self::Fallback | Self::Missing | Self::Refusal)
    }

    /// How often it was seen.
    pub const fn count(self, counts: &Counts) -> u64 {
        match self {
            Self::KernelCrash => counts.kernel_crashes,
            Self::Fallback => counts.fallbacks,
            Self::Missing => counts.missing,
            Self::Refusal => counts.refusals,
            Self::Restart => counts.restarts,
            Self::Flood => counts.flooded,
            Self::Cost => counts.costly,
        }
    }
}
