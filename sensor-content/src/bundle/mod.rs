//! A bundle is the unit of release: one file with a manifest, rule files with their tests, and a signature.
//!
//! | Module | Holds |
//! |---|---|
//! | [`contract`](Engine) | what rules can ask for, as a digest |
//! | [`manifest`](Manifest) | what a bundle says of itself |
//! | [`container`](decode) | the bytes |
//! | [`release`](Release) | how one is made |
//! | [`verify`](Unverified) | how one is taken in |
//! | [`diff`](diff()) | what changed from one to the next |

mod container;
mod contract;
mod diff;
mod manifest;
mod release;
mod verify;

pub use container::{BUNDLE_MAX, MAGIC, MANIFEST_MAX, Malformed, Parts, decode, encode};
pub use contract::{Engine, INTERFACE, Interfaces, contract};
pub use diff::diff;
pub use manifest::{Budget, Category, FileFacts, Manifest, Nonsense, Number, RuleFacts, VerifiedOn, facts};
pub use release::{BuildError, Release};
pub use verify::{Bundle, Distrust, Misfit, Untrue, Unverified};
