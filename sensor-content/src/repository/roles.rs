//! Who signs what, and for how long it counts.

use std::fmt;

use jiff::SignedDuration;

/// Who holds keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// Sign `root` and `targets`; offline.
    Root,
    /// Sign `content`; offline.
    Content,
    /// Sign `rollout`, `snapshot` and `timestamp`; on the machine that publishes.
    Online,
}

impl Holder {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Root, Self::Content, Self::Online];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Content => "content",
            Self::Online => "online",
        }
    }
}

/// A role, in the order in which a client trusts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as TUF and the module's table name them")]
pub enum Role {
    Root,
    Targets,
    Content,
    Rollout,
    Snapshot,
    Timestamp,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Root, Self::Targets, Self::Content, Self::Rollout, Self::Snapshot, Self::Timestamp];

    /// Its name in the metadata.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Content => "content",
            Self::Rollout => "rollout",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }

    /// Who signs it.
    pub const fn holder(self) -> Holder {
        match self {
            Self::Root | Self::Targets => Holder::Root,
            Self::Content => Holder::Content,
            Self::Rollout | Self::Snapshot | Self::Timestamp => Holder::Online,
        }
    }
}

/// How long signed metadata counts.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// Of `root` and `targets`.
    pub root: SignedDuration,
    /// Of `content`.
    pub content: SignedDuration,
    /// Of `rollout` and `snapshot`.
    pub rollout: SignedDuration,
    /// Of `timestamp`: so long at most can an attacker hold news back unnoticed.
    pub timestamp: SignedDuration,
}

impl Default for Lifetime {
    fn default() -> Self {
        let days = |days: i64| SignedDuration::from_hours(days * 24);
        Self { root: days(365), content: days(90), rollout: days(30), timestamp: days(2) }
    }
}

impl Lifetime {
    pub(super) const fn of(&self, role: Role) -> SignedDuration {
        match role {
            Role::Root | Role::Targets => self.root,
            Role::Content => self.content,
            Role::Rollout | Role::Snapshot => self.rollout,
            Role::Timestamp => self.timestamp,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}
