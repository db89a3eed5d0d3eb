//! A repository of content: static files, signed as The Update Framework says (specification 1.0, crate `tough`).
//!
//! | Role | Signed by | Says |
//! |---|---|---|
//! | `root` | threshold of the root keys, offline | which keys there are |
//! | `targets` | the root keys too | that `content/*` and `rollout/*` are delegated, and to whom |
//! | `content` | threshold of the content keys, offline | which bundles exist, and how fast each may go out |
//! | `rollout` | the online key | who may take which: `rollout/current.json` |
//! | `snapshot`, `timestamp` | the online key | which files belong together, and that they are the newest |
//!
//! A stolen online key can stop content, or offer what exists to more hosts than the plan says, as far as
//! their owners permit, and no faster than the content keys signed. It cannot add content.
//!
//! | Module | Holds |
//! |---|---|
//! | [`metadata`](Metadata) | all roles, and what can be done with them; pure |
//! | `written`, `encoding`, `names` | the same as files: names, bytes, digests |
//! | [`keys`](Keys), [`roles`](Role) | which keys there are, who signs what |
//! | [`tree`](Tree) | the files of a publisher |
//! | [`fetch`](Fetch) | files from a web server or a directory, within limits |
//! | [`client`](Client) | what a host believes |
//! | [`view`](View), `memory` | what it was told, and what it remembers of it |

mod client;
mod edit_error;
mod encoding;
mod fetch;
mod http;
mod keys;
mod memory;
mod metadata;
mod names;
mod roles;
mod signers;
mod transport;
mod tree;
mod view;
mod written;

pub use client::{Client, ClientError, Polled};
pub use edit_error::EditError;
pub use fetch::{Fetch, FetchError, Files, Reply, Request};
pub use http::Http;
pub use keys::{Founding, Keys};
pub use metadata::Metadata;
pub use names::{DOCUMENT, DOCUMENT_MAX, METADATA_MAX, bundle_name};
pub use roles::{Holder, Lifetime, Role};
pub use signers::Signers;
pub use tree::{Tree, TreeError};
pub use view::{Listed, View};
