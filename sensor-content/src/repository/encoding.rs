//! How metadata becomes bytes and digests.

use std::collections::HashMap;

use serde::Serialize;
use tough::schema::{Hashes, Target};

use super::edit_error::EditError;
use crate::digest::Digest;

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The digest of a file, as TUF writes it.
pub(super) fn hashes(bytes: &[u8]) -> Hashes {
    Hashes { sha256: Digest::of(bytes).as_bytes().to_vec().into(), _extra: HashMap::new() }
}

/// A file that `targets` lists.
pub(super) fn target(bytes: &[u8]) -> Target {
    let hashes = hashes(bytes);
    Target { length: bytes.len() as u64, hashes, custom: HashMap::new(), _extra: HashMap::new() }
}

/// JSON with sorted members: the same metadata is the same bytes.
pub(super) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, EditError> {
    let tuf = |error: serde_json::Error| EditError::Tuf(error.to_string());
    let sorted = serde_json::to_value(value).map_err(tuf)?;
    serde_json::to_vec(&sorted).map_err(tuf)
}
