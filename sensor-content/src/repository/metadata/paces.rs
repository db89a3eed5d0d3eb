//! How fast bundles may go out: what the content keys sign beside each.

use jiff::Timestamp;

use super::{Metadata, Pen, target_name};
use crate::{
    repository::{
        edit_error::EditError,
        names::{PACE, bundle_name},
        roles::Lifetime,
        signers::Signers,
    },
    rollout::{Pace, Ramp},
};

impl Metadata {
    /// Signs another ramp for a bundle that is there: faster in an emergency, or slower. It counts from the first
    /// publication all the same; from now, where that was never signed.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn set_ramp(
        &mut self,
        number: u64,
        ramp: &Ramp,
        signers: &Signers,
        lifetime: Lifetime,
        now: Timestamp,
    ) -> Result<Pace, EditError> {
        let published = self.pace(number)?.map_or(now, |pace| pace.published);
        let mut content = self.content.signed.clone();
        let target = content.targets.get_mut(&target_name(&bundle_name(number))?);
        let target = target.ok_or(EditError::Unknown(number))?;
        target.custom.insert(PACE.into(), signed(published, ramp)?);
        self.change_content(content, Pen { signers, lifetime, now })?;
        Ok(Pace { published, ramp: ramp.clone() })
    }

    /// How fast a bundle may go out, where that was signed.
    ///
    /// # Errors
    /// [`EditError`]: there is no such bundle, or what was signed cannot be read.
    pub fn pace(&self, number: u64) -> Result<Option<Pace>, EditError> {
        let target = self.content.signed.targets.get(&target_name(&bundle_name(number))?);
        let target = target.ok_or(EditError::Unknown(number))?;
        let read = |pace: &serde_json::Value| serde_json::from_value(pace.clone());
        let pace = target.custom.get(PACE).map(read).transpose();
        pace.map_err(|error| EditError::Pace(number, error.to_string()))
    }
}

/// A pace as it is signed.
pub(super) fn signed(published: Timestamp, ramp: &Ramp) -> Result<serde_json::Value, EditError> {
    // Whole seconds, as all times in a repository.
    let published = Timestamp::from_second(published.as_second()).unwrap_or(published);
    let pace = serde_json::to_value(Pace { published, ramp: ramp.clone() });
    pace.map_err(|error| EditError::Tuf(error.to_string()))
}
