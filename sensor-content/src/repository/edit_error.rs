//! Why a publisher's change was not made.

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// Too few keys.
    #[error("`{role}` needs signatures of {needed} of its keys, and {have} of them {} given: name more with --key", if *have == 1 { "was" } else { "were" })]
    Keys {
        /// The role.
        role: &'static str,
        /// So many were given.
        have: u64,
        /// So many are needed.
        needed: u64,
    },
    /// No keys, or a threshold that cannot be met.
    #[error(
        "{} of {keys} {holder} keys cannot sign: the threshold must be from 1 to the number of different keys",
        threshold
    )]
    Threshold {
        /// Whose.
        holder: &'static str,
        /// So many are needed.
        threshold: u64,
        /// So many there are.
        keys: usize,
    },
    /// The same key in two hands.
    #[error("a {0} key is a {1} key too: each must be its own, or who steals one has both")]
    Shared(&'static str, &'static str),
    /// Another bundle has that number.
    #[error("generation {0} is in the repository already, with other content: a number is used once")]
    Taken(u64),
    /// Not in the repository.
    #[error("generation {0} is not in the repository: `creance repo add` it first")]
    Unknown(u64),
    /// A ramp of another version.
    #[error("how fast generation {0} may go out cannot be read ({1}): use the version of creance that signed it")]
    Pace(u64, String),
    /// A version beyond counting.
    #[error("the version of `{0}` cannot be counted on")]
    Version(&'static str),
    /// The library's own words.
    #[error("{0}")]
    Tuf(String),
}
