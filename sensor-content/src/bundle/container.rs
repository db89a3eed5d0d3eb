//! The file: magic, length of the manifest, manifest, rule files, key id, signature.
//!
//! ```text
//! "creance bundle 1\n" │ u32 LE │ manifest │ texts, in the manifest's order │ key id, 32 B │ signature, 64 B
//! └──────────────────────────── signed ─────────────────────────────────────────────────┘
//! ```
//!
//! Nothing is compressed and every length is checked against what is there before anything is allocated, so
//! that no file asks for more memory than it has bytes. Each content has one spelling: what is decoded
//! encodes to the same bytes.

use sensor_rules::Source;

use super::manifest::{Manifest, Nonsense};
use crate::{
    digest::Digest,
    key::{KeyId, PrivateKey, SIGNATURE_SIZE},
    printable,
};

/// What the file begins with.
pub const MAGIC: &[u8] = b"creance bundle 1\n";
/// Largest bundle, bytes.
pub const BUNDLE_MAX: usize = 8 << 20;
/// Longest manifest, bytes.
pub const MANIFEST_MAX: usize = 1 << 20;
/// Size of key id and signature, bytes.
const END: usize = 32 + SIGNATURE_SIZE;

/// Why bytes are no bundle.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not even the beginning is right.
    #[error("this is no bundle: it does not begin with `creance bundle 1`")]
    Magic,
    /// Too large.
    #[error("this is larger than {} MiB, the largest bundle", BUNDLE_MAX >> 20)]
    Large,
    /// Something is missing at the end.
    #[error("the bundle is cut: its {0} is not all there")]
    Cut(&'static str),
    /// The manifest is too long.
    #[error("the manifest claims {0} bytes; the longest has {MANIFEST_MAX}")]
    LongManifest(u32),
    /// The manifest cannot be read.
    #[error("the manifest cannot be read: {0}")]
    Manifest(String),
    /// The manifest is spelled in another way than this program writes it.
    #[error("the manifest is not in the one spelling that bundles have")]
    Spelling,
    /// What it says makes no sense.
    #[error("the manifest makes no sense: {0}")]
    Nonsense(#[from] Nonsense),
    /// A file is no text.
    #[error("the file {0} is not UTF-8")]
    NoText(String),
    /// More behind its end.
    #[error("{0} bytes too many follow the files that the manifest names")]
    Trailing(usize),
}

/// The parts of a bundle; nothing is said about who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its rule files.
    pub sources: Vec<Source>,
    /// The key that it says it was signed with.
    pub key: KeyId,
    /// The signature.
    pub signature: [u8; SIGNATURE_SIZE],
    /// Digest of what is signed: the bundle's identity.
    pub digest: Digest,
}

/// The bytes of a bundle, signed.
///
/// # Errors
/// What would be refused by [`decode`].
pub fn encode(manifest: &Manifest, texts: &[&[u8]], key: &PrivateKey) -> Result<Vec<u8>, Malformed> {
    manifest.sound()?;
    let json = spelled(manifest)?;
    let length = u32::try_from(json.len()).ok().filter(|_| json.len() <= MANIFEST_MAX);
    let length = length.ok_or(Malformed::LongManifest(u32::try_from(json.len()).unwrap_or(u32::MAX)))?;
    let mut bytes = [MAGIC, &length.to_le_bytes(), &json].concat();
    for text in texts {
        bytes.extend_from_slice(text);
    }
    bytes.extend_from_slice(key.public().id().as_bytes());
    bytes.extend_from_slice(&key.sign(&bytes));
    decode(&bytes).map(|_| bytes)
}

/// Takes a bundle apart.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<Parts, Malformed> {
    if bytes.len() > BUNDLE_MAX {
        return Err(Malformed::Large);
    }
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return Err(if MAGIC.starts_with(bytes) { Malformed::Cut("beginning") } else { Malformed::Magic });
    };
    let (length, rest) = rest.split_first_chunk().ok_or(Malformed::Cut("manifest"))?;
    let length = u32::from_le_bytes(*length);
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    if size > MANIFEST_MAX {
        return Err(Malformed::LongManifest(length));
    }
    let (json, mut rest) = rest.split_at_checked(size).ok_or(Malformed::Cut("manifest"))?;
    let manifest: Manifest =
        serde_json::from_slice(json).map_err(|error| Malformed::Manifest(printable::ascii(&error.to_string())))?;
    if spelled(&manifest)? != json {
        return Err(Malformed::Spelling);
    }
    manifest.sound()?;
    let mut sources = Vec::new();
    for file in &manifest.files {
        let size = usize::try_from(file.size).unwrap_or(usize::MAX);
        let (text, behind) = rest.split_at_checked(size).ok_or(Malformed::Cut("rule files"))?;
        if std::str::from_utf8(text).is_err() {
            return Err(Malformed::NoText(file.name.clone()));
        }
        sources.push(Source { name: file.name.clone(), text: text.to_vec() });
        rest = behind;
    }
    let (key, behind) = rest.split_first_chunk().ok_or(Malformed::Cut("signature"))?;
    let (signature, trailing) = behind.split_first_chunk().ok_or(Malformed::Cut("signature"))?;
    if !trailing.is_empty() {
        return Err(Malformed::Trailing(trailing.len()));
    }
    let digest = Digest::of(&bytes[..bytes.len() - SIGNATURE_SIZE]);
    Ok(Parts { manifest, sources, key: KeyId::from_bytes(*key), signature: *signature, digest })
}

/// What the signature of a whole bundle is about.
pub fn signed_part(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().saturating_sub(SIGNATURE_SIZE)]
}

fn spelled(manifest: &Manifest) -> Result<Vec<u8>, Malformed> {
    serde_json::to_vec(manifest).map_err(|error| Malformed::Manifest(error.to_string()))
}

const _: () = assert!(MAGIC.len() + 4 + MANIFEST_MAX + END < BUNDLE_MAX, "the longest manifest leaves room for rules");
