//! How a pace is written into a target.

use jiff::Timestamp;

use super::edit_error::EditError;
use crate::rollout::{Pace, Ramp};

/// A pace as it is signed.
///
/// # Errors
/// It cannot be written.
pub fn signed(published: Timestamp, ramp: &Ramp) -> Result<serde_json::Value, EditError> {
    // Whole seconds, as all times in a repository.
    let published = Timestamp::from_second(published.as_second()).unwrap_or(published);
    let pace = serde_json::to_value(Pace { published, ramp: ramp.clone() });
    pace.map_err(|error| EditError::Tuf(error.to_string()))
}
