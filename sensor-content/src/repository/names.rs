//! What the files of a repository are called, and how long they may be.

use crate::bundle::Number;

/// Longest metadata file, bytes. `content` needs some 1400 for each bundle.
pub const METADATA_MAX: usize = 4 << 20;
/// Longest `rollout/current.json`, bytes.
pub const DOCUMENT_MAX: usize = 1 << 20;
/// The name of the document that says who may take what.
pub const DOCUMENT: &str = "rollout/current.json";

/// The name of a bundle in the repository.
pub fn bundle_name(number: Number) -> String {
    format!("content/{number}.bundle")
}

/// When the metadata was signed, in `timestamp`.
pub(super) const ISSUED: &str = "issued";

/// What `content` says of a bundle's [`Pace`](crate::rollout::Pace).
pub(super) const PACE: &str = "pace";
