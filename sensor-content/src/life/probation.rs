//! When a generation on probation is good: its time is over, and it survived a reboot.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::id::{BootId, Id};
use crate::digest::Digest;

/// A generation on probation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Which.
    pub id: Id,
    /// When it first came into force.
    pub since: Timestamp,
    /// In which start of the kernel.
    pub boot: BootId,
    /// Shortest probation, seconds.
    pub soak: u64,
    /// How often it was taken out of force for what was heard of it, and came back.
    #[serde(default)]
    pub taken_back: u32,
    /// The policy that the owner has set aside for it, as it was [written](crate::policy::Policy::written) then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<Digest>,
}

/// So often a generation on probation is tried again that was taken out of force for what was heard of it;
/// then it is denied.
const RETRIES: u32 = 2;
/// How long it takes until it is tried again for the first time; each time after, four times as long.
pub const BACK_OFF: SignedDuration = SignedDuration::from_mins(10);

/// What may be thought of a generation on probation that nothing speaks against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is good.
    Good,
    /// Its time is not over; it is at this moment.
    Until(Timestamp),
    /// It must survive a reboot.
    Reboot,
}

impl Trial {
    /// Notes that it is taken out of force; when it is to be tried again, or `None` where that was often enough:
    /// after `back_off` for the first time.
    pub fn takes_back(&mut self, back_off: SignedDuration, now: Timestamp) -> Option<Timestamp> {
        let before = self.taken_back;
        self.taken_back = before.saturating_add(1);
        let wait = back_off * 4i32.saturating_pow(before);
        (before < RETRIES).then(|| now.checked_add(wait).unwrap_or(Timestamp::MAX))
    }

    /// Judges it, in this start of the kernel, in which it has been in force for a while.
    pub fn judge(&self, now: Timestamp, boot: &BootId) -> Judgement {
        let soak = SignedDuration::from_secs(i64::try_from(self.soak).unwrap_or(i64::MAX));
        let until = self.since.checked_add(soak).unwrap_or(Timestamp::MAX);
        if now < until {
            Judgement::Until(until)
        } else if *boot == self.boot {
            Judgement::Reboot
        } else {
            Judgement::Good
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_needs_time_and_a_reboot() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (first, second) = (BootId("a".into()), BootId("b".into()));
        let id = Id { number: 1, digest: Digest::of(b"") };
        let trial = Trial { id, since: at(1000), boot: first.clone(), soak: 100, taken_back: 0, aside: None };
        assert_eq!(trial.judge(at(1050), &first), Judgement::Until(at(1100)));
        assert_eq!(trial.judge(at(1050), &second), Judgement::Until(at(1100)));
        assert_eq!(trial.judge(at(1100), &first), Judgement::Reboot);
        assert_eq!(trial.judge(at(1100), &second), Judgement::Good);
        assert_eq!(trial.judge(at(0), &second), Judgement::Until(at(1100)));
        let mut again = trial.clone();
        assert_eq!(again.takes_back(BACK_OFF, at(0)), Some(at(600)));
        assert_eq!(again.takes_back(BACK_OFF, at(0)), Some(at(2400)));
        assert_eq!(again.takes_back(BACK_OFF, at(0)), None);
        assert!(matches!(Trial { soak: u64::MAX, ..trial }.judge(at(0), &second), Judgement::Until(_)));
    }
}
