//! How content reaches hosts and leaves them again. Decisions are pure functions, apart from I/O, so that the
//! simulator runs the very same code.
//!
//! | Module | Holds |
//! |---|---|
//! | [`rollout`] | who gets a release when, and the judge that stops it |

pub mod rollout;
