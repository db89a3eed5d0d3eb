//! Keys in files: private ones sign, public ones are named.

use std::path::{Path, PathBuf};

use sensor_content::{
    key::{KEY_FILE_MAX, KeyError, PrivateKey, PublicKey},
    repository::{Keys, Signers},
};

use crate::host::{files, places};

/// The public halves of the keys in these files, of which so many must sign.
pub fn named(paths: &[PathBuf], threshold: Option<u64>) -> anyhow::Result<Keys> {
    let keys = paths.iter().map(|path| public_half(path)).collect::<anyhow::Result<Vec<_>>>()?;
    // The smallest majority, where nothing is said.
    let threshold = threshold.unwrap_or(keys.len() as u64 / 2 + 1);
    Ok(Keys { keys, threshold })
}

/// The private keys in these files.
pub fn signing(paths: &[PathBuf]) -> anyhow::Result<Signers> {
    Ok(Signers::new(paths.iter().map(|path| places::private_key(path)).collect::<anyhow::Result<_>>()?))
}

/// The private ones among the keys in these files.
pub fn private_ones(paths: &[&PathBuf]) -> anyhow::Result<Vec<PrivateKey>> {
    let mut keys = Vec::new();
    for path in paths {
        let text = files::read_text(path, KEY_FILE_MAX, "key")?;
        if let Err(KeyError::PrivateForPublic) = PublicKey::from_pem(&text) {
            keys.push(places::private_key(path)?);
        }
    }
    Ok(keys)
}

fn public_half(path: &Path) -> anyhow::Result<PublicKey> {
    let text = files::read_text(path, KEY_FILE_MAX, "key")?;
    match PublicKey::from_pem(&text) {
        Err(KeyError::PrivateForPublic) => Ok(places::private_key(path)?.public()),
        _ => places::public_key(path),
    }
}
