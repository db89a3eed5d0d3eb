//! Private keys at hand, and what they sign.

use std::{collections::HashMap, num::NonZeroU64};

use tough::schema::{
    Role, Signature, Signed,
    decoded::{Decoded, Hex},
    key::{Ed25519Key, Ed25519Scheme, Key},
};

use super::edit_error::EditError;
use crate::key::{PrivateKey, PublicKey};

/// As TUF names a key.
pub type TufId = Decoded<Hex>;

/// A key as TUF writes it, and its name there.
pub fn tuf_key(key: &PublicKey) -> Result<(TufId, Key), EditError> {
    let public = key.bytes().to_vec().into();
    let keyval = Ed25519Key { public, _extra: HashMap::new() };
    let key = Key::Ed25519 { keyval, scheme: Ed25519Scheme::Ed25519, _extra: HashMap::new() };
    let id = key.key_id().map_err(|error| EditError::Tuf(error.to_string()))?;
    Ok((id, key))
}

/// Private keys; which of them signs, the role decides.
#[derive(Default)]
pub struct Signers(Vec<PrivateKey>);

impl Signers {
    /// These keys.
    pub const fn new(keys: Vec<PrivateKey>) -> Self {
        Self(keys)
    }

    /// `role`, signed with those of the keys that `ids` names.
    ///
    /// # Errors
    /// [`EditError::Keys`] where they are fewer than `threshold`.
    pub(super) fn sign<T: Role>(
        &self,
        name: &'static str,
        role: T,
        ids: &[TufId],
        threshold: NonZeroU64,
    ) -> Result<Signed<T>, EditError> {
        let signed = self.sign_with_any(role, ids)?;
        let have = signed.signatures.len() as u64;
        if have < threshold.get() {
            return Err(EditError::Keys { role: name, have, needed: threshold.get() });
        }
        Ok(signed)
    }

    /// The same, however few there are.
    pub(super) fn sign_with_any<T: Role>(&self, role: T, ids: &[TufId]) -> Result<Signed<T>, EditError> {
        let message = role.canonical_form().map_err(|error| EditError::Tuf(error.to_string()))?;
        let mut signatures: Vec<Signature> = Vec::new();
        for key in &self.0 {
            let (keyid, _) = tuf_key(&key.public())?;
            if ids.contains(&keyid) && !signatures.iter().any(|signature| signature.keyid == keyid) {
                signatures.push(Signature { keyid, sig: key.sign(&message).to_vec().into() });
            }
        }
        Ok(Signed { signed: role, signatures })
    }
}
