//! What a host counts since it took a release, or would have: the other side of [`Counts`](crate::rollout::Counts).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    bundle::Number,
    life::{BootId, Id},
    rollout::{Ring, Signal},
};

/// Which side of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// It has fetched the release.
    Treated,
    /// It goes through the same motions with what it has.
    Control,
}

impl Arm {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Treated => "treated",
            Self::Control => "control",
        }
    }
}

/// A host that is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// The release it is about.
    pub release: Number,
    /// The stage that was open.
    pub stage: usize,
    /// Which side.
    pub arm: Arm,
    /// The ring that its owner had chosen.
    pub ring: Ring,
    /// Release of its kernel.
    pub kernel: String,
    /// When it fetched the release, or would have.
    pub since: Timestamp,
    /// Seconds that the daemon was up since.
    pub watched: u64,
    /// What happened since.
    #[serde(default)]
    pub mishaps: BTreeMap<Signal, u64>,
}

/// What a host remembers of its part in a roll-out; on disk before it loads anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    enrolment: Option<Enrolment>,
    /// The start of the kernel in which a daemon runs that has not ended in order.
    session: Option<BootId>,
    /// Generations that were refused here, each by this kernel: asking again would bring the same answer.
    refused: Vec<(Id, String)>,
}

/// How many refusals are remembered.
const REFUSED_KEPT: usize = 16;

impl Membership {
    /// Its part in the last roll-out that it was part of.
    pub const fn enrolment(&self) -> Option<&Enrolment> {
        self.enrolment.as_ref()
    }

    /// A daemon starts. Where the one before did not end in order, something happened: in the same start of
    /// the kernel the daemon went down, else the host did. `crashed`: there is evidence that its kernel
    /// crashed.
    pub fn starts(&mut self, boot: &BootId, crashed: bool) {
        if let Some(before) = self.session.replace(boot.clone()) {
            let signal = if before == *boot { Signal::Restart } else { Signal::Fallback };
            self.happened(signal);
            if crashed && before != *boot {
                self.happened(Signal::KernelCrash);
            }
        }
    }

    /// The daemon ends in order.
    pub fn ends(&mut self) {
        self.session = None;
    }

    /// The host is compared from now on; false where it is already, on either side.
    pub fn enrol(&mut self, enrolment: Enrolment) -> bool {
        if self.enrolment.as_ref().is_some_and(|own| own.release == enrolment.release && own.arm <= enrolment.arm) {
            return false;
        }
        self.enrolment = Some(enrolment);
        true
    }

    /// Something happened that the judge must know.
    pub fn happened(&mut self, signal: Signal) {
        if let Some(enrolment) = &mut self.enrolment {
            *enrolment.mishaps.entry(signal).or_default() += 1;
        }
    }

    /// Notes a signal that is true or not, however often it is noted.
    pub fn note_once(&mut self, signal: Signal) {
        if let Some(enrolment) = &mut self.enrolment {
            enrolment.mishaps.insert(signal, 1);
        }
    }

    /// The daemon was up for so long.
    pub fn watched(&mut self, time: SignedDuration) {
        if let Some(enrolment) = &mut self.enrolment {
            enrolment.watched += u64::try_from(time.as_secs()).unwrap_or(0);
        }
    }

    /// The generation was refused here, by this kernel.
    pub fn refused(&mut self, id: Id, kernel: &str) {
        if !self.has_refused(id, kernel) {
            self.refused.push((id, kernel.to_owned()));
            let surplus = self.refused.len().saturating_sub(REFUSED_KEPT);
            self.refused.drain(..surplus);
        }
    }

    /// Whether it was.
    pub fn has_refused(&self, id: Id, kernel: &str) -> bool {
        self.refused.iter().any(|(other, by)| *other == id && by == kernel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn enrolment(release: Number, arm: Arm) -> Enrolment {
        let (kernel, since) = ("6.1".to_owned(), Timestamp::UNIX_EPOCH);
        Enrolment { release, stage: 0, arm, ring: Ring::Early, kernel, since, watched: 0, mishaps: BTreeMap::new() }
    }

    #[test]
    fn an_end_without_order_is_the_host_s_or_the_daemon_s() {
        let mut host = Membership::default();
        let boot = |name: &str| BootId(name.into());
        assert!(host.enrol(enrolment(5, Arm::Treated)));
        host.starts(&boot("a"), true);
        assert!(host.enrolment().unwrap().mishaps.is_empty(), "there was none before");
        host.starts(&boot("a"), true);
        host.starts(&boot("b"), false);
        host.starts(&boot("c"), true);
        host.ends();
        host.starts(&boot("d"), true);
        let expected = [(Signal::KernelCrash, 1), (Signal::Fallback, 2), (Signal::Restart, 1)];
        assert_eq!(host.enrolment().unwrap().mishaps, BTreeMap::from(expected));
    }

    #[test]
    fn who_is_compared_stays_so_until_it_takes_the_release() {
        let mut host = Membership::default();
        assert!(host.enrol(enrolment(5, Arm::Control)));
        host.happened(Signal::Fallback);
        assert!(!host.enrol(enrolment(5, Arm::Control)));
        assert_eq!(host.enrolment().unwrap().mishaps.len(), 1);
        assert!(host.enrol(enrolment(5, Arm::Treated)), "in the end the control group takes it too");
        assert!(!host.enrol(enrolment(5, Arm::Control)) && !host.enrol(enrolment(5, Arm::Treated)));
        assert!(host.enrol(enrolment(6, Arm::Control)));
    }

    #[test]
    fn a_refusal_holds_for_that_kernel() {
        let mut host = Membership::default();
        let id = |number| Id { number, digest: Digest::of(b"") };
        for number in 1..30 {
            host.refused(id(number), "6.1");
        }
        assert!(
            host.has_refused(id(29), "6.1") && !host.has_refused(id(29), "6.12") && !host.has_refused(id(1), "6.1")
        );
    }
}
