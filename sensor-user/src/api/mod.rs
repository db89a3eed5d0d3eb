//! What travels over the control socket and into `creance status --json`: plain types that serde reads and writes.
//!
//! This room is at the bottom of the crate: nothing in it knows the daemon or the kernel side.
//!
//! | File | Holds |
//! |---|---|
//! | [`protocol`] | requests and replies |
//! | [`status`] | the answer to `creance status`, and how it reads |
//! | [`kernel`] | what the kernel side reports: programs, hooks, the verifier's refusal |
//! | [`fleet`] | the host in its fleet |
//! | [`confinement`] | what the daemon gave up after its start |

pub mod confinement;
pub mod fleet;
pub mod kernel;
pub mod protocol;
pub mod status;
