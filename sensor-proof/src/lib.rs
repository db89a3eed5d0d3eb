//! Shows that compiled rules are right and fast. A tool of development: nothing of it ships.
//!
//! | Module | |
//! |---|---|
//! | [`random`] | random rules that type-check, and random records |
//! | [`realistic`] | rules as people write them, by the thousand, and everyday events |

pub mod random;
pub mod realistic;
