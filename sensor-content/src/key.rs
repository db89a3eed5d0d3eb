//! Ed25519 keys: PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes them too.

use std::fmt;

use ed25519_dalek::{
    Signature, Signer, SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, spki::der::pem::LineEnding},
};

use crate::digest::Digest;

/// Size of a signature, bytes.
pub const SIGNATURE_SIZE: usize = 64;
/// Longest key file, bytes.
pub const KEY_FILE_MAX: usize = 4096;

/// Which key it is: the SHA-256 of its 32 public bytes.
pub type KeyId = Digest;

/// A text that is no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no private key.
    #[error("this is no Ed25519 private key in PEM (PKCS#8); `creance bundle keygen` makes one")]
    Private,
    /// It is no public key.
    #[error("this is no Ed25519 public key in PEM; `creance bundle keygen` makes one beside each private key")]
    Public,
    /// It is a private key where a public one belongs.
    #[error("this is a private key; what verifies gets the public one only")]
    PrivateForPublic,
    /// A signature by it would prove nothing.
    #[error("this is a weak key (of small order): it would accept forged signatures")]
    Weak,
}

/// A key that signs.
pub struct PrivateKey(SigningKey);

/// A key that verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PrivateKey {
    /// The key made of these random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads PEM.
    ///
    /// # Errors
    /// [`KeyError::Private`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        SigningKey::from_pkcs8_pem(text).map(Self).map_err(|_| KeyError::Private)
    }

    /// As PEM, wiped from memory when dropped.
    ///
    /// # Errors
    /// [`KeyError::Private`]: the key cannot be written so.
    pub fn to_pem(&self) -> Result<impl AsRef<str> + use<>, KeyError> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Private)?;
        Ok(Wiped(pem))
    }

    /// The other half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The signature of `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_SIZE] {
        self.0.sign(message).to_bytes()
    }
}

/// A text that wipes itself.
struct Wiped<T>(T);

impl<T: std::ops::Deref<Target = String>> AsRef<str> for Wiped<T> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PrivateKey({})", self.public().id())
    }
}

impl PublicKey {
    /// Reads PEM.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_public_key_pem(text)
            .map_err(|_| if text.contains("PRIVATE KEY") { KeyError::PrivateForPublic } else { KeyError::Public })?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// As PEM.
    ///
    /// # Errors
    /// [`KeyError::Public`]: the key cannot be written so.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(|_| KeyError::Public)
    }

    /// The key with these bytes.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Public)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// Its 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Which key it is.
    pub fn id(&self) -> KeyId {
        Digest::of(self.0.as_bytes())
    }

    /// Whether `signature` is this key's of `message`; signatures that others could vary are refused.
    pub fn verifies(&self, message: &[u8], signature: &[u8; SIGNATURE_SIZE]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PublicKey({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_files() {
        let key = PrivateKey::from_seed(&[7; 32]);
        let pem = key.to_pem().unwrap();
        assert!(pem.as_ref().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert_eq!(PrivateKey::from_pem(pem.as_ref()).unwrap().public(), key.public());
        let public = key.public().to_pem().unwrap();
        assert_eq!(PublicKey::from_pem(&public), Ok(key.public()));
        assert!(key.public().verifies(b"m", &key.sign(b"m")));
        assert!(!key.public().verifies(b"n", &key.sign(b"m")));
    }

    #[test]
    fn reads_what_openssl_writes() {
        // openssl genpkey -algorithm ed25519; openssl pkey -pubout
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        // RFC 8410, section 10.
        let key = PrivateKey::from_pem(private).unwrap();
        assert_eq!(key.public().to_pem().unwrap(), public);
        assert_eq!(PublicKey::from_pem(private), Err(KeyError::PrivateForPublic));
        assert!(PrivateKey::from_pem(public).is_err());
    }

    #[test]
    fn a_weak_key_is_refused() {
        // The neutral element as a public key: it accepts one signature for every message.
        let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        der.push(1);
        der.extend([0; 31]);
        let weak = VerifyingKey::from_public_key_der(&der).unwrap().to_public_key_pem(LineEnding::LF).unwrap();
        assert_eq!(PublicKey::from_pem(&weak), Err(KeyError::Weak));
    }
}
