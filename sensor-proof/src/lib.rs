//! Shows that compiled rules are right and fast. A tool of development: nothing of it ships.
//!
//! | Module | |
//! |---|---|
//! | [`random`] | random rules that type-check, and random records |
//! | [`compare`], [`case`] | the kernel against the interpreter on those; one such pair, made small and written down |
//! | [`largest`] | the largest rule sets that pass the checks |
//! | [`accepted`] | a kernel's verifier on random rule sets and the largest |
//! | [`realistic`] | rules as people write them, by the thousand, and everyday events |

pub mod accepted;
pub mod case;
pub mod compare;
pub mod largest;
pub mod random;
pub mod realistic;
