//! What tells generations apart, and starts of the host.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{bundle::Number, digest::Digest};

/// Which generation: its number, and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Id {
    /// Its number.
    pub number: Number,
    /// Digest of the signed part of its bundle.
    pub digest: Digest,
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.number, self.digest.short())
    }
}

/// This start of the kernel, as `/proc/sys/kernel/random/boot_id` names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub String);
