//! What a repository says, once it is believed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    bundle::{Category, Number},
    fleet::{Paced, Release},
    life::Id,
    rollout::Document,
};

/// A bundle that exists, as the content keys say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Its number and digest.
    pub id: Id,
    /// What kind of release it is.
    pub category: Category,
}

/// A repository as it was believed last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Who may take what; none before the first roll-out.
    pub document: Option<Document>,
    /// The bundles that exist.
    pub listed: BTreeMap<Number, Listed>,
    /// How fast the content keys allow each of them; none where nothing was signed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paces: BTreeMap<Number, Paced>,
    /// From then on it is not believed any more.
    pub expires: Timestamp,
}

impl View {
    /// The releases that exist.
    pub fn releases(&self) -> impl Iterator<Item = Release<'_>> {
        self.listed.iter().map(|(number, Listed { id, category })| Release {
            id: *id,
            category: *category,
            paced: self.paces.get(number),
        })
    }
}
