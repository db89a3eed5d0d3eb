//! Where hosts stand by their owners' choice.

use serde::{Deserialize, Serialize};

/// Where a host stands by its owner's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ring {
    /// Opted in to be first; canaries come from here.
    Early,
    /// Where the owner chose nothing.
    General,
    /// Opted to be last.
    Late,
}

impl Ring {
    /// First to last.
    pub const ALL: [Self; 3] = [Self::Early, Self::General, Self::Late];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::General => "general",
            Self::Late => "late",
        }
    }
}
