//! A host in a fleet: what it makes of the document that says who may take what, and what it counts for the
//! judge. Pure.
//!
//! ```text
//! Document, what exists ─► wish ─► the owner's policy ─► take, wait, leave
//! what exists, time ─► Ramps ─► not before the content keys allow
//! what happens ─► Membership ─► metrics ─► Prometheus ─► the judge
//! ```

mod membership;
mod ramps;

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

pub use membership::{Arm, Enrolment, Membership};
pub use ramps::{Paced, Ramps, Release, Seat, Waits};

use crate::{
    bundle::Number,
    rollout::{Answer, Bucket, Document, Host, HostId, Ring},
};

/// What a host knows of itself.
#[derive(Clone, Debug)]
pub struct Standing<'a> {
    /// Which host it is.
    pub host: HostId,
    /// Its owner's choice.
    pub ring: Ring,
    /// Release of its kernel.
    pub kernel: &'a str,
    /// Whether it would hang after a kernel panic.
    pub hangs: bool,
    /// The generation in force; 0 for the baseline, or none.
    pub running: Number,
}

/// What a host does about a document, if its owner agrees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It leaves this generation for the last good one; its owner is not asked: a publisher can stop content.
    Leave(Number),
    /// It takes the first of these that its owner wants. The newest first; none, where nothing is offered.
    Take(Vec<Number>),
}

impl Standing<'_> {
    /// Its place in the order of a release.
    pub fn bucket(&self, release: Number) -> Bucket {
        Bucket::of(self.host, release)
    }

    /// What `document` makes it wish for, of the generations that exist.
    pub fn wish(&self, document: &Document, exist: &[Number]) -> Wish {
        let host =
            Host { bucket: self.bucket(document.release), ring: self.ring, kernel: self.kernel, hangs: self.hangs };
        let answer = document.answer(host);
        if answer == Answer::Return && self.running == document.release {
            return Wish::Leave(document.release);
        }
        let offered = (answer == Answer::Take).then_some(document.release);
        let before = exist.iter().copied().filter(|number| document.went_out(*number));
        let mut wishes: Vec<_> = offered.filter(|release| exist.contains(release)).into_iter().chain(before).collect();
        wishes.sort_unstable_by(|one, other| other.cmp(one));
        wishes.dedup();
        Wish::Take(wishes)
    }

    /// Whether it is compared with those that the open stage lets take the release.
    pub fn is_control(&self, document: &Document) -> bool {
        let slice = document.control.get(&self.ring);
        !self.hangs && !document.finished && slice.is_some_and(|slice| slice.contains(self.bucket(document.release)))
    }
}

/// The host that this machine is; `machine` is what `/etc/machine-id` holds, which is not to be shown to
/// others as it is.
pub fn host_id(machine: &str) -> HostId {
    let digest = Sha256::new().chain_update("creance host").chain_update(machine.trim()).finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    HostId(id)
}

/// How long a host waits for its next poll: each has a moment of its own within `every`, the same for ever,
/// so that a million of them come evenly.
pub fn until_poll(host: HostId, every: Duration, now: Timestamp) -> Duration {
    let every = every.as_millis().clamp(1, u128::from(u32::MAX));
    let phase = u128::from_le_bytes(host.0) % every;
    let now = u128::try_from(now.as_millisecond()).unwrap_or(0) % every;
    let wait = (phase + every - now) % every;
    Duration::from_millis(u64::try_from(if wait == 0 { every } else { wait }).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rollout::{Order, Plan, Share, Slice};

    fn standing(running: Number) -> Standing<'static> {
        Standing { host: HostId([7; 16]), ring: Ring::General, kernel: "6.1", hangs: false, running }
    }

    fn document(order: Order, base: Option<Number>) -> Document {
        Document { release: 5, order, hanging: true, offers: Plan::everything(), base, ..Document::default() }
    }

    #[test]
    fn what_is_offered_exists_and_comes_before_what_went_out_before() {
        let exist = [1, 2, 3, 4, 5, 6];
        let went_out = |order, base| Document { earlier: vec![2, 1], ..document(order, base) };
        let take = |order, base| standing(1).wish(&went_out(order, base), &exist);
        assert_eq!(take(Order::Offer, Some(4)), Wish::Take(vec![5, 4, 2, 1]), "3 never went out");
        assert_eq!(take(Order::Pause, Some(4)), Wish::Take(vec![4, 2, 1]));
        assert_eq!(standing(1).wish(&document(Order::Halt, None), &exist), Wish::Take(vec![]));
        let older = document(Order::Pause, Some(4));
        assert_eq!(standing(1).wish(&older, &exist), Wish::Take(vec![4]), "it does not say what went out before");
        assert_eq!(standing(1).wish(&document(Order::Offer, None), &[4]), Wish::Take(vec![]), "it does not exist");
    }

    #[test]
    fn a_revoked_release_is_left_and_what_went_out_before_is_offered_still() {
        let revoked = document(Order::Revoke, Some(3));
        assert_eq!(standing(5).wish(&revoked, &[3, 5]), Wish::Leave(5));
        assert_eq!(standing(1).wish(&revoked, &[3, 5]), Wish::Take(vec![3]));
    }

    #[test]
    fn the_control_group_is_what_the_document_says() {
        let mut document = document(Order::Offer, None);
        let bucket = standing(1).bucket(5);
        assert!(!standing(1).is_control(&document));
        let slice = Slice { from: Share::NONE, to: Share::ALL };
        document.control.insert(Ring::General, slice);
        assert!(standing(1).is_control(&document) && slice.contains(bucket));
        assert!(!Standing { hangs: true, ..standing(1) }.is_control(&document));
        document.finished = true;
        assert!(!standing(1).is_control(&document));
    }

    proptest! {
        #[test]
        fn a_poll_comes_within_the_time_and_at_the_host_s_own_moment(host: [u8; 16], seconds in 0..4_000_000_000_i64) {
            let (host, every) = (HostId(host), Duration::from_mins(10));
            let now = Timestamp::from_second(seconds).unwrap();
            let wait = until_poll(host, every, now);
            prop_assert!(wait > Duration::ZERO && wait <= every);
            let then = now + jiff::SignedDuration::try_from(wait).unwrap();
            prop_assert_eq!(until_poll(host, every, then), every);
        }
    }
}
