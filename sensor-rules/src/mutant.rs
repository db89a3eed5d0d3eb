//! A rule with one part changed: what its tests must notice, see [`mutants`](crate::mutants).

use crate::{condition::Checked, source::Place};

/// A rule with one part changed.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    /// Where the part stands.
    pub place: Place,
    /// What was changed, in words.
    pub change: String,
    /// The test that would notice, in words.
    pub noticed_by: String,
    /// The exception that it is about, by its name.
    pub exception: Option<String>,
    /// The condition with the change.
    pub checked: Checked,
}
