//! The host in its fleet.

use std::fmt;

use jiff::Timestamp;
use sensor_content::{
    fleet::Enrolment,
    rollout::{Order, Ring},
};
use serde::{Deserialize, Serialize};

/// How far the host follows a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// The ring that its owner chose.
    pub ring: Ring,
    /// Release of its kernel.
    pub kernel: String,
    /// When the repository was asked last, and answered.
    pub polled: Option<Timestamp>,
    /// Until when what it said may be acted on.
    pub expires: Option<Timestamp>,
    /// The release that is rolled out, and what hosts are told to do about it.
    pub release: Option<(u64, Order)>,
    /// When this host may take it at the earliest, and why; none where it may by now.
    #[serde(default)]
    pub earliest: Option<String>,
    /// The host's part in it.
    pub enrolment: Option<Enrolment>,
    /// What it does about it.
    pub doing: String,
    /// What is wrong with the repository, or the road to it.
    pub trouble: Option<String>,
}

impl fmt::Display for Fleet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ring, kernel: _, polled, expires: _, release, earliest, enrolment, doing, trouble } = self;
        let polled = polled.map_or_else(|| "never answered yet".into(), |time| format!("asked {time:.0}"));
        writeln!(out, "{:<12} {polled}; this host is in the ring {ring:?}", "repository")?;
        if let Some((release, order)) = release {
            writeln!(out, "{:<12} generation {release}: {order:?}; {doing}", "roll-out")?;
        }
        if let Some(earliest) = earliest {
            writeln!(out, "{:<12} {earliest}", "content keys")?;
        }
        if let Some(Enrolment { release, arm, since, mishaps, .. }) = enrolment {
            let seen: u64 = mishaps.values().sum();
            writeln!(
                out,
                "{:<12} {} for generation {release} since {since:.0}, {seen} mishaps",
                "counted as",
                arm.name()
            )?;
        }
        trouble.iter().try_for_each(|trouble| writeln!(out, "WARNING: repository: {trouble}"))
    }
}
