//! Values in files with a checksum, so that a disk that lies is noticed.

use std::io;

use serde::{Serialize, de::DeserializeOwned};

use crate::digest::Digest;

/// `value` as a line with a digest and a line of JSON.
pub fn seal<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    Ok([format!("{}\n", Digest::of(&json)).as_bytes(), &json, b"\n"].concat())
}

/// The value, where the bytes are what [`seal`] made.
pub fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (digest, json) = text.split_once('\n')?;
    let json = json.strip_suffix('\n')?;
    (digest.parse::<Digest>().ok()? == Digest::of(json.as_bytes())).then(|| serde_json::from_str(json).ok()).flatten()
}
