//! What holds blocking back, whatever rules say: layouts of the maps behind lifeline, budgets and heartbeat.
//!
//! **Budgets.** Each rule that asks for more than an alert has one for each [actor](crate::actor): so many
//! times in each window of time. Windows are counted from boot, all of the same length, so which window an
//! event is in depends on nothing but its time, and the count of a window starts where the kernel's hash
//! makes its entry, which it does for one program only. Whoever adds to the count and then reads no more than
//! the budget is within it. So in no window is an actor killed more often than a rule's budget says, whatever
//! runs at once.
//!
//! **Crowds.** A rule that hits many actors in one window is demoted for all: each adds what it
//! [weighs](crate::actor::weight) once, and at [`CROWD`] the rule only alerts, for a time that doubles with
//! each time that it happens again.

/// Hash from the [`FileKey`] of an executable to a [`Reach`].
pub const LIFELINE: &str = "LIFELINE";
/// Array of one `u64`: when the daemon was last alive, `CLOCK_MONOTONIC`, nanoseconds.
pub const HEARTBEAT: &str = "HEARTBEAT";
/// Hash from [`RuleKey`] to [`Budget`]: the rules that ask for more than an alert.
pub const BUDGETS: &str = "BUDGETS";
/// LRU hash from [`FiringsKey`] to `u64`: how often a rule fired for an actor in a window.
pub const FIRINGS: &str = "FIRINGS";
/// Hash from [`FiringsKey`] to `u64`: whom a rule hit in a window, by [`witness`](crate::actor::witness); and
/// under [`CROWD_OF_ALL`] what they weigh.
pub const WITNESSES: &str = "WITNESSES";
/// Hash from [`RuleKey`] to [`Demotion`]: the rules that only alert, or did not long ago.
pub const DEMOTED: &str = "DEMOTED";

/// How many executables can be on the lifeline.
pub const LIFELINE_MAX: u32 = 1024;
/// How many rules of the generations in the kernel can ask for more than an alert.
pub const BUDGETS_MAX: u32 = 16_384;
/// How many windows of actors can be counted at once. The one that was not used for longest gives way, and is
/// counted from 0 again.
pub const FIRINGS_MAX: u32 = 16_384;
/// How many witnesses can be known at once. One that finds no room is no evidence against a rule, which goes
/// on to block.
pub const WITNESSES_MAX: u32 = 16_384;
/// Every rule that has a budget can be demoted.
pub const DEMOTED_MAX: u32 = BUDGETS_MAX;

/// What all witnesses of a rule weigh together when it is demoted: three services, six users, or some of
/// each. One user is at most three witnesses, so he and a service that he makes act are too few.
pub const CROWD: u64 = 6;
/// Stands in [`FiringsKey::actor`] for all witnesses of a rule.
pub const CROWD_OF_ALL: u64 = u64::MAX;
/// How long a rule is demoted for the first time, nanoseconds.
pub const DEMOTED_FIRST: u64 = 60_000_000_000;
/// It doubles so many times at most: to an hour and four minutes.
pub const DOUBLINGS_MAX: u32 = 6;
/// After so long without another demotion the next is a first one, nanoseconds.
pub const FORGIVEN_AFTER: u64 = 3_600_000_000_000;

/// Stands in [`RuleKey::rule`] for all rules that matched an event and are not named in its verdict, which
/// names the first [`RULES_MAX`](crate::verdict::RULES_MAX).
pub const UNNAMED: u32 = u32::MAX;

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct FileKey {
    /// Its inode number.
    pub inode: u64,
    /// Device of its file system, as the kernel's `dev_t`.
    pub device: u32,
    /// Nothing: a key is compared with all its bytes.
    pub padding: u32,
}

/// Whom an entry of the lifeline keeps alive: a set of these.
///
/// Who runs a program with code of his own in it has its name, not its rights: so the process must be
/// privileged, which is to say that in the host's own user namespace it has root's effective id or
/// `CAP_AUDIT_WRITE`, which message buses keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Reach(pub u32);

