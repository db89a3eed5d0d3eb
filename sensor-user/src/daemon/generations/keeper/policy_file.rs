//! The owner's policy as a file that can be unreadable for a while.

use sensor_content::policy::Policy;

use crate::host::settings::Settings;

/// What is known of the file.
#[derive(Debug)]
pub enum PolicyFile {
    /// It has not been read since the start: until it is, nothing new is taken and every rule only alerts.
    NeverRead {
        /// [`Policy::unreadable`].
        instead: Policy,
        /// Why it cannot be read; `None` before the first try.
        trouble: Option<String>,
    },
    /// It says this.
    Current(Policy),
    /// It said this, and cannot be read now.
    Stale {
        /// What it said.
        last: Policy,
        /// Why it cannot be read.
        trouble: String,
    },
}

impl Default for PolicyFile {
    fn default() -> Self {
        Self::NeverRead { instead: Policy::unreadable(), trouble: None }
    }
}

impl PolicyFile {
    /// What holds now.
    pub const fn policy(&self) -> &Policy {
        match self {
            Self::NeverRead { instead: policy, .. } | Self::Current(policy) | Self::Stale { last: policy, .. } => {
                policy
            }
        }
    }

    /// Why it cannot be read.
    fn trouble(&self) -> Option<&str> {
        match self {
            Self::NeverRead { trouble, .. } => trouble.as_deref(),
            Self::Current(_) => None,
            Self::Stale { trouble, .. } => Some(trouble),
        }
    }

    /// Reads the file again; what to warn of, where it cannot be read for a reason that was not said yet.
    pub fn read(&mut self, settings: &Settings) -> Option<String> {
        let before = self.trouble().map(str::to_owned);
        self.update(settings.policy());
        if self.trouble() == before.as_deref() { None } else { self.blindness() }
    }

    fn update(&mut self, read: anyhow::Result<Policy>) {
        *self = match (read, std::mem::take(self)) {
            (Ok(policy), _) => Self::Current(policy),
            (Err(error), Self::NeverRead { instead, .. }) => {
                Self::NeverRead { instead, trouble: Some(format!("{error:#}")) }
            }
            (Err(error), Self::Current(last) | Self::Stale { last, .. }) => {
                Self::Stale { last, trouble: format!("{error:#}") }
            }
        };
    }

    /// What to say of it while it cannot be read.
    pub fn blindness(&self) -> Option<String> {
        let trouble = self.trouble()?;
        let until = match self {
            Self::NeverRead { .. } => "nothing new is taken, and every rule only alerts",
            Self::Current(_) | Self::Stale { .. } => "nothing new is taken, and what was read before goes on to hold",
        };
        Some(format!("the owner's policy cannot be read; until it can, {until}: {trouble}"))
    }
}
