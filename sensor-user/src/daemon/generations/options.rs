//! How rules are pushed.

/// What the one who pushes sets aside; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushOptions {
    /// Leave the judgement of fields to the kernel's verifier. For tests, of rules that nobody has signed.
    pub skip_checks: bool,
    /// Set the owner's policy aside, this once. For bundles.
    pub policy_aside: bool,
    /// Pass the shadow over.
    pub at_once: bool,
}

impl PushOptions {
    /// In force at once, as rules that the daemon reads by itself.
    pub const AT_ONCE: Self = Self { skip_checks: false, policy_aside: false, at_once: true };
}