impl Reach {
    /// Privileged processes that run the executable.
    pub const ITSELF: Self = Self(1);
    /// The shell that such a process starts.
    pub const SHELL_OF: Self = Self(2);
    /// A process that runs it without privileges, started by a privileged one that does too: how `sshd`
    /// serves a user. And the shell that this starts.
    pub const SEPARATED: Self = Self(4);
    /// A login shell: only as one that the above starts.
    pub const SHELL: Self = Self(8);
    /// Whom the owner added: also system users' processes that run the executable.
    pub const ADDED: Self = Self(16);

    /// All in either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether some of `others` are in it.
    pub const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// A rule of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct RuleKey {
    /// The generation.
    pub generation: u64,
    /// The rule's number in it, or [`UNNAMED`].
    pub rule: u32,
    /// Nothing: a key is compared with all its bytes.
    pub padding: u32,
}

impl RuleKey {
    /// This rule of this generation.
    pub const fn new(generation: u64, rule: u32) -> Self {
        Self { generation, rule, padding: 0 }
    }
}

/// A rule and an actor in a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct FiringsKey {
    /// The generation.
    pub generation: u64,
    /// An [actor](crate::actor) or a witness.
    pub actor: u64,
    /// The rule's number in it.
    pub rule: u32,
    /// Time since boot, divided by the length of the rule's window.
    pub window: u32,
    /// How often the rule had been demoted: whoever bore witness then has to do so again.
    pub demotions: u32,
    /// Nothing: a key is compared with all its bytes.
    pub padding: u32,
}

/// What a rule is allowed, and what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Budget {
    /// What the rule asks for: an [`Action`](crate::verdict::Action).
    pub action: u32,
    /// How often that is carried out for one actor in one window; what denies is carried out always.
    pub count: u32,
    /// Length of a window, nanoseconds.
    pub window: u64,
    /// How often the rule asked while nothing else held it back.
    pub fired: u64,
    /// How often of these less was done, because the actor was over the budget or the rule demoted.
    pub held: u64,
}

/// A rule that hit too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Demotion {
    /// By an event of this time: `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// From then on it is carried out again.
    pub until: u64,
    /// How often it was demoted, one after the other.
    pub times: u32,
    /// Nothing.
    pub padding: u32,
}

impl Demotion {
    /// None so far.
    pub const NONE: Self = Self { time: 0, until: 0, times: 0, padding: 0 };

    /// The one that follows `before`, by an event of this time.
    #[inline]
    pub const fn after(before: Self, time: u64) -> Self {
        let times = if before.is_forgiven(time) { 0 } else { before.times };
        let doublings = if times < DOUBLINGS_MAX { times } else { DOUBLINGS_MAX };
        Self { time, until: time + (DEMOTED_FIRST << doublings), times: times + 1, padding: 0 }
    }

    /// Whether the rule only alerts at this time.
    #[inline]
    pub const fn holds(&self, time: u64) -> bool {
        time < self.until
    }

    /// Whether it is so long ago that it no longer counts.
    #[inline]
    pub const fn is_forgiven(&self, time: u64) -> bool {
        time >= self.until.saturating_add(FORGIVEN_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demotion_takes_twice_as_long_each_time() {
        let mut last = Demotion::after(Demotion::NONE, 0);
        let mut lengths = [0; 9];
        for length in &mut lengths {
            *length = (last.until - last.time) / 1_000_000_000;
            last = Demotion::after(last, last.until);
        }
        assert_eq!(lengths, [60, 120, 240, 480, 960, 1920, 3840, 3840, 3840]);
        assert_eq!(last.times, 10);
        let forgiven = Demotion::after(last, last.until + FORGIVEN_AFTER);
        assert_eq!((forgiven.times, forgiven.until - forgiven.time), (1, DEMOTED_FIRST));
    }
}
