//! A release that the owner has approved: a file with one line, signed with the owner's key.

use base64ct::{Base64, Encoding};

use crate::{
    key::{PrivateKey, PublicKey, SIGNATURE_SIZE},
    life::Id,
};

/// Longest approval, bytes.
pub const APPROVAL_MAX: usize = 1024;

/// The approval of the generation: `creance approval 1 NUMBER DIGEST SIGNATURE`.
pub fn approve(id: Id, key: &PrivateKey) -> String {
    let said = said(id);
    format!("{said} {}\n", Base64::encode_string(&key.sign(said.as_bytes())))
}

/// Whether `text` approves the generation with this key. It has one spelling.
pub fn is_approved(text: &str, id: Id, key: &PublicKey) -> bool {
    let signature = || {
        let base64 = text.strip_prefix(&said(id))?.strip_prefix(' ')?.strip_suffix('\n')?;
        let mut bytes = [0; SIGNATURE_SIZE];
        Base64::decode(base64, &mut bytes).ok()?;
        (Base64::encode_string(&bytes) == base64).then_some(bytes)
    };
    signature().is_some_and(|signature| key.verifies(said(id).as_bytes(), &signature))
}

/// The name of the file in the directory of approvals.
pub fn file_name(id: Id) -> String {
    format!("{}-{}.approval", id.number, id.digest.short())
}

fn said(id: Id) -> String {
    format!("creance approval 1 {} {}", id.number, id.digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn an_approval_is_of_one_generation_by_one_key() {
        let (owner, other) = (PrivateKey::from_seed(&[1; 32]), PrivateKey::from_seed(&[2; 32]));
        let id = Id { number: 124, digest: Digest::of(b"124") };
        let text = approve(id, &owner);
        assert!(is_approved(&text, id, &owner.public()));
        assert!(!is_approved(&text, id, &other.public()));
        assert!(!is_approved(&text, Id { number: 125, ..id }, &owner.public()));
        assert!(!is_approved(&text, Id { digest: Digest::of(b"x"), ..id }, &owner.public()));
        for spelled in
            [text.to_uppercase(), format!(" {text}"), format!("{text}\n"), text.trim_end().to_owned(), String::new()]
        {
            assert!(!is_approved(&spelled, id, &owner.public()), "{spelled}");
        }
    }
}
