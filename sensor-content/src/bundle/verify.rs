//! From bytes of unknown origin to rules that may be loaded: each step is a type, and there is no other road.
//!
//! ```text
//! bytes ─► Unverified ─► Bundle ─► RuleSet
//!   decode    fits, signed  says the truth
//! ```

use sensor_rules::{Diagnostics, Options, RuleSet, Source};

use super::{
    container::{self, Malformed, Parts},
    contract::{Engine, Interfaces},
    manifest::{self, Manifest, Number},
};
use crate::{
    digest::Digest,
    key::{KeyId, PublicKey},
    printable,
};

/// A bundle that nobody vouches for.
#[derive(Clone, Debug)]
pub struct Unverified {
    parts: Parts,
    bytes: Vec<u8>,
}

/// A bundle that a trusted key has signed.
#[derive(Clone, Debug)]
pub struct Bundle {
    parts: Parts,
    bytes: Vec<u8>,
}

/// A bundle for another sensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Made against another field table.
    #[error(
        "the bundle was made for the field table {theirs:.12}, and this sensor has {ours:.12}: its rules could name fields that are not \
         supplied. Build it with the `creance` of this sensor's version."
    )]
    Contract {
        /// The bundle's.
        theirs: String,
        /// This sensor's.
        ours: String,
    },
    /// Made for another interface.
    #[error("the bundle works with the interfaces {} to {}, and this sensor has {ours}", .theirs.from, .theirs.to)]
    Interface {
        /// The bundle's.
        theirs: Interfaces,
        /// This sensor's.
        ours: u32,
    },
    /// Made for another architecture.
    #[error("the bundle is for {theirs}, and this host is {ours}")]
    Architecture {
        /// The bundle's.
        theirs: String,
        /// This host's.
        ours: String,
    },
}

/// A bundle without a signature that counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Nobody is trusted.
    #[error("no key is trusted here: put the publisher's public key (PEM) into the directory of trusted keys")]
    NoKeys,
    /// Somebody else has signed it, or nobody.
    #[error("the bundle says it is signed with the key {theirs:.12}…, which is not trusted here (trusted: {ours})")]
    UnknownKey {
        /// The key that it names.
        theirs: String,
        /// Those that are trusted.
        ours: String,
    },
    /// The signature is not of these bytes.
    #[error(
        "the signature is wrong: the bundle was changed after the key {0:.12}… signed it, or was never signed with it"
    )]
    Signature(String),
}

/// A manifest that says what is not so, or rules that are not sound.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Untrue {
    /// The rules have problems.
    #[error(transparent)]
    Content(#[from] Diagnostics),
    /// The list of rules is another than the rules.
    #[error("the manifest lies about its rules: {0}")]
    Rules(String),
}

impl Unverified {
    /// Takes bytes apart.
    ///
    /// # Errors
    /// Where they are no bundle.
    pub fn read(bytes: Vec<u8>) -> Result<Self, Malformed> {
        Ok(Self { parts: container::decode(&bytes)?, bytes })
    }

    /// What it claims. Show it to nobody without saying that it is a claim.
    pub const fn claims(&self) -> &Manifest {
        &self.parts.manifest
    }

    /// The key that it claims.
    pub const fn claimed_key(&self) -> KeyId {
        self.parts.key
    }

    /// Digest of what is signed.
    pub const fn digest(&self) -> Digest {
        self.parts.digest
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its rule files, of unknown origin.
    pub fn claimed_sources(&self) -> &[Source] {
        &self.parts.sources
    }

    /// Whether it was made for `engine`.
    ///
    /// # Errors
    /// Where it was not.
    pub fn fits(&self, engine: &Engine) -> Result<(), Misfit> {
        let Manifest { contract, interfaces, architecture, .. } = &self.parts.manifest;
        if *contract != engine.contract {
            return Err(Misfit::Contract { theirs: contract.to_string(), ours: engine.contract.to_string() });
        }
        if !interfaces.contain(engine.interface) {
            return Err(Misfit::Interface { theirs: *interfaces, ours: engine.interface });
        }
        if *architecture != engine.architecture {
            let theirs = printable::ascii(architecture);
            return Err(Misfit::Architecture { theirs, ours: engine.architecture.clone() });
        }
        Ok(())
    }

    /// The bundle, if one of `keys` has signed it.
    ///
    /// # Errors
    /// Where none has.
    pub fn signed_by(self, keys: &[PublicKey]) -> Result<Bundle, Distrust> {
        if keys.is_empty() {
            return Err(Distrust::NoKeys);
        }
        let theirs = self.parts.key.to_string();
        let Some(key) = keys.iter().find(|key| key.id() == self.parts.key) else {
            let ours: Vec<_> = keys.iter().map(|key| format!("{}…", key.id().short())).collect();
            return Err(Distrust::UnknownKey { theirs, ours: ours.join(", ") });
        };
        if key.verifies(container::signed_part(&self.bytes), &self.parts.signature) {
            Ok(Bundle { parts: self.parts, bytes: self.bytes })
        } else {
            Err(Distrust::Signature(theirs))
        }
    }
}

impl Bundle {
    /// What it says of itself, and its publisher vouches for.
    pub const fn manifest(&self) -> &Manifest {
        &self.parts.manifest
    }

    /// Its number.
    pub const fn number(&self) -> Number {
        self.parts.manifest.generation
    }

    /// Digest of what is signed: its identity.
    pub const fn digest(&self) -> Digest {
        self.parts.digest
    }

    /// The key that signed it.
    pub const fn key(&self) -> KeyId {
        self.parts.key
    }

    /// Its rule files.
    pub fn sources(&self) -> &[Source] {
        &self.parts.sources
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its rules, checked against the field table of this program.
    ///
    /// # Errors
    /// Where they are not sound, or not those that the manifest names.
    pub fn rules(&self) -> Result<RuleSet, Untrue> {
        let rules = sensor_rules::check(&self.parts.sources, Options::default())?;
        let (said, are) = (&self.parts.manifest.rules, manifest::facts(&rules));
        if *said == are {
            return Ok(rules);
        }
        let differs = said.iter().zip(&are).find(|(said, is)| said != is);
        Err(Untrue::Rules(match differs {
            Some((said, is)) => format!(
                "it names `{}` ({} on {}), and the file has `{}` ({} on {})",
                said.id,
                said.action,
                said.events.join(", "),
                is.id,
                is.action,
                is.events.join(", ")
            ),
            None => format!("it names {} rules, and the files have {}", said.len(), are.len()),
        }))
    }
}
