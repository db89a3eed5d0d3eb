//! The control socket: how the command line, and tests, talk to the daemon.
//!
//! A unix socket; each request is one line of JSON, answered by one line of JSON ([`protocol::Request`],
//! [`protocol::Reply`]), or, for `events`, by many. A connection may make several requests, one after the other.

pub mod client;

pub use client::Client;

/// Where the daemon listens unless it is told otherwise.
pub const SOCKET: &str = "/run/creance/control.sock";
