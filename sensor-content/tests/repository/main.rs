//! A repository and those who attack it, against the client that hosts run.
#![allow(clippy::unwrap_used, reason = "a test")]

mod attacks;
mod client;
mod editing;
mod publisher;
mod ramps;
mod server;
