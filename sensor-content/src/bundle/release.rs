//! From rule files and what a publisher says of them to a signed bundle.

use jiff::SignedDuration;
use sensor_rules::{Diagnostics, Options, Source, mutants, selftest};
use serde::Deserialize;

use super::{
    container::{self, Malformed},
    contract::{Engine, INTERFACE, Interfaces},
    manifest::{self, Budget, Category, FileFacts, Manifest, Nonsense, Number, VerifiedOn},
};
use crate::{key::PrivateKey, lasting};

/// What a publisher says of a release: a file of its own, `release.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Its number.
    pub generation: Number,
    /// What kind of release it is.
    pub category: Category,
    /// The interfaces that it works with; this program's, where none are given.
    #[serde(default = "interfaces")]
    pub interfaces: Interfaces,
    /// Shortest probation.
    #[serde(deserialize_with = "lasting::read")]
    pub soak: SignedDuration,
    /// What it may cost.
    pub budget: Budget,
    /// Kernels that it was verified on.
    #[serde(default)]
    pub verified: Vec<VerifiedOn>,
    /// What changed.
    pub changelog: String,
}

const fn interfaces() -> Interfaces {
    Interfaces { from: INTERFACE, to: INTERFACE }
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// It cannot be read.
    #[error("the release cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// The probation has no length.
    #[error("soak is negative: write a time such as \"24h\"")]
    Soak,
    /// The rules are not sound.
    #[error(transparent)]
    Rules(#[from] Diagnostics),
    /// The rules' own tests fail.
    #[error("the rules' own tests fail:\n{}", .0.join("\n"))]
    Tests(Vec<String>),
    /// The rules' own tests do not notice that a part of a rule is gone.
    #[error("the rules' own tests leave something untried; add a test for each of these:\n{}", .0.join("\n"))]
    Untried(Vec<String>),
    /// What it says cannot be put into a bundle.
    #[error("no bundle can be made of this: {0}")]
    Bundle(#[from] Malformed),
    /// What it says makes no sense.
    #[error("no bundle can be made of this: {0}")]
    Nonsense(#[from] Nonsense),
}

impl Release {
    /// Reads a release.
    ///
    /// # Errors
    /// [`BuildError::Syntax`].
    pub fn parse(text: &str) -> Result<Self, BuildError> {
        Ok(toml::from_str(text)?)
    }

    /// The bundle of these rule files. The same release, files and key give the same bytes.
    ///
    /// # Errors
    /// Where the rules are not sound, fail their own tests, these leave something untried, or something said of
    /// them makes no sense.
    pub fn build(&self, mut sources: Vec<Source>, key: &PrivateKey) -> Result<Vec<u8>, BuildError> {
        sources.sort_by(|first, second| first.name.cmp(&second.name));
        let file = |source: &Source| FileFacts {
            name: source.name.clone(),
            size: u32::try_from(source.text.len()).unwrap_or(u32::MAX),
        };
        let mut manifest = Manifest {
            generation: self.generation,
            category: self.category,
            contract: Engine::here().contract,
            interfaces: self.interfaces,
            architecture: Engine::here().architecture,
            soak: u64::try_from(self.soak.as_secs()).map_err(|_| BuildError::Soak)?,
            budget: self.budget,
            verified: self.verified.clone(),
            changelog: self.changelog.clone(),
            rules: Vec::new(),
            files: sources.iter().map(file).collect(),
        };
        // Before the rules are checked: a name used twice is one mistake, and each rule in it would be another.
        manifest.sound()?;
        let rules = sensor_rules::check(&sources, Options { mutants: true, ..Options::default() })?;
        selftest::run(&rules).all_right().map_err(BuildError::Tests)?;
        mutants::run(&rules).all_right().map_err(BuildError::Untried)?;
        manifest.rules = manifest::facts(&rules);
        let texts: Vec<&[u8]> = sources.iter().map(|source| source.text.as_slice()).collect();
        Ok(container::encode(&manifest, &texts, key)?)
    }
}
