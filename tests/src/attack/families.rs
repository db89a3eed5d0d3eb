//! The list of all attempts.

use super::{actors, attempt::Attempt, compat, identity, message, paths, payload, resources, unix, uring};

const FAMILIES: &[&[Attempt]] = &[
    paths::ATTEMPTS,
    identity::ATTEMPTS,
    payload::ATTEMPTS,
    message::ATTEMPTS,
    unix::ATTEMPTS,
    uring::ATTEMPTS,
    compat::ATTEMPTS,
    resources::ATTEMPTS,
    // Last: they use up budgets.
    actors::ATTEMPTS,
];

/// All attempts, in the order in which they are made.
pub fn attempts() -> impl Iterator<Item = &'static Attempt> {
    FAMILIES.iter().copied().flatten()
}
