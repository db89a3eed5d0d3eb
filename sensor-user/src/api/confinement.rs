//! What the daemon gave up after its start.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What has been given up, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The capabilities that are left.
    pub capabilities: String,
    /// Where files can be written.
    pub files: String,
    /// System calls.
    pub calls: String,
}

impl fmt::Display for Confinement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { capabilities, files, calls } = self;
        write!(out, "capabilities: {capabilities}; files: {files}; system calls: {calls}")
    }
}
