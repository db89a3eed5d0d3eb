//! The release with its fastest ramp.

use sensor_content::{
    bundle::Category,
    digest::Digest,
    fleet::{Paced, Release},
    life::Id,
    rollout::{Pace, Ramp},
};

use crate::simulate::{
    publisher::{RELEASE, at},
    scenario::Strategy,
};

/// The release, as the content keys have signed it at its publication.
pub struct Signed {
    /// Which it is.
    pub id: Id,
    category: Category,
    paced: Paced,
}

impl Signed {
    /// As this strategy publishes it.
    pub fn new(strategy: Strategy) -> Self {
        let category = if strategy == Strategy::Urgent { Category::Urgent } else { Category::Routine };
        let pace = Pace { published: at(0), ramp: Ramp::shipped(category) };
        Self { id: Id { number: RELEASE, digest: Digest::of(b"291") }, category, paced: Paced::Signed(pace) }
    }

    /// As a host sees it.
    pub fn release(&self) -> Release<'_> {
        Release { id: self.id, category: self.category, paced: Some(&self.paced) }
    }
}
