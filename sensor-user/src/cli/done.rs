//! How commands end.

/// How a command ended that did not fail to do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// As hoped.
    Well,
    /// Refused or failed, and all has been said.
    Badly,
}
