//! The owner's policy, `/etc/creance/content.toml`: when this host takes which content, and what that content may do.
//! A publisher can stop content and never force it.
//!
//! | Module | Holds |
//! |---|---|
//! | [`read`](Policy::parse) | from text to a policy that makes sense, errors with line and column |
//! | [`decide`](Policy::decide) | what it says of one release, and why |
//! | [`window`](Window) | times of the week, in a time zone |
//! | [`approval`] | releases that the owner has approved, signed |

pub mod approval;
mod decide;
mod read;
mod window;

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use sensor_common::{event::Event, verdict::Action};

pub use decide::{Answer, Decision, Host, Offer, Reason, because};
pub use read::PolicyError;
pub use window::Window;

use crate::{bundle::Number, digest::Digest, rollout::Ring, shadow::Limits};

/// Which release the owner wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pin {
    /// The newest.
    #[default]
    Latest,
    /// So many releases before the newest; urgent ones are taken all the same.
    Behind(usize),
    /// This one and no other.
    Number(Number),
}

/// Nothing new is taken until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// When it ends.
    pub until: Timestamp,
    /// Why, for people.
    pub reason: Option<String>,
}

/// A generation that the owner wants to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// The generation to leave; it is not taken again while the wish stands.
    pub from: Number,
    /// Where to go; the last good generation before, if it is not said.
    pub to: Option<Number>,
}

/// Where releases come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Addresses of the repository and its mirrors (`https://`, `http://`, `file:///`), the first that
    /// answers is taken.
    pub addresses: Vec<String>,
    /// The publisher's `root.json`, which is trusted.
    pub root: PathBuf,
    /// How often it is asked.
    pub poll: SignedDuration,
    /// By this proxy.
    pub proxy: Option<String>,
    /// Longest wait, after a release was fetched, until Prometheus has seen that it was: a host that does not
    /// survive it is missed.
    pub announce: SignedDuration,
}

/// On which events rules may block, quarantine or kill; on all, where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions([Option<Vec<Event>>; 3]);

impl Actions {
    /// Whether `action` may be carried out on `event`.
    pub fn permit(&self, event: Event, action: Action) -> bool {
        let limit = match action {
            Action::Alert => return true,
            Action::Block => &self.0[0],
            Action::Quarantine => &self.0[1],
            Action::Kill => &self.0[2],
        };
        let is_meant = |named: &Event| *named == event || named.companion() == Some(event);
        limit.as_ref().is_none_or(|events| events.iter().any(is_meant))
    }
}

/// A policy that makes sense: there is no other road to one than [`Policy::parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    ring: Ring,
    pin: Pin,
    hold: Option<Hold>,
    delay: SignedDuration,
    urgent_delay: SignedDuration,
    windows: Vec<Window>,
    approval_key: Option<PathBuf>,
    actions: Actions,
    lifeline: Vec<PathBuf>,
    rollback: Option<Rollback>,
    repository: Option<Repository>,
    unsigned: bool,
    shadow: Option<Limits>,
    /// See [`written`](Self::written).
    written: Digest,
}

impl Policy {
    /// What holds while the owner's policy is there and cannot be read: rules may alert, and no more.
    pub fn unreadable() -> Self {
        Self { actions: Actions([const { Some(Vec::new()) }; 3]), ..Self::default() }
    }

    /// Digest of the text that it was read from: whether the owner has written since.
    pub const fn written(&self) -> Digest {
        self.written
    }

    /// The generation that the owner holds the host to.
    pub const fn pinned(&self) -> Option<Number> {
        if let Pin::Number(number) = self.pin { Some(number) } else { None }
    }

    /// The generation that the owner wants to leave.
    pub const fn rollback(&self) -> Option<Rollback> {
        self.rollback
    }

    /// What rules may do.
    pub const fn actions(&self) -> &Actions {
        &self.actions
    }

    /// The ring of this host.
    pub const fn ring(&self) -> Ring {
        self.ring
    }

    /// The owner's public key, where each release must be approved with it.
    pub const fn approval_key(&self) -> Option<&PathBuf> {
        self.approval_key.as_ref()
    }

    /// Whether rules may be pushed that nobody has signed.
    pub const fn allows_unsigned(&self) -> bool {
        self.unsigned
    }

    /// What a release has to keep to in the shadow before it comes into force; `None` where it comes into
    /// force at once.
    pub const fn shadow(&self) -> Option<Limits> {
        self.shadow
    }

    /// Executables whose processes are never blocked or killed, beside those that the sensor protects by itself.
    pub fn lifeline(&self) -> &[PathBuf] {
        &self.lifeline
    }

    /// Where releases come from, if they do not only come by hand.
    pub const fn repository(&self) -> Option<&Repository> {
        self.repository.as_ref()
    }
}

impl Default for Policy {
    /// Takes everything that is offered, as soon as it is.
    fn default() -> Self {
        Self {
            ring: Ring::General,
            pin: Pin::Latest,
            hold: None,
            delay: SignedDuration::ZERO,
            urgent_delay: SignedDuration::ZERO,
            windows: Vec::new(),
            approval_key: None,
            actions: Actions::default(),
            lifeline: Vec::new(),
            rollback: None,
            repository: None,
            unsigned: false,
            shadow: None,
            written: Digest::of(b""),
        }
    }
}
