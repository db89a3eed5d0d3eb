//! What a host remembers of a repository, on its disk.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::view::View;
use crate::digest::Digest;

/// What a client has seen of its repository.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// As it was believed last.
    pub view: View,
    /// Of `timestamp.json`, where the server knows tags.
    pub etag: Option<String>,
    /// Of `timestamp.json`, for servers that know no tags.
    pub timestamp: Option<Digest>,
    /// When the newest metadata was signed.
    pub issued: Option<Timestamp>,
    /// By role.
    pub versions: BTreeMap<String, u64>,
    /// The newest root.
    pub root: Option<String>,
    /// Of the root that the owner gave; none in what an older version wrote.
    #[serde(default)]
    pub given: Option<Digest>,
}

impl Memory {
    /// Whether this is the newest root that is known, however it is written.
    pub fn has_as_root(&self, root: &str) -> bool {
        let parse = |root: &str| serde_json::from_str::<serde_json::Value>(root).ok();
        self.root.as_deref().is_some_and(|newest| parse(newest) == parse(root))
    }

    /// The least that the time can be where the clock says `now`.
    pub fn least(&self, now: Timestamp) -> Timestamp {
        self.issued.map_or(now, |issued| issued.max(now))
    }
}
