//! How content reaches hosts and leaves them again. Decisions are pure functions, apart from I/O, so that the
//! simulator runs the very same code.
//!
//! | Module | Holds |
//! |---|---|
//! | [`bundle`] | the unit of release: rules, what is said of them, and a signature |
//! | [`gate`] | what may come into force: every road asks there |
//! | [`fleet`] | a host's part in a roll-out |
//! | [`life`] | the states of a generation on a host |
//! | [`noise`] | how much of what rules match speaks against them |
//! | [`policy`] | what the host's owner wants |
//! | `repository` (with the feature of that name) | how content travels: signed static files, and what a host believes of them |
//! | [`rollout`] | who gets a release when, and the judge that stops it |
//! | [`shadow`] | whether what judged in the shadow may be put in force |
//! | [`store`] | what a host keeps, and with what it starts |
//! | [`digest`], [`key`], [`lasting`], [`printable`] | what they are made of |

pub mod bundle;
pub mod digest;
pub mod fleet;
pub mod gate;
pub mod key;
pub mod lasting;
pub mod life;
pub mod noise;
pub mod policy;
pub mod printable;
#[cfg(feature = "repository")]
pub mod repository;
pub mod rollout;
pub mod shadow;
pub mod store;
