//! A repository of content: static files, signed as The Update Framework says (specification 1.0, crate `tough`).
//!
//! | Role | Signed by | Says |
//! |---|---|---|
//! | `root` | threshold of the root keys, offline | which keys there are |
//! | `targets` | the root keys too | that `content/*` and `rollout/*` are delegated, and to whom |
//! | `content` | threshold of the content keys, offline | which bundles exist |
//! | `rollout` | the online key | who may take which: `rollout/current.json` |
//! | `snapshot`, `timestamp` | the online key | which files belong together, and that they are the newest |
//!
//! A stolen online key can stop content, or offer what exists to more hosts than the plan says, as far as their owners permit.
//! It cannot add content.
//!
//! | Module | Holds |
//! |---|---|
//! | [`metadata`](Metadata) | all roles, and what can be done with them; pure |
//! | [`written`] | the same as files: names, bytes, digests |
//! | [`keys`](Keys), [`roles`](Role) | which keys there are, who signs what |
//! | [`tree`](Tree) | the files of a publisher |
//! | [`fetch`](Fetch) | files from a web server or a directory, within limits |
//! | [`client`](Client) | what a host believes |
//! | `memory` | what it remembers of it |

mod client;
mod fetch;
mod http;
mod keys;
mod memory;
mod metadata;
mod roles;
mod signers;
mod transport;
mod tree;
mod written;

pub use client::{Client, ClientError, Listed, Polled, View};
pub use fetch::{Fetch, FetchError, Files, Reply, Request};
pub use http::Http;
pub use keys::{EditError, Founding, Keys};
pub use metadata::Metadata;
pub use roles::{Holder, Lifetime, Role};
pub use signers::Signers;
pub use tree::{Tree, TreeError};

use crate::bundle::Number;

/// Longest metadata file, bytes. `content` needs some 400 for each bundle.
pub const METADATA_MAX: usize = 4 << 20;
/// Longest `rollout/current.json`, bytes.
pub const DOCUMENT_MAX: usize = 1 << 20;
/// The name of the document that says who may take what.
pub const DOCUMENT: &str = "rollout/current.json";

/// The name of a bundle in the repository.
pub fn bundle_name(number: Number) -> String {
    format!("content/{number}.bundle")
}
